"""Keeps every client out of a database, and lets them in again.

1. The roles may not log in any more, and nobody but a superuser and the migration may connect.
2. Sessions are ended, again and again, until there is none, and none that was being opened in that moment.
3. Prepared transactions need no session to be committed: the fence holds only once there is none of this database.

What was taken is a value, recorded before anything is taken, so that whoever comes after a crash can give it back.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.errors import FenceOpen
from provisioner.migration.postgres_role_moves import DatabaseRight
from provisioner.migration.postgres_sides import APPLICATION_NAME
from provisioner.naming import is_replication_name

LOOK_SECONDS = 0.01
_LOGINS = """
    SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%(roles)s) AND rolcanlogin AND NOT rolsuper
      AND rolname <> current_user ORDER BY 1
"""
_CONNECT = """
    SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable
    FROM pg_database d CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' AND a.grantee <> d.datdba ORDER BY 1
"""
# Our own sessions are the login's under our name; a superuser who takes both can undo any fence anyway.
_CLIENTS = """
    FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() AND NOT (usename = current_user AND application_name = %(ours)s)
"""
# A session that starts is no row of pg_stat_activity yet. It holds this lock from before its right to connect is looked
# at until it is one: who takes the lock after the fence's commit is refused.
_STARTING = """
    SELECT pid FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_database'::regclass AND pid <> pg_backend_pid()
      AND objid = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_PREPARED = "SELECT gid, owner::text FROM pg_prepared_xacts WHERE database = current_database() ORDER BY 1"


@dataclass(frozen=True, kw_only=True)
class Fence:
    """What a fence takes: which roles could log in, and who could connect."""

    database: str
    logins: tuple[str, ...]
    rights: tuple[DatabaseRight, ...]


def plan_fence(connection: Connection, roles: Iterable[str]) -> Fence:
    """What there is to take now. ``roles`` are those of this database alone; all others lose CONNECT only.

    Of a database that is fenced already it is nothing: record it before closing, once.
    """
    wanted = {"roles": sorted(role for role in roles if not is_replication_name(role))}
    return Fence(
        database=str(scalar(connection, "SELECT current_database()")),
        logins=tuple(name for (name,) in rows(connection, _LOGINS, wanted)),
        rights=tuple(
            DatabaseRight(grantee=grantee, right=right, grantable=grantable)
            for grantee, right, grantable in rows(connection, _CONNECT)
            if not is_replication_name(grantee)
        ),
    )


def close_fence(connection: Connection, fence: Fence, *, timeout_seconds: float) -> None:
    """Let nobody in, end all sessions, and return once there is neither a session nor a prepared transaction.

    Raises FenceOpen, naming what is left. The fence is not lifted by that: the caller knows what else must be undone.
    """
    with connection.transaction():
        for role in fence.logins:
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))
        for one in fence.rights:
            statement = sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}")
            connection.execute(statement.format(sql.Identifier(fence.database), _grantee(one)))
    deadline = time.monotonic() + timeout_seconds
    while left := _left(connection):
        if time.monotonic() > deadline:
            raise FenceOpen(f"clients are left in the database {fence.database}", why="; ".join(left))
        time.sleep(LOOK_SECONDS)


def is_closed(connection: Connection, fence: Fence) -> bool:
    """Whether a role that the fence has taken may not log in: it was closed, and not lifted yet."""
    query = "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = ANY (%(roles)s) AND NOT rolcanlogin)"
    return bool(scalar(connection, query, {"roles": list(fence.logins)}))


def lift_fence(connection: Connection, fence: Fence) -> None:
    """Give back what was taken. Idempotent."""
    with connection.transaction():
        for one in fence.rights:
            option = sql.SQL(" WITH GRANT OPTION" if one.grantable else "")
            statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}{}")
            connection.execute(statement.format(sql.Identifier(fence.database), _grantee(one), option))
        allow_logins(connection, fence.logins)


def allow_logins(connection: Connection, roles: Iterable[str]) -> None:
    """Let roles log in."""
    for role in roles:
        connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role)))


def _left(connection: Connection) -> list[str]:
    """Ends sessions and says who is still there. The order matters: who starts becomes a session, which may prepare."""
    ours = {"ours": APPLICATION_NAME}
    starting = [f"the session {pid}, which starts" for (pid,) in rows(connection, _STARTING)]
    ending = sql.SQL("SELECT pid, usename::text, pg_terminate_backend(pid) " + _CLIENTS)
    sessions = [f"the session {pid} of {user}" for pid, user, _ in rows(connection, ending, ours)]
    prepared = [f"the prepared transaction {gid} of {owner}" for gid, owner in rows(connection, _PREPARED)]
    return starting + sessions + prepared


def _grantee(one: DatabaseRight) -> sql.Composable:
    return sql.Identifier(one.grantee) if one.grantee else sql.SQL("PUBLIC")
