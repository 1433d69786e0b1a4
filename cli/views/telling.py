"""Lines that tell on stderr what is being done: as text, or with --events as one `Message` event each."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from cli.views import events as events_view
from provisioner.engine.events import Message, Severity


def teller(*, events: bool) -> Callable[[str], None]:
    """Something that tells lines as they come."""
    return _tell_as_event if events else _tell


def _tell(line: str) -> None:
    from cli.views import human

    human.stderr().print(line, markup=False)


def _tell_as_event(line: str) -> None:
    events_view.write("Message", _message(line))


def told_as_event(line: str) -> str:
    """The line of NDJSON that tells ``line``."""
    return events_view.line("Message", _message(line))


def _message(line: str) -> dict[str, Any]:
    """A message about no single stack."""
    return asdict(Message(stack="", severity=Severity.INFO, text=line))
