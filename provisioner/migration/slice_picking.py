"""Picks the rows of a slice in one snapshot, and counts what was found.

1. Temporary tables are made, in which picked rows are noted; then a transaction begins that can change nothing else.
2. The member's own rows are noted.
3. Shared rows that noted rows refer to are noted, then those that these refer to, until there are no more.

Rows stay picked until the session ends: what is read of them comes from the same snapshot.
"""

from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, scalar
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.postgres_row_sums import pin
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.postgres_snapshot import HeldSnapshot, begin_in
from provisioner.migration.slice_facts import ForeignKey
from provisioner.migration.slice_planning import Cut, SlicePlan
from provisioner.migration.slice_rows import SliceStatements

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_COUNT = "SELECT count(*) FROM {}"


@dataclass(frozen=True, kw_only=True)
class Picked:
    """A session in whose transaction the rows of ``plan`` are picked."""

    plan: SlicePlan
    connection: Connection
    statements: SliceStatements

    def count(self, table: TableName) -> int:
        """How many rows of ``table`` are picked."""
        return int(scalar(self.connection, sql.SQL(_COUNT).format(self.statements.note(table))))

    def columns(self, table: TableName) -> tuple[str, ...]:
        """All columns of ``table``, those too that are computed."""
        return tuple(one.name for one in self.plan.relations[table].facts.columns)

    def rows(self, table: TableName) -> sql.Composed:
        """The picked rows as a table of a query."""
        return sql.SQL("({}) AS sliced").format(self.statements.rows(table, self.columns(table)))

    def others(self, table: TableName) -> sql.Composed:
        """The other rows as a table of a query."""
        return sql.SQL("({}) AS other").format(self.statements.others(table, self.columns(table)))


@dataclass(frozen=True, kw_only=True)
class SliceCounts:
    """How many rows of each kept table are in the slice, and how many of them have a reference that is cut."""

    rows: dict[TableName, int]
    severed: dict[Cut, int]


@contextmanager
def picked(side: Side, plan: SlicePlan, *, snapshot: HeldSnapshot | None = None) -> Iterator[Picked]:
    """Pick on ``side``, as ``snapshot`` shows it; without one as it is now. Raises what `session` raises."""
    with session(side) as connection:
        pin(connection)
        found = noting(connection, plan)
        if snapshot is None:
            connection.execute(_BEGIN)
        else:
            begin_in(connection, snapshot)
        pick(found)
        yield found


def noting(connection: Connection, plan: SlicePlan) -> Picked:
    """The session with the temporary tables made, nothing picked yet."""
    statements = SliceStatements(plan)
    for statement in statements.notes():
        connection.execute(statement)
    return Picked(plan=plan, connection=connection, statements=statements)


def pick_own(found: Picked) -> list[TableName]:
    """Note the member's own rows alone, in the transaction that is open; gives the tables that have any."""
    statements, connection = found.statements, found.connection
    return [one.name for one in found.plan.own if connection.execute(statements.first_pick(one)).rowcount]


def pick(found: Picked) -> None:
    """Note all rows of the slice, in the transaction that is open."""
    statements, connection = found.statements, found.connection
    noted = deque(pick_own(found))
    followed = defaultdict[TableName, list[ForeignKey]](list)
    for key in found.plan.followed:
        followed[key.child].append(key)
    while noted:
        for key in followed[noted.popleft()]:
            if connection.execute(statements.follow(key)).rowcount and key.parent not in noted:
                noted.append(key.parent)


def count(found: Picked) -> SliceCounts:
    """Count what is picked, and the references that are cut."""
    return SliceCounts(
        rows={one.name: found.count(one.name) for one in found.plan.kept},
        severed={one: int(scalar(found.connection, found.statements.severed(one))) for one in found.plan.cuts},
    )
