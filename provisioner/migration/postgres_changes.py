"""Which rows were changed since a slot was made: pgoutput's messages, read by a query and decoded to keys.

A slot that nobody streams from serves as memory of what was written since the last verification, so that behind the
fence only that must be verified again. Messages and their fields: PostgreSQL manual, "Logical Replication Message
Formats", protocol version 1.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from provisioner.datastore.postgres_connection import Connection, scalar
from provisioner.migration.postgres_facts import TableFacts, TableName

MOST_KEYS = 100_000
_PEEK = """
    SELECT data FROM pg_logical_slot_peek_binary_changes(
        %(slot)s, %(until)s::pg_lsn, NULL, 'proto_version', '1', 'publication_names', %(publication)s)
"""
_MAKE = """
    SELECT pg_create_logical_replication_slot(%(slot)s, 'pgoutput')
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = %(slot)s)
"""

Values = tuple[str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Touched:
    """What was written: by table the keys of rows, and tables that must be looked at as a whole."""

    keys: Mapping[TableName, frozenset[tuple[str, ...]]] = field(default_factory=lambda: MappingProxyType({}))
    whole: frozenset[TableName] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Relation:
    """A table as a message describes it."""

    table: TableName
    columns: tuple[str, ...]


class ChangeKind(StrEnum):
    """What was done to a row, by the letter of its message."""

    INSERT = "I"
    UPDATE = "U"
    DELETE = "D"


@dataclass(frozen=True, kw_only=True)
class RowChange:
    """A change of one row; ``old`` is what the replica identity says of the row before, ``new`` the row after.

    None stands for NULL, and in ``unchanged`` are positions whose large values were not sent.
    """

    kind: ChangeKind
    relation: Relation
    old: Values | None
    new: Values | None
    unchanged: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """Tables that were emptied."""

    tables: tuple[TableName, ...]


def remember_changes(connection: Connection, slot: str) -> None:
    """Begin, or go on, to remember. The publication must be there already. Idempotent."""
    connection.execute(_MAKE, {"slot": slot})


def read_touched(
    connection: Connection, *, slot: str, publication: str, tables: Iterable[TableFacts], until: str | None = None
) -> Touched:
    """What was written up to the LSN ``until`` (None: now) since ``remember_changes`` or ``forget_changes``."""
    parameters = {"slot": slot, "publication": f'"{publication}"', "until": until}
    messages = (bytes(data) for (data,) in connection.execute(_PEEK, parameters))
    return touched(decoded(messages), tables=tables)


def forget_changes(connection: Connection, *, slot: str, until: str) -> None:
    """Remember only what was written past the LSN ``until``."""
    scalar(
        connection, "SELECT pg_replication_slot_advance(%(slot)s, %(until)s::pg_lsn)", {"slot": slot, "until": until}
    )


def touched(changes: Iterable[RowChange | Truncation], *, tables: Iterable[TableFacts]) -> Touched:
    """Pure: the keys that changes name. A change without a whole key, or too many of them, mean the whole table."""
    facts = {table.name: table for table in tables}
    keys: dict[TableName, set[tuple[str, ...]]] = defaultdict(set)
    whole: set[TableName] = set()
    for change in changes:
        if isinstance(change, Truncation):
            whole.update(change.tables)
            continue
        table = change.relation.table
        found = _keys_of(change, key=facts[table].key) if table in facts else None
        if table in whole:
            continue
        if found is None or len(keys[table]) > MOST_KEYS:
            whole.add(table)
        else:
            keys[table].update(found)
    return Touched(
        keys={table: frozenset(found) for table, found in keys.items() if table not in whole}, whole=frozenset(whole)
    )


def decoded(messages: Iterable[bytes]) -> Iterator[RowChange | Truncation]:
    """Pure: the changes in a sequence of messages."""
    relations: dict[int, Relation] = {}
    for message in messages:
        kind, reader = message[:1], _Reader(message[1:])
        if kind == b"R":
            number = reader.integer("!I")
            relations[number] = _relation(reader)
        elif kind in {b"I", b"U", b"D"}:
            yield _change(reader, relations, kind=ChangeKind(kind.decode()))
        elif kind == b"T":
            count, _ = reader.integer("!I"), reader.integer("!B")
            yield Truncation(tables=tuple(relations[reader.integer("!I")].table for _ in range(count)))


class _Reader:
    """Takes fields off the front of a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> bool:
        return self._at < len(self._data)

    def integer(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return int(value)

    def take(self, length: int) -> bytes:
        self._at += length
        return self._data[self._at - length : self._at]

    def string(self) -> str:
        end = self._data.index(b"\0", self._at)
        text = self._data[self._at : end].decode()
        self._at = end + 1
        return text


def _relation(reader: _Reader) -> Relation:
    schema, name = reader.string(), reader.string()
    reader.take(1)
    columns = []
    for _ in range(reader.integer("!H")):
        reader.take(1)
        columns.append(reader.string())
        reader.take(8)
    return Relation(table=TableName(schema=schema or "pg_catalog", name=name), columns=tuple(columns))


def _change(reader: _Reader, relations: Mapping[int, Relation], *, kind: ChangeKind) -> RowChange:
    relation = relations[reader.integer("!I")]
    old: Values | None = None
    new: Values | None = None
    unchanged: frozenset[int] = frozenset()
    while reader.left:
        if reader.take(1) == b"N":
            new, unchanged = _tuple(reader)
        else:
            old, _ = _tuple(reader)
    return RowChange(kind=kind, relation=relation, old=old, new=new, unchanged=unchanged)


def _tuple(reader: _Reader) -> tuple[Values, frozenset[int]]:
    values: list[str | None] = []
    unchanged = set()
    for place in range(reader.integer("!H")):
        kind = reader.take(1)
        if kind == b"u":
            unchanged.add(place)
        values.append(reader.take(reader.integer("!I")).decode() if kind == b"t" else None)
    return tuple(values), frozenset(unchanged)


def _keys_of(change: RowChange, *, key: tuple[str, ...]) -> set[tuple[str, ...]] | None:
    """The keys before and after; None if one is not known."""
    places = [change.relation.columns.index(name) for name in key if name in change.relation.columns]
    if not key or len(places) != len(key):
        return None
    found = set()
    for values in filter(None, (change.old, change.new)):
        one = tuple(value for place in places if (value := values[place]) is not None)
        if len(one) != len(key):
            return None
        found.add(one)
    return found
