"""Privileges: reading all that there are in a tenant's database, and changing what differs.

Of functions only those are looked at that write large objects, and only by a superuser: nobody else may change their
rights. Not looked at: other functions and types (PUBLIC may use them, but nobody else may connect), large objects
themselves, foreign servers, objects that belong to an extension.
"""

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, lock_server_wide, retrying, scalar
from provisioner.datastore.postgres_facts import facts_of_database, open_entrances
from provisioner.datastore.postgres_privileges import (
    FUTURE_KINDS,
    PUBLIC,
    Deviations,
    ObjectKind,
    Privilege,
    deviations,
    writes,
)
from provisioner.datastore.postgres_row_security import closed_views, ensure_row_security
from provisioner.errors import NotPermitted
from provisioner.plan.resources import PostgresGrants

MENDING_ROUNDS = 2


def read_deviations(connection: Connection, wanted: PostgresGrants) -> Deviations:
    """How the privileges differ, seen from inside the tenant's database."""
    objects, actual = facts_of_database(connection, wanted)
    administrator = scalar(connection, "SELECT current_user::text")
    return deviations(
        wanted,
        objects=objects,
        actual=actual,
        read_only=wanted.writes_stopped or is_past_storage(connection, wanted.storage_bytes),
        exempt=frozenset({administrator}),
        closed=closed_views(connection, wanted),
    )


def ensure_grants(connection: Connection, wanted: PostgresGrants) -> None:
    """Grant what is missing and revoke what is not wanted, inside the tenant's database, row security first.

    Raises NotPermitted if that changed nothing: PostgreSQL only warns where a right to grant or revoke is lacking.
    """
    left = retrying(lambda: _mend(connection, wanted)).sentences()
    _require_none(left)


def may_write(connection: Connection, wanted: PostgresGrants) -> bool:
    """Whether the application may change rows, in tables that are there or that will come."""
    _, actual = facts_of_database(connection, wanted)
    return writes(actual, grantee=wanted.application)


def revoke_grants(connection: Connection, wanted: PostgresGrants) -> None:
    """Take every privilege in the database from the tenant's roles but the owner."""
    retrying(lambda: _revoke_all(connection, wanted))


def is_past_storage(connection: Connection, storage_bytes: int) -> bool:
    """Whether the connection's database is larger than ``storage_bytes`` (0 for no limit)."""
    if storage_bytes <= 0:
        return False
    return bool(scalar(connection, "SELECT pg_database_size(current_database())") > storage_bytes)


def close_entrances(connection: Connection) -> None:
    """Revoke everything that PUBLIC may do on postgres and on the templates that can be connected to.

    Runs on the maintenance database, where the lock is shared with all other stacks (advisory locks are per database).
    """
    retrying(lambda: _close_entrances(connection))


def _close_entrances(connection: Connection) -> None:
    if not open_entrances(connection):
        return
    with connection.transaction():
        lock_server_wide(connection)
        for one in open_entrances(connection):
            connection.execute(revocation(one))
    _require_none(tuple(f"not wanted: {one}" for one in open_entrances(connection)))


def _mend(connection: Connection, wanted: PostgresGrants) -> Deviations:
    """Mend in one transaction; gives what is left. Two rounds: revoking also takes what was passed on from a right."""
    with connection.transaction():
        ensure_row_security(connection, wanted)
        for _ in range(MENDING_ROUNDS):
            found = read_deviations(connection, wanted)
            for one in found.extra:
                connection.execute(revocation(one))
            for one in found.missing:
                connection.execute(grant(one))
            if not found.extra and not found.missing:
                return found
        return read_deviations(connection, wanted)


def _require_none(left: tuple[str, ...]) -> None:
    if left:
        raise NotPermitted(
            "privileges cannot be brought to what they must be",
            why=f"{len(left)} stay as they are, first: {left[0]}",
            hint="the Platform's admin user must be a superuser, or own the object or the database",
        )


def _revoke_all(connection: Connection, wanted: PostgresGrants) -> None:
    roles = {wanted.application, wanted.reader, wanted.migration}
    with connection.transaction():
        _, actual = facts_of_database(connection, wanted)
        for one in sorted(actual):
            if one.grantee in roles and one.object.kind is not ObjectKind.ROLE:
                connection.execute(revocation(one))


def grant(one: Privilege) -> sql.Composed:
    """The statement that gives a privilege."""
    if one.object.kind is ObjectKind.ROLE:
        return sql.SQL("GRANT {} TO {}").format(sql.Identifier(*one.object.path), _grantee(one))
    return _prefix(one) + sql.SQL("GRANT {} TO {}").format(_right_on(one), _grantee(one))


def revocation(one: Privilege) -> sql.Composed:
    """The statement that takes a privilege, with all that was passed on from it."""
    if one.object.kind is ObjectKind.ROLE:
        option = sql.SQL("ADMIN OPTION FOR ") if one.grantable else sql.SQL("")
        return sql.SQL("REVOKE {}{} FROM {} CASCADE").format(option, sql.Identifier(*one.object.path), _grantee(one))
    return _prefix(one) + sql.SQL("REVOKE {} FROM {} CASCADE").format(_right_on(one), _grantee(one))


def _prefix(one: Privilege) -> sql.Composed:
    if one.object.kind not in FUTURE_KINDS:
        return sql.Composed([])
    maker, *schema = one.object.path
    prefix = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} ").format(sql.Identifier(maker))
    return prefix + (sql.SQL("IN SCHEMA {} ").format(sql.Identifier(*schema)) if schema else sql.Composed([]))


def _right_on(one: Privilege) -> sql.Composed:
    right, kind, path = sql.SQL(one.right), one.object.kind, one.object.path
    if kind in FUTURE_KINDS:
        return sql.SQL("{} ON {}").format(right, sql.SQL(kind.value))
    if kind is ObjectKind.FUNCTION:
        schema, function, *types = path
        arguments = sql.SQL(", ").join(map(sql.Identifier, types))
        return sql.SQL("{} ON FUNCTION {}({})").format(right, sql.Identifier(schema, function), arguments)
    if kind is ObjectKind.COLUMN:
        *table, column = path
        return sql.SQL("{} ({}) ON TABLE {}").format(right, sql.Identifier(column), sql.Identifier(*table))
    return sql.SQL("{} ON {} {}").format(right, sql.SQL(kind.value), sql.Identifier(*path))


def _grantee(one: Privilege) -> sql.Composable:
    return sql.SQL(PUBLIC) if one.grantee == PUBLIC else sql.Identifier(one.grantee)
