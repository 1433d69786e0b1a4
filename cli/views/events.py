"""The conversation as NDJSON (--events): each line of stderr is one JSON object whose `event` says what it is."""

import json
import sys
from collections.abc import Mapping
from typing import Any


def line(event: str, content: Mapping[str, Any]) -> str:
    """One event as a line."""
    return json.dumps({"event": event, **content}, ensure_ascii=False) + "\n"


def write(event: str, content: Mapping[str, Any]) -> None:
    """Write one event to stderr: in one call, as events come from the threads of several stacks."""
    sys.stderr.write(line(event, content))
    sys.stderr.flush()
