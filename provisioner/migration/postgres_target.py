"""Whose the target's database is while it is filled: a schema of ours in it says so.

It is made before anything else is, and goes in the very transaction that lets applications in. So whoever resumes a
migration can tell from the target alone whether it may be emptied: with the schema it holds nothing but copies, without
it, it may hold what an application wrote.
"""

import json

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.errors import NotOurs
from provisioner.migration.postgres_survey_tables import OWN_OBJECTS
from provisioner.naming import MIGRATION_SCHEMA, CooperativeUid

_COMMENT = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %(name)s"
_RELATIONS = f"SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OWN_OBJECTS}"  # noqa: S608 - a constant
_SCHEMAS = "SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
_KEY = "coopctl.dev/migration"


def claim_target(connection: Connection, *, uid: CooperativeUid) -> None:
    """Take an empty database, or empty one that an earlier, unfinished copy of the same migration has filled.

    Raises NotOurs if it holds anything that no unfinished copy made.
    """
    owner = claimed_by(connection)
    if owner is None:
        if scalar(connection, _RELATIONS):
            raise NotOurs(
                "the target's database holds tables that no unfinished copy has made",
                why="an application may have written them",
                hint="name an empty database; one that is no longer needed must be dropped by hand",
            )
        _claim(connection, uid)
    elif owner != uid:
        raise NotOurs(f"the target's database belongs to the unfinished migration {owner}")
    _clear(connection)


def claimed_by(connection: Connection) -> CooperativeUid | None:
    """Whose unfinished migration the database belongs to, or None."""
    comment = scalar(connection, _COMMENT, {"name": MIGRATION_SCHEMA})
    try:
        found = json.loads(comment or "null")
    except ValueError:
        return None
    uid = found.get(_KEY) if isinstance(found, dict) else None
    return CooperativeUid(uid) if isinstance(uid, str) else None


def release_target(connection: Connection) -> None:
    """Say that the database may hold what applications write; meant for the transaction that lets them in."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {}").format(sql.Identifier(MIGRATION_SCHEMA)))


def _claim(connection: Connection, uid: CooperativeUid) -> None:
    schema = sql.Identifier(MIGRATION_SCHEMA)
    with connection.transaction():
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        comment = sql.Literal(json.dumps({_KEY: uid}))
        connection.execute(sql.SQL("COMMENT ON SCHEMA {} IS {}").format(schema, comment))


def _clear(connection: Connection) -> None:
    """Back to what CREATE DATABASE makes, but for the schema of ours."""
    with connection.transaction():
        _drop_all(connection, "EVENT TRIGGER", "SELECT evtname::text FROM pg_event_trigger")
        _drop_all(connection, "PUBLICATION", "SELECT pubname::text FROM pg_publication")
        _drop_all(connection, "EXTENSION", "SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql'")
        for (name,) in rows(connection, _SCHEMAS):
            if name != MIGRATION_SCHEMA:
                connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
        connection.execute(
            """CREATE SCHEMA public AUTHORIZATION pg_database_owner;
               GRANT USAGE ON SCHEMA public TO PUBLIC;
               COMMENT ON SCHEMA public IS 'standard public schema'"""
            if connection.info.server_version >= OWNED_PUBLIC_SINCE
            else "CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC"
        )


OWNED_PUBLIC_SINCE = 150000


def _drop_all(connection: Connection, kind: str, query: str) -> None:
    for (name,) in rows(connection, sql.SQL(query)):
        drop = sql.SQL("DROP {} IF EXISTS {} CASCADE") if kind != "EVENT TRIGGER" else sql.SQL("DROP {} IF EXISTS {}")
        connection.execute(drop.format(sql.SQL(kind), sql.Identifier(name)))
