"""Everything that a database is made of but its rows, as text: to compare two sides, or one side with its own past.

The same reading serves both. Compared with the other side it finds what the move has lost; compared with itself an hour
ago, as a fingerprint, it finds any change of the schema, however it was made.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_row_security import EVENT_TRIGGER
from provisioner.errors import SchemaChanged
from provisioner.migration.postgres_catalogue_queries import QUERIES
from provisioner.naming import ReplicationNames

# What a fence changes on purpose, and what nobody's DDL is: the rows of large objects.
_NOT_GUARDED = frozenset({"database", "setting", "large object"})
SHOWN = 20

Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class CatalogueDifference:
    """Something that is not the same: its kind and name, and what each side has (None: nothing)."""

    kind: str
    name: str
    source: str | None
    target: str | None

    def __str__(self) -> str:
        if self.target is None:
            return f"{self.kind} {self.name} is missing"
        if self.source is None:
            return f"{self.kind} {self.name} has come"
        return f"{self.kind} {self.name} is another"


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The definitions of all things by kind and name."""

    entries: Mapping[Key, str]

    @property
    def fingerprint(self) -> str:
        """A digest of the schema: 64 hex digits, equal as long as nobody changes it."""
        guarded = sorted((key, text) for key, text in self.entries.items() if key[0] not in _NOT_GUARDED)
        return hashlib.sha256(repr(guarded).encode()).hexdigest()


def read_catalogue(
    connection: Connection,
    *,
    names: ReplicationNames,
    kinds: Collection[str] = QUERIES,
    administrators: Collection[str] = (),
) -> Catalogue:
    """Read it in one snapshot, or only things of some ``kinds``, without what the migration made for itself.

    What one of ``administrators`` owns is the administrator's, whoever that is on a side; and where they are named, one
    side's is no superuser, who alone makes the event trigger of the platform.
    """
    ours = {
        "publications": sorted(names.publications),
        "roles": sorted(names.roles),
        "administrators": sorted(administrators),
    }
    entries: dict[Key, str] = {}
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for kind in kinds:
            for name, text in rows(connection, sql.SQL(QUERIES[kind]), ours):
                entries[kind, str(name)] = text or ""
    if administrators:
        entries.pop(("event trigger", EVENT_TRIGGER), None)
    return Catalogue(entries=entries)


def compare(source: Catalogue, target: Catalogue, *, back: bool = False) -> tuple[CatalogueDifference, ...]:
    """Pure: every difference, by kind and name.

    A newer version of an extension on the target is none; on the way ``back`` it is the source that has it.
    """
    return tuple(
        CatalogueDifference(kind=kind, name=name, source=ours, target=theirs)
        for kind, name in sorted({*source.entries, *target.entries})
        if (ours := source.entries.get((kind, name))) != (theirs := target.entries.get((kind, name)))
        and not _newer_extension(kind, *((theirs, ours) if back else (ours, theirs)))
    )


def compare_catalogues(
    source: Catalogue, target: Catalogue, *, reader: Connection, back: bool = False
) -> tuple[CatalogueDifference, ...]:
    """Every difference that is one; ``reader`` is a session of the target.

    Servers of different versions print the same view differently. Where two texts differ, the source's is made into a
    temporary view on the target and printed by it; nothing of that stays.
    """
    return tuple(
        one
        for one in compare(source, target, back=back)
        if one.kind != "view"
        or one.source is None
        or one.target is None
        or _reprinted(reader, one.source) != one.target
    )


def require_unchanged(connection: Connection, *, before: Catalogue, names: ReplicationNames) -> None:
    """The DDL guard: raise SchemaChanged, naming what changed, unless the schema is as it was ``before``."""
    now = read_catalogue(connection, names=names)
    if now.fingerprint == before.fingerprint:
        return
    changes = [str(one) for one in compare(before, now) if one.kind not in _NOT_GUARDED]
    more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    raise SchemaChanged(
        "the schema of the source was changed during the migration", why="; ".join(changes[:SHOWN]) + more
    )


def _reprinted(reader: Connection, definition: str) -> str:
    view = sql.Identifier("pg_temp", "coopctl_reprinted")
    with reader.transaction(force_rollback=True):
        text = sql.SQL(definition.rstrip().rstrip(";"))
        reader.execute(sql.SQL("CREATE TEMPORARY VIEW coopctl_reprinted AS {}").format(text))
        return str(scalar(reader, sql.SQL("SELECT pg_get_viewdef({}::regclass)").format(_literal(view, reader))))


def _literal(identifier: sql.Identifier, connection: Connection) -> sql.Literal:
    return sql.Literal(identifier.as_string(connection))


def _newer_extension(kind: str, ours: str | None, theirs: str | None) -> bool:
    if kind != "extension" or ours is None or theirs is None:
        return False
    version, _, schema = ours.partition("; ")
    other, _, other_schema = theirs.partition("; ")
    return schema == other_schema and tuple(_numbers(other)) >= tuple(_numbers(version))


def _numbers(version: str) -> Iterator[int]:
    return (int(part) for part in version.split(".") if part.isdecimal())
