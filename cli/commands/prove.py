"""`coopctl prove`: attack cooperatives' isolation for real, and report every attempt."""

from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.command(epilog="Example: coopctl prove rice-processing plastics --output junit > proof.xml")
@options.names
@click.option("--no-probe-pods", is_flag=True, help="Attack from no pods; the policies alone say what these reach.")
@click.option("-v", "--verbose", is_flag=True, help="Show every attempt, not only those that are problems.")
@options.fleet
@options.events
@options.estate
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "junit"]),
    default="text",
    show_default=True,
    help="The form of the answer on stdout.",
)
def prove(
    *,
    names: tuple[str, ...],
    no_probe_pods: bool,
    verbose: bool,
    concurrency: int,
    fail_fast: bool,
    events: bool,
    selector: tuple[str, ...],
    everyone: bool,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Attack cooperatives' isolation for real: as their operators, service accounts, database roles and bucket
    identities, as Kubernetes' controllers, and from pods of their own; several together also from each other's pods.

    What must work is tried first. An attempt counts as blocked only if the guard that is there for it refused. Nothing
    is left behind, and every object is only a dry run. The proof is kept beside the state; `status` shows its age. Exit
    code 11 if something got through, proves nothing, or has no room for its pods.
    """
    from cli.running import exit_code, working
    from cli.site import open_site
    from cli.views import proof as view
    from provisioner.operations.planning import FleetOptions
    from provisioner.operations.proving import ProofOptions, prove_fleet
    from provisioner.operations.selecting import require_choice, select_here

    require_choice(names=names, selectors=selector, everyone=everyone)
    site = open_site(estate_path, names=names or None, events=events)
    chosen = select_here(site, names=names, selectors=selector, everyone=everyone)
    how = ProofOptions(fleet=FleetOptions(concurrency=concurrency, fail_fast=fail_fast), pods=not no_probe_pods)
    with working(site, [], events=events, planning=True) as report:
        outcomes = prove_fleet(site, chosen, options=how, report=report)
    view.show(outcomes, output=output, verbose=verbose)
    return view.exit_code(exit_code(outcomes, events=events), outcomes=outcomes)
