"""`coopctl explain`: each final value and where it came from."""

from pathlib import Path

import click

from cli import options


@click.command(epilog="Example: coopctl explain rice-processing spec.dataStore --estate examples/pilot")
@options.name
@click.argument("path", required=False)
@options.estate
@options.output
def explain(*, name: str, path: str | None, estate_path: Path | None, output: str) -> None:
    """Show each final value of a cooperative, or those below PATH, with where it came from.

    That is the descriptor, the size, the template or a default, with its file and line, and the expression if the
    value was computed.
    """
    from cli import wiring
    from cli.views import explain as view
    from provisioner.descriptor import explaining

    estate = wiring.open_estate(estate_path)
    names = wiring.open_catalogue(estate=estate).names
    found = explaining.explain(estate, name, under=path, catalogue_names=names)
    view.show(found, output=output)
