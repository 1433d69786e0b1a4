"""Compares the two sides: catalogue, sequences, large objects, and the rows of every table.

1. Of each table both sides give counts and sums of chunks, at the same time.
2. Chunks that differ are read row by row, as hashes.
3. While changes flow, a row may differ because its change is under way: the stream is waited for and the row looked at
   again. What stays the same and different is wrong; what moved is for the verification behind the fence.
4. The first rows that differ are fetched as text and named.

Nothing is written. Behind the fence only what was touched since is read, by key, and tables that cannot be told so.
Rows, and all else, are compared at the same time, by sessions that may be opened before (`at_hand`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from provisioner.datastore.postgres_connection import Connection
from provisioner.migration.postgres_catalogue import CatalogueDifference, compare_catalogues, read_catalogue
from provisioner.migration.postgres_catalogue_queries import QUERIES
from provisioner.migration.postgres_changes import Touched
from provisioner.migration.postgres_facts import TableFacts, TableName
from provisioner.migration.postgres_large_objects import read_digests
from provisioner.migration.postgres_report import (
    AgreedSchema,
    RowDifference,
    Scope,
    SequenceDifference,
    TableVerification,
    VerificationReport,
)
from provisioner.migration.postgres_row_sums import pin, read_chunks, read_keyed, read_members, read_texts
from provisioner.migration.postgres_schema_digest import OUTSIDE, read_schema_digest
from provisioner.migration.postgres_sequences import read_positions
from provisioner.migration.postgres_sides import Side, session
from provisioner.naming import ReplicationNames

DIFFERENCES_NAMED = 100
SETTLING_ROUNDS = 5
DEFAULT_WORKERS = 2
# Bound on one query's parameters and answer, so that memory does not grow with what was touched.
KEYS_AT_ONCE = 2000

Members = Mapping[str, str]
BothMembers = tuple[Members, Members]
Pair = tuple[Connection, Connection]
Result = TypeVar("Result")
TableWork = Callable[[TableFacts, Connection, Connection], TableVerification]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What to compare and how: ``catch_up`` waits until the target has applied what the source has committed by now.

    ``ignored`` are kinds of the catalogue that a fence changes on purpose; the rehearsal has compared them.
    ``administrators`` are who stand for each other on the two sides, where the target's is no superuser.
    ``agreed`` is of an earlier comparison: while neither schema has changed since, its definitions are not read again.
    ``back`` says that ``source`` is the migration's target, on the way home. ``idle`` are sessions of both sides that
    are taken before others are opened.
    """

    source: Side
    target: Side
    tables: Sequence[TableFacts]
    names: ReplicationNames
    ignored: frozenset[str] = frozenset()
    administrators: frozenset[str] = frozenset()
    agreed: AgreedSchema | None = None
    back: bool = False
    catch_up: Callable[[], None] | None = None
    workers: int = DEFAULT_WORKERS
    idle: deque[Pair] = field(default_factory=deque)


@contextmanager
def at_hand(comparison: Comparison) -> Iterator[Comparison]:
    """The same with all sessions that it needs at once: to open one may take longer than to compare what is left."""
    with ExitStack() as stack:
        pairs = [stack.enter_context(_opened(comparison)) for _ in range(comparison.workers + 1)]
        yield replace(comparison, idle=deque(pairs))


def rehearse_verification(comparison: Comparison) -> VerificationReport:
    """Compare everything while changes flow, but sequences and large objects, which the stream does not carry."""
    return _report(comparison, Scope.REHEARSAL, lambda: _all_tables(comparison))


def verify_everything(comparison: Comparison) -> VerificationReport:
    """Compare everything while nobody writes."""
    return _report(comparison, Scope.FULL, lambda: _all_tables(comparison))


def rehearse_changed(comparison: Comparison, touched: Touched) -> VerificationReport:
    """Compare what was touched, and the schema, while changes flow."""
    return _report(comparison, Scope.REHEARSAL, lambda: _changed_tables(comparison, touched, whole=touched.whole))


def verify_changed(comparison: Comparison, touched: Touched, *, whole: Sequence[TableFacts] = ()) -> VerificationReport:
    """Compare what was touched since a clean rehearsal, the tables in ``whole``, and all but rows of the others.

    Only while nobody writes.
    """
    entire = frozenset(table.name for table in whole) | touched.whole
    return _report(comparison, Scope.CHANGED, lambda: _changed_tables(comparison, touched, whole=entire))


def _report(
    comparison: Comparison, scope: Scope, tables: Callable[[], tuple[TableVerification, ...]]
) -> VerificationReport:
    begun, started = time.time(), time.monotonic()
    with ThreadPoolExecutor(1) as pool, _both(comparison) as (source, target):
        verified = pool.submit(tables)
        schemas = _compared_schemas(comparison, source, target)
        at_rest = scope is not Scope.REHEARSAL
        ignored = comparison.ignored | (frozenset() if at_rest else {"large object"})
        objects = _large_objects(source, target) if at_rest else ()
        return VerificationReport(
            scope=scope,
            begun=begun,
            source_version=source.info.server_version,
            target_version=target.info.server_version,
            tables=verified.result(),
            catalogue_entries=schemas.entries,
            schema_by_digest=schemas.by_digest,
            agreed=schemas.agreed,
            catalogue=tuple(one for one in schemas.differences if one.kind not in ignored),
            sequences=_sequences(source, target) if at_rest else (),
            large_objects=objects,
            seconds=time.monotonic() - started,
        )


@dataclass(frozen=True, kw_only=True)
class _Schemas:
    differences: tuple[CatalogueDifference, ...]
    entries: int
    by_digest: bool
    agreed: AgreedSchema | None


def _compared_schemas(comparison: Comparison, source: Connection, target: Connection) -> _Schemas:
    """By all definitions; by what no digest covers if the schemas agreed, and neither has changed since."""
    known = comparison.agreed
    # Before the definitions: what changes between the two is found by the next comparison.
    digests = _at_once(source, target, read_schema_digest)
    by_digest = known is not None and digests == (known.source, known.target)
    kinds = OUTSIDE if by_digest else QUERIES
    read = partial(read_catalogue, names=comparison.names, kinds=kinds, administrators=comparison.administrators)
    ours, theirs = _at_once(source, target, read)
    found = compare_catalogues(ours, theirs, reader=target, back=comparison.back)
    if not by_digest:
        same = all(one.kind in OUTSIDE for one in found)
        known = AgreedSchema(source=digests[0], target=digests[1], entries=len(ours.entries)) if same else None
    entries = known.entries if known else len(ours.entries)
    return _Schemas(differences=found, entries=entries, by_digest=by_digest, agreed=known)


def _changed_tables(
    comparison: Comparison, touched: Touched, *, whole: frozenset[TableName]
) -> tuple[TableVerification, ...]:
    def one(table: TableFacts, source: Connection, target: Connection) -> TableVerification:
        if table.name in whole:
            return _whole_table(comparison, table, source=source, target=target)
        return _touched_rows(comparison, table, sorted(touched.keys[table.name]), source=source, target=target)

    looked_at = [table for table in comparison.tables if table.name in whole or touched.keys.get(table.name)]
    return _each(comparison, looked_at, one)


def _all_tables(comparison: Comparison) -> tuple[TableVerification, ...]:
    return _each(comparison, comparison.tables, _whole(comparison))


def _whole(comparison: Comparison) -> TableWork:
    return lambda table, source, target: _whole_table(comparison, table, source=source, target=target)


def _each(comparison: Comparison, tables: Sequence[TableFacts], work: TableWork) -> tuple[TableVerification, ...]:
    """All tables, the largest first, by workers that keep their sessions from table to table."""
    waiting = deque(sorted(tables, key=lambda table: -table.bytes))
    workers = max(1, min(comparison.workers, len(waiting)))

    def worker() -> list[TableVerification]:
        found = []
        with _both(comparison) as (source, target):
            while (table := _next(waiting)) is not None:
                found.append(work(table, source, target))
        return found

    if not waiting:
        return ()
    with ThreadPoolExecutor(workers) as pool:
        parts = [pool.submit(worker) for _ in range(workers)]
        return tuple(sorted((one for part in parts for one in part.result()), key=lambda found: found.table))


def _next(waiting: deque[TableFacts]) -> TableFacts | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _whole_table(
    comparison: Comparison, table: TableFacts, *, source: Connection, target: Connection
) -> TableVerification:
    ours, theirs = _at_once(source, target, lambda side: read_chunks(side, table))
    differing = sorted(number for number in {*ours, *theirs} if ours.get(number) != theirs.get(number))
    read = partial(_at_once, source, target, partial(read_members, table=table, chunks=differing))
    wrong, moving = _settled(comparison, read(), read) if differing else ([], 0)
    return TableVerification(
        table=str(table.name),
        source_rows=sum(chunk.rows for chunk in ours.values()),
        target_rows=sum(chunk.rows for chunk in theirs.values()),
        chunks=len({*ours, *theirs}),
        differing=len(wrong),
        moving=moving,
        differences=_named(table, wrong[:DIFFERENCES_NAMED], source=source, target=target),
    )


def _settled(comparison: Comparison, before: BothMembers, read: Callable[[], BothMembers]) -> tuple[list[str], int]:
    """The rows, of those read ``before``, that stay different however often they are read, and how many still move."""
    wrong = _differing(*before)
    if comparison.catch_up is None or not wrong:
        return wrong, 0
    moving: list[str] = wrong
    for _ in range(SETTLING_ROUNDS):
        comparison.catch_up()
        now = read()
        left = set(_differing(*now))
        moving = [name for name in wrong if name in left and _pair(before, name) != _pair(now, name)]
        wrong = [name for name in wrong if name in left]
        before = now
        if not moving:
            break
    return [name for name in wrong if name not in moving], len(moving)


def _touched_rows(
    comparison: Comparison, table: TableFacts, keys: list[tuple[str, ...]], *, source: Connection, target: Connection
) -> TableVerification:
    counted, wrong, moving = [0, 0], list[str](), 0
    for start in range(0, len(keys), KEYS_AT_ONCE):
        part = keys[start : start + KEYS_AT_ONCE]
        read = partial(_at_once, source, target, partial(read_keyed, table=table, keys=part))
        before = read()
        counted = [counted[0] + len(before[0]), counted[1] + len(before[1])]
        found, unsettled = _settled(comparison, before, read)
        wrong, moving = wrong + found, moving + unsettled
    return TableVerification(
        table=str(table.name),
        source_rows=counted[0],
        target_rows=counted[1],
        chunks=-(-len(keys) // KEYS_AT_ONCE),
        whole=False,
        differing=len(wrong),
        moving=moving,
        differences=_named(table, wrong[:DIFFERENCES_NAMED], source=source, target=target),
    )


def _differing(ours: Members, theirs: Members) -> list[str]:
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _pair(both: BothMembers, name: str) -> tuple[str | None, str | None]:
    return both[0].get(name), both[1].get(name)


def _named(table: TableFacts, names: list[str], *, source: Connection, target: Connection) -> tuple[RowDifference, ...]:
    if not names:
        return ()
    ours, theirs = _at_once(source, target, lambda side: read_texts(side, table, names))
    return tuple(
        RowDifference(table=str(table.name), key=name, source=ours.get(name), target=theirs.get(name)) for name in names
    )


def _sequences(source: Connection, target: Connection) -> tuple[SequenceDifference, ...]:
    ours, theirs = read_positions(source), read_positions(target)
    return tuple(
        SequenceDifference(sequence=str(name), source=str(ours.get(name)), target=str(theirs.get(name)))
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    )


def _large_objects(source: Connection, target: Connection) -> tuple[int, ...]:
    ours, theirs = _at_once(source, target, read_digests)
    return ours.differing(theirs)


def _at_once(source: Connection, target: Connection, work: Callable[[Connection], Result]) -> tuple[Result, Result]:
    """The same on both servers at the same time."""
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(work, target)
        ours = work(source)
        return ours, theirs.result()


@contextmanager
def _both(comparison: Comparison) -> Iterator[Pair]:
    """A pinned session of each side: one at hand, which is given back, or a new one."""
    try:
        pair = comparison.idle.popleft()
    except IndexError:
        with _opened(comparison) as pair:
            yield pair
        return
    try:
        yield pair
    finally:
        comparison.idle.append(pair)


@contextmanager
def _opened(comparison: Comparison) -> Iterator[Pair]:
    with session(comparison.source) as source, session(comparison.target) as target:
        pin(source)
        pin(target)
        yield source, target
