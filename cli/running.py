"""Running work on stacks from the command line: signals, progress, and the exit code that outcomes give."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import click

from cli import failures
from cli.views.progress import showing
from cli.views.telling import told_as_event
from cli.wanted import DEBUG
from provisioner.engine.events import Report
from provisioner.engine.fleet import Outcome
from provisioner.errors import CoopctlError, ExitCode, Interrupted
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.site import Site, Target


@contextlib.contextmanager
def working(site: Site, targets: Sequence[Target], *, events: bool, planning: bool = False) -> Iterator[Report]:
    """Show progress and pass signals on while the block runs."""
    interruption = site.engine.interruption
    interruption.on_first = partial(_say_what_a_signal_does, events=events)
    totals = {target.name: len(target.plan.resources) for target in targets}
    with (
        showing(events=events, totals=totals, planning=planning) as report,
        interruption.handling_signals(),
    ):
        yield report


def exit_code(outcomes: Sequence[Outcome[Any]], *, events: bool = False) -> ExitCode:
    """Tell of every failure with its reason and hint on stderr, and give the code for all of them together."""
    failed = [(outcome.stack, outcome.failure) for outcome in outcomes if outcome.failure is not None]
    for stack, failure in failed:
        failures.tell(failure, events=events, debug=_is_debugging(), stack=stack)
    # The platform's own stack goes along unasked: one cooperative that was named keeps its failure's code beside it.
    asked = [outcome for outcome in outcomes if outcome.stack != PLATFORM_STACK]
    return _code([failure for _, failure in failed], of=max(1, len(asked)))


def require_all(outcomes: Sequence[Outcome[Any]]) -> None:
    """Raise the first failure, if there is one: what comes next needs every outcome."""
    for outcome in outcomes:
        if outcome.failure is not None:
            raise outcome.failure


def detailed(code: ExitCode, *, wanted: bool, changes: bool, problems: bool = False) -> ExitCode:
    """The exit code with --detailed-exitcode (``wanted``): failures first, then problems, then changes."""
    if code is not ExitCode.DONE or not wanted:
        return code
    if problems:
        return ExitCode.PROBLEMS
    return ExitCode.CHANGES if changes else ExitCode.DONE


def _code(found: Sequence[CoopctlError], *, of: int) -> ExitCode:
    if not found:
        return ExitCode.DONE
    if any(isinstance(failure, Interrupted) for failure in found):
        return ExitCode.INTERRUPTED
    return found[0].exit_code if of == 1 else ExitCode.PARTLY_FAILED


def _is_debugging() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context and context.meta.get(DEBUG))


def _say_what_a_signal_does(*, events: bool) -> None:
    text = "interrupted: finishing what is in flight and saving; once more ends it at once"
    # Straight to the descriptor: a signal may come in the middle of a write, and sys.stderr cannot be entered twice.
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), (told_as_event(text) if events else f"\n{text}\n").encode())
