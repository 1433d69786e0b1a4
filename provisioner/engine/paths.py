"""Property paths as Pulumi writes them: ``spec.hard["requests.cpu"]``, ``spec.ingress[0].from``."""

import json
import re
from collections.abc import Mapping
from typing import Any

_PART = re.compile(r'\.?(?P<name>[^."\[\]]+)|\[(?P<index>\d+)\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]')


def parse(path: str) -> tuple[str | int, ...]:
    """Split a path into its keys and indexes; a path that is not well-formed is one key."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        found = _PART.match(path, position)
        if not found:
            return (path,)
        parts.append(_part(found))
        position = found.end()
    return tuple(parts)


def look_up(value: Any, path: str) -> tuple[bool, Any]:
    """Find the value at ``path``; the first of the pair says whether there is one."""
    for part in parse(path):
        if not _has(value, part):
            return False, None
        value = value[part]
    return True, value


def _has(value: Any, part: str | int) -> bool:
    if isinstance(part, int):
        return isinstance(value, list) and part < len(value)
    return isinstance(value, Mapping) and part in value


def _part(found: re.Match[str]) -> str | int:
    if found["index"] is not None:
        return int(found["index"])
    return str(json.loads(found["quoted"])) if found["quoted"] else found["name"]
