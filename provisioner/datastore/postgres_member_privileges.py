"""Pure: which privileges the schemas of members must have, and how what they have differs.

A schema that is open is used by its member's role alone; one that was closed, because its member left, by nobody. The
application takes the member's role to get in (SET ROLE): if it forgets to, it sees no member's table. The reader may
read tables of the owner wherever they come to be, and the application write them (defaults of the whole database): both
are kept out by the schema, which they may not use.
"""

from collections.abc import Iterable, Iterator, Mapping

from provisioner.datastore.postgres_privileges import (
    FUTURE_KINDS,
    READ,
    USE_SEQUENCE,
    WRITE,
    Deviations,
    ObjectKind,
    Privilege,
    SqlObject,
    compared,
)
from provisioner.plan.resources import PostgresMembers

Rights = dict[str, tuple[str, ...]]


def member_deviations(
    wanted: PostgresMembers,
    *,
    roles: Mapping[str, str],
    objects: Iterable[SqlObject],
    actual: Iterable[Privilege],
    read_only: bool,
    exempt: frozenset[str],
) -> Deviations:
    """Compare the privileges on ``objects``, which lie in schemas of members, with the wanted ones.

    ``roles`` are the members' by their open schemas: any other schema is closed. ``read_only``: the database is past
    its storage. ``exempt`` grantees are not looked at: the administrator itself.
    """
    expected = [
        Privilege(object=one, grantee=grantee, right=right)
        for one in (*objects, *_future(wanted.owner, schemas=roles))
        if one.owner == wanted.owner
        for grantee, rights in _rights(one, wanted=wanted, role=roles.get(_schema(one)), read_only=read_only).items()
        for right in rights
    ]
    return compared(expected, actual=actual, exempt=exempt)


def _future(owner: str, *, schemas: Iterable[str]) -> Iterator[SqlObject]:
    for schema in schemas:
        for kind in (ObjectKind.FUTURE_TABLES, ObjectKind.FUTURE_SEQUENCES):
            yield SqlObject(kind=kind, path=(owner, schema), owner=owner)


def _schema(one: SqlObject) -> str:
    return one.path[1] if one.kind in FUTURE_KINDS else one.path[0]


def _rights(one: SqlObject, *, wanted: PostgresMembers, role: str | None, read_only: bool) -> Rights:
    member: Rights = {role: _on(one.kind, read_only=read_only)} if role else {}
    match one.kind:
        case ObjectKind.SCHEMA:
            return {role: ("USAGE",)} if role else {}
        case ObjectKind.TABLE | ObjectKind.SEQUENCE:
            return {wanted.application: _on(one.kind, read_only=read_only), wanted.reader: READ} | member
        case ObjectKind.FUTURE_TABLES | ObjectKind.FUTURE_SEQUENCES:
            return member
        case _:
            return {}


def _on(kind: ObjectKind, *, read_only: bool) -> tuple[str, ...]:
    if read_only:
        return READ
    return WRITE if kind in {ObjectKind.TABLE, ObjectKind.FUTURE_TABLES} else USE_SEQUENCE
