"""`coopctl unlock`: release a lock that a dead process left."""

from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.command(epilog="Example: coopctl unlock plastics")
@options.name
@options.yes
@options.events
@options.estate
@options.output
def unlock(*, name: str, yes: bool, events: bool, estate_path: Path | None, output: str) -> ExitCode:
    """Release the lock of the cooperative NAME, after ending what a killed coopctl left running on this machine.

    A lock that is held by a living coopctl on this machine is refused. For one from another machine you have to know
    yourself that its process is gone: two that work on one stack destroy its state.
    """
    from cli.running import working
    from cli.site import open_site
    from cli.views import confirm, json

    site = open_site(estate_path, names=(), events=events)
    site.engine.require_stack(name)
    confirm.ask(
        f"Release the lock of {name}? Nothing else may be working on it, on no machine.", yes=yes, events=events
    )
    with working(site, [], events=events) as report:
        site.engine.unlock(name, report=report)
    if output == "json":
        json.write("Unlocked", {"stack": name})
    else:
        click.echo(f"{name} is unlocked")
    return ExitCode.DONE
