"""What would change, for one cooperative or the whole fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from provisioner.cluster.objects import open_cluster
from provisioner.datastore.store_places import moved_to, require_settled
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.engine.fingerprint import AppliedRecord, read_record, write_record
from provisioner.engine.fleet import DEFAULT_CONCURRENCY, Outcome, run_fleet
from provisioner.errors import DataStoreMoving, PolicyViolated
from provisioner.naming import PLATFORM_STACK
from provisioner.operations import policy_checking
from provisioner.operations.ownership import require_no_rename, require_own_namespaces
from provisioner.operations.reaching import require_reachable
from provisioner.operations.room import require_room
from provisioner.operations.site import Site, Target
from provisioner.operations.template_state import template_notes
from provisioner.operations.upgrade_plan import find_upgrade
from provisioner.plan.resources import CooperativePlan


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """How a run over several stacks behaves."""

    concurrency: int = DEFAULT_CONCURRENCY
    fail_fast: bool = False
    max_destroy: int | None = None


@dataclass(frozen=True, kw_only=True)
class FleetPlan:
    """The stacks that were looked at, with the fingerprint that each was looked at with, and what would change.

    ``notes`` say of a stack what its changes do not: that a solution is upgraded, that a template is another.
    """

    targets: tuple[Target, ...]
    outcomes: tuple[Outcome[Changes], ...]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def changes(self) -> tuple[Changes, ...]:
        """The changes of every stack that could be planned."""
        return tuple(outcome.value for outcome in self.outcomes if outcome.value is not None)

    @property
    def any(self) -> bool:
        """Whether anything would change."""
        return any(changes.any for changes in self.changes)


def targets_of(site: Site, names: Sequence[str]) -> tuple[Target, ...]:
    """The stacks to work on: those of ``names``, after the platform's own if that is missing or out of date."""
    targets = tuple(site.target(name) for name in names)
    if PLATFORM_STACK in names:
        return targets
    platform = site.target(PLATFORM_STACK)
    return targets if is_current(site, platform) else (platform, *targets)


def plan_fleet(
    site: Site, targets: Sequence[Target], *, refresh: bool, options: FleetOptions, report: Report
) -> FleetPlan:
    """What applying ``targets`` would change.

    Without ``refresh`` a stack whose fingerprint still holds is said to have no changes without comparing it with the
    world. Raises Unreachable, UsageError for a renamed cooperative, NotOurs for a namespace of somebody else's; a
    cooperative that breaks a rule has PolicyViolated as its outcome.
    """
    settled = {target.name for target in targets if not refresh and is_current(site, target)}
    by_name = {target.name: target for target in targets}
    if len(settled) < len(by_name):
        require_possible(site, targets)
    outcomes = run_fleet(
        tuple(by_name),
        lambda name: _unchanged(by_name[name]) if name in settled else _previewed(site, by_name[name], report=report),
        interruption=site.engine.interruption,
        concurrency=options.concurrency,
        fail_fast=options.fail_fast,
    )
    planned = [outcome.stack for outcome in outcomes if outcome.value is not None and outcome.stack not in settled]
    notes = {name: found for name in planned if (found := _notes(site, by_name[name]))}
    return FleetPlan(targets=tuple(targets), outcomes=outcomes, notes=notes)


def require_possible(site: Site, targets: Sequence[Target]) -> None:
    """Look at all that would make applying ``targets`` wrong, before anything is changed."""
    cooperatives = [target.name for target in targets if target.name != PLATFORM_STACK]
    require_room(site)
    require_no_rename(site, cooperatives)
    require_reachable(site.platform, data_store=bool(cooperatives))
    require_own_namespaces(site, targets, open_reader=lambda: open_cluster(site.platform))


def require_lawful(site: Site, target: Target) -> None:
    """Raise PolicyViolated if what ``target`` would make breaks a rule; the cluster is not asked."""
    if isinstance(target.plan, CooperativePlan):
        policy_checking.require_lawful(site.policing.verdict(target.plan))


def require_same_place(site: Site, target: Target) -> None:
    """Raise DataStoreMoving if the data store is on its way, or lives elsewhere than where ``target`` leads to.

    A migration may have moved it since the plan was made.
    """
    if not isinstance(target.plan, CooperativePlan):
        return
    records = site.records()
    require_settled(records, [target.name])
    if moved_to(records, target.name) != target.plan.moved_to:
        raise DataStoreMoving(f"{target.name} was planned for another place of its data store", hint="try again")


def require_within_limit(plan: FleetPlan, *, options: FleetOptions) -> None:
    """Raise PolicyViolated if more resources would be deleted or replaced than --max-destroy allows."""
    destroyed = sum(changes.destroyed for changes in plan.changes)
    if options.max_destroy is None or destroyed <= options.max_destroy:
        return
    where = ", ".join(f"{changes.stack} ({changes.destroyed})" for changes in plan.changes if changes.destroyed)
    raise PolicyViolated(
        f"{destroyed} resources would be deleted or replaced; --max-destroy allows {options.max_destroy}",
        why=f"in {where}",
        hint="nothing was changed; look at `coopctl plan`, then raise --max-destroy if that is meant",
    )


def is_current(site: Site, target: Target) -> bool:
    """Whether all that coopctl knows of is as it was at the last apply; the world is not asked."""
    record = read_record(site.folder(target.name))
    if record is None or record.fingerprint != target.fingerprint:
        return False
    found = site.engine.checkpoint(target.name)
    return found is not None and not found.pending and found.digest == record.state


def remember(site: Site, target: Target) -> None:
    """Keep the fingerprint of what was just applied."""
    found = site.engine.checkpoint(target.name)
    if found is not None:
        write_record(site.folder(target.name), AppliedRecord(fingerprint=target.fingerprint, state=found.digest))


def _previewed(site: Site, target: Target, *, report: Report) -> Changes:
    require_lawful(site, target)
    return site.engine.preview(target.name, target.program, report=report)


def _notes(site: Site, target: Target) -> tuple[str, ...]:
    upgrade = find_upgrade(site, target)
    said = "after a dump of the database, with writes stopped; goes back by itself if it fails"
    upgrades = (
        (f"upgrades {upgrade}: {said if upgrade.migrates else 'its tables stay as they are'}",) if upgrade else ()
    )
    cooperative = site.cooperatives.get(target.name)
    return (*upgrades, *(template_notes(site.records(), cooperative) if cooperative else ()))


def _unchanged(target: Target) -> Changes:
    return Changes(stack=target.name, resources=(), same=len(target.plan.resources), compared_with_world=False)
