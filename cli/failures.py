"""How a failure is shown: what happened, why, what to do, where; as text or as a JSON document."""

import difflib
import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cli.streams import harmless
from cli.views import events as events_view
from cli.wanted import Wanted
from provisioner.errors import (
    Cancelled,
    CoopctlError,
    Diagnostic,
    ExitCode,
    Interrupted,
    InvalidDescriptor,
    NotFound,
    UsageError,
    untranslated,
)


def unknown_command(name: str, *, known: Sequence[str]) -> UsageError:
    """The error for a verb that does not exist, with the nearest one as a hint."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "run `coopctl --help` for the list of commands"
    return UsageError(f"no such command: {name}", hint=hint)


def show(error: Exception | KeyboardInterrupt, *, wanted: Wanted) -> ExitCode:
    """Show ``error`` as it is wanted and return its exit code.

    As JSON it is the one document on stdout, as an event a line of stderr, else text on stderr.
    """
    failure = _translated(error)
    if failure is not error:
        failure.__cause__ = error
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not (wanted.events or wanted.json):
        sys.stderr.write(f"{error.format_message()}\n\n")
    if wanted.events or not wanted.json:
        tell(failure, events=wanted.events, debug=wanted.debug)
    elif wanted.debug:
        sys.stderr.write(_traceback(failure))
    if wanted.json:
        sys.stdout.write(json.dumps(as_document(failure), ensure_ascii=False, indent=2) + "\n")
    return failure.exit_code


def tell(failure: CoopctlError, *, events: bool, debug: bool, stack: str = "") -> None:
    """Tell of ``failure`` (of ``stack``, if it is of one) on stderr: as one event, or as lines."""
    trace = _traceback(failure) if debug else ""
    if events:
        found = {"traceback": trace} if trace else {}
        events_view.write("Failure", {"stack": stack, "error": as_document(failure), **found})
    else:
        sys.stderr.write(trace + harmless("\n".join(as_lines(failure))) + "\n")


def as_document(failure: CoopctlError) -> dict[str, Any]:
    """The JSON document of a failure."""
    diagnostics = failure.diagnostics if isinstance(failure, InvalidDescriptor) else ()
    return {
        "apiVersion": "coopctl.dev/v1",
        "kind": "Error",
        "error": type(failure).__name__,
        "exitCode": int(failure.exit_code),
        "message": failure.message,
        "why": failure.why,
        "hint": failure.hint,
        "where": str(failure.where) if failure.where else None,
        "diagnostics": [diagnostic_document(diagnostic) for diagnostic in diagnostics],
    }


def diagnostic_document(diagnostic: Diagnostic) -> dict[str, Any]:
    """The JSON form of one diagnostic."""
    return {
        "severity": str(diagnostic.severity),
        "message": diagnostic.message,
        "path": diagnostic.path,
        "file": str(diagnostic.location.file),
        "line": diagnostic.location.line,
        "column": diagnostic.location.column,
        "hint": diagnostic.hint,
    }


def as_lines(failure: CoopctlError) -> list[str]:
    """The lines for people."""
    lines: list[str] = []
    if isinstance(failure, InvalidDescriptor):
        lines += [line for diagnostic in failure.diagnostics for line in diagnostic_lines(diagnostic)]
    lines.append(f"error: {failure.message}")
    if failure.where:
        lines.append(f"where: {failure.where}")
    if failure.why:
        lines.append(f"why: {failure.why}")
    if failure.hint:
        lines.append(f"hint: {failure.hint}")
    return lines


def diagnostic_lines(diagnostic: Diagnostic) -> list[str]:
    """One diagnostic for people: `file:line:column: severity: path: message`, then its hint."""
    path = f"{diagnostic.path}: " if diagnostic.path else ""
    lines = [f"{diagnostic.location}: {diagnostic.severity}: {path}{diagnostic.message}"]
    return [*lines, f"    hint: {diagnostic.hint}"] if diagnostic.hint else lines


def _translated(error: Exception | KeyboardInterrupt) -> CoopctlError:
    if isinstance(error, CoopctlError):
        return error
    if isinstance(error, click.ClickException):
        return UsageError(_usage_message(error), hint=_usage_hint(error))
    # Click turns a KeyboardInterrupt into an Abort that bears it as its cause; one at a question is an answer: no.
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, click.Abort):
        return Cancelled("cancelled")
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_anywhere():
        return NotFound("the current folder does not exist any more", hint="change to a folder that does")
    return untranslated(error)


def _is_anywhere() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _traceback(failure: CoopctlError) -> str:
    return "".join(traceback.format_exception(failure))


def _usage_message(error: click.ClickException) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"{error.ctx.command_path} needs a command"
    return error.format_message()


def _usage_hint(error: click.ClickException) -> str | None:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"run `{context.command_path} --help`" if context else None
