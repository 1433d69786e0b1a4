"""`coopctl history`: who did what to a cooperative's stack, when and from which commit."""

from pathlib import Path

import click

from cli import options
from provisioner.errors import ExitCode


@click.command(epilog="Example: coopctl history rice-processing --limit 5")
@options.name
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Show the last N entries alone.")
@options.estate
@options.output
def history(*, name: str, limit: int | None, estate_path: Path | None, output: str) -> ExitCode:
    """Show who did what to the cooperative NAME (or `platform`), when, from which commit, and how it ended.

    The whole trail is verified: entries that were changed, taken away or put in are named, and the exit code is 11.
    """
    from cli import wiring
    from cli.views import trail
    from provisioner.errors import NotFound
    from provisioner.operations.recording import open_history

    estate = wiring.open_estate(estate_path)
    found = open_history(estate, platform=wiring.open_platform(estate)).read(name)
    if not found.entries and not found.problems:
        raise NotFound(f"nothing was done to {name} yet", hint="`coopctl status --all` shows what is applied")
    trail.show(found, limit=limit, output=output)
    return ExitCode.PROBLEMS if found.problems else ExitCode.DONE
