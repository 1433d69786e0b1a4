"""How results look as JSON: one document on stdout."""

import json
import sys
from collections.abc import Mapping
from typing import Any


def write(kind: str, content: Mapping[str, Any]) -> None:
    """Write one document of ``kind`` with ``content``."""
    document = {"apiVersion": "coopctl.dev/v1", "kind": kind, **content}
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
