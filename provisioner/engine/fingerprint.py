"""Recognises a stack that has nothing to do, without starting Pulumi.

A fingerprint covers all that a stack's program is made of: the plan (and so descriptor, template, platform and image
digests), the charts' files, how the cluster is reached, and coopctl's own version. It is kept with the digest of the
state after an apply; if both still hold, nothing that coopctl knows of has changed. The world may have: whoever uses
this must say so.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from provisioner.plan.resources import SolutionChart, StackPlan

RECORD_FILE = "applied.json"
# Raised whenever the programs in stacks/ declare the same plan differently.
PROGRAM_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class AppliedRecord:
    """What was last applied: the fingerprint, and the digest of the state right afterwards."""

    fingerprint: str
    state: str


def fingerprint(plan: StackPlan, *, surroundings: Mapping[str, str]) -> str:
    """The fingerprint of ``plan``; ``surroundings`` is what else its program uses (versions, servers)."""
    content = {
        "program": PROGRAM_VERSION,
        "surroundings": dict(surroundings),
        "plan": to_plain(plan),
        "charts": {str(chart): _folder_digest(chart) for chart in _charts(plan)},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def to_plain(value: Any) -> Any:
    """A plan's values as JSON knows them; dataclasses bear their names, so that no two kinds look alike."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "is": type(value).__name__,
            **{item.name: to_plain(getattr(value, item.name)) for item in fields(value)},
        }
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def read_record(folder: Path) -> AppliedRecord | None:
    """Read what was last applied from a stack's working directory; None if that is not known."""
    try:
        content = json.loads((folder / RECORD_FILE).read_text())
        return AppliedRecord(fingerprint=content["fingerprint"], state=content["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(folder: Path, record: AppliedRecord) -> None:
    """Keep what was applied."""
    temporary = folder / f"{RECORD_FILE}.new"
    temporary.write_text(json.dumps({"fingerprint": record.fingerprint, "state": record.state}) + "\n")
    temporary.replace(folder / RECORD_FILE)


def _charts(plan: StackPlan) -> list[Path]:
    return sorted({resource.chart for resource in plan.resources if isinstance(resource, SolutionChart)})


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for name, content in _files(folder):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of ``folder`` but what an interpreter keeps beside the programs of an image."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(folder)), path.read_bytes()
