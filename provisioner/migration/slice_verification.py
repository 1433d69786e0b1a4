"""Compares a member's slice with the source, and looks for what must not be in it.

1. The rows of the slice are picked anew on both sides, each in a snapshot of its own.
2. Of each table counts and sums of hashes are compared; rows that differ are named by their keys. What was written on
   the source since the copy differs, too: then the slice is copied again.
3. The leak test: a query for each table finds rows at the target that were not picked there. In a members' table these
   are rows of somebody else, in a shared one rows that nothing of the member refers to. Members' tables are asked once
   more in another way, by their owner's column alone. A table that the plan does not know is one as well.
4. Columns, constraints and indexes are compared, and no sequence may stand below a value that it has given.

Nothing is written on either side.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Final, TypeVar

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.errors import CoopctlError
from provisioner.migration.objects_report import ObjectsReport
from provisioner.migration.objects_report import summary as objects_summary
from provisioner.migration.postgres_facts import TableFacts, TableName
from provisioner.migration.postgres_report import SHOWN_IN_JOURNAL, RowDifference, TableVerification
from provisioner.migration.postgres_row_sums import ChunkSum, Rows, read_chunks, read_members, read_texts
from provisioner.migration.postgres_sequences import read_positions
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.redaction import Json
from provisioner.migration.slice_classifying import SlicedTable, Treatment
from provisioner.migration.slice_copying import planned_tables
from provisioner.migration.slice_picking import Picked, picked
from provisioner.migration.slice_planning import SlicePlan

NAMED = 100
LEAKS_NAMED = 10
_DEFINITIONS: Final = """
    SELECT n.nspname::text, c.relname::text, d.kind, d.name, d.text FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
        SELECT 'column' AS kind, a.attname::text AS name, concat_ws('; ', format_type(a.atttypid, a.atttypmod),
               a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(f.adbin, f.adrelid)) AS text
        FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'constraint', k.conname::text, concat_ws('; ', pg_get_constraintdef(k.oid), k.convalidated)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype NOT IN ('n', 't', 'f') AND k.conparentid = 0
        UNION ALL
        SELECT 'index', o.relname::text, concat_ws('; ', pg_get_indexdef(i.indexrelid), i.indisvalid)
        FROM pg_index i JOIN pg_class o ON o.oid = i.indexrelid WHERE i.indrelid = c.oid
        UNION ALL
        SELECT 'foreign key', k.conname::text, concat_ws('; ', pg_get_constraintdef(k.oid), k.convalidated)
        FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.conparentid = 0) AS d
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY (%(schemas)s)
"""
_OWNED: Final = """
    SELECT n.nspname::text, c.relname::text, t.nspname::text, r.relname::text, a.attname::text
    FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_sequence s ON s.seqrelid = c.oid AND s.seqincrement > 0
    JOIN pg_class r ON r.oid = d.refobjid JOIN pg_namespace t ON t.oid = r.relnamespace
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
      AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
"""
_COUNT = "SELECT count(*) FROM {}"
Result = TypeVar("Result")
Definitions = Mapping[tuple[TableName, str, str], str]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """Rows at the target that are not the slice's; ``keys`` are those of the first."""

    table: str
    rows: int
    what: str
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = f", for one {self.keys[0]}" if self.keys else ""
        return f"{self.table}: {self.rows} {self.what}{named}"


@dataclass(frozen=True, kw_only=True)
class TableSum:
    """A table of the slice: its rows and the sum of their hashes as a decimal."""

    name: str
    rows: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class RowsVerification:
    """What was compared in the databases, and what was found; ``sums`` are the source's."""

    tables: tuple[TableVerification, ...]
    sums: tuple[TableSum, ...]
    leaks: tuple[Leak, ...]
    definitions: int
    others: tuple[str, ...]
    source_version: int
    target_version: int

    @property
    def differences(self) -> tuple[str, ...]:
        """Every difference in words, leaks first."""
        named = [str(one) for table in self.tables for one in table.differences]
        more = [
            f"{table.table}: {table.differing - len(table.differences)} further rows differ"
            for table in self.tables
            if table.differing > len(table.differences)
        ]
        return (*map(str, self.leaks), *named, *more, *self.others)


@dataclass(frozen=True, kw_only=True)
class SliceVerification:
    """How rows and objects of the slice compare."""

    migration: str
    member: str
    rows: RowsVerification
    objects: ObjectsReport

    @property
    def differences(self) -> tuple[str, ...]:
        """Every difference in words."""
        return (*self.rows.differences, *map(str, self.objects.differences))

    def summary(self) -> dict[str, Json]:
        """What a journal keeps of it: counts, and the first differences by the keys of rows, never their contents."""
        found = self.rows
        return {
            "clean": not self.differences,
            "differences": len(self.differences),
            "coopctl": version("coopctl"),
            "leaks": sum(one.rows for one in found.leaks),
            "postgres": {
                "scope": "slice",
                "tables": len(found.tables),
                "rows": sum(one.source_rows for one in found.tables),
                "definitions": found.definitions,
                "sourceVersion": found.source_version,
                "targetVersion": found.target_version,
                "differences": len(found.differences),
                "named": list(found.differences[:SHOWN_IN_JOURNAL]),
            },
            "objects": objects_summary(self.objects),
        }


def verify_rows(plan: SlicePlan, *, source: Side, target: Side) -> RowsVerification:
    """Compare what both sides hold of the slice. Raises CoopctlError if nothing was copied, and what servers raise."""
    with picked(source, plan) as ours:
        _require_copied(plan, target)
        with picked(target, plan) as theirs:
            tables = [_table(ours, theirs, one) for one in plan.kept]
            unplanned = [
                _unplanned(theirs, one) for one in sorted(planned_tables(theirs.connection) - set(plan.relations))
            ]
            defined, differing = _definitions(ours, theirs)
            return RowsVerification(
                tables=tuple(one for one, _ in tables),
                sums=tuple(one for _, one in tables),
                leaks=(*(leak for one in plan.kept for leak in _leaks(theirs, one)), *unplanned),
                definitions=defined,
                others=(*differing, *_sequences(theirs.connection)),
                source_version=ours.connection.info.server_version,
                target_version=theirs.connection.info.server_version,
            )


def sum_of(chunks: Mapping[int, ChunkSum], *, table: TableName) -> TableSum:
    """Pure: the chunks of a table in one."""
    total = sum(int(chunk.digest) for chunk in chunks.values())
    return TableSum(name=str(table), rows=sum(chunk.rows for chunk in chunks.values()), digest=str(total))


def facts_of(found: Picked, table: TableName) -> TableFacts:
    """The facts of a table, as its rows are summed up."""
    return replace(found.plan.relations[table].facts, name=table)


def _require_copied(plan: SlicePlan, target: Side) -> None:
    with session(target) as connection:
        if missing := sorted(set(plan.relations) - planned_tables(connection)):
            raise CoopctlError(
                f"the target has no table {missing[0]}",
                hint=f"run `coopctl migrate start {plan.migration}` until it ends",
            )


def _table(ours: Picked, theirs: Picked, table: SlicedTable) -> tuple[TableVerification, TableSum]:
    facts = facts_of(ours, table.name)
    pair = (ours.rows(table.name), theirs.rows(table.name))
    read = partial(_at_once, ours, theirs, pair)
    here, there = read(lambda side, of: read_chunks(side, facts, rows_of=of))
    differing = sorted(number for number in {*here, *there} if here.get(number) != there.get(number))
    wrong: list[str] = []
    if differing:
        one, other = read(lambda side, of: read_members(side, table=facts, chunks=differing, rows_of=of))
        wrong = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
    named = wrong[:NAMED]
    texts = read(lambda side, of: read_texts(side, facts, named, rows_of=of)) if named else ({}, {})
    verified = TableVerification(
        table=str(table.name),
        source_rows=sum(chunk.rows for chunk in here.values()),
        target_rows=sum(chunk.rows for chunk in there.values()),
        chunks=len({*here, *there}),
        differing=len(wrong),
        differences=tuple(
            RowDifference(table=str(table.name), key=name, source=texts[0].get(name), target=texts[1].get(name))
            for name in named
        ),
    )
    return verified, sum_of(here, table=table.name)


def _at_once(
    ours: Picked, theirs: Picked, pair: tuple[sql.Composed, sql.Composed], work: Callable[[Connection, Rows], Result]
) -> tuple[Result, Result]:
    """The same on both servers at the same time."""
    with ThreadPoolExecutor(1) as pool:
        there = pool.submit(work, theirs.connection, pair[1])
        here = work(ours.connection, pair[0])
        return here, there.result()


def _leaks(theirs: Picked, table: SlicedTable) -> Iterator[Leak]:
    """What the target holds of a table and should not."""
    count = int(scalar(theirs.connection, sql.SQL(_COUNT).format(theirs.others(table.name))))
    if count:
        shared = table.treatment is Treatment.REFERENCED
        what = "rows that nothing of the member refers to" if shared else "rows that are not the member's"
        yield Leak(table=str(table.name), rows=count, what=what, keys=_first_keys(theirs, table.name))
    if table.treatment is Treatment.FILTERED:
        strangers = int(scalar(theirs.connection, theirs.statements.strangers(table)))
        if strangers and strangers != count:
            yield Leak(table=str(table.name), rows=strangers, what="rows name another owner, or none")


def _first_keys(theirs: Picked, table: TableName) -> tuple[str, ...]:
    """The keys of the first rows that should not be there; rows without a key have none."""
    key = theirs.plan.relations[table].facts.key
    if not key:
        return ()
    columns = sql.SQL(", ").join(map(sql.Identifier, key))
    query = sql.SQL("SELECT ROW({})::text FROM {} ORDER BY 1 LIMIT {}")
    found = rows(theirs.connection, query.format(columns, theirs.others(table), sql.Literal(LEAKS_NAMED)))
    return tuple(name for (name,) in found)


def _unplanned(theirs: Picked, table: TableName) -> Leak:
    query = sql.SQL(_COUNT).format(sql.Identifier(table.schema, table.name))
    count = int(scalar(theirs.connection, query))
    return Leak(table=str(table), rows=count, what="rows are in a table that is not part of the slice")


def _definitions(ours: Picked, theirs: Picked) -> tuple[int, tuple[str, ...]]:
    """How many columns, constraints and indexes there are, and which differ."""
    plan = ours.plan
    here, there = _read_definitions(ours.connection, plan), _read_definitions(theirs.connection, plan)
    keys = {(one.on, "foreign key", one.name) for one in plan.constraints}
    expected = {name: text for name, text in here.items() if name[1] != "foreign key" or name in keys}
    differing = sorted(name for name in {*expected, *there} if expected.get(name) != there.get(name))
    return len(expected), tuple(f"{table}: {kind} {name} is another" for table, kind, name in differing)


def _read_definitions(connection: Connection, plan: SlicePlan) -> Definitions:
    found = rows(connection, _DEFINITIONS, {"schemas": list(plan.schemas)})
    named = ((TableName(schema=schema, name=table), kind, name, text) for schema, table, kind, name, text in found)
    return {(table, kind, name): text for table, kind, name, text in named if table in plan.relations}


def _sequences(target: Connection) -> Iterator[str]:
    """Sequences that would give a value once more that a row has already."""
    owned = {
        TableName(schema=schema, name=name): (sql.Identifier(of_schema, table), sql.Identifier(column))
        for schema, name, of_schema, table, column in rows(target, _OWNED)
    }
    for name, position in read_positions(target, only=owned.keys()).items():
        table, column = owned[name]
        most = scalar(target, sql.SQL("SELECT max({})::bigint FROM {}").format(column, table))
        if most is not None and most > position.last_value:
            yield f"sequence {name} stands at {position.last_value}, and {most} is in use"
