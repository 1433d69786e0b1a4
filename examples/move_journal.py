"""What the journal of the demo's migration says of a way: when the fence was closed, and what was compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.migration.journal import read
from provisioner.migration.journal_entries import Phase, Run


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
    return _cutover(run) if phase is Phase.CUTOVER else _rollback(run)


def _cutover(run: Run) -> Passage:
    behind = _result(run, Phase.CUTOVER, "verify")["postgres"]
    everything = _result(run, Phase.VERIFY, "verify-switched")
    rows, objects = everything["postgres"], everything["objects"]
    opened = _result(run, Phase.CUTOVER, "open")
    return _passage(
        run,
        fence=(Phase.CUTOVER, "fence"),
        timings=opened["timings"],
        outage=opened["outageSeconds"],
        compared=f"{behind['rows']:,} rows behind the fence, later all {rows['rows']:,} and {objects['keys']} objects",
        differences=[*behind["named"], *rows["named"], *objects["named"]],
    )


def _rollback(run: Run) -> Passage:
    proven = _result(run, Phase.ROLLBACK, "verify-return")
    rows, objects = proven["postgres"], proven["objects"]
    return _passage(
        run,
        fence=(Phase.ROLLBACK, "fence-target"),
        timings=proven["timings"],
        outage=run.result["outageSeconds"],
        compared=f"{_compared_back(run)}{rows['rows']:,} rows behind the fence, and {objects['keys']} objects",
        differences=[*rows["named"], *objects["named"]],
    )


def _compared_back(run: Run) -> str:
    return "everything while people worked, then " if _result(run, Phase.ROLLBACK, "look-back")["compared"] else "all "


def _passage(
    run: Run,
    *,
    fence: tuple[Phase, str],
    timings: Mapping[str, float],
    outage: Any,
    compared: str,
    differences: Sequence[str],
) -> Passage:
    closing = run.step(*fence)
    if closing is None or closing.ended is None:
        raise LookupError(f"the run {run.number} has no fence")
    steps = ", ".join(f"{step} {took}" for step, took in sorted(timings.items(), key=lambda one: one[1]))
    return Passage(
        fenced=closing.ended.timestamp() + timings["fence"],
        compared=compared,
        differences=differences,
        clock=f"{outage} s without a server, from the fence to the end of: {steps}",
    )


def _result(run: Run, phase: Phase, step: str) -> Mapping[str, Any]:
    found = run.step(phase, step)
    if found is None:
        raise LookupError(f"the run {run.number} has no step {step}")
    return found.result
