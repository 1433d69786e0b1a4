"""`coopctl new`: a new cooperative's descriptor."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from cli import completion, options


@click.command(
    epilog="Example: coopctl new bakers --template manufacturing --display-name 제과조합 --domain bakers.example.kr"
)
@click.argument("name")
@click.option("--template", shell_complete=completion.templates, help="The tenant template.")
@click.option("--size", help="A size of the template (default: its first).")
@click.option("--display-name", help="What people call the cooperative.")
@click.option("--sector", help="Its trade, to select by (default: the template's name).")
@click.option("--domain", help="Its domain (default: NAME below the platform's first domain suffix).")
@click.option("--support-start", type=click.DateTime(["%Y-%m-%d"]), help="First day of support (default: today).")
@click.option("--support-end", type=click.DateTime(["%Y-%m-%d"]), help="Last day of support (default: in three years).")
@click.option(
    "--afterwards",
    type=click.Choice(["continue-paid", "own-infrastructure", "leave"]),
    default="continue-paid",
    show_default=True,
    help="What happens after the support period.",
)
@click.option("--operator", "operators", multiple=True, metavar="USER", help="A user who operates it; may be repeated.")
@click.option(
    "--solution",
    "solutions",
    multiple=True,
    help="A solution (default: those that the template proposes, else the portal); may be repeated.",
)
@options.estate
@options.output
def new(*, name: str, estate_path: Path | None, output: str, **said: Any) -> None:
    """Write cooperatives/NAME.yaml, with comments, and an empty members/NAME.csv; the descriptor is valid at once.

    On a terminal it asks for what is missing. A cooperative that exists is refused.
    """
    from cli import wiring
    from cli.asking import Answers, complete
    from cli.views import documents
    from provisioner.descriptor.scaffolding import create_cooperative
    from provisioner.plan.solution_choice import choice_problems

    estate = wiring.open_estate(estate_path)
    catalogue = wiring.open_catalogue(estate=estate)
    wanted = complete(Answers(name=name, **said), estate=estate)
    choices = partial(choice_problems, catalogue=catalogue)
    made = create_cooperative(wanted, estate=estate, catalogue_names=catalogue.names, choices=choices)
    documents.show_cooperative(name, made=made, output=output)
