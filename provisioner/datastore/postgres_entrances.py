"""What a superuser must do once on a server whose administrator is none, before tenants can be told apart there.

Nobody but their owner or a superuser closes the databases that every server has: from there PUBLIC would see who else
is on the server (PostgreSQL manual, "GRANT": CONNECT and TEMPORARY are PUBLIC's by default).
"""

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_privileges import LARGE_OBJECT_WRITERS

MAINTENANCE = "postgres"
_OPEN = """
    SELECT d.datname::text FROM pg_database d
    WHERE (d.datname = %(maintenance)s OR d.datistemplate) AND d.datallowconn AND NOT pg_has_role(d.datdba, 'USAGE')
      AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE a.grantee = 0)
    ORDER BY 1
"""
_WRITERS = ", ".join(f"pg_catalog.{name}({', '.join(arguments)})" for name, *arguments in LARGE_OBJECT_WRITERS)
# In each cooperative's database: readers only read.
CLOSE_LARGE_OBJECTS = f"REVOKE EXECUTE ON FUNCTION {_WRITERS} FROM PUBLIC"
_CLOSES = "SELECT pg_has_role(proowner, 'USAGE') FROM pg_proc WHERE oid = 'pg_catalog.lo_create(oid)'::regprocedure"
_LET_IN = "SELECT has_database_privilege(oid, 'CONNECT') FROM pg_database WHERE datname = %(maintenance)s"


def left_to_superuser(connection: Connection) -> tuple[str, ...]:
    """The statements that are still to be run by one, for the connection's login; nothing where that may do it itself.

    To connect to the database `postgres` is needed, too: databases are made from there.
    """
    asked, login = {"maintenance": MAINTENANCE}, sql.Identifier(connection.info.user)
    found = [
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
        for (name,) in rows(connection, _OPEN, asked)
    ]
    # What is open to PUBLIC now is closed by the statement before.
    if found or not scalar(connection, _LET_IN, asked):
        found.append(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(MAINTENANCE), login))
    return tuple(one.as_string(connection) for one in found)


def closes_large_objects(connection: Connection) -> bool:
    """Whether the connection's login may keep others from writing large objects, or somebody has done so here."""
    open_here = "SELECT has_function_privilege('public', 'pg_catalog.lo_create(oid)', 'EXECUTE')"
    return bool(scalar(connection, _CLOSES)) or not scalar(connection, open_here)
