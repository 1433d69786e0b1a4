"""Finds how the world differs from what was applied, and mends exactly that.

Compared is the state with the world, not the descriptor: what is written but not applied yet is no drift. Pulumi's
refreshed preview finds what changed or vanished, our own provider tells how grants and bucket policies deviate, and
what other field managers added to a guard is found by its managed fields. Nothing is written while looking.

Repairing: 1. look; 2. apply the resources that drifted, and no others; 3. take foreign fields off guards; 4. look
again. Cut off anywhere, the same command goes on. Objects that somebody else made in a tenant's namespaces are listed
only: they are the tenant's. So are pods of theirs that bear a solution's label, which have that solution's flows; but
these count as drift until they are gone or relabelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from provisioner.cluster.foreign_objects import ForeignObject, foreign_objects
from provisioner.cluster.objects import open_cluster
from provisioner.cluster.solution_labels import Mislabelled, read_mislabelled
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.engine.fleet import Outcome, run_fleet
from provisioner.errors import PartlyFailed
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.history import Action
from provisioner.operations.mending import take_off_foreign_fields
from provisioner.operations.planning import FleetOptions, require_same_place
from provisioner.operations.reaching import require_reachable
from provisioner.operations.recording import recorded
from provisioner.operations.site import Site, Target
from provisioner.operations.upgrade_record import require_no_upgrade
from provisioner.plan.resources import CooperativePlan, KubernetesObject


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How one stack's world differs from its state, and the objects of others in its namespaces.

    ``mislabelled`` are pods, and what makes pods, with a solution's label that is not theirs; no repair touches them.
    ``repaired`` is what was mended, None if nobody asked or nothing differed.
    """

    stack: str
    found: Changes
    foreign: tuple[ForeignObject, ...]
    mislabelled: tuple[Mislabelled, ...] = ()
    repaired: Changes | None = None

    @property
    def remains(self) -> bool:
        """Whether something differs still."""
        return bool(self.mislabelled) or (self.found.any and self.repaired is None)


def drift_of_fleet(
    site: Site, names: Sequence[str], *, repair: bool, options: FleetOptions, report: Report
) -> tuple[Outcome[Drift], ...]:
    """The drift of each stack; with ``repair`` it is mended.

    Raises Unreachable if a server of the platform does not answer. A stack's outcome is NotFound if it was never
    applied, PartlyFailed if something could not be mended.
    """
    targets = {name: site.target(name) for name in names}
    require_reachable(site.platform, data_store=any(name != PLATFORM_STACK for name in names))
    return run_fleet(
        tuple(targets),
        lambda name: _drift(site, targets[name], repair=repair, report=report),
        interruption=site.engine.interruption,
        concurrency=options.concurrency,
        fail_fast=options.fail_fast,
    )


def _drift(site: Site, target: Target, *, repair: bool, report: Report) -> Drift:
    found = site.engine.drift(target.name, target.program, report=report)
    foreign, mislabelled = _of_others(site, target)
    drift = Drift(stack=target.name, found=found, foreign=foreign, mislabelled=mislabelled)
    return _repaired(site, target, drift=drift, report=report) if repair and found.any else drift


def _repaired(site: Site, target: Target, *, drift: Drift, report: Report) -> Drift:
    require_same_place(site, target)
    require_no_upgrade(site.records(), [target.name])
    with recorded(site, target.name, action=Action.REPAIR, plan=target.fingerprint) as outcome:
        applied = site.engine.repair(target.name, target.program, drifted=drift.found, report=report)
        take_off_foreign_fields(applied.foreign, reader=open_cluster(site.platform))
        outcome.changes = applied.changes
        left = site.engine.drift(target.name, target.program, report=report)
        if left.any:
            names = ", ".join(change.resource for change in left.resources)
            raise PartlyFailed(f"{target.name}: these still differ after the repair: {names}")
    return replace(drift, repaired=applied.changes)


def _of_others(site: Site, target: Target) -> tuple[tuple[ForeignObject, ...], tuple[Mislabelled, ...]]:
    """What others made in a tenant's namespaces, and what has a solution's label that is not its own."""
    plan = target.plan
    if not isinstance(plan, CooperativePlan):
        return (), ()
    namespaces = [
        resource.manifest["metadata"]["name"]
        for resource in plan.resources
        if isinstance(resource, KubernetesObject) and resource.manifest["kind"] == "Namespace"
    ]
    api = open_cluster(site.platform).api
    return (
        foreign_objects(api, namespaces=namespaces, cooperative=plan.cooperative),
        read_mislabelled(api, namespaces=namespaces, cooperative=plan.cooperative),
    )
