"""`coopctl images`: the solutions' images, built from Debian packages and pinned by digest."""

from pathlib import Path

import click

from cli import completion, options
from provisioner.errors import UsageError


@click.group(epilog="Example: coopctl images build --used --push")
def images() -> None:
    """Build the solutions' images from Debian packages, pin them in images.lock, and push them."""


@images.command(epilog="Example: coopctl images build portal --push")
@click.argument("names", nargs=-1, shell_complete=completion.images)
@click.option("--used", is_flag=True, help="Only what the estate's cooperatives chose, and what coopctl runs itself.")
@click.option("--push", "pushing", is_flag=True, help="Push to the platform's registry before images.lock is written.")
@options.events
@options.estate
@options.output
def build(
    *, names: tuple[str, ...], used: bool, pushing: bool, events: bool, estate_path: Path | None, output: str
) -> None:
    """Build the images NAMES (without: all that something runs) and write their digests to the estate's images.lock.

    The same packages always give the same digest; what is built already is not built again.
    """
    from cli import wiring
    from cli.views import images as view
    from cli.views.telling import teller
    from provisioner.catalogue.images.estate_images import build_images

    if used and names:
        raise UsageError("--used says itself which images are built", hint="leave out the names, or --used")
    estate, tell = wiring.open_estate(estate_path), teller(events=events)
    catalogue = wiring.open_catalogue(estate=estate)
    states = build_images(
        wiring.used_images(estate, catalogue=catalogue) if used else names,
        catalogue=catalogue,
        lock_file=estate.images_lock,
        cache=wiring.image_cache(),
        registry=wiring.open_platform(estate).registry.address if pushing else None,
        report=tell,
        programs=wiring.programs(report=tell),
        preparing=wiring.preparing(catalogue),
    )
    view.show_states(states, output=output)


@images.command(epilog="Example: coopctl images push")
@click.argument("names", nargs=-1, shell_complete=completion.images)
@options.events
@options.estate
@options.output
def push(*, names: tuple[str, ...], events: bool, estate_path: Path | None, output: str) -> None:
    """Push the images NAMES (without: all that are locked), as images.lock has them, to the platform's registry."""
    from cli import wiring
    from cli.views import images as view
    from cli.views.telling import teller
    from provisioner.catalogue.images.estate_images import push_images

    estate, tell = wiring.open_estate(estate_path), teller(events=events)
    catalogue = wiring.open_catalogue(estate=estate)
    states = push_images(
        names,
        catalogue=catalogue,
        lock_file=estate.images_lock,
        cache=wiring.image_cache(),
        registry=wiring.open_platform(estate).registry.address,
        report=tell,
        programs=wiring.programs(report=tell),
        preparing=wiring.preparing(catalogue),
    )
    view.show_states(states, output=output)


@images.command("list", epilog="Example: coopctl images list --output json")
@options.estate
@options.output
def list_command(estate_path: Path | None, output: str) -> None:
    """List the catalogue's images with the digest that images.lock has for each."""
    from cli import wiring
    from cli.views import images as view
    from provisioner.catalogue.images.estate_images import list_images

    estate = wiring.open_estate(estate_path)
    found = list_images(
        catalogue=wiring.open_catalogue(estate=estate),
        lock_file=estate.images_lock,
        programs=wiring.programs(report=lambda _: None),
    )
    view.show_list(found, output=output)
