"""`coopctl validate`: every problem of every document."""

from pathlib import Path

import click

from cli import completion, options


@click.command(epilog="Example: coopctl validate --estate examples/pilot")
@click.argument("names", nargs=-1, shell_complete=completion.cooperatives)
@options.estate
@options.output
def validate(*, names: tuple[str, ...], estate_path: Path | None, output: str) -> None:
    """Check every document of the estate, or only those of NAMES, and show all problems at once.

    Platform, cooperatives, members, templates, exceptions and migrations are checked, each alone and against the
    others: names and domains that meet, solutions that do not exist, are not approved, or need what the cooperative
    does not have. No server is asked. A problem is shown as file:line:column; exit code 2. Whether an exception has
    run out is for `coopctl policy check` to say.
    """
    from cli import wiring
    from cli.views import documents
    from provisioner.descriptor.loading import invalid
    from provisioner.operations.validating import validate as validated
    from provisioner.rules.excepting import known_rules

    estate = wiring.open_estate(estate_path)
    catalogue = wiring.open_catalogue(estate=estate)
    found = validated(estate, catalogue=catalogue, names=names or None, rules=known_rules())
    if found.errors:
        raise invalid(found.problems)
    documents.show_valid(found, output=output)
