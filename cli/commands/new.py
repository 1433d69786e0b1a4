"""`coopctl new`: a new cooperative's descriptor."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import completion, options
from provisioner.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from provisioner.descriptor.estate import Estate


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
@click.option(
    "--apply",
    "applying",
    is_flag=True,
    help="Apply it at once, unasked, as `coopctl apply NAME --yes` does, and show its first logins.",
)
@options.events
@options.estate
@options.output
def new(
    *, name: str, applying: bool, events: bool, estate_path: Path | None, output: str, **said: Any
) -> ExitCode | None:
    """Write cooperatives/NAME.yaml, with comments, and an empty members/NAME.csv; the descriptor is valid at once.

    On a terminal it asks for what is missing. A cooperative that exists is refused.

    With --apply it goes on to a first login: images that its solutions need and images.lock does not have are built
    and pushed, then it is applied and its isolation proved. If that fails, or is cut off, the descriptor stays and
    `coopctl apply NAME` goes on.
    """
    from cli import wiring
    from cli.asking import Answers, complete
    from cli.views import documents
    from provisioner.descriptor.scaffolding import create_cooperative
    from provisioner.plan.solution_choice import choice_problems
    from provisioner.plan.solution_layouts import needed_layout

    if events and not applying:
        raise UsageError("--events is for --apply: nothing else takes long", hint="leave it out, or add --apply")
    estate = wiring.open_estate(estate_path)
    catalogue = wiring.open_catalogue(estate=estate)
    wanted = complete(Answers(name=name, **said), estate=estate)
    wanted = replace(wanted, member_layout=needed_layout(wanted.solutions, catalogue=catalogue))
    choices = partial(choice_problems, catalogue=catalogue)
    made = create_cooperative(wanted, estate=estate, catalogue_names=catalogue.names, choices=choices)
    if not applying:
        documents.show_cooperative(name, made=made, output=output)
        return None
    return go_on(name, made=made, solutions=wanted.solutions, estate=estate, events=events, output=output)


def go_on(
    name: str, *, made: Sequence[Path], solutions: Sequence[str], estate: "Estate", events: bool, output: str
) -> ExitCode:
    """Bring the new cooperative to life, show all that came of it, and give the exit code."""
    from cli.commands.apply import settle
    from cli.running import exit_code, working
    from cli.site import open_site
    from cli.views import onboarding as view
    from cli.views import proof as proof_view
    from provisioner.cluster.objects import open_cluster
    from provisioner.operations.applying import ApplyOptions
    from provisioner.operations.onboarding import onboard
    from provisioner.operations.ownership import doubt
    from provisioner.operations.planning import targets_of

    build_missing(solutions, estate=estate, events=events)
    site = open_site(estate.root, names=(name,), events=events)
    targets = targets_of(site, (name,))
    settle(doubt(site, (name,)), agreed=True, events=events)
    with working(site, targets, events=events) as report:
        done = onboard(site, targets, cluster=open_cluster(site.platform), options=ApplyOptions(), report=report)
    view.show(name, made=made, done=done, output=output)
    return proof_view.exit_code(exit_code((*done.applied, *done.proofs), events=events), outcomes=done.proofs)


def build_missing(solutions: Sequence[str], *, estate: "Estate", events: bool) -> None:
    """Build and push the images that ``solutions`` need and images.lock does not have; what is locked stays."""
    from cli import wiring
    from cli.views.telling import teller
    from provisioner.catalogue import images_lock
    from provisioner.catalogue.images.estate_images import build_images
    from provisioner.operations.onboarding import missing_images

    tell, catalogue = teller(events=events), wiring.open_catalogue(estate=estate)
    programs, lock = wiring.programs(report=tell), images_lock.read(estate.images_lock)
    own = [program.name for program in programs if wiring.is_used(program, estate=estate)]
    missing = missing_images(solutions, catalogue=catalogue, lock=lock, own=own)
    if missing:
        build_images(
            missing,
            catalogue=catalogue,
            lock_file=estate.images_lock,
            cache=wiring.image_cache(),
            registry=wiring.open_platform(estate).registry.address,
            report=tell,
            programs=programs,
            preparing=wiring.preparing(catalogue),
        )
