"""`coopctl apply`: make cooperatives as their descriptors say."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import options
from provisioner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.operations.applying import ApplyOptions
    from provisioner.operations.site import Site, Target


@click.command(epilog="Example: coopctl apply rice-processing plastics --yes")
@options.names
@click.option(
    "--plan",
    "saved",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Apply what `plan --out` saved, and only if nothing has changed since.",
)
@click.option("--rollback", is_flag=True, help="Go back to the solutions of the state that was applied before.")
@options.timeout
@click.option(
    "--leaving-data",
    type=click.Choice(["keep", "delete"]),
    help="What becomes of the data of members that left the list: kept, closed, or deleted after a verified dump.",
)
@click.option(
    "--without-dump",
    is_flag=True,
    help="Upgrade without a dump of the database: until it is done, a copy on the server is all that is kept.",
)
@click.option("--no-prove", is_flag=True, help="Do not attack what was applied, as `coopctl prove` does.")
@options.yes
@options.fleet
@options.max_destroy
@options.events
@options.estate
@options.output
def apply(
    *,
    names: tuple[str, ...],
    saved: Path | None,
    rollback: bool,
    timeout: float,
    leaving_data: str | None,
    without_dump: bool,
    no_prove: bool,
    yes: bool,
    concurrency: int,
    fail_fast: bool,
    max_destroy: int | None,
    events: bool,
    selector: tuple[str, ...],
    everyone: bool,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Make cooperatives as their descriptors say: shows the plan, asks, and applies it.

    With --yes nothing is planned beforehand: each change is told when it is made, and all of them with their fields at
    the end; --max-destroy, or a plan that was saved and looked at, holds it to what is meant. The platform's own stack
    is applied first if it is missing or out of date. Interrupted at any moment, the same command goes on. At the end
    the isolation of what was applied is proved; exit code 11 if it is not shown.

    Where a solution gets another version, chart or image and its tables are changed, nothing is written to the database
    until that is done: it is copied and dumped, then the migration runs and the new pods start. If that fails, the
    version before and, if it was changed, the database come back, and exit code 4 tells of it.

    With --rollback the one cooperative NAME goes back to the solutions of the last state that was applied to its end
    and had others: their versions, values and images. All else is as the descriptor says. No data are brought back, and
    the descriptor is not changed: unless it is, the next apply goes forward again.

    A member that has data and is no longer in the list is refused until --leaving-data says what becomes of them.
    """
    from cli.running import exit_code, working
    from cli.site import open_site
    from cli.views import changes
    from cli.views import proof as proof_view
    from provisioner.operations.applying import ApplyOptions, apply_fleet
    from provisioner.operations.leaving import LeavingData
    from provisioner.operations.ownership import doubt
    from provisioner.operations.planning import FleetOptions, targets_of
    from provisioner.operations.proving import ProofOptions, prove_applied
    from provisioner.operations.selecting import choose

    names = _names(names, selectors=selector, everyone=everyone, saved=saved, rollback=rollback)
    site = open_site(estate_path, names=names or None, events=events)
    chosen = choose(site, names=names, selectors=selector, everyone=everyone)
    targets = targets_of(site, chosen.names)
    settle(doubt(site, chosen.names), agreed=yes or saved is not None, events=events)
    fleet = FleetOptions(concurrency=concurrency, fail_fast=fail_fast, max_destroy=max_destroy)
    data = LeavingData(leaving_data) if leaving_data else None
    how = ApplyOptions(fleet=fleet, wait_seconds=timeout, leaving_data=data, without_dump=without_dump)
    if rollback:
        targets, how = go_back(site, targets, name=names[0], options=how, events=events)
    part(site, targets, options=how, yes=yes, events=events)
    review(site, targets, saved=saved, options=how, yes=yes, events=events)
    with working(site, targets, events=events) as report:
        outcomes = apply_fleet(site, targets, options=how, report=report)
        proofs = () if no_prove else prove_applied(site, outcomes, options=ProofOptions(fleet=fleet), report=report)
    changes.show("Applied", outcomes, output=output, done=True, orphans=chosen.orphans, proofs=proofs)
    return proof_view.exit_code(exit_code((*outcomes, *proofs), events=events), outcomes=proofs)


def go_back(
    site: "Site", targets: "Sequence[Target]", *, name: str, options: "ApplyOptions", events: bool
) -> "tuple[tuple[Target, ...], ApplyOptions]":
    """Put the solutions that ``name`` had before into its target, and say which; raises NotFound if there are none."""
    from dataclasses import replace

    from cli.views.telling import teller
    from provisioner.operations.applied_solutions import going_back, state_before

    state = state_before(site, name)
    teller(events=events)(f"{name} goes back to what was applied at {state.at}: {state.versions}")
    changed = tuple(going_back(site, one, state=state) if one.name == name else one for one in targets)
    return changed, replace(options, back_to=state)


def settle(doubt: str | None, *, agreed: bool, events: bool) -> None:
    """Ask whether what is applied for the first time is new; only warn where all is ``agreed`` to. Raises Cancelled."""
    from cli.views import confirm
    from cli.views.orphans import warn

    if doubt is None:
        return
    if agreed:
        warn(doubt, events=events)
    else:
        confirm.ask(f"{doubt}. Is it new?", yes=False, events=events)


def part(site: "Site", targets: "Sequence[Target]", *, options: "ApplyOptions", yes: bool, events: bool) -> None:
    """Refuse that members leave whose data nobody spoke of; ask before data are deleted. Raises Cancelled."""
    import os

    from cli.views import confirm
    from provisioner.operations.leaving import LeavingData, find_leaving, require_told

    data = options.leaving_data
    leaving = find_leaving(site, targets, data=data, environment=os.environ)
    require_told(site, leaving, data=data)
    if leaving and data is LeavingData.DELETE:
        told = "; ".join(map(str, leaving))
        confirm.ask(
            f"This deletes the data of members, after a verified dump: {told}. Delete them?", yes=yes, events=events
        )


def review(
    site: "Site", targets: "Sequence[Target]", *, saved: Path | None, options: "ApplyOptions", yes: bool, events: bool
) -> None:
    """Plan, compare with limit and saved plan, show, and ask, if any of that is wanted.

    Raises Cancelled if the answer is no.
    """
    if saved is None and yes and options.fleet.max_destroy is None:
        return
    from cli.running import require_all, working
    from cli.views import changes, confirm
    from provisioner.operations.planning import plan_fleet, require_within_limit
    from provisioner.operations.saved_plan import load_plan, require_same

    agreed = load_plan(saved) if saved is not None else None
    with working(site, targets, events=events, planning=True) as report:
        planned = plan_fleet(site, targets, refresh=True, options=options.fleet, report=report)
    require_all(planned.outcomes)
    require_within_limit(planned, options=options.fleet)
    if agreed is not None:
        require_same(agreed, planned, site=site)
    elif planned.any:
        changes.tell(planned.outcomes, notes=planned.notes, events=events)
        confirm.ask("Apply these changes?", yes=yes, events=events)


def _names(
    names: tuple[str, ...], *, selectors: tuple[str, ...], everyone: bool, saved: Path | None, rollback: bool
) -> tuple[str, ...]:
    """The names that were given, or that the saved plan holds. Raises UsageError for two ways of choosing."""
    from provisioner.naming import PLATFORM_STACK
    from provisioner.operations.saved_plan import load_plan
    from provisioner.operations.selecting import require_choice

    if rollback and (saved or selectors or everyone or len(names) != 1 or names[0] == PLATFORM_STACK):
        raise UsageError("--rollback takes one cooperative", hint="coopctl apply --rollback NAME, and no other choice")
    if saved is None:
        require_choice(names=names, selectors=selectors, everyone=everyone)
        return names
    if names or selectors or everyone:
        raise UsageError("--plan says itself which cooperatives are applied", hint="leave out names, -l and --all")
    return tuple(stack.name for stack in load_plan(saved).stacks if stack.name != PLATFORM_STACK)
