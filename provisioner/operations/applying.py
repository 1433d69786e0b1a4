"""Makes cooperatives as their descriptors say.

1. Look for all that would make it wrong (unreachable servers, a renamed cooperative, a namespace of somebody else's,
   members that would leave and have data).
2. Apply the platform's own stack first, if it is missing or out of date.
3. Apply every cooperative, several at a time. Each: judge by the rules all that it would get, part with members that
   leave, take away migration Jobs that failed the last time (Pulumi makes them again), run Pulumi, take off guards what
   other field managers added, wait for the solutions' workloads, remember the fingerprint. Its solutions are noted
   before and after, so that it can go back to them; the audit trail gets an entry before and after. An upgrade of
   solutions is more than that, and goes back by itself (upgrading.py).

Cut off anywhere, the same call goes on: Pulumi's state says what is done, and all that comes after it is idempotent.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from provisioner.datastore.store_places import require_settled
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.engine.fleet import Outcome, run_fleet
from provisioner.errors import PartlyFailed
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.applied_solutions import AppliedState
from provisioner.operations.history import Action
from provisioner.operations.leaving import LeavingData, delete_leaving, find_leaving, require_told
from provisioner.operations.planning import FleetOptions, require_lawful, require_possible, require_same_place
from provisioner.operations.recording import recorded
from provisioner.operations.site import Site, Target
from provisioner.operations.template_state import note_template
from provisioner.operations.upgrading import Work, make_or_upgrade


@dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """How applying behaves; ``wait_seconds`` is how long a solution's pods may take, 0 for not waiting.

    ``leaving_data`` says what becomes of the data of members that leave; None: who has data does not leave.
    ``back_to`` is the state that is gone back to, for the audit trail. ``without_dump``: an upgrade that changes tables
    keeps a copy on the server alone.
    """

    fleet: FleetOptions = field(default_factory=FleetOptions)
    wait_seconds: float = 600.0
    leaving_data: LeavingData | None = None
    back_to: AppliedState | None = None
    without_dump: bool = False


def apply_fleet(
    site: Site, targets: Sequence[Target], *, options: ApplyOptions, report: Report
) -> tuple[Outcome[Changes], ...]:
    """Apply ``targets`` and give what became of each.

    Raises DataStoreMoving, and what `require_possible` and `require_told` raise, before any change.

    If the platform's stack is among them and fails, no cooperative is begun.
    """
    require_settled(site.records(), _cooperatives(targets))
    require_possible(site, targets)
    leaving = find_leaving(site, targets, data=options.leaving_data, environment=os.environ)
    require_told(site, leaving, data=options.leaving_data)
    first = [target for target in targets if target.name == PLATFORM_STACK]
    others = [target for target in targets if target.name != PLATFORM_STACK]
    outcomes = _apply_all(site, first, options=options, report=report)
    if any(outcome.failure for outcome in outcomes):
        return (*outcomes, *(_not_begun(target) for target in others))
    return (*outcomes, *_apply_all(site, others, options=options, report=report))


def _cooperatives(targets: Sequence[Target]) -> tuple[str, ...]:
    return tuple(target.name for target in targets if target.name != PLATFORM_STACK)


def _apply_all(
    site: Site, targets: Sequence[Target], *, options: ApplyOptions, report: Report
) -> tuple[Outcome[Changes], ...]:
    by_name = {target.name: target for target in targets}
    return run_fleet(
        tuple(by_name),
        lambda name: apply_one(site, by_name[name], options=options, report=report),
        interruption=site.engine.interruption,
        concurrency=options.fleet.concurrency,
        fail_fast=options.fleet.fail_fast,
    )


def apply_one(site: Site, target: Target, *, options: ApplyOptions, report: Report) -> Changes:
    """Apply one stack and give what was changed.

    Raises PolicyViolated before anything is changed; PartlyFailed, StackLocked, Interrupted, TimedOut; UpgradeFailed
    when the version before is back.
    """
    with recorded(site, target.name, action=Action.APPLY, plan=target.fingerprint) as outcome:
        require_lawful(site, target)
        outcome.details |= {"back to": options.back_to.versions} if options.back_to else {}
        outcome.details |= _part_with_members(site, target, options=options, report=report)
        require_same_place(site, target)
        outcome.changes = make_or_upgrade(
            Work(
                site=site,
                target=target,
                wait_seconds=options.wait_seconds,
                without_dump=options.without_dump,
                environment=os.environ,
                details=outcome.details,
                report=report,
            )
        )
        if cooperative := site.cooperatives.get(target.name):
            note_template(site.records(), cooperative)
    return outcome.changes


def _part_with_members(site: Site, target: Target, *, options: ApplyOptions, report: Report) -> dict[str, str]:
    """Delete the data of members that leave, if that is wanted; gives what the audit trail keeps of it."""
    if options.leaving_data is not LeavingData.DELETE:
        return {}
    told: dict[str, str] = {}
    for leaving in find_leaving(site, [target], data=options.leaving_data, environment=os.environ):
        told["members whose data are deleted"] = ", ".join(leaving.members)
        told["dump"] = delete_leaving(site, leaving, environment=os.environ, report=report)
    return told


def _not_begun(target: Target) -> Outcome[Changes]:
    failure = PartlyFailed(f"{target.name} was not begun: the platform's own stack failed")
    return Outcome(stack=target.name, failure=failure)
