"""Pure: the SQL that picks the rows of a slice, and reads them.

A row is known by where it lies (tableoid and ctid), which stays the same within one snapshot; so picking needs no key.
The picked rows of each table are noted in a temporary table of the session. The same statements pick on both sides: on
the target they tell which rows ought to be there.
"""

from collections.abc import Sequence

from psycopg import sql

from provisioner.migration.postgres_facts import TableName
from provisioner.migration.slice_classifying import INTEGERS, SlicedTable, Treatment
from provisioner.migration.slice_facts import ForeignKey
from provisioner.migration.slice_planning import Cut, SlicePlan

_ANY = sql.SQL("true")
_TEXTS = frozenset({"text", "character varying"})


class SliceStatements:
    """All statements for the slice of ``plan``."""

    def __init__(self, plan: SlicePlan) -> None:
        self._plan = plan
        self._numbers = {one.name: number for number, one in enumerate(plan.kept)}

    def notes(self) -> list[sql.Composed]:
        """Make the temporary tables, before the transaction that may change nothing."""
        made = sql.SQL("CREATE TEMPORARY TABLE {} (place oid, line tid, PRIMARY KEY (line, place))")
        return [made.format(sql.Identifier(f"coopctl_pick_{number}")) for number in self._numbers.values()]

    def note(self, table: TableName) -> sql.Identifier:
        """Where the picked rows of ``table`` are noted."""
        return sql.Identifier("pg_temp", f"coopctl_pick_{self._numbers[table]}")

    def first_pick(self, table: SlicedTable) -> sql.Composed:
        """Note the member's own rows of ``table``."""
        return sql.SQL("INSERT INTO {} SELECT t.tableoid, t.ctid FROM {} WHERE {}").format(
            self.note(table.name), self._owned(table), self._is_own(table)
        )

    def follow(self, key: ForeignKey) -> sql.Composed:
        """Note the shared rows that picked rows of the child refer to, and that are not noted yet."""
        columns = [self._column(key.child, name) for name in key.columns]
        referring = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(columns), self._from(key.on, "t"), self._picked(key.child, "t")
        )
        return sql.SQL(
            "INSERT INTO {} SELECT DISTINCT p.tableoid, p.ctid FROM ({}) AS t JOIN {} ON {} WHERE NOT {}"
        ).format(self.note(key.parent), referring, self._from(key.to, "p"), _joined(key), self._picked(key.parent, "p"))

    def rows(self, table: TableName, columns: Sequence[str]) -> sql.Composed:
        """The picked rows of ``table``, with references that lead out of the slice cut."""
        return self._select(table, columns, self._picked(table, "t"), severed=True)

    def others(self, table: TableName, columns: Sequence[str]) -> sql.Composed:
        """The rows of ``table`` that are not picked, as they are."""
        return self._select(table, columns, sql.SQL("NOT ") + self._picked(table, "t"), severed=False)

    def strangers(self, table: SlicedTable) -> sql.Composed:
        """How many rows say that they are somebody else's, or nobody's; asked without the notes."""
        return sql.SQL("SELECT (SELECT count(*) FROM {}) - (SELECT count(*) FROM {} WHERE {})").format(
            self._from(table.name, "t"), self._owned(table), self._is_own(table)
        )

    def severed(self, cut: Cut) -> sql.Composed:
        """How many picked rows have a reference that is cut."""
        known = sql.SQL(" AND ").join(
            sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(one)) for one in cut.key.columns
        )
        return sql.SQL("SELECT count(*) FROM {} WHERE {} AND {} AND NOT {}").format(
            self._from(cut.key.on, "t"), self._picked(cut.key.child, "t"), known, self._leads_within(cut)
        )

    def referring(self, key: ForeignKey) -> sql.Composed:
        """The rows of ``key``'s table that refer to picked rows: a condition on its rows ``t``."""
        return self._refers(key)

    def picked(self, table: TableName) -> sql.Composed:
        """A condition on rows ``t`` of ``table``: they are picked."""
        return self._picked(table, "t")

    def source(self, table: TableName) -> sql.Composed:
        """The table as ``t``."""
        return self._from(table, "t")

    def _select(
        self, table: TableName, columns: Sequence[str], condition: sql.Composable, *, severed: bool
    ) -> sql.Composed:
        read = [self._column(table, name) if severed else _plain(name) for name in columns]
        return sql.SQL("SELECT {} FROM {} WHERE {}").format(sql.SQL(", ").join(read), self._from(table, "t"), condition)

    def _column(self, table: TableName, name: str) -> sql.Composed:
        """A column as the slice has it."""
        kept = [self._leads_within(one) for one in self._plan.cuts if one.key.child == table and one.column == name]
        if not kept:
            return _plain(name)
        return sql.SQL("CASE WHEN {} THEN t.{} END AS {}").format(
            sql.SQL(" AND ").join(kept), sql.Identifier(name), sql.Identifier(name)
        )

    def _leads_within(self, cut: Cut) -> sql.Composed:
        """Whether a row's reference leads to a row of the slice, or is none since another of its columns is NULL."""
        others = [one for one in cut.key.columns if one != cut.column]
        nothing = [sql.SQL("t.{} IS NULL").format(sql.Identifier(one)) for one in others]
        leads = [] if cut.always else [self._refers(cut.key)]
        found = [*nothing, *leads]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(found) if found else sql.SQL("false"))

    def _refers(self, key: ForeignKey) -> sql.Composed:
        return sql.SQL("EXISTS (SELECT FROM {} WHERE {} AND {})").format(
            self._from(key.to, "p"), _joined(key), self._picked(key.parent, "p")
        )

    def _picked(self, table: TableName, alias: str) -> sql.Composed:
        row = sql.SQL(alias)
        return sql.SQL(
            "EXISTS (SELECT FROM {note} AS n WHERE n.place = {row}.tableoid AND n.line = {row}.ctid)"
        ).format(row=row, note=self.note(table))

    def _owned(self, table: SlicedTable) -> sql.Composed:
        """The table as ``t``, with what its path leads to as ``p1``, ``p2`` and so on."""
        found, before = self._from(table.name, "t"), "t"
        for number, key in enumerate(table.path, start=1):
            alias = f"p{number}"
            joined = _joined(key, child=before, parent=alias)
            found = sql.SQL("{} JOIN {} ON {}").format(found, self._from(key.to, alias), joined)
            before = alias
        return found

    def _is_own(self, table: SlicedTable) -> sql.Composable:
        if table.treatment is Treatment.TAKEN:
            return _ANY
        alias = f"p{len(table.path)}" if table.path else "t"
        column = sql.SQL(alias) + sql.SQL(".") + sql.Identifier(table.owner_column)
        key = self._plan.request.called_in(table.owner_column)
        kind = self._kind(table)
        if kind in INTEGERS:
            return sql.SQL("{} = {}::bigint").format(column, sql.Literal(key))
        if kind in _TEXTS:
            return sql.SQL('{} COLLATE "C" = {}').format(column, sql.Literal(key))
        # What PostgreSQL itself prints: a cast to text may be the tenant's own.
        return sql.SQL("{} IS NOT NULL AND format('%s', {}) COLLATE \"C\" = {}").format(
            column, column, sql.Literal(key)
        )

    def _kind(self, table: SlicedTable) -> str:
        relation = self._plan.relations.get(table.owner_table)
        return relation.kinds[table.owner_column].base if relation is not None else ""

    def _from(self, table: TableName, alias: str) -> sql.Composed:
        """A table with its partitions, if it has any, but without tables that inherit from it."""
        only = sql.SQL("ONLY " if table in self._plan.plain else "")
        return sql.SQL("{}{} AS {}").format(only, sql.Identifier(table.schema, table.name), sql.SQL(alias))


def _plain(name: str) -> sql.Composed:
    return sql.SQL("t.{}").format(sql.Identifier(name))


def _joined(key: ForeignKey, *, child: str = "t", parent: str = "p") -> sql.Composed:
    """Rows of both sides that belong together, by the operators that the constraint itself compares with."""
    equal = sql.SQL("{}.{} OPERATOR({}.{}) {}.{}")
    return sql.SQL("({})").format(
        sql.SQL(" AND ").join(
            equal.format(
                sql.SQL(parent),
                sql.Identifier(one.parent_column),
                sql.Identifier(one.operator_schema),
                sql.SQL(one.operator),
                sql.SQL(child),
                sql.Identifier(one.column),
            )
            for one in key.pairs
        )
    )
