"""The two throw-away roles and the scratch database of a dump.

A tenant's tables may hold its own code: functions in index expressions, CHECKs, triggers, materialised views. Restoring
runs it. So neither reading nor restoring is done by the administrator:

- ``coopctl_dump_<uid>`` may read what is in the database, and nothing else on the server. (The predefined role
  pg_read_all_data would do too, but it also reads pg_authid, with every tenant's password verifiers.) Its rights are
  given after the dump's snapshot was taken, so that the dump does not hold them.
- ``coopctl_restore_<uid>`` owns the scratch database and has no other right at all.

Row security must not hide rows from either. A superuser gives them BYPASSRLS, which is no more than that, and lets the
first read all large objects. An administrator who is no superuser can do neither: then the first becomes a member of
the cooperative's own roles, which own tables and large objects. No policy holds for a table's owner unless it is
forced; a forced one ends the dump with an error, since ``row_security`` is off in every session.

All of it is taken away in every case; what a kill left behind is taken away when the next dump begins.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.credentials import Secret, generate_password
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import Connection, connect, rows, scalar
from provisioner.datastore.postgres_roles import is_superuser, own_roles, scram_verifier
from provisioner.naming import API_GROUP, CooperativeUid

PREFIX = API_GROUP.partition(".")[0]
CONNECTIONS = 4

_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1"
# Extensions that the restoring role may not create by itself, since their scripts need a superuser. In other schemas
# than these two there is none by our hand; the restore itself says what is wrong with one.
_UNTRUSTED = """
    SELECT e.extname, n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    JOIN pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion
    WHERE NOT v.trusted AND n.nspname IN ('public', 'pg_catalog') AND e.extname <> 'plpgsql' ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Login:
    """A throw-away role and its password, which exists in this process and its passfile alone."""

    role: str
    password: Secret


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """The scratch database, the role that reads the source and the one that owns the copy."""

    database: str
    reader: Login
    restorer: Login


def scratch_of(uid: CooperativeUid) -> Scratch:
    """The names, with new passwords; the uid in them keeps cooperatives apart."""
    return Scratch(
        database=f"{PREFIX}_verify_{uid}",
        reader=Login(role=f"{PREFIX}_dump_{uid}", password=generate_password()),
        restorer=Login(role=f"{PREFIX}_restore_{uid}", password=generate_password()),
    )


@contextmanager
def made_scratch(
    access: PostgresAccess, *, source: str, mark: Mark, environment: Mapping[str, str]
) -> Iterator[Scratch]:
    """Roles and scratch database for as long as the block runs; the reader may read ``source``.

    Enter it when the snapshot that is to be dumped has been taken.
    """
    scratch = scratch_of(mark.cooperative)
    sweep(access, source=source, mark=mark, environment=environment)
    try:
        with connect(access, environment=environment) as connection:
            _make_roles(connection, scratch, source=source, mark=mark)
            _make_database(connection, scratch)
        with connect(access, environment=environment, database=source) as inside:
            _let_read(inside, scratch.reader.role)
            untrusted = rows(inside, _UNTRUSTED)
        with connect(access, environment=environment, database=scratch.database) as copy:
            _make_extensions(copy, untrusted, restorer=scratch.restorer.role)
        yield scratch
    finally:
        sweep(access, source=source, mark=mark, environment=environment)


def sweep(access: PostgresAccess, *, source: str, mark: Mark, environment: Mapping[str, str]) -> None:
    """Take away what a dump, finished or cut off, leaves on the server; nothing to do is no error."""
    scratch = scratch_of(mark.cooperative)
    names = [scratch.reader.role, scratch.restorer.role]
    with connect(access, environment=environment) as connection:
        left = [name for (name,) in rows(connection, _EXISTING, {"names": names})]
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        if left:
            connection.execute(_END_SESSIONS, {"names": names})
        connection.execute(drop.format(sql.Identifier(scratch.database)))
        there = scalar(connection, "SELECT true FROM pg_database WHERE datname = %(name)s", {"name": source})
    if left and there:
        with connect(access, environment=environment, database=source) as inside:
            for name in left:
                # In the source a throw-away role owns nothing: this takes its rights.
                inside.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    with connect(access, environment=environment) as connection:
        for name in left:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


_EXISTING = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%(names)s) ORDER BY 1"
_END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY (%(names)s)"


def _make_roles(connection: Connection, scratch: Scratch, *, source: str, mark: Mark) -> None:
    superuser = is_superuser(connection)
    for login in (scratch.reader, scratch.restorer):
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN INHERIT {} CONNECTION LIMIT {} PASSWORD {}").format(
                sql.Identifier(login.role),
                sql.SQL("BYPASSRLS" if superuser else ""),
                sql.Literal(CONNECTIONS),
                sql.Literal(scram_verifier(connection, login.role, login.password)),
            )
        )
    reader = sql.Identifier(scratch.reader.role)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(source), reader))
    if superuser:
        # Rights on large objects are looked up in the snapshot, which is older than any that could be given now.
        connection.execute(sql.SQL("ALTER ROLE {} SET lo_compat_privileges = on").format(reader))
    else:
        for name in own_roles(connection, mark=mark):
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), reader))
        for login in (scratch.reader, scratch.restorer):
            # Only a member may make a database for another role, or take its rights away.
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(login.role)))


def _make_database(connection: Connection, scratch: Scratch) -> None:
    database, restorer = sql.Identifier(scratch.database), sql.Identifier(scratch.restorer.role)
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(database, restorer)
    )
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))


def _let_read(inside: Connection, reader: str) -> None:
    whom = sql.Identifier(reader)
    for (name,) in rows(inside, _SCHEMAS):
        schema = sql.Identifier(name)
        inside.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, whom))
        for kind in ("TABLES", "SEQUENCES"):
            right = sql.SQL("GRANT SELECT ON ALL {} IN SCHEMA {} TO {}")
            inside.execute(right.format(sql.SQL(kind), schema, whom))


def _make_extensions(copy: Connection, untrusted: list[tuple[str, str]], *, restorer: str) -> None:
    for name, schema in untrusted:
        made = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
        copy.execute(made.format(sql.Identifier(name), sql.Identifier(schema)))
    if untrusted:
        # Some extensions have tables whose rows a dump holds.
        rights = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}")
        copy.execute(rights.format(sql.Identifier(restorer)))
