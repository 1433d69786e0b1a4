"""How long work looks while it runs: a bar per stack on a terminal, plain lines elsewhere, NDJSON with --events.

Always on stderr: stdout is for the answer.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Protocol, TextIO

from cli.streams import harmless
from cli.views import events as events_view
from cli.views.changes import kind_of
from provisioner.engine.events import (
    Attempted,
    Event,
    Message,
    Operation,
    Report,
    ResourceDone,
    ResourceFailed,
    ResourceStarted,
    Severity,
    StackFinished,
    StackStarted,
)

_PAST = {
    Operation.CREATE: "created",
    Operation.UPDATE: "updated",
    Operation.REPLACE: "replaced",
    Operation.DELETE: "deleted",
    Operation.READ: "read",
}
# What people would only be told twice: the failure itself is shown at the end.
_ECHOES = frozenset({"update failed", "preview failed", "refresh failed"})


class Shower(Protocol):
    """Something that shows events."""

    def show(self, event: Event) -> None:
        """Show one event."""


@contextlib.contextmanager
def showing(*, events: bool, totals: Mapping[str, int], planning: bool = False) -> Iterator[Report]:
    """Show events while the block runs; ``totals`` is how many resources each stack has.

    ``planning`` is for work that changes nothing: single resources are not worth a line then.
    """
    lock = threading.Lock()
    with _shower(events=events, totals=totals, planning=planning) as shower:

        def report(event: Event) -> None:
            with lock:
                shower.show(event)

        yield report


@contextlib.contextmanager
def _shower(*, events: bool, totals: Mapping[str, int], planning: bool) -> Iterator[Shower]:
    if events:
        yield NdjsonShower()
    elif sys.stderr.isatty():
        with _bars(totals, planning=planning) as shower:
            yield shower
    else:
        yield LineShower(sys.stderr, planning=planning)


class NdjsonShower:
    """One JSON object a line, with the event's name as `event`."""

    def show(self, event: Event) -> None:
        """Write one line."""
        events_view.write(type(event).__name__, asdict(event))


class LineShower:
    """Plain lines, for logs."""

    def __init__(self, stream: TextIO, *, planning: bool) -> None:
        self._stream = stream
        self._planning = planning

    def show(self, event: Event) -> None:
        """Write one line, if the event is worth one."""
        if (line := _line(event, planning=self._planning)) is not None:
            self._stream.write(f"{harmless(line)}\n")
            self._stream.flush()


def _line(event: Event, *, planning: bool) -> str | None:
    match event:
        case Message():
            return _message_line(event)
        case ResourceDone() if not planning:
            done = _PAST.get(event.operation, str(event.operation))
            return f"{event.stack}: {done} {event.resource} ({kind_of(event.type)})"
        case ResourceFailed():
            return f"{event.stack}: failed: {event.operation} {event.resource}"
        case StackStarted() if not planning:
            return f"{event.stack}: {event.verb} begins"
        case _:
            return None


def _message_line(message: Message) -> str | None:
    if message.text in _ECHOES:
        return None
    about = f"{message.stack}: {message.resource}" if message.resource else message.stack
    severity = "" if message.severity is Severity.INFO else f"{message.severity}: "
    return f"{about}: {severity}{message.text}"


@contextlib.contextmanager
def _bars(totals: Mapping[str, int], *, planning: bool) -> Iterator[Shower]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[stack]}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield BarShower(progress, totals=totals, planning=planning)


class BarShower:
    """A bar per stack; messages, and what was changed, stay above the bars."""

    def __init__(self, progress: Any, *, totals: Mapping[str, int], planning: bool) -> None:
        self._progress = progress
        self._totals = totals
        self._planning = planning
        self._tasks: dict[str, Any] = {}

    def show(self, event: Event) -> None:
        """Move the stack's bar, or print a message above all bars."""
        match event:
            case StackStarted():
                self._tasks[event.stack] = self._progress.add_task(
                    str(event.verb), total=self._totals.get(event.stack), stack=event.stack
                )
            case ResourceStarted():
                self._update(event.stack, description=f"{event.operation} {event.resource}")
            case ResourceDone():
                self._update(event.stack, advance=1)
                self._print(event)
            case Attempted():
                self._update(event.stack, description=event.attempt, advance=1)
            case StackFinished():
                self._update(event.stack, description="failed" if event.failure else "done")
            case Message() | ResourceFailed():
                self._print(event)

    def _print(self, event: Event) -> None:
        if line := _line(event, planning=self._planning):
            self._progress.console.print(harmless(line), markup=False, highlight=False)

    def _update(self, stack: str, **fields: Any) -> None:
        if stack in self._tasks:
            self._progress.update(self._tasks[stack], **fields)
