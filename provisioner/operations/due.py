"""Which support periods end when, what each cooperative chose, and what is missing before its data can go.

Nothing is asked but the estate: its documents, and the migrations' journals on this machine or beside a state in a
bucket. What no journal has recorded was never done, as far as anybody can prove. ``missing_for`` and what it uses are
pure; ``due`` reads.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from provisioner.descriptor.cooperative import Afterwards, Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.migration import DataStoreMigration, Window
from provisioner.descriptor.platform import Platform
from provisioner.migration.journal_entries import Phase, Run, RunEnding, RunKind, last_ended
from provisioner.operations.migration_journals import read_journal
from provisioner.operations.own_estate.way import SolutionsWay, WayStage, solutions_way

REHEARSAL_AGE_MOST = timedelta(days=30)


class Lack(StrEnum):
    """What can be missing."""

    NO_MIGRATION = "no-migration"
    PREFLIGHT_NEVER = "preflight-never"
    TARGET_NOT_READY = "target-not-ready"
    REHEARSAL_NEVER = "rehearsal-never"
    REHEARSAL_FAILED = "rehearsal-failed"
    REHEARSAL_OLD = "rehearsal-old"
    WINDOW_OVER = "window-over"
    WINDOW_LATE = "window-late"
    NO_DUMPS = "no-dumps"
    SOLUTIONS_HERE = "solutions-here"
    STILL_DESCRIBED = "still-described"


@dataclass(frozen=True, kw_only=True)
class Missing:
    """One thing that is missing, in words, and what to do."""

    lack: Lack
    text: str
    hint: str


class Stage(StrEnum):
    """How far a migration is."""

    WAITING = "waiting"
    RUNNING = "running"
    MOVED = "moved"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the journal says of one migration; ``preflight`` and ``rehearsal`` are the last ones that ended.

    ``phase`` is the one of the step that was begun last, None where nothing runs; ``moved`` is when it was finalised.
    ``solutions`` is how far they are on their way to a cluster of their own, None if they stay.
    """

    name: str
    scope: str
    window: Window | None
    stage: Stage
    phase: Phase | None
    preflight: Run | None
    rehearsal: Run | None
    moved: datetime | None
    solutions: SolutionsWay | None = None


@dataclass(frozen=True, kw_only=True)
class DueCooperative:
    """A cooperative whose support period ends in ``days`` (negative: ended before), with all that is missing."""

    cooperative: Cooperative
    days: int
    migrations: tuple[Progress, ...]
    missing: tuple[Missing, ...]

    @property
    def ends(self) -> date:
        """The support period's last day."""
        return self.cooperative.support.end


def due(
    estate: Estate,
    *,
    platform: Platform,
    cooperatives: Iterable[Cooperative],
    migrations: Sequence[DataStoreMigration],
    now: datetime,
    within: timedelta | None = None,
) -> tuple[DueCooperative, ...]:
    """The ``cooperatives`` by the end of their support period, with ``within`` only those that end by then or did.

    Days are counted in UTC. Raises CoopctlError if a journal cannot be read.
    """
    today = now.astimezone(UTC).date()
    last = today + within if within is not None else date.max
    chosen = [one for one in cooperatives if one.support.end <= last]
    found = [_due(one, estate=estate, platform=platform, migrations=migrations, now=now) for one in chosen]
    return tuple(sorted(found, key=lambda one: (one.ends, one.cooperative.name)))


def progress_of(migration: DataStoreMigration, runs: Sequence[Run]) -> Progress:
    """What ``runs`` of its journal say of ``migration``."""
    moves = [run for run in runs if run.kind is RunKind.MIGRATION]
    finalised = next((run for run in reversed(moves) if run.ending is RunEnding.FINALISED), None)
    running = next((run for run in reversed(moves) if run.open), None)
    stage = Stage.RUNNING if running else Stage.MOVED if finalised else Stage.WAITING
    return Progress(
        name=migration.name,
        scope=migration.scope,
        window=migration.window,
        stage=stage,
        phase=max(running.steps, key=lambda step: step.begun).phase if running and running.steps else None,
        preflight=last_ended(runs, RunKind.PREFLIGHT),
        rehearsal=last_ended(runs, RunKind.REHEARSAL),
        moved=finalised.ended if finalised and not running else None,
        solutions=solutions_way(migration, runs),
    )


def missing_for(
    cooperative: Cooperative,
    *,
    progress: Mapping[str, Progress],
    whole: Sequence[str],
    platform: Platform,
    now: datetime,
) -> Iterator[Missing]:
    """What is missing before ``cooperative`` can go as it chose; ``whole`` names the migrations of all its data."""
    match cooperative.support.afterwards:
        case Afterwards.CONTINUE_PAID:
            return
        case Afterwards.LEAVE:
            yield from _before_leaving(platform)
        case Afterwards.OWN_INFRASTRUCTURE:
            moves = [progress[name] for name in whole]
            if any(one.stage is Stage.MOVED for one in moves):
                yield from _solutions(moves)
                return
            if not moves:
                yield _no_migration(cooperative)
            for one in moves:
                yield from _before_moving(one, end=cooperative.support.end, now=now)


def _due(
    cooperative: Cooperative,
    *,
    estate: Estate,
    platform: Platform,
    migrations: Sequence[DataStoreMigration],
    now: datetime,
) -> DueCooperative:
    own = [one for one in migrations if one.cooperative == cooperative.name]
    progress = {one.name: progress_of(one, _runs(estate, platform, one.name)) for one in own}
    whole = [one.name for one in own if one.member is None]
    return DueCooperative(
        cooperative=cooperative,
        days=(cooperative.support.end - now.astimezone(UTC).date()).days,
        migrations=tuple(progress.values()),
        missing=tuple(missing_for(cooperative, progress=progress, whole=whole, platform=platform, now=now)),
    )


def _runs(estate: Estate, platform: Platform, migration: str) -> tuple[Run, ...]:
    record = read_journal(estate, platform.state, migration)
    return record.runs if record else ()


def _before_leaving(platform: Platform) -> Iterator[Missing]:
    if platform.dumps is None:
        yield Missing(
            lack=Lack.NO_DUMPS,
            text="the platform names no place for final dumps",
            hint="add `dumps` to platform.yaml: without it no data is deleted",
        )


def _no_migration(cooperative: Cooperative) -> Missing:
    return Missing(
        lack=Lack.NO_MIGRATION,
        text="no migration document",
        hint=f"write migrations/NAME.yaml with cooperative: {cooperative.name} and scope: all",
    )


def _before_moving(one: Progress, *, end: date, now: datetime) -> Iterator[Missing]:
    if one.stage is not Stage.WAITING:
        return
    yield from _preflight(one)
    yield from _rehearsal(one, now=now)
    yield from _window(one, end=end, now=now)


def _solutions(moves: Iterable[Progress]) -> Iterator[Missing]:
    """What is left of a cooperative whose data store has moved, and whose solutions are to follow."""
    for one in moves:
        if one.stage is Stage.MOVED and (way := one.solutions) is not None:
            gone = way.stage is WayStage.HANDED_OVER
            lack = Lack.STILL_DESCRIBED if gone else Lack.SOLUTIONS_HERE
            yield Missing(lack=lack, text=f"{one.name}: {way.text}", hint=way.hint)


def _preflight(one: Progress) -> Iterator[Missing]:
    run = one.preflight
    if run is None:
        hint = f"run `coopctl migrate preflight {one.name}`"
        yield Missing(lack=Lack.PREFLIGHT_NEVER, text=f"{one.name}: preflight never run", hint=hint)
    elif run.ending is not RunEnding.PASSED:
        yield Missing(
            lack=Lack.TARGET_NOT_READY,
            text=f"{one.name}: not ready at the preflight of {run.ended:%Y-%m-%d}{_problems(run)}",
            hint=f"mend what it named, then run `coopctl migrate preflight {one.name}` again",
        )


def _rehearsal(one: Progress, *, now: datetime) -> Iterator[Missing]:
    run, hint = one.rehearsal, f"run `coopctl migrate rehearse {one.name}`"
    if run is None or run.ended is None:
        yield Missing(lack=Lack.REHEARSAL_NEVER, text=f"{one.name}: never rehearsed", hint=hint)
    elif run.ending is not RunEnding.PASSED:
        text = f"{one.name}: the rehearsal of {run.ended:%Y-%m-%d} ended with {run.ending}{_problems(run)}"
        yield Missing(lack=Lack.REHEARSAL_FAILED, text=text, hint=hint)
    elif now - run.ended > REHEARSAL_AGE_MOST:
        text = f"{one.name}: rehearsed {(now - run.ended).days} days ago, more than {REHEARSAL_AGE_MOST.days}"
        yield Missing(lack=Lack.REHEARSAL_OLD, text=text, hint=hint)


def _window(one: Progress, *, end: date, now: datetime) -> Iterator[Missing]:
    if one.window is None:
        return
    if one.window.ends <= now:
        text = f"{one.name}: its window ended on {one.window.ends:%Y-%m-%d}"
        yield Missing(lack=Lack.WINDOW_OVER, text=text, hint="agree on another one, and write it into the document")
    elif one.window.begins.date() > end:
        text = f"{one.name}: its window begins on {one.window.begins:%Y-%m-%d}, after the support period"
        yield Missing(lack=Lack.WINDOW_LATE, text=text, hint="agree on an earlier one, or on paying until then")


def _problems(run: Run) -> str:
    count = run.result.get("problems")
    return f" ({count} problem{'' if count == 1 else 's'})" if isinstance(count, int) and count else ""
