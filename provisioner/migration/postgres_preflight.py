"""Pure: from the facts of both servers, how each table is moved, and every problem at once with its remedy.

A table's changes can be streamed only if the server can name the row that changed: its replica identity. Where a table
has none, the narrowest unique index over columns that are NOT NULL becomes it; else the whole row, if the type of each
column has an equality; else the table is copied once nobody writes any more, within the outage. The same holds for
tables that write no WAL. (PostgreSQL manual, "Logical Replication", Publication and Restrictions.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from provisioner.errors import Severity
from provisioner.migration.postgres_facts import ReplicaIdentity, SourceFacts, TableFacts, TableName, TargetFacts
from provisioner.migration.postgres_preflight_checks import (
    Problem,
    database_problems,
    server_problems,
    slot_problems,
    streaming_problems,
)

# What the copy of tables within the outage is reckoned with, bytes a second: half of what two cores were measured at.
CAREFUL_RATE = 40_000_000
# The fence, the drain, and the sequences of a database without anything that must be copied behind the fence.
SHORTEST_OUTAGE_SECONDS = 0.5
# Since this major version a subscriber finds a row of REPLICA IDENTITY FULL by any index that fits.
FULL_BY_INDEX_SINCE = 16
MANY_ROWS = 10_000


class Mode(StrEnum):
    """Whether applications write on while their database is copied."""

    ONLINE = "online"
    OFFLINE = "offline"


class Route(StrEnum):
    """How a table's rows get to the target."""

    STREAM = "stream"
    FENCED = "fenced"


@dataclass(frozen=True, kw_only=True)
class TableRoute:
    """What is done with one table; ``identity`` and ``index`` are what it must have, ``was`` what it has now."""

    table: TableName
    route: Route
    identity: ReplicaIdentity
    was: ReplicaIdentity
    index: str | None = None
    was_index: str | None = None
    binary: bool = True
    why: str = ""

    @property
    def changes_identity(self) -> bool:
        """Whether the source's table must be altered before it can be published."""
        return self.route is Route.STREAM and (self.identity, self.index) != (self.was, self.was_index)


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What was decided and what stands in the way; ``outage_seconds`` is an estimate, without materialised views."""

    mode: Mode
    routes: tuple[TableRoute, ...]
    problems: tuple[Problem, ...]
    outage_seconds: float

    @property
    def refused(self) -> bool:
        """Whether nothing may begin before an error is mended."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def preflight(
    source: SourceFacts, target: TargetFacts, *, wanted: Mode = Mode.ONLINE, unreachable: str | None = None
) -> Preflight:
    """Decide and judge. ``unreachable`` says why the target cannot connect to the source."""
    obstacles = tuple(streaming_problems(source, target, unreachable=unreachable)) if wanted is Mode.ONLINE else ()
    mode = Mode.OFFLINE if obstacles else wanted
    routes = tuple(route_of(table, mode=mode) for table in source.tables)
    problems = (
        *server_problems(source, target),
        *database_problems(source, target),
        *obstacles,
        *(slot_problems(source) if mode is Mode.ONLINE else ()),
        *_route_problems(source, target, routes),
        *(_firing_problems(target, routes) if mode is Mode.ONLINE else ()),
    )
    ordered = sorted(problems, key=lambda problem: (problem.severity is not Severity.ERROR, problem.what))
    return Preflight(
        mode=mode, routes=routes, problems=tuple(ordered), outage_seconds=_outage(source, mode=mode, routes=routes)
    )


def route_of(table: TableFacts, *, mode: Mode) -> TableRoute:
    """How one table is moved, and why."""
    if mode is Mode.OFFLINE:
        return _fenced(table, why="everything is copied while nobody writes")
    if table.unlogged:
        return _fenced(table, why="an unlogged table writes no WAL that could be streamed")
    return _as_it_is(table) or _with_another_identity(table)


def _as_it_is(table: TableFacts) -> TableRoute | None:
    """The stream, if the table's identity works already."""
    works = {
        ReplicaIdentity.INDEX: table.identity_index is not None,
        ReplicaIdentity.DEFAULT: table.has_primary_key,
        ReplicaIdentity.FULL: _is_comparable(table),
        ReplicaIdentity.NOTHING: False,
    }
    return _streamed(table, identity=table.identity, index=table.identity_index) if works[table.identity] else None


def _with_another_identity(table: TableFacts) -> TableRoute:
    if table.unique_indexes:
        why = f"it has no usable replica identity; {table.unique_indexes[0]} becomes it"
        return _streamed(table, identity=ReplicaIdentity.INDEX, index=table.unique_indexes[0], why=why)
    if _is_comparable(table):
        why = "it has no key: a changed row is found by all of its columns"
        return _streamed(table, identity=ReplicaIdentity.FULL, why=why)
    types = sorted({column.type for column in table.columns if not column.comparable})
    what = f"{', '.join(types)} cannot be compared" if types else "no column"
    return _fenced(table, why=f"it has no key and {what}")


def _is_comparable(table: TableFacts) -> bool:
    return bool(table.columns) and all(column.comparable for column in table.columns)


def _streamed(table: TableFacts, *, identity: ReplicaIdentity, index: str | None = None, why: str = "") -> TableRoute:
    return TableRoute(
        table=table.name,
        route=Route.STREAM,
        identity=identity,
        was=table.identity,
        index=index,
        was_index=table.identity_index if table.identity is ReplicaIdentity.INDEX else None,
        binary=table.is_binary,
        why=why,
    )


def _fenced(table: TableFacts, *, why: str) -> TableRoute:
    return TableRoute(
        table=table.name,
        route=Route.FENCED,
        identity=table.identity,
        was=table.identity,
        index=table.identity_index,
        was_index=table.identity_index,
        binary=table.is_binary,
        why=why,
    )


def _firing_problems(target: TargetFacts, routes: tuple[TableRoute, ...]) -> Iterator[Problem]:
    """Tables that are copied when triggers and foreign keys are there already; offline they come before these."""
    fenced = [str(route.table) for route in routes if route.route is Route.FENCED]
    if fenced and not (target.server.superuser or target.server.keeps_triggers):
        yield Problem(
            severity=Severity.ERROR,
            what=f"the login of the DSN may not keep triggers from firing while {', '.join(fenced)} is copied",
            consequence="foreign keys would refuse rows, and triggers would do their work twice",
            remedy="GRANT SET ON PARAMETER session_replication_role TO the login of the DSN; before version 15 it must"
            " be a superuser",
        )


def _route_problems(source: SourceFacts, target: TargetFacts, routes: tuple[TableRoute, ...]) -> Iterator[Problem]:
    facts = {table.name: table for table in source.tables}
    for route in routes:
        table = facts[route.table]
        if route.route is Route.FENCED and route.why and not route.why.startswith("everything"):
            yield Problem(
                severity=Severity.WARNING,
                what=f"{route.table} is copied within the outage: {route.why}",
                consequence=f"the outage is longer by the copy of {table.bytes} bytes",
                remedy=f"ALTER TABLE {route.table} ADD PRIMARY KEY (...), or empty it before the cutover",
            )
        elif route.changes_identity:
            yield _changed_identity(route, table, newer=target.server.major >= FULL_BY_INDEX_SINCE)


def _changed_identity(route: TableRoute, table: TableFacts, *, newer: bool) -> Problem:
    slow = route.identity is ReplicaIdentity.FULL and table.rows > MANY_ROWS and not newer
    consequence = "it is set on the source when the migration begins, and set back when it ends"
    if slow:
        consequence += f"; each changed row makes the target read all {table.rows} rows, and lag may grow without end"
    return Problem(
        severity=Severity.WARNING,
        what=f"the replica identity of {route.table} is changed: {route.why}",
        consequence=consequence,
        remedy=f"ALTER TABLE {route.table} ADD PRIMARY KEY (...)",
    )


def _outage(source: SourceFacts, *, mode: Mode, routes: tuple[TableRoute, ...]) -> float:
    facts = {table.name: table for table in source.tables}
    behind = sum(facts[route.table].bytes for route in routes if route.route is Route.FENCED)
    large = source.large_object_bytes if mode is Mode.OFFLINE else 0
    return SHORTEST_OUTAGE_SECONDS + (behind + large) / CAREFUL_RATE
