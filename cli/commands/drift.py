"""`coopctl drift`: how the world differs from what was applied, and mending exactly that."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import options
from provisioner.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provisioner.engine.fleet import Outcome
    from provisioner.operations.drifting import Drift
    from provisioner.operations.planning import FleetOptions
    from provisioner.operations.site import Site


@click.command(epilog="Example: coopctl drift --all --repair")
@options.names
@click.option("--repair", is_flag=True, help="Mend what differs, and nothing else; asks before.")
@options.yes
@options.fleet
@options.detailed_exitcode
@options.events
@options.estate
@options.output
def drift(
    *,
    names: tuple[str, ...],
    repair: bool,
    yes: bool,
    concurrency: int,
    fail_fast: bool,
    detailed_exitcode: bool,
    events: bool,
    selector: tuple[str, ...],
    everyone: bool,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Show how the world differs from what was applied: guards that vanished or were weakened, fields and grants that
    somebody changed by hand. With --all the platform's own stack is looked at too.

    What a descriptor says and was not applied yet is no drift (`coopctl plan` shows it). Objects that others made in a
    tenant's namespaces are listed, never touched. Nothing is written unless --repair is given.
    """
    from cli.running import detailed, exit_code
    from cli.site import open_site
    from cli.views import drift as view
    from provisioner.naming import PLATFORM_STACK
    from provisioner.operations.planning import FleetOptions
    from provisioner.operations.selecting import require_choice, select_here

    require_choice(names=names, selectors=selector, everyone=everyone)
    site = open_site(estate_path, names=names or None, events=events)
    chosen = select_here(site, names=names, selectors=selector, everyone=everyone)
    stacks = (PLATFORM_STACK, *chosen) if everyone else chosen
    fleet = FleetOptions(concurrency=concurrency, fail_fast=fail_fast)
    agreed = repair and (yes or _agreed(site, stacks, fleet=fleet, events=events))
    outcomes = _drift(site, stacks, repair=agreed, fleet=fleet, events=events)
    view.show(outcomes, output=output)
    remains = any(outcome.value.remains for outcome in outcomes if outcome.value is not None)
    return detailed(exit_code(outcomes, events=events), wanted=detailed_exitcode, changes=remains)


def _agreed(site: "Site", stacks: "Sequence[str]", *, fleet: "FleetOptions", events: bool) -> bool:
    """Show what differs and ask; False where nothing does. Raises Cancelled if the answer is no."""
    from cli.views import confirm
    from cli.views import drift as view

    outcomes = _drift(site, stacks, repair=False, fleet=fleet, events=events)
    if not any(outcome.value.found.any for outcome in outcomes if outcome.value is not None):
        return False
    view.tell(outcomes, events=events)
    confirm.ask("Put this back as it was applied?", yes=False, events=events)
    return True


def _drift(
    site: "Site", stacks: "Sequence[str]", *, repair: bool, fleet: "FleetOptions", events: bool
) -> "tuple[Outcome[Drift], ...]":
    from cli.running import working
    from provisioner.operations.drifting import drift_of_fleet

    with working(site, [], events=events, planning=not repair) as report:
        return drift_of_fleet(site, stacks, repair=repair, options=fleet, report=report)
