"""`coopctl dev`: the embedded platform, a whole Kubernetes, PostgreSQL and S3 on this machine."""

from pathlib import Path

import click

from cli import completion, options
from provisioner.errors import ExitCode


@click.group()
def dev() -> None:
    """Run the embedded platform on this machine: Kubernetes, PostgreSQL, S3 and a registry, to try and to test."""


@dev.command(epilog="Example: coopctl dev up --node simulated")
@click.option(
    "--node",
    type=click.Choice(["auto", "real", "simulated"]),
    default="auto",
    show_default=True,
    help="real: pods run and policies are enforced (root, Linux); simulated: pods are only played.",
)
@options.events
@options.estate
@options.output
def up(*, node: str, events: bool, estate_path: Path | None, output: str) -> None:
    """Start what does not run yet; harmless when all runs. Data of earlier runs is there again."""
    from cli import wiring
    from cli.views import dev as view
    from cli.views.telling import teller
    from provisioner.embedded import platform

    estate, report = wiring.open_estate(estate_path), teller(events=events)
    status = platform.up(estate, toolchain=wiring.open_toolchain(), node=node, report=report)
    view.show_status(status, output=output)


@dev.command(epilog="Example: coopctl dev status --output json")
@options.estate
@options.output
def status(estate_path: Path | None, output: str) -> ExitCode:
    """Show every process, its port and the node; exit code 11 if something is down."""
    from cli import wiring
    from cli.views import dev as view
    from provisioner.embedded import platform

    found = platform.status(wiring.open_estate(estate_path))
    view.show_status(found, output=output)
    return ExitCode.DONE if found.runs else ExitCode.PROBLEMS


@dev.command(epilog="Example: coopctl dev logs kube-apiserver --follow")
@click.argument("process", required=False, shell_complete=completion.logs)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--lines", default=50, show_default=True, type=click.IntRange(min=1), help="How many lines back.")
@options.estate
@options.output
def logs(*, process: str | None, follow: bool, lines: int, estate_path: Path | None, output: str) -> None:
    """Show the log of PROCESS; without it, name the processes that have one."""
    from cli import wiring
    from cli.views import dev as view
    from provisioner.embedded import platform

    estate = wiring.open_estate(estate_path)
    if process is None:
        view.show_log_names(platform.log_names(estate), output=output)
        return
    read = platform.follow_log if follow else platform.read_log
    view.show_log(read(estate, name=process, lines=lines), name=process, output=output)


@dev.command(epilog="Example: coopctl dev down")
@click.option("--delete", is_flag=True, help="Destroy all data too: databases, objects, images, the cluster's state.")
@options.yes
@options.events
@options.estate
@options.output
def down(*, delete: bool, yes: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """Stop the embedded platform and take its interfaces, rules and mounts away; its data stays for the next up."""
    from cli import wiring
    from cli.views import dev as view
    from cli.views.confirm import ask
    from cli.views.telling import teller
    from provisioner.embedded import platform

    estate = wiring.open_estate(estate_path)
    if delete:
        ask(view.question(estate.root, platform.doomed(estate)), yes=yes, events=events)
    stopped = platform.down(estate, delete=delete, report=teller(events=events))
    view.show_stopped(stopped, deleted=delete, output=output)
