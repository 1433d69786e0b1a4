"""Pure: how far the solutions of a migration are on their way to a cluster of the cooperative's own."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from provisioner.descriptor.migration import ClusterTarget, DataStoreMigration
from provisioner.migration.journal_entries import Run, RunEnding, RunKind


class WayStage(StrEnum):
    """How far they are."""

    WAITING = "waiting"
    HERE = "here"
    CUT_OFF = "cut-off"
    HANDED_OVER = "handed-over"


@dataclass(frozen=True, kw_only=True)
class SolutionsWay:
    """They go to ``cluster``; ``folder`` is where the estate was written or is being written, ``at`` when it was."""

    migration: str
    cooperative: str
    cluster: ClusterTarget
    stage: WayStage
    folder: str = ""
    at: datetime | None = None

    @property
    def text(self) -> str:
        """Where they are to go, and how far that is."""
        context = f", context {self.cluster.context}" if self.cluster.context else ""
        where = f"the cluster of {self.cluster.kubeconfig}{context}"
        match self.stage:
            case WayStage.WAITING:
                return f"the solutions are to go to {where}, after their data store"
            case WayStage.HERE:
                return f"the data store has moved, and the solutions are still here; they are to go to {where}"
            case WayStage.CUT_OFF:
                return f"the estate in {self.folder} was begun, and is not finished"
            case WayStage.HANDED_OVER:
                return f"handed over on {self.at:%Y-%m-%d} to the estate in {self.folder}, for {where}"

    @property
    def hint(self) -> str:
        """What is left to do."""
        match self.stage:
            case WayStage.WAITING:
                return f"after `coopctl migrate finalise {self.migration}`: `coopctl migrate estate {self.migration}`"
            case WayStage.HERE:
                return f"run `coopctl migrate estate {self.migration} FOLDER --registry REGISTRY`"
            case WayStage.CUT_OFF:
                return f"run `coopctl migrate estate {self.migration}` for that folder again: it goes on"
            case WayStage.HANDED_OVER:
                return (
                    f"README.md there says how the solutions follow; then here `coopctl destroy {self.cooperative}`,"
                    f" `coopctl migrate erase {self.migration}`, and take its documents out of the estate"
                )


def solutions_way(migration: DataStoreMigration, runs: Iterable[Run]) -> SolutionsWay | None:
    """What ``runs`` of its journal say of the solutions; None if ``migration`` names no cluster."""
    cluster = migration.target.cluster
    if cluster is None:
        return None
    stage, run = WayStage.WAITING, None
    for one in runs:
        if one.kind is RunKind.MIGRATION:
            stage, run = (WayStage.HERE if one.ending is RunEnding.FINALISED else WayStage.WAITING), None
        elif one.kind is RunKind.HANDOVER and (one.open or one.ending is RunEnding.HANDED_OVER):
            stage, run = (WayStage.CUT_OFF if one.open else WayStage.HANDED_OVER), one
    return SolutionsWay(
        migration=migration.name,
        cooperative=migration.cooperative,
        cluster=cluster,
        stage=stage,
        folder=str(run.content.get("folder", "")) if run else "",
        at=run.ended if run else None,
    )
