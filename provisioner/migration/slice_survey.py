"""Reads the tables of a database as applications know them, and the foreign keys between them. Nothing is changed.

A foreign key is followed with the platform administrator's rights. So it matters whose operator and whose cast compare
its columns: an operator class is a superuser's to make, but a CAST between types of one's own is anybody's. Where such
a one might be called, the foreign key is not trusted. (PostgreSQL manual, CREATE CAST and CREATE OPERATOR CLASS.)
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

from psycopg.rows import TupleRow

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.migration.postgres_facts import TableFacts, TableName
from provisioner.migration.postgres_survey_tables import OWN_OBJECTS, read_tables
from provisioner.migration.slice_facts import ColumnKind, ForeignKey, KeyPair, Relation, SliceFacts

_CATALOGUE: Final = "pg_catalog"
_RELATIONS = f"""
    SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
           coalesce(pg_partition_root(c.oid)::oid, c.oid)::bigint, pg_get_userbyid(c.relowner)::text
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (c.relkind IN ('r', 'p') OR c.relkind = 'f' AND c.relispartition) AND {OWN_OBJECTS} ORDER BY 2, 3
"""  # noqa: S608 - a constant
_KINDS = """
    WITH RECURSIVE bases (root, base, required) AS (
        SELECT DISTINCT atttypid, atttypid, false FROM pg_attribute WHERE attrelid = ANY (%(tables)s::oid[])
        UNION
        SELECT b.root, t.typbasetype, b.required OR t.typnotnull
        FROM bases b JOIN pg_type t ON t.oid = b.base WHERE t.typtype = 'd')
    SELECT a.attrelid::bigint, a.attname::text, format_type(b.base, NULL),
           t.typnamespace = 'pg_catalog'::regnamespace, a.attnotnull OR b.required
    FROM pg_attribute a JOIN bases b ON b.root = a.atttypid JOIN pg_type t ON t.oid = b.base AND t.typtype <> 'd'
    WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
"""
# What a partition inherits is its parent's; what partitions of a referenced table add is the server's own.
_FOREIGN_KEYS = """
    SELECT k.oid::bigint, k.conname::text, k.conrelid::bigint, k.confrelid::bigint, pg_get_constraintdef(k.oid),
           a.attname::text, p.attname::text, n.nspname::text, o.oprname::text,
           EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_operator'::regclass AND x.objid = o.oid
                   AND x.deptype = 'e')
    FROM pg_constraint k CROSS JOIN generate_subscripts(k.conkey, 1) AS i
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[i]
    JOIN pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[i]
    JOIN pg_operator o ON o.oid = k.conpfeqop[i] JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY (%(tables)s::oid[])
      AND k.confrelid = ANY (%(tables)s::oid[]) ORDER BY 1, i
"""


@dataclass(kw_only=True)
class _Found:
    """A relation of the catalogue; ``root`` is the id of the table that it is a partition of, else its own."""

    oid: int
    name: TableName
    kind: str
    root: int
    owner: str
    kinds: dict[str, ColumnKind] = field(default_factory=dict)


def survey_slice(connection: Connection) -> SliceFacts:
    """The tables of the connection's database and their foreign keys. Raises psycopg.Error."""
    found = {row[0]: _found(*row) for row in rows(connection, _RELATIONS)}
    these = {"tables": list(found)}
    for table, column, base, builtin, required in rows(connection, _KINDS, these):
        found[table].kinds[column] = ColumnKind(base=base, builtin=builtin, required=required)
    facts = {one.name: one for one in read_tables(connection)}
    parts = defaultdict(list)
    for one in found.values():
        parts[one.root].append(one)
    relations = [_relation(found[root], parts=own, facts=facts) for root, own in parts.items() if root in found]
    by_key = groupby(rows(connection, _FOREIGN_KEYS, these), key=itemgetter(0))
    keys = [_foreign_key(found, list(columns)) for _, columns in by_key]
    return SliceFacts(
        relations=MappingProxyType({one.name: one for one in sorted(relations, key=lambda one: one.name)}),
        foreign_keys=tuple(sorted(keys, key=lambda one: (one.on, one.name))),
    )


def _found(oid: int, schema: str, name: str, kind: str, root: int, owner: str) -> _Found:
    return _Found(oid=oid, name=TableName(schema=schema, name=name), kind=kind, root=root, owner=owner)


def _relation(root: _Found, *, parts: Iterable[_Found], facts: Mapping[TableName, TableFacts]) -> Relation:
    leaves = [facts[one.name] for one in parts if one.name in facts]
    first = leaves[0] if leaves else TableFacts(name=root.name, pages=0, bytes=0, rows=0, columns=())
    together = replace(
        first,
        name=root.name,
        pages=sum(one.pages for one in leaves),
        bytes=sum(one.bytes for one in leaves),
        rows=sum(one.rows for one in leaves),
    )
    return Relation(
        facts=together,
        owner=root.owner,
        partitioned=root.kind == "p",
        foreign=any(one.kind == "f" for one in parts),
        kinds=MappingProxyType(root.kinds),
    )


def _foreign_key(found: Mapping[int, _Found], columns: Sequence[TupleRow]) -> ForeignKey:
    """One foreign key, of a row for each of its columns."""
    _, name, on_id, to_id, definition, *_ = columns[0]
    on, to = found[on_id], found[to_id]
    return ForeignKey(
        name=name,
        child=found[on.root].name,
        parent=found[to.root].name,
        on=on.name,
        to=to.name,
        pairs=tuple(_pair(on, to, *row[5:]) for row in columns),
        definition=definition,
    )


def _pair(on: _Found, to: _Found, *row: Any) -> KeyPair:
    column, parent_column, schema, operator, of_extension = row
    ours, theirs = on.kinds[column], to.kinds[parent_column]
    same = ours.base == theirs.base
    trusted = (same or (ours.builtin and theirs.builtin)) if schema == _CATALOGUE else same and of_extension
    return KeyPair(
        column=column, parent_column=parent_column, operator_schema=schema, operator=operator, trusted=trusted
    )
