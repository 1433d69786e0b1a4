"""Asking before something is destroyed or changed: on stderr, as text or with --events as a `Question` event."""

import sys

import click

from cli.views import events as events_view
from provisioner.errors import Cancelled, UsageError

_YES = frozenset({"y", "yes"})


def ask(question: str, *, yes: bool, events: bool = False) -> None:
    """Ask ``question`` unless ``yes``; answering no raises Cancelled, no terminal raises UsageError."""
    if yes:
        return
    _need_terminal(question)
    agreed = _answer(question).lower() in _YES if events else click.confirm(question, default=False, err=True)
    if not agreed:
        raise Cancelled("answered no; nothing was changed")


def ask_for_name(question: str, *, name: str, yes: bool, events: bool = False) -> None:
    """Ask to type ``name`` before it is destroyed."""
    if yes:
        return
    _need_terminal(question)
    text = f"{question}\nType the name {name!r} to go on"
    typed = _answer(text) if events else click.prompt(text, err=True, default="", show_default=False)
    if typed != name:
        raise Cancelled("the name was not typed; nothing was changed")


def _answer(question: str) -> str:
    events_view.write("Question", {"text": question})
    return sys.stdin.readline().strip()


def _need_terminal(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("this asks before it goes on, and there is no terminal", why=question, hint="add --yes")
