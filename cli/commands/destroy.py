"""`coopctl destroy`: take a cooperative away; its data are kept unless told."""

import os
from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.command(epilog="Example: coopctl destroy plastics")
@options.name
@click.option("--delete-data", is_flag=True, help="Delete database and bucket too, after a verified final dump.")
@options.yes
@options.events
@options.estate
@options.output
def destroy(
    *, name: str, delete_data: bool, yes: bool, events: bool, estate_path: Path | None, output: str
) -> ExitCode:
    """Take the cooperative NAME away: namespaces, solutions, access. Database and bucket are kept and marked.

    With --delete-data they are deleted too, but only after a final dump, encrypted to the platform's recipient.
    Applying the cooperative again takes kept data up again. Interrupted at any moment, the same command goes on.
    """
    from cli.running import working
    from cli.site import open_site
    from cli.views import confirm, destroyed
    from provisioner.operations.destroying import destroy as take_away
    from provisioner.operations.destroying import is_gone, require_destroyable

    site = open_site(estate_path, names=(), events=events)
    require_destroyable(site, name, delete_data=delete_data)
    if not is_gone(site, name):
        confirm.ask_for_name(destroyed.question(name, delete_data=delete_data), name=name, yes=yes, events=events)
    with working(site, [], events=events) as report:
        done = take_away(site, name, delete_data=delete_data, environment=os.environ, report=report)
    destroyed.show(name, done, delete_data=delete_data, output=output)
    return ExitCode.DONE
