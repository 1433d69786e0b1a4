"""`coopctl platform`: plan, apply and show the platform's own stack."""

from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.group(epilog="Example: coopctl platform apply")
def platform() -> None:
    """Plan, apply and show the platform's own stack: what the cluster holds for all cooperatives."""


@platform.command(epilog="Example: coopctl platform plan")
@options.detailed_exitcode
@options.events
@options.estate
@options.output
def plan(*, detailed_exitcode: bool, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Show what `platform apply` would change, compared with the cluster."""
    from cli.running import detailed, exit_code, working
    from cli.site import open_site
    from cli.views import changes
    from provisioner.naming import PLATFORM_STACK
    from provisioner.operations.planning import FleetOptions, plan_fleet

    site = open_site(estate_path, names=(), events=events)
    targets = (site.target(PLATFORM_STACK),)
    with working(site, targets, events=events, planning=True) as report:
        planned = plan_fleet(site, targets, refresh=True, options=FleetOptions(), report=report)
    changes.show("Plan", planned.outcomes, output=output, done=False)
    return detailed(exit_code(planned.outcomes, events=events), wanted=detailed_exitcode, changes=planned.any)


@platform.command(epilog="Example: coopctl platform apply")
@options.yes
@options.events
@options.estate
@options.output
def apply(*, yes: bool, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Make the platform's own stack as coopctl needs it."""
    from cli.commands.apply import review
    from cli.running import exit_code, working
    from cli.site import open_site
    from cli.views import changes
    from provisioner.naming import PLATFORM_STACK
    from provisioner.operations.applying import ApplyOptions, apply_fleet

    site = open_site(estate_path, names=(), events=events)
    targets = (site.target(PLATFORM_STACK),)
    if not yes:
        review(site, targets, saved=None, options=ApplyOptions(), yes=False, events=events)
    with working(site, targets, events=events) as report:
        outcomes = apply_fleet(site, targets, options=ApplyOptions(), report=report)
    changes.show("Applied", outcomes, output=output, done=True)
    return exit_code(outcomes, events=events)


@platform.command(epilog="Example: coopctl platform status --detailed-exitcode")
@options.detailed_exitcode
@options.events
@options.estate
@options.output
def status(*, detailed_exitcode: bool, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Show how the platform's own stack differs from what was applied."""
    from cli.running import detailed, exit_code, working
    from cli.site import open_readers, open_site
    from cli.views import status as view
    from provisioner.naming import PLATFORM_STACK
    from provisioner.operations.looking import look_at_fleet
    from provisioner.operations.planning import FleetOptions

    site = open_site(estate_path, names=(), events=events)
    with working(site, [], events=events, planning=True) as report:
        outcomes = look_at_fleet(
            site, (PLATFORM_STACK,), readers=open_readers(site), options=FleetOptions(), report=report
        )
    view.show(outcomes, output=output)
    found = [outcome.value for outcome in outcomes if outcome.value is not None]
    drift, problems = any(item.drift.any for item in found), any(item.problems for item in found)
    return detailed(exit_code(outcomes, events=events), wanted=detailed_exitcode, changes=drift, problems=problems)
