"""`coopctl dev`: the embedded platform, a whole Kubernetes, PostgreSQL and S3 on this machine."""

from pathlib import Path

import click

from cli import completion, options
from provisioner.errors import ExitCode, UsageError


@click.group(epilog="Example: coopctl dev up")
def dev() -> None:
    """Run the embedded platform on this machine: Kubernetes, PostgreSQL, S3 and a registry, to try and to test."""


@dev.command(epilog="Example: coopctl dev up --target")
@click.option(
    "--node",
    type=click.Choice(["auto", "real", "simulated"]),
    default="auto",
    show_default=True,
    help="real: pods run and policies are enforced (root, Linux); simulated: pods are only played.",
)
@click.option(
    "--target/--no-target",
    default=None,
    help="Also a second PostgreSQL and S3, to move a data store to (see `coopctl dev target`); it stays until"
    " --no-target, which keeps its data.",
)
@click.option(
    "--target-postgres",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with postgres and initdb of the target, where that is to be of another version.",
)
@options.events
@options.estate
@options.output
def up(
    *,
    node: str,
    target: bool | None,
    target_postgres: Path | None,
    events: bool,
    estate_path: Path | None,
    output: str,
) -> None:
    """Start what does not run yet; harmless when all runs. Data of earlier runs is there again."""
    from cli import wiring
    from cli.views import dev as view
    from cli.views.telling import teller
    from provisioner.embedded import platform

    if target is False and target_postgres is not None:
        raise UsageError("--no-target has no --target-postgres", hint="leave one of them out")
    status = platform.up(
        wiring.open_estate(estate_path),
        toolchain=wiring.open_toolchain(),
        node=node,
        target=target,
        target_programs=target_postgres,
        report=teller(events=events),
    )
    view.show_status(status, output=output)


@dev.command(epilog="Example: coopctl dev target rice-processing")
@click.argument("name", shell_complete=completion.cooperatives)
@click.option("--empty", is_flag=True, help="Delete database and bucket first, after asking: to go there once more.")
@options.yes
@options.events
@options.estate
@options.output
def target(*, name: str, empty: bool, yes: bool, events: bool, estate_path: Path | None, output: str) -> None:
    """Get the target's servers ready for the data store of cooperative NAME, and write the migration there.

    Made is what a cooperative makes on its own servers before it moves: the database, the bucket, and an identity with
    the access key of its applications. The document is migrations/NAME-target.yaml; one that exists stays as it is.
    After a rollback the target keeps its copy, and nothing is copied over it: --empty takes it away. It is refused
    while the data store is there or on its way.
    """
    import os

    from cli import wiring
    from cli.views import dev as view
    from cli.views.confirm import ask
    from cli.views.telling import teller
    from provisioner.operations.target_readying import empty_target, ready_target, require_unused

    estate = wiring.open_estate(estate_path)
    if empty:
        require_unused(estate, name)
        ask(view.empty_question(name), yes=yes, events=events)
        empty_target(estate, name, environment=os.environ)
    ready = ready_target(
        estate,
        name,
        toolchain=wiring.open_toolchain(),
        environment=os.environ,
        report=teller(events=events),
    )
    view.show_target(ready, output=output)


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
