"""What the journal of the demo's migration says of a way: when the fence was closed, and what was compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.migration.journal import read
from provisioner.migration.journal_entries import Phase, Run

FENCE = "fence"


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A cutover or rollback: when the old side's fence was closed (seconds since the epoch), what was compared, what
    differed, and how long the steps of the outage took."""

    fenced: float
    compared: str
    differences: Sequence[str]
    clock: str


def read_passage(journal: Path, phase: Phase) -> Passage:
    """The last one of ``phase``. Raises LookupError if the journal does not tell of any."""
    record = read(journal)
    if record is None:
        raise LookupError(f"there is no journal {journal}")
    run = record.runs[-1]
    if phase is Phase.CUTOVER:
        opened = _result(run, phase, "open")
        rows, objects = _result(run, phase, "verify"), _result(run, phase, "last-objects")["objects"]
        timings, outage, fence = opened["timings"], opened["outageSeconds"], FENCE
    else:
        proven = _result(run, phase, "verify-return")
        rows, objects, timings = proven["postgres"], proven["objects"], proven["timings"]
        outage, fence = run.result["outageSeconds"], "fence-target"
    closing = run.step(phase, fence)
    if closing is None or closing.ended is None:
        raise LookupError(f"the journal {journal} tells of no fence")
    return Passage(
        fenced=closing.ended.timestamp() + timings[FENCE],
        compared=f"{rows['rows']:,} rows of {rows['tables']} tables and {objects['keys']} objects were compared",
        differences=[*rows["named"], *objects["named"]],
        clock=f"outage {outage} s, until the end of " + ", ".join(f"{step} {took}" for step, took in timings.items()),
    )


def _result(run: Run, phase: Phase, step: str) -> Mapping[str, Any]:
    found = run.step(phase, step)
    if found is None:
        raise LookupError(f"the run {run.number} has no step {step}")
    return found.result
