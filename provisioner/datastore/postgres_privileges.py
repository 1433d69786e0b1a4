"""Pure: which privileges a tenant's database must have, and how what it has differs.

A privilege is one fact: an object, a grantee, a right. The wanted facts follow from the objects that exist and from
the tenant's four roles; what is wanted and absent is granted, what is there and not wanted is revoked. Only an
object's own owner is not looked at, since an owner can always give itself everything.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from provisioner.naming import API_GROUP
from provisioner.plan.resources import PostgresGrants

PUBLIC = "PUBLIC"
PLATFORM_SCHEMA = API_GROUP.partition(".")[0]


class ObjectKind(StrEnum):
    """What a privilege is on; the value is SQL's word for it."""

    DATABASE = "DATABASE"
    SCHEMA = "SCHEMA"
    TABLE = "TABLE"
    SEQUENCE = "SEQUENCE"
    COLUMN = "COLUMN"
    FUNCTION = "FUNCTION"
    ROLE = "ROLE"
    FUTURE_TABLES = "TABLES"
    FUTURE_SEQUENCES = "SEQUENCES"
    FUTURE_SCHEMAS = "SCHEMAS"


FUTURE_KINDS = frozenset({ObjectKind.FUTURE_TABLES, ObjectKind.FUTURE_SEQUENCES, ObjectKind.FUTURE_SCHEMAS})


@dataclass(frozen=True, kw_only=True, order=True)
class SqlObject:
    """An object with privileges; ``path`` are its identifiers, from the outside in.

    For future objects the path is the role that will make them and, where the rule holds in one schema, that schema;
    a function's path ends with the types of its arguments.
    """

    kind: ObjectKind
    path: tuple[str, ...]
    owner: str

    def __str__(self) -> str:
        if self.kind is ObjectKind.FUNCTION:
            schema, function, *arguments = self.path
            return f"function {schema}.{function}({', '.join(arguments)})"
        name = ".".join(self.path)
        return f"future {self.kind.lower()} of {name}" if self.kind in FUTURE_KINDS else f"{self.kind.lower()} {name}"


@dataclass(frozen=True, kw_only=True, order=True)
class Privilege:
    """One right of one grantee on one object; for a role the right is MEMBER."""

    object: SqlObject
    grantee: str
    right: str
    grantable: bool = False

    def __str__(self) -> str:
        option = " WITH GRANT OPTION" if self.grantable else ""
        return f"{self.grantee} {self.right}{option} on {self.object}"


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """What must be granted and what must be revoked to have exactly the wanted privileges, in a fixed order."""

    missing: tuple[Privilege, ...]
    extra: tuple[Privilege, ...]

    def sentences(self) -> tuple[str, ...]:
        """The deviations in words."""
        return tuple([f"missing: {one}" for one in self.missing] + [f"not wanted: {one}" for one in self.extra])


EXECUTE: tuple[str, ...] = ("EXECUTE",)
READ = ("SELECT",)
WRITE = ("DELETE", "INSERT", "SELECT", "UPDATE")
_TABLES = frozenset({ObjectKind.TABLE, ObjectKind.FUTURE_TABLES})
USE_SEQUENCE = ("SELECT", "UPDATE", "USAGE")
# What writes large objects (PostgreSQL manual, "Server-Side Functions" of large objects); PUBLIC may by default.
LARGE_OBJECT_WRITERS = (
    ("lo_creat", "int4"),
    ("lo_create", "oid"),
    ("lo_from_bytea", "oid", "bytea"),
    ("lo_put", "oid", "int8", "bytea"),
    ("lo_truncate", "int4", "int4"),
    ("lo_truncate64", "int4", "int8"),
    ("lowrite", "int4", "bytea"),
)


def deviations(
    wanted: PostgresGrants,
    *,
    objects: Iterable[SqlObject],
    actual: Iterable[Privilege],
    read_only: bool,
    exempt: frozenset[str],
    closed: frozenset[tuple[str, ...]] = frozenset(),
) -> Deviations:
    """Compare the privileges on ``objects`` with the wanted ones.

    ``read_only``: the database is past its storage, so the application may not write. ``exempt`` grantees are not
    looked at: the administrator itself. ``closed`` are the paths of views that are none of the reader's business.
    """
    everything = wanted_privileges(wanted, objects=objects, read_only=read_only)
    expected = {
        one
        for one in everything
        if one.grantee != one.object.owner and (one.grantee != wanted.reader or one.object.path not in closed)
    }
    return compared(expected, actual=actual, exempt=exempt)


def compared(expected: Iterable[Privilege], *, actual: Iterable[Privilege], exempt: frozenset[str]) -> Deviations:
    """What ``actual`` lacks of ``expected``, and has beyond it; ``exempt`` grantees and owners are not looked at."""
    wanted = set(expected)
    found = {one for one in actual if one.grantee not in exempt and one.grantee != one.object.owner}
    return Deviations(missing=tuple(sorted(wanted - found)), extra=tuple(sorted(found - wanted)))


def wanted_privileges(wanted: PostgresGrants, *, objects: Iterable[SqlObject], read_only: bool) -> Iterable[Privilege]:
    """Every privilege that the tenant's roles must have on ``objects``; nobody else has any."""
    for one in objects:
        for grantee, rights in _rights(one, wanted=wanted, read_only=read_only).items():
            for right in rights:
                yield Privilege(object=one, grantee=grantee, right=right)


def _rights(one: SqlObject, *, wanted: PostgresGrants, read_only: bool) -> dict[str, tuple[str, ...]]:
    members = (wanted.application, wanted.reader, wanted.migration)
    if one.kind is ObjectKind.DATABASE:
        return _rights_on_database(wanted) if one.path == (wanted.database,) else {}
    if one.kind is ObjectKind.FUNCTION:
        return dict.fromkeys((wanted.owner,) if read_only else (wanted.owner, wanted.application), EXECUTE)
    if one.kind is ObjectKind.ROLE:
        return {wanted.migration: ("MEMBER",)} if one.path == (wanted.owner,) else {}
    if one.kind is ObjectKind.SCHEMA and one.path == ("public",):
        usage: dict[str, tuple[str, ...]] = dict.fromkeys(members, ("USAGE",))
        return usage if one.owner == wanted.owner else usage | {wanted.owner: ("CREATE", "USAGE")}
    if one.kind is ObjectKind.SCHEMA and one.path == (PLATFORM_SCHEMA,) and wanted.member_column:
        # The event trigger's functions run as whoever makes a table: the owner.
        return {wanted.owner: ("USAGE",)}
    return _rights_on_owned(one, wanted=wanted, read_only=read_only) if one.owner == wanted.owner else {}


def _rights_on_database(wanted: PostgresGrants) -> dict[str, tuple[str, ...]]:
    """Nobody but the administrator may CREATE: that is the right to install trusted extensions, too."""
    rights: dict[str, tuple[str, ...]] = dict.fromkeys(
        (wanted.application, wanted.reader, wanted.migration), ("CONNECT",)
    )
    return rights | {wanted.owner: ("TEMPORARY",)}


def _rights_on_owned(one: SqlObject, *, wanted: PostgresGrants, read_only: bool) -> dict[str, tuple[str, ...]]:
    match one.kind:
        case ObjectKind.SCHEMA | ObjectKind.FUTURE_SCHEMAS:
            return dict.fromkeys((wanted.application, wanted.reader), ("USAGE",))
        case ObjectKind.TABLE | ObjectKind.FUTURE_TABLES:
            return {wanted.application: READ if read_only else WRITE, wanted.reader: READ}
        case ObjectKind.SEQUENCE | ObjectKind.FUTURE_SEQUENCES:
            return {wanted.application: READ if read_only else USE_SEQUENCE, wanted.reader: READ}
        case _:
            return {}


def writes(actual: Iterable[Privilege], *, grantee: str) -> bool:
    """Whether ``grantee`` has a right to change rows."""
    changing = set(WRITE) - set(READ)
    return any(one.grantee == grantee and one.right in changing and one.object.kind in _TABLES for one in actual)


def future_objects(owner: str) -> tuple[SqlObject, ...]:
    """What ``owner`` will make anywhere in the database."""
    return tuple(
        SqlObject(kind=kind, path=(owner,), owner=owner)
        for kind in (ObjectKind.FUTURE_TABLES, ObjectKind.FUTURE_SEQUENCES, ObjectKind.FUTURE_SCHEMAS)
    )
