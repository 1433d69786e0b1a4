"""How an error of ours gets through the pulumi CLI: with a last line that coopctl reads and does not show.

Our provider runs in a process of its own, and of what it raises Pulumi hands on nothing but a text. So that text ends
in a line with the error's class and parts; the engine makes the same error of it again, exit code and hint included.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner import errors
from provisioner.errors import CoopctlError

_MARK = "coopctl-error:"
_LINE = re.compile(rf"\s*^[ \t]*{_MARK} (?P<content>\{{.*\}})[ \t]*$", re.MULTILINE)
# A reason may quote a server at length; the text travels in a header of the answer.
_WHY_MAX = 1500


def relayed(error: CoopctlError) -> str:
    """The error as text: a sentence for people, and the line that `received` reads."""
    why = error.why if error.why is None or len(error.why) <= _WHY_MAX else f"{error.why[:_WHY_MAX]}…"
    parts = [error.message, f": {why}" if why else "", f" (hint: {error.hint})" if error.hint else ""]
    content = {"error": type(error).__name__, "message": error.message, "why": why, "hint": error.hint}
    return f"{''.join(parts)}\n{_MARK} {json.dumps(content, ensure_ascii=False)}"


def received(text: str) -> CoopctlError | None:
    """The error in a text that `relayed` wrote, or None; a class that is not known is a plain CoopctlError."""
    found = _LINE.search(text)
    if not found:
        return None
    try:
        content = json.loads(found["content"])
        return _error(content)
    except (ValueError, KeyError, TypeError):
        return None


def for_people(text: str) -> str:
    """The text without the lines that are not for people."""
    return _LINE.sub("", text).strip()


def _error(content: Mapping[str, Any]) -> CoopctlError:
    kinds = {kind.__name__: kind for kind in _kinds(CoopctlError) if kind.__init__ is CoopctlError.__init__}
    kind = kinds.get(content["error"], CoopctlError)
    return kind(content["message"], why=content.get("why"), hint=content.get("hint"))


def _kinds(kind: type[CoopctlError]) -> Iterator[type[CoopctlError]]:
    """The class and all below it that the error tree declares."""
    if kind.__module__ == errors.__name__:
        yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)
