"""Pure: the entries of a migration's journal, and what they say together: its runs and the steps of each.

A journal is nothing but a list of entries that grows; all else is folded from it. So a reader in the middle of a
migration, a resume after a kill and a report years later see the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from provisioner.migration.redaction import Json


class RunKind(StrEnum):
    """What is done with a migration from its beginning to an end."""

    PREFLIGHT = "preflight"
    REHEARSAL = "rehearsal"
    MIGRATION = "migration"
    ERASURE = "erasure"
    HANDOVER = "handover"


# What copies a data store: a run of another kind only looks at it, or takes away what is left of it.
MOVES = frozenset({RunKind.REHEARSAL, RunKind.MIGRATION})


class RunEnding(StrEnum):
    """How a run ended. ``passed``: a preflight or rehearsal without problems; ``problems``: one with some."""

    PASSED = "passed"
    PROBLEMS = "problems"
    FAILED = "failed"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled-back"
    FINALISED = "finalised"
    ERASED = "erased"
    HANDED_OVER = "handed-over"


class Phase(StrEnum):
    """The phases of a migration, in their order (docs/reference/migration-journal.md)."""

    SURVEY = "survey"
    PREFLIGHT = "preflight"
    PREPARE = "prepare"
    COPY = "copy"
    FOLLOW = "follow"
    VERIFY = "verify"
    CUTOVER = "cutover"
    ROLLBACK = "rollback"
    FINALISE = "finalise"
    ERASE = "erase"
    HANDOVER = "handover"


class EntryKind(StrEnum):
    """What an entry says."""

    RUN_BEGUN = "run-begun"
    STEP_BEGUN = "step-begun"
    STEP_DONE = "step-done"
    STEP_FAILED = "step-failed"
    NOTE = "note"
    RUN_ENDED = "run-ended"


class StepState(StrEnum):
    """How far a step is. What is begun and nothing else was cut off, or is being done."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry: ``sequence`` only grows, ``run`` counts from 1; ``phase`` and ``step`` are None unless it has them."""

    sequence: int
    run: int
    at: datetime
    kind: EntryKind
    phase: Phase | None = None
    step: str | None = None
    content: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """What is known of a step: its last beginning, its end (None while there is none) and what it gave."""

    phase: Phase
    step: str
    state: StepState
    begun: datetime
    ended: datetime | None = None
    result: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run with the plan's ``fingerprint`` ("" where there is no plan) and its steps in the order of their first
    beginning."""

    number: int
    kind: RunKind
    fingerprint: str
    begun: datetime
    content: Mapping[str, Json]
    steps: tuple[StepRecord, ...] = ()
    ended: datetime | None = None
    ending: RunEnding | None = None
    result: Mapping[str, Json] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether the run goes on, or was cut off and can be gone on with."""
        return self.ending is None

    def step(self, phase: Phase, name: str) -> StepRecord | None:
        """The step ``name`` of ``phase``, or None if it was never begun."""
        return next((one for one in self.steps if (one.phase, one.step) == (phase, name)), None)

    def is_done(self, phase: Phase, name: str) -> bool:
        """Whether the step is done, so that a resumed run leaves it out."""
        found = self.step(phase, name)
        return found is not None and found.state is StepState.DONE


def runs_of(entries: Iterable[Entry]) -> tuple[Run, ...]:
    """The runs that ``entries``, in their order, tell of."""
    by_run: dict[int, list[Entry]] = {}
    for entry in entries:
        by_run.setdefault(entry.run, []).append(entry)
    return tuple(_run(found) for found in by_run.values() if found[0].kind is EntryKind.RUN_BEGUN)


def last_ended(runs: Iterable[Run], kind: RunKind) -> Run | None:
    """The run of ``kind`` that ended last, or None."""
    return next((one for one in reversed(tuple(runs)) if one.kind is kind and not one.open), None)


def _run(entries: Sequence[Entry]) -> Run:
    first, *others = entries
    steps: dict[tuple[Phase, str], StepRecord] = {}
    run = _begun(first)
    for entry in others:
        if entry.kind is EntryKind.RUN_ENDED:
            content = dict(entry.content)
            run = replace(run, ended=entry.at, ending=RunEnding(str(content.pop("ending"))), result=content)
        elif entry.kind is not EntryKind.NOTE and entry.phase is not None and entry.step is not None:
            key = (entry.phase, entry.step)
            steps[key] = _step(entry, phase=entry.phase, step=entry.step, before=steps.get(key))
    return replace(run, steps=tuple(steps.values()))


def _begun(entry: Entry) -> Run:
    content = dict(entry.content)
    kind, fingerprint = RunKind(str(content.pop("kind"))), str(content.pop("fingerprint"))
    return Run(number=entry.run, kind=kind, fingerprint=fingerprint, begun=entry.at, content=content)


def _step(entry: Entry, *, phase: Phase, step: str, before: StepRecord | None) -> StepRecord:
    if entry.kind is EntryKind.STEP_BEGUN:
        return StepRecord(phase=phase, step=step, state=StepState.BEGUN, begun=entry.at)
    state = StepState.DONE if entry.kind is EntryKind.STEP_DONE else StepState.FAILED
    begun = before.begun if before else entry.at
    return StepRecord(phase=phase, step=step, state=state, begun=begun, ended=entry.at, result=entry.content)
