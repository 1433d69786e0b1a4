"""How far solutions are on their way to a cluster of their own, as the journal tells it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.migration.journal_entries import Run, RunEnding, RunKind
from provisioner.operations.own_estate.way import WayStage, solutions_way
from tests.unit.descriptor.test_descriptor_migrations import FILE, MIGRATION, load
from tests.unit.descriptor.worlds import world

CLUSTER = "    cluster: {kubeconfig: {file: kube/config}, context: theirs}\n"
AT = datetime(2026, 12, 6, tzinfo=UTC)


def run(kind: RunKind, ending: RunEnding | None) -> Run:
    return Run(number=1, kind=kind, fingerprint="", begun=AT, content={"folder": "/srv/rice"}, ended=AT, ending=ending)


MOVED = run(RunKind.MIGRATION, RunEnding.FINALISED)
HANDED_OVER = run(RunKind.HANDOVER, RunEnding.HANDED_OVER)


@pytest.mark.parametrize(
    ("runs", "stage", "hint"),
    [
        ([], WayStage.WAITING, "after `coopctl migrate finalise"),
        ([run(RunKind.MIGRATION, None)], WayStage.WAITING, "after `coopctl migrate finalise"),
        ([run(RunKind.MIGRATION, RunEnding.ROLLED_BACK)], WayStage.WAITING, "after `coopctl migrate finalise"),
        ([MOVED], WayStage.HERE, "FOLDER --registry REGISTRY"),
        ([MOVED, run(RunKind.HANDOVER, None)], WayStage.CUT_OFF, "it goes on"),
        ([MOVED, HANDED_OVER, run(RunKind.ERASURE, RunEnding.ERASED)], WayStage.HANDED_OVER, "`coopctl destroy rice`"),
    ],
)
def test_each_stage_says_what_is_left(tmp_path: Path, runs: Sequence[Run], stage: WayStage, hint: str) -> None:
    made = world(tmp_path)
    made.write(FILE, MIGRATION + CLUSTER)
    [migration] = load(made)
    way = solutions_way(migration, runs)
    assert way is not None
    assert way.stage is stage
    assert hint in way.hint
    assert ("/srv/rice" in way.text) == (stage in {WayStage.CUT_OFF, WayStage.HANDED_OVER})
    assert ("kube/config, context theirs" in way.text) == (stage is not WayStage.CUT_OFF)


def test_solutions_that_stay_are_on_no_way(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, MIGRATION)
    [migration] = load(made)
    assert solutions_way(migration, [MOVED]) is None
