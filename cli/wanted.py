"""How the caller wants to be told of a failure, read from the arguments: it may come before options are parsed."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

DEBUG = "coopctl.debug"
"""Where click's context keeps that tracebacks are wanted."""
_DEBUG = "--debug"
_END_OF_OPTIONS = "--"
# For a verb that does not exist or cannot be imported: the spellings that any verb has.
_ANY_VERB = click.Command(
    "any", params=[click.Option(["-o", "--output", "--format"]), click.Option(["--events"], is_flag=True)]
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The forms that were asked for: the answer as JSON, the conversation as NDJSON, tracebacks."""

    json: bool = False
    events: bool = False
    debug: bool = False


def debug_first(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with --debug before the verb, where click wants it, wherever among the options it stood."""
    end = arguments.index(_END_OF_OPTIONS) if _END_OF_OPTIONS in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != _DEBUG]
    first = [_DEBUG] if _DEBUG in arguments[:end] else []
    return [*first, *options, *arguments[end:]]


def wanted(arguments: Sequence[str], *, root: click.Group) -> Wanted:
    """What ``arguments`` (as `debug_first` gives them) of ``root`` ask for, in each spelling that click accepts."""
    said = _parsed(arguments, command=_command(arguments, root=root), root=root)
    return Wanted(
        json=said.get("output") == "json", events=bool(said.get("events")), debug=list(arguments[:1]) == [_DEBUG]
    )


def _command(arguments: Sequence[str], *, root: click.Group) -> click.Command:
    found: click.Command | None = root
    for word in arguments:
        if not isinstance(found, click.Group) or word == _END_OF_OPTIONS:
            break
        with contextlib.suppress(ImportError):
            found = found.get_command(click.Context(found), word) or found
    return _ANY_VERB if found is None or isinstance(found, click.Group) else found


def _parsed(arguments: Sequence[str], *, command: click.Command, root: click.Group) -> Mapping[str, Any]:
    # click's own parser knows that -yojson is -y and -o json; told to be resilient, it passes over what is wrong. A
    # command keeps the names of its help option from the first context that it is asked in.
    above = click.Context(root, **root.context_settings)
    context = click.Context(command, parent=above, resilient_parsing=True, ignore_unknown_options=True)
    said, _, _ = command.make_parser(context).parse_args(list(arguments))
    return said
