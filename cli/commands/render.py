"""`coopctl render`: everything that a cooperative would get, as manifests."""

from pathlib import Path

import click

from cli import options


@click.command(epilog="Example: coopctl render rice-processing --format json")
@options.name
@options.images_lock
@options.estate
@click.option(
    "-o",
    "--output",
    "--format",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="The form of the answer on stdout.",
)
def render(name: str, images_lock: Path | None, estate_path: Path | None, output: str) -> None:
    """Print the final manifests, database and bucket of the cooperative NAME.

    No cluster is needed, and nothing is changed anywhere. Charts are rendered, images pinned; generated credentials
    are shown as (generated).
    """
    from cli import wiring
    from cli.views import manifests as view
    from cli.views.telling import teller
    from provisioner.plan.manifests import charts_rendered_by, manifests

    plan = wiring.open_plan(name, estate=wiring.open_estate(estate_path), lock_file=images_lock)
    tools = wiring.open_toolchain().ensure(["helm-render"], report=teller(events=False))
    view.show(name, manifests(plan, render=charts_rendered_by(tools["helm-render"])), output=output)
