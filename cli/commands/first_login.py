"""`coopctl first-login`: who logs in first to a cooperative's solutions."""

from pathlib import Path

import click

from cli import options


@click.command("first-login", epilog="Example: coopctl first-login rice-processing")
@options.name
@options.estate
@options.output
def first_login(*, name: str, estate_path: Path | None, output: str) -> None:
    """Show the address, user and first password of each solution of the cooperative NAME that has users.

    The password holds until that user changes it, which should be soon: whoever may read the cooperative's Secrets
    can see it here.
    """
    from cli import wiring
    from cli.views import first_logins as view
    from provisioner.cluster.objects import open_cluster
    from provisioner.operations.first_logins import first_logins

    estate = wiring.open_estate(estate_path)
    plan = wiring.open_plan(name, estate=estate, lock_file=None)
    view.show(first_logins(plan, cluster=open_cluster(wiring.open_platform(estate))), name=name, output=output)
