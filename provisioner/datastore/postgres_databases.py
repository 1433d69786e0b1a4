"""Databases: reading, ensuring and retiring them over an administrator's connection.

CREATE DATABASE cannot be undone by a rollback, so a database is made in two steps:

1. it is created under a name that holds the cooperative's uid and that nobody else uses;
2. one transaction closes it to PUBLIC, marks it and gives it its name.

A kill between the two leaves the working name, which the next create goes on with; a database without a mark never
bears a tenant's name.
"""

from psycopg import errors, sql

from provisioner.datastore.marks import Fate, Mark, from_comment, require_own, to_comment
from provisioner.datastore.postgres import DatabaseState, DatabaseUsage
from provisioner.datastore.postgres_connection import Connection, lock_server_wide, retrying, rows, scalar
from provisioner.datastore.postgres_privileges import PLATFORM_SCHEMA
from provisioner.errors import CoopctlError, PolicyViolated
from provisioner.plan.resources import PostgresDatabase

_DATABASE = """
    SELECT r.rolname, d.datconnlimit, shobj_description(d.oid, 'pg_database')
    FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = %(name)s
"""
_GRANTEES = """
    SELECT DISTINCT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END
    FROM pg_database d CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = %(name)s AND a.grantee <> d.datdba ORDER BY 1
"""
# What the administrator keeps about members is no data of theirs.
_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT (n.nspname = %(platform)s AND pg_get_userbyid(n.nspowner) = current_user)
      AND c.relispopulated
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
                      AND x.deptype = 'e')
    ORDER BY 1, 2
"""


BUILT_IN = "plpgsql"
_AVAILABLE = """
    SELECT a.name, coalesce(v.requires, '{}'::name[]) FROM pg_available_extensions a
    JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
"""
_WITH_TABLES = """
    SELECT DISTINCT e.extname FROM pg_extension e
    JOIN pg_depend x ON x.refclassid = 'pg_extension'::regclass AND x.refobjid = e.oid AND x.deptype = 'e'
    JOIN pg_class c ON x.classid = 'pg_class'::regclass AND x.objid = c.oid AND c.relkind IN ('r', 'p')
    WHERE e.extname = ANY (%(names)s) ORDER BY 1
"""


def working_name(mark: Mark) -> str:
    """The name under which a cooperative's database is made."""
    return f"coopctl_new_{mark.cooperative}"


def read_database(connection: Connection, name: str) -> DatabaseState | None:
    """The database as it is, without its extensions (they are seen from inside), or None."""
    found = rows(connection, _DATABASE, {"name": name})
    if not found:
        return None
    owner, limit, comment = found[0]
    return DatabaseState(name=name, owner=owner, connection_limit=limit, mark=from_comment(comment))


def ensure_database(connection: Connection, wanted: PostgresDatabase, *, mark: Mark) -> None:
    """Make the database, all but its extensions."""
    found = read_database(connection, wanted.name)
    if found is None:
        retrying(lambda: _create_unnamed(connection, wanted, mark=mark))
        retrying(lambda: _give_name(connection, wanted, mark=mark))
    else:
        require_own(found.mark, own=mark, what=f"the PostgreSQL database {wanted.name}")
    retrying(lambda: _set_attributes(connection, wanted, mark=mark))


def read_extensions(connection: Connection) -> tuple[str, ...]:
    """The extensions of the connection's database, without plpgsql, which every database has."""
    return tuple(
        name for (name,) in rows(connection, "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
    )


def ensure_extensions(connection: Connection, extensions: tuple[str, ...]) -> None:
    """Install what is missing, without CASCADE: that would bring in what nobody allowed.

    Raises CoopctlError for an extension that the server does not have, or that needs another which is not wanted.
    """
    needs = {name: set(others) - {BUILT_IN} for name, others in rows(connection, _AVAILABLE)}
    present = read_extensions(connection)
    waiting = [name for name in extensions if name not in present]
    for name in waiting:
        _require_installable(name, needs=needs, wanted=extensions)
    while waiting:
        ready = next(name for name in waiting if not needs[name] & set(waiting))
        connection.execute(sql.SQL("CREATE EXTENSION {} SCHEMA public").format(sql.Identifier(ready)))
        waiting.remove(ready)


def drop_extensions(connection: Connection, names: tuple[str, ...]) -> None:
    """Drop extensions that nothing depends on and that hold no table. Raises PolicyViolated for others."""
    with_tables = [name for (name,) in rows(connection, _WITH_TABLES, {"names": list(names)})]
    try:
        if not with_tables:
            listed = sql.SQL(", ").join(map(sql.Identifier, names))
            connection.execute(sql.SQL("DROP EXTENSION IF EXISTS {} RESTRICT").format(listed))
            return
    except errors.DependentObjectsStillExist as error:
        why = error.diag.message_detail
    else:
        why = f"{', '.join(with_tables)} has tables, which may hold rows"
    raise PolicyViolated(
        f"the Platform does not allow the extensions {', '.join(names)}, and they are in use",
        why=why,
        hint="take away what uses them, or add them to spec.postgres.allowedExtensions of the Platform",
    )


def _require_installable(name: str, *, needs: dict[str, set[str]], wanted: tuple[str, ...]) -> None:
    if name not in needs:
        raise CoopctlError(
            f"the PostgreSQL server has no extension {name!r}", hint="install its package there, or do without it"
        )
    if missing := sorted(needs[name] - set(wanted)):
        raise CoopctlError(
            f"the PostgreSQL extension {name!r} needs {', '.join(missing)}",
            hint="name it in dataStore.postgres.extensions too; the Platform must allow it",
        )


def close_database(connection: Connection, name: str, *, mark: Mark) -> Fate | None:
    """Let nobody in any more and end all sessions, before it is looked at whether it is empty.

    Gives ABSENT if there is no such database, else None. Raises NotOurs if it is another's.
    """
    found = read_database(connection, name)
    if found is None:
        return Fate.ABSENT
    require_own(found.mark, own=mark, what=f"the PostgreSQL database {name}")
    retrying(lambda: _revoke_all(connection, name))
    end_sessions(connection, name)
    return None


def holds_data(connection: Connection) -> bool:
    """Whether any table of the connection's database has a row, or there is a large object."""
    if scalar(connection, "SELECT EXISTS (SELECT FROM pg_largeobject_metadata)"):
        return True
    tables = rows(connection, _TABLES, {"platform": PLATFORM_SCHEMA})
    return any(
        scalar(connection, sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(schema, table)))
        for schema, table in tables
    )


def drop_database(connection: Connection, name: str) -> None:
    """Drop the database, with whatever session is left."""
    retrying(lambda: connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))))


def mark_database(connection: Connection, name: str, *, mark: Mark) -> None:
    """Write the mark, such as that of a database that is kept after its cooperative was destroyed."""
    retrying(lambda: _set_mark(connection, name, mark))


def read_usage(connection: Connection, name: str) -> DatabaseUsage | None:
    """Bytes on disk and sessions of clients (not of the server's own workers), or None if there is no such database."""
    found = rows(
        connection,
        """SELECT pg_database_size(oid), datconnlimit,
                  (SELECT count(*) FROM pg_stat_activity
                   WHERE datname = %(name)s AND backend_type = 'client backend')
           FROM pg_database WHERE datname = %(name)s""",
        {"name": name},
    )
    if not found:
        return None
    size, limit, sessions = found[0]
    return DatabaseUsage(size_bytes=size, sessions=sessions, connection_limit=limit)


def _create_unnamed(connection: Connection, wanted: PostgresDatabase, *, mark: Mark) -> None:
    name = working_name(mark)
    if read_database(connection, name) is not None:
        return
    # template0: template1 may hold what an administrator left there, and somebody may be connected to it.
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(
            sql.Identifier(name), sql.Identifier(wanted.owner)
        )
    )


def _give_name(connection: Connection, wanted: PostgresDatabase, *, mark: Mark) -> None:
    unnamed = working_name(mark)
    with connection.transaction():
        lock_server_wide(connection)
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(unnamed)))
        _set_mark(connection, unnamed, mark)
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unnamed), sql.Identifier(wanted.name))
        )


def _set_attributes(connection: Connection, wanted: PostgresDatabase, *, mark: Mark) -> None:
    database = sql.Identifier(wanted.name)
    with connection.transaction():
        lock_server_wide(connection)
        found = read_database(connection, wanted.name)
        if found is None or found.owner != wanted.owner:
            connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, sql.Identifier(wanted.owner)))
        if found is None or found.connection_limit != wanted.connection_limit:
            connection.execute(
                sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, sql.Literal(wanted.connection_limit))
            )
        if found is None or found.mark != mark:
            _set_mark(connection, wanted.name, mark)


def _set_mark(connection: Connection, name: str, mark: Mark) -> None:
    connection.execute(
        sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(name), sql.Literal(to_comment(mark)))
    )


def _revoke_all(connection: Connection, name: str) -> None:
    # A connection limit of 0 would also keep out an administrator who is no superuser.
    with connection.transaction():
        lock_server_wide(connection)
        for (grantee,) in rows(connection, _GRANTEES, {"name": name}):
            whom = sql.Identifier(grantee) if grantee else sql.SQL("PUBLIC")
            statement = sql.SQL("REVOKE ALL ON DATABASE {} FROM {} CASCADE")
            connection.execute(statement.format(sql.Identifier(name), whom))


def end_sessions(connection: Connection, name: str) -> None:
    """End all sessions of the database ``name`` but our own."""
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(name)s AND pid <> pg_backend_pid()",
        {"name": name},
    )
