"""`coopctl plan`: what apply would change."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import options
from provisioner.errors import CoopctlError, ExitCode

if TYPE_CHECKING:
    from provisioner.operations.planning import FleetOptions, FleetPlan
    from provisioner.operations.site import Site


@click.command(epilog="Example: coopctl plan --all --out plan.json")
@options.names
@click.option("--refresh", is_flag=True, help="Compare every cooperative with the world, also unchanged ones.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan for `apply --plan`.")
@options.fleet
@options.max_destroy
@options.detailed_exitcode
@options.events
@options.estate
@options.output
def plan(
    *,
    names: tuple[str, ...],
    refresh: bool,
    out: Path | None,
    concurrency: int,
    fail_fast: bool,
    max_destroy: int | None,
    detailed_exitcode: bool,
    events: bool,
    selector: tuple[str, ...],
    everyone: bool,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Show what apply would change, exactly field by field; nothing is changed.

    A cooperative whose descriptor, template, charts, images and last state are as they were is not compared with the
    world, and the answer says so; --refresh compares it.
    """
    from cli.running import detailed, exit_code, working
    from cli.site import open_site
    from cli.views import changes
    from cli.views.orphans import warn
    from provisioner.operations.ownership import doubt
    from provisioner.operations.planning import FleetOptions, plan_fleet, targets_of
    from provisioner.operations.selecting import choose, require_choice

    require_choice(names=names, selectors=selector, everyone=everyone)
    site = open_site(estate_path, names=names or None, events=events)
    chosen = choose(site, names=names, selectors=selector, everyone=everyone)
    if (question := doubt(site, chosen.names)) is not None:
        warn(question, events=events)
    targets = targets_of(site, chosen.names)
    fleet = FleetOptions(concurrency=concurrency, fail_fast=fail_fast, max_destroy=max_destroy)
    with working(site, targets, events=events, planning=True) as report:
        planned = plan_fleet(site, targets, refresh=refresh or out is not None, options=fleet, report=report)
    refusal = _refusal(planned, site=site, options=fleet, out=out)
    # People see what is refused, and why; as JSON the refusal is the one document.
    if refusal is None or output == "text":
        changes.show("Plan", planned.outcomes, output=output, done=False, orphans=chosen.orphans, notes=planned.notes)
    if refusal is not None:
        raise refusal
    return detailed(exit_code(planned.outcomes, events=events), wanted=detailed_exitcode, changes=planned.any)


def _refusal(planned: "FleetPlan", *, site: "Site", options: "FleetOptions", out: Path | None) -> CoopctlError | None:
    """Why the plan is refused: it goes beyond the limit, or it cannot be saved."""
    from provisioner.operations.planning import require_within_limit
    from provisioner.operations.saved_plan import save_plan

    try:
        require_within_limit(planned, options=options)
        if out is not None:
            save_plan(out, planned, site=site)
    except CoopctlError as refusal:
        return refusal
    return None
