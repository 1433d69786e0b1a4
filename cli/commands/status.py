"""`coopctl status`: the health of each part of a cooperative, and drift."""

from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.command(epilog="Example: coopctl status --all --detailed-exitcode")
@options.names
@options.fleet
@options.detailed_exitcode
@options.events
@options.estate
@options.output
def status(
    *,
    names: tuple[str, ...],
    concurrency: int,
    fail_fast: bool,
    detailed_exitcode: bool,
    events: bool,
    selector: tuple[str, ...],
    everyone: bool,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Show how cooperatives are: namespaces, quota, database, bucket, pods, and what differs from what was applied.

    Nothing is written, not even the state. With --all, what is applied without a descriptor is listed too.
    """
    from cli.running import detailed, exit_code, working
    from cli.site import open_readers, open_site
    from cli.views import status as view
    from provisioner.operations.looking import look_at_fleet
    from provisioner.operations.planning import FleetOptions
    from provisioner.operations.selecting import choose, require_choice

    require_choice(names=names, selectors=selector, everyone=everyone)
    site = open_site(estate_path, names=names or None, events=events)
    chosen = choose(site, names=names, selectors=selector, everyone=everyone)
    fleet = FleetOptions(concurrency=concurrency, fail_fast=fail_fast)
    with working(site, [], events=events, planning=True) as report:
        outcomes = look_at_fleet(site, chosen.names, readers=open_readers(site), options=fleet, report=report)
    view.show(outcomes, output=output, orphans=chosen.orphans)
    found = [outcome.value for outcome in outcomes if outcome.value is not None]
    drift, problems = any(item.drift.any for item in found), any(item.problems for item in found)
    return detailed(
        exit_code(outcomes, events=events),
        wanted=detailed_exitcode,
        changes=drift,
        problems=problems or bool(chosen.orphans),
    )
