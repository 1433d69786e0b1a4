"""The `coopctl` command: finds a verb's module when it is called and turns every failure into an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace

import click

from cli import failures, streams
from cli.interruption import terminating_as_interrupting
from cli.wanted import DEBUG, debug_first, wanted
from provisioner.errors import ExitCode

# Verb -> "module:attribute". Modules are imported when their verb is called, so that --help stays quick.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("cli.commands.init:init", "Make a new estate."),
    "new": ("cli.commands.new:new", "Write a new cooperative's descriptor."),
    "validate": ("cli.commands.validate:validate", "Check every document of the estate."),
    "explain": ("cli.commands.explain:explain", "Show each final value and where it came from."),
    "member": ("cli.commands.member:member", "List, show, add and remove a cooperative's members."),
    "render": ("cli.commands.render:render", "Print the final manifests, database and bucket."),
    "plan": ("cli.commands.plan:plan", "Show what apply would change."),
    "apply": ("cli.commands.apply:apply", "Make cooperatives as their descriptors say."),
    "status": ("cli.commands.status:status", "Show the health of each part of a cooperative."),
    "due": ("cli.commands.due:due", "Show which support periods end, and what is missing before data can go."),
    "migrate": ("cli.commands.migrate:migrate", "Move a data store to the cooperative's own PostgreSQL and S3."),
    "drift": ("cli.commands.drift:drift", "Show what was changed by hand, and mend exactly that."),
    "destroy": ("cli.commands.destroy:destroy", "Take a cooperative away; its data is kept unless told."),
    "unlock": ("cli.commands.unlock:unlock", "Release a lock that a dead process left."),
    "first-login": (
        "cli.commands.first_login:first_login",
        "Show who logs in first to a cooperative's solutions.",
    ),
    "prove": ("cli.commands.prove:prove", "Attack cooperatives' isolation for real and report every attempt."),
    "history": ("cli.commands.history:history", "Show who did what to a cooperative, and when."),
    "platform": ("cli.commands.platform:platform", "Plan, apply and show the platform's own stack."),
    "dev": ("cli.commands.dev:dev", "Run the embedded platform on this machine."),
    "catalogue": ("cli.commands.catalogue:catalogue", "List, show, judge, take in and verify solutions."),
    "policy": ("cli.commands.policy:policy", "Judge by the rules without a cluster, list and explain them."),
    "images": ("cli.commands.images:images", "Build the solutions' images and push them."),
    "toolchain": ("cli.commands.toolchain:toolchain", "List, install, export and import the pinned tools."),
    "doctor": ("cli.commands.doctor:doctor", "Say what is missing or wrong on this machine, with remedies."),
    "schema": ("cli.commands.schema:schema", "Print the JSON Schema of a document kind."),
    "completion": ("cli.commands.completion:completion", "Print the shell completion script."),
}


class LazyGroup(click.Group):
    """A group whose commands are listed with their one-line help and imported on use."""

    def __init__(
        self, *, commands_by_name: dict[str, tuple[str, str]], name: str | None = None, **attrs: object
    ) -> None:
        super().__init__(name=name, **attrs)  # type: ignore[arg-type]  # click's own attributes, passed through
        self._targets = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the order in which they are declared."""
        return list(self._targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a verb."""
        if cmd_name not in self._targets:
            return None
        module, _, attribute = self._targets[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, target[1]) for name, target in self._targets.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or fail with the nearest one as a hint."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise failures.unknown_command(args[0], known=list(self._targets)) from error


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: coopctl apply rice-processing --estate examples/pilot",
)
@click.version_option(package_name="coopctl")
@click.option("--debug", is_flag=True, help="Show tracebacks of failures; may stand anywhere.")
def coopctl(debug: bool) -> None:  # noqa: FBT001 - click passes flags so; the context keeps it
    """Descriptors of cooperatives become isolated tenants on Kubernetes, and their data can move out."""
    click.get_current_context().meta[DEBUG] = debug


def main(argv: Sequence[str] | None = None) -> None:
    """Run coopctl and exit with a code of the documented table."""
    streams.prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    sys.exit(run(arguments))


def run(arguments: list[str]) -> ExitCode:
    """Run coopctl with ``arguments`` and return its exit code; every failure is shown, none is raised."""
    given = debug_first(arguments)
    try:
        code = _call(given)
        # What stdout cannot take is a failure like others, not a message of the interpreter at its end.
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last resort: no failure is a traceback
        return _explained(error, arguments=given)
    return code


def _call(arguments: list[str]) -> ExitCode:
    try:
        with terminating_as_interrupting():
            code = coopctl.main(args=arguments, prog_name="coopctl", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return ExitCode(leaving.exit_code)
    return code if isinstance(code, ExitCode) else ExitCode.DONE


def _explained(error: Exception | KeyboardInterrupt, *, arguments: list[str]) -> ExitCode:
    if isinstance(error, BrokenPipeError) and not _takes_output():
        return ExitCode.FAILED
    asked = wanted(arguments, root=coopctl)
    try:
        code = failures.show(error, wanted=asked)
        sys.stdout.flush()
    except OSError:
        # Not even the failure can be written as the answer: it is told where people look.
        code = failures.show(error, wanted=replace(asked, json=False))
    _takes_output()
    return code


def _takes_output() -> bool:
    """Whether stdout takes what was written; if not (`| head` has ended, a disk is full), what is left is dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
