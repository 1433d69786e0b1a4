"""`coopctl due`: which support periods end, and what is missing before data can go."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cli import completion, options
from provisioner.errors import ExitCode


def _within(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    from provisioner.descriptor.migration_fields import parse_duration

    if value is None:
        return None
    if (found := parse_duration(value)) is None:
        raise click.BadParameter(f"{value!r} is not a duration such as 90d or 12w", context, parameter)
    return found


@click.command(epilog="Example: coopctl due --within 90d")
@click.argument("names", nargs=-1, shell_complete=completion.cooperatives)
@click.option(
    "--within", metavar="DURATION", callback=_within, help="Only periods that end by then, or ended (90d, 12w)."
)
@options.detailed_exitcode
@options.estate
@options.output
def due(
    *,
    names: tuple[str, ...],
    within: timedelta | None,
    detailed_exitcode: bool,
    estate_path: Path | None,
    output: str,
) -> ExitCode:
    """Show whose support period ends when, what each cooperative chose for afterwards, and what is missing before its
    data can go. With NAMES only those.

    For one that moves to its own infrastructure: a migration document, a preflight that found its servers ready, a
    rehearsal of the last 30 days, a window that fits. For one that leaves: a place for the final dump. No server is
    asked: what was done is read from the migrations' journals, on this machine or beside a state in a bucket, and what
    they do not tell is `never`.
    """
    from cli import wiring
    from cli.views import due as view
    from provisioner.descriptor.loading import load_estate, load_migrations
    from provisioner.operations.due import due as found_due

    estate, now = wiring.open_estate(estate_path), datetime.now(UTC)
    platform, cooperatives = load_estate(estate, names=names or None)
    migrations = load_migrations(estate, platform=platform, cooperatives=cooperatives, names=names or None)
    found = found_due(
        estate, platform=platform, cooperatives=cooperatives, migrations=migrations, now=now, within=within
    )
    view.show(found, now=now, output=output)
    lacking = any(one.missing for one in found)
    return ExitCode.PROBLEMS if lacking and detailed_exitcode else ExitCode.DONE
