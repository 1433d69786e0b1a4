"""A catalogue's charts.lock: which content each chart had when `coopctl catalogue add` took it in.

The review is no part of that content: whoever approves a solution changes one annotation, and nothing that runs.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import Field

from provisioner.catalogue.annotations import LABEL, annotation
from provisioner.catalogue.images_lock import DIGEST
from provisioner.catalogue.reading import read_document
from provisioner.descriptor.document import API_VERSION, Document

FILE = "charts.lock"
KIND = "ChartsLock"
HEADER = "# Written by `coopctl catalogue add`; `coopctl catalogue verify` compares. Commit it with the charts.\n"
_HINT = "restore it from version control"
# A whole line says the review, or an entry of a mapping in one line does.
_REVIEW = rf"[\"']?{re.escape(annotation('review'))}[\"']?\s*:".encode()
_REVIEW_LINE = re.compile(rb"^[ \t]*" + _REVIEW + rb".*$\n?", re.MULTILINE)
_REVIEW_ENTRY = re.compile(_REVIEW + rb"\s*[\"']?[a-z]+[\"']?")


@dataclass(frozen=True, kw_only=True)
class LockedChart:
    """A chart by content: its version, and the digest of its files."""

    version: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class ChartsLock:
    """All charts that were taken in, by name; ``source`` is the file they were read from."""

    source: Path
    charts: Mapping[str, LockedChart] = field(default_factory=lambda: MappingProxyType({}))

    def with_chart(self, name: str, chart: LockedChart) -> "ChartsLock":
        """The same lock with ``name`` set to ``chart``."""
        return ChartsLock(source=self.source, charts=MappingProxyType({**self.charts, name: chart}))


class _Chart(Document):
    version: str
    digest: str = Field(pattern=DIGEST)


class _LockDocument(Document):
    api_version: Literal["coopctl.dev/v1"]
    kind: Literal["ChartsLock"]
    charts: dict[str, _Chart]


def read(catalogue: Path) -> ChartsLock:
    """Read the lock of the folder ``catalogue``; a missing one is empty. Raises InvalidDescriptor with all problems."""
    file = catalogue / FILE
    if not file.exists():
        return ChartsLock(source=file)
    read_lock = read_document(file, model=_LockDocument, what=FILE, hint=_HINT)
    found = read_lock.content.charts
    strange = [
        read_lock.source.diagnostic(("charts", name), "is no chart's name")
        for name in found
        if not re.fullmatch(LABEL, name)
    ]
    if strange:
        raise read_lock.source.invalid(strange)
    charts = {name: LockedChart(version=one.version, digest=one.digest) for name, one in sorted(found.items())}
    return ChartsLock(source=file, charts=MappingProxyType(charts))


def write(lock: ChartsLock) -> None:
    """Replace the lock's file in one step; the same charts always give the same bytes."""
    charts = {name: {"version": one.version, "digest": one.digest} for name, one in sorted(lock.charts.items())}
    text = yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, "charts": charts}, sort_keys=False)
    temporary = lock.source.with_name(f"{lock.source.name}.new")
    temporary.write_text(HEADER + text, encoding="utf-8")
    temporary.replace(lock.source)


def chart_digest(chart: Path) -> str:
    """The digest of all files of the folder ``chart`` by their paths; a link counts as what it says, not its target."""
    whole = hashlib.sha256()
    for file in sorted(path for path in chart.rglob("*") if path.is_symlink() or path.is_file()):
        content = str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()
        if file == chart / "Chart.yaml":
            content = _REVIEW_ENTRY.sub(b"", _REVIEW_LINE.sub(b"", content))
        name = file.relative_to(chart).as_posix()
        whole.update(f"{name}\0{file.is_symlink():d}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return f"sha256:{whole.hexdigest()}"
