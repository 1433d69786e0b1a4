"""The statements by which a tenant's database role would leave its database, by what they do.

PostgreSQL manual: "Predefined Roles", "Server Administration Functions", "System Catalogs", "COPY", "CREATE EXTENSION".
"""

from collections.abc import Mapping
from types import MappingProxyType

_ABSENT_FILE = "/nonexistent/coopctl-proof"
NO_SUCH_FILE = frozenset({"58P01"})
NO_SUCH_EXTENSION = frozenset({"0A000", "58P01"})
NO_SUCH_DATABASE = frozenset({"3D000"})
NO_SUCH_VALUE = frozenset({"22023"})

CATALOGUES: Mapping[str, str] = MappingProxyType(
    {
        "reads passwords": "SELECT rolpassword FROM pg_authid",
        "reads shadow passwords": "SELECT passwd FROM pg_shadow",
        "reads credentials of subscriptions": "SELECT subconninfo FROM pg_subscription",
        "reads credentials of foreign servers": "SELECT umoptions FROM pg_user_mapping",
        "reads who may log in from where": "SELECT * FROM pg_hba_file_rules",
        "reads the configuration's files": "SELECT * FROM pg_file_settings",
        "reads samples of columns": "SELECT stavalues1 FROM pg_statistic",
        "asks where the server's files are": "SHOW data_directory",
    }
)
FILES: Mapping[str, str] = MappingProxyType(
    {
        "reads a file": "SELECT pg_read_file('PG_VERSION')",
        "reads a binary file": "SELECT pg_read_binary_file('PG_VERSION')",
        "lists a folder": "SELECT pg_ls_dir('.')",
        "looks at a file": "SELECT pg_stat_file('PG_VERSION')",
        "writes a file": f"COPY (SELECT 1) TO '{_ABSENT_FILE}'",
        "runs a program": "COPY (SELECT 1) TO PROGRAM 'true'",
        "reads a file as a large object": f"SELECT lo_import('{_ABSENT_FILE}')",
        "writes a large object to a file": f"SELECT lo_export(0, '{_ABSENT_FILE}')",
    }
)
SERVER: Mapping[str, str] = MappingProxyType(
    {
        "makes a role": "CREATE ROLE coopctl_proof",
        "makes itself a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
        "takes its connection limit away": "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
        "makes itself a reader of everything": "GRANT pg_read_all_data TO CURRENT_USER",
        "acts as a reader of the server's files": "SET LOCAL ROLE pg_read_server_files",
        "acts as one who runs the server's programs": "SET LOCAL ROLE pg_execute_server_program",
        "changes what is logged": "SET LOCAL log_statement = 'all'",
        "switches triggers off": "SET LOCAL session_replication_role = 'replica'",
        "loads the configuration again": "SELECT pg_reload_conf()",
        "keeps the server's log of changes": "SELECT pg_create_physical_replication_slot('coopctl_proof', false, true)",
        "ends another's session": "SELECT pg_terminate_backend({session})",
        "cancels another's statement": "SELECT pg_cancel_backend({session})",
    }
)
# They reach files, programs or other servers; none of them is trusted.
UNTRUSTED_EXTENSIONS = ("adminpack", "dblink", "file_fdw", "pageinspect", "plperlu", "plpython3u", "postgres_fdw")
# These are: who may create something in a database may install them.
TRUSTED_EXTENSIONS = ("citext", "hstore", "pg_trgm", "plperl")
EVERYBODY_ELSE_S_SESSIONS = "SELECT 1 FROM pg_stat_activity WHERE usename <> current_user"
HIDDEN_TEXTS = "('', '<insufficient privilege>')"
EVERY_OPEN_DATABASE = (
    "SELECT datname FROM pg_database WHERE datname <> current_database() AND datallowconn"
    " AND has_database_privilege(oid, 'CONNECT')"
)
EVERY_GROUP = (
    "SELECT rolname FROM pg_roles WHERE rolname <> current_user AND rolname <> '{owner}' AND pg_has_role(oid, 'MEMBER')"
)
# Of members' roles, which it becomes with SET ROLE, none may lend it its rights otherwise.
BUT_MEMBERS = " AND NOT (starts_with(rolname::text, '{prefix}') AND NOT pg_has_role(oid, 'USAGE'))"
WORDS_OF_LANGUAGE_C = "CREATE FUNCTION public.coopctl_proof() RETURNS int LANGUAGE c AS '/nonexistent', 'proof'"
LARGE_OBJECT = "SELECT lo_create(0)"
NEW_TABLE = ("CREATE TABLE public.coopctl_proof (a int)", "INSERT INTO public.coopctl_proof VALUES (1)")
TABLE_FROM_FILE = "COPY public.coopctl_proof FROM '/nonexistent/coopctl-proof'"
ON_TABLES: Mapping[str, str] = MappingProxyType(
    {
        "SELECT": "SELECT a FROM public.coopctl_proof",
        "INSERT": "INSERT INTO public.coopctl_proof VALUES (2)",
        "UPDATE": "UPDATE public.coopctl_proof SET a = 3",
        "DELETE": "DELETE FROM public.coopctl_proof",
        "TRUNCATE": "TRUNCATE public.coopctl_proof",
        "ALTER": "ALTER TABLE public.coopctl_proof ADD b int",
        "DROP": "DROP TABLE public.coopctl_proof",
        "CREATE": "CREATE TABLE public.coopctl_proof_too (a int)",
    }
)
# Rows of two members who are nobody's. An administrator who is no superuser has no event trigger: what `apply` does
# some time later to a new table is done at once then.
MEMBER_ROWS = (
    "CREATE TABLE public.coopctl_proof ({column} text)",
    "INSERT INTO public.coopctl_proof VALUES ('coopctl-proof-1'), ('coopctl-proof-2')",
    """DO $$ BEGIN IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
        PERFORM coopctl.secure('public.coopctl_proof'::regclass); END IF; END $$""",
)
NEW_MEMBER_TABLE = (
    'CREATE TABLE "{schema}".coopctl_proof (a int)',
    'INSERT INTO "{schema}".coopctl_proof VALUES (1)',
)
MEMBER_TABLE = 'SELECT a FROM "{schema}".coopctl_proof'
EVERY_MEMBER_ROW = "SELECT * FROM public.coopctl_proof"
OWN_MEMBER_ROW = "INSERT INTO public.coopctl_proof VALUES ('{member}')"
# Which rows a login may see is asked of the roles that it was granted: for this transaction the administrator's is one.
AS_MEMBER = ("SET LOCAL ROLE NONE", 'GRANT "{role}" TO SESSION_USER', 'SET LOCAL ROLE "{role}"')
OWN_MEMBER_ROWS = "SELECT * FROM public.coopctl_proof WHERE {column} = '{member}'"
OTHER_MEMBERS_ROWS = "SELECT * FROM public.coopctl_proof WHERE {column} <> '{member}'"
