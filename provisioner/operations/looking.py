"""The status of cooperatives: the health of each part, and how the world differs from what was applied.

Nothing is written, not even the state, and no lock is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provisioner.datastore.store_places import StoreRecord, read_place
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.engine.fleet import Outcome, run_fleet
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.health import Health, Readers, read_health
from provisioner.operations.planning import FleetOptions
from provisioner.operations.proof_state import ProofState, proof_state
from provisioner.operations.reaching import require_reachable
from provisioner.operations.site import Site, Target
from provisioner.plan.resources import CooperativePlan


@dataclass(frozen=True, kw_only=True)
class Status:
    """How a stack is: ``health`` is None for the platform's own stack, ``applied`` is False before its first apply.

    ``place`` is where its data store lives, if it ever moved.
    """

    stack: str
    applied: bool
    health: Health | None
    drift: Changes
    interrupted: int
    proof: ProofState | None = None
    place: StoreRecord | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong, in words; drift is told apart."""
        cut_off = (f"{self.interrupted} operation(s) were cut off; apply finishes them",) if self.interrupted else ()
        missing = () if self.applied else ("not applied yet",)
        unproven = self.proof.problems if self.proof else 0
        leaks = (f"the last proof found {unproven} problem(s); `coopctl prove {self.stack}`",) if unproven else ()
        moving = (f"the data store is {self.place}",) if self.place and self.place.moving else ()
        return (*missing, *cut_off, *leaks, *moving, *(self.health.problems if self.health and self.applied else ()))

    @property
    def is_well(self) -> bool:
        """Whether there is neither a problem nor drift."""
        return not self.problems and not self.drift.any


def look_at_fleet(
    site: Site,
    names: Sequence[str],
    *,
    readers: Callable[[], Readers],
    options: FleetOptions,
    report: Report,
) -> tuple[Outcome[Status], ...]:
    """The status of each stack. Raises Unreachable if a server of the platform does not answer."""
    targets = {name: site.target(name) for name in names}
    require_reachable(site.platform, data_store=any(name != PLATFORM_STACK for name in names))
    return run_fleet(
        tuple(targets),
        lambda name: _status(site, targets[name], readers=readers, report=report),
        interruption=site.engine.interruption,
        concurrency=options.concurrency,
        fail_fast=options.fail_fast,
    )


def _status(site: Site, target: Target, *, readers: Callable[[], Readers], report: Report) -> Status:
    found = site.engine.checkpoint(target.name)
    health = read_health(target.plan, readers=readers()) if isinstance(target.plan, CooperativePlan) else None
    if found is None:
        nothing = Changes(stack=target.name, resources=(), same=0)
        return Status(stack=target.name, applied=False, health=health, drift=nothing, interrupted=0)
    drift = site.engine.drift(target.name, target.program, report=report)
    return Status(
        stack=target.name,
        applied=True,
        health=health,
        drift=drift,
        interrupted=len(found.pending),
        proof=proof_state(site, target, applied=found) if isinstance(target.plan, CooperativePlan) else None,
        place=read_place(site.records(), target.name) if isinstance(target.plan, CooperativePlan) else None,
    )
