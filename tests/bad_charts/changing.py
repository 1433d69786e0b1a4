"""How bad charts are made: charts that `coopctl catalogue lint` must refuse: the portal's, each with one change.

A change is made in a file of the chart; ``at`` is what the line that must be told holds afterwards (empty: the fault is
a file's as a whole, or of what it renders to).
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.unit.plan.builders import CHARTS

DEPLOYMENT, SERVICE, INGRESS = (f"templates/{name}.yaml" for name in ("deployment", "service", "ingress"))
CONFIG_MAP, NEW = "templates/configmap.yaml", "templates/new.yaml"
IMAGE = "image: {{ .Values.images.portal | quote }}"
METADATA = """\
metadata:
  name: {{ .Release.Name }}-new
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "portal.labels" . | nindent 4 }}
  annotations:
    {{- toYaml .Values.coopctl.annotations | nindent 4 }}
"""


@dataclass(frozen=True, kw_only=True)
class BadChart:
    """One change to the good chart, the rule that it breaks, those that it cannot keep then, and what is told."""

    name: str
    rule: str
    file: str
    change: Callable[[str], str | None]
    at: str = ""
    told: str = ""
    also: tuple[str, ...] = ()
    told_in: str = ""

    def make(self, folder: Path) -> Path:
        """Write the chart below ``folder``."""
        chart = good_chart(folder)
        file = chart / self.file
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        after = self.change(before)
        if after is None:
            file.unlink()
        else:
            assert after != before, self.name
            file.parent.mkdir(exist_ok=True)
            file.write_text(after, encoding="utf-8")
        return chart

    def line(self, chart: Path) -> int:
        """The line that must be told; 0 if none can be."""
        if not self.at:
            return 0
        lines = (chart / (self.told_in or self.file)).read_text(encoding="utf-8").splitlines()
        return next(number for number, line in enumerate(lines, start=1) if self.at in line)


def good_chart(folder: Path) -> Path:
    """A copy of the portal's chart below ``folder``."""
    return Path(shutil.copytree(CHARTS / "portal", folder / "portal"))


def swap(old: str, new: str) -> Callable[[str], str]:
    """Replace the first ``old``, which must be there."""

    def change(text: str) -> str:
        assert old in text, old
        return text.replace(old, new, 1)

    return change


def adding(text: str) -> Callable[[str], str]:
    """Add ``text`` at the end."""
    return lambda before: before + text


def removed(_: str) -> None:
    """Remove the file."""
    return
