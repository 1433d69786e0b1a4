"""Runs helm-render: a chart becomes manifests without any cluster, just as Pulumi's Chart declares them.

The Kubernetes version that charts see is fixed, so that the same chart and values always give the same manifests.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from provisioner.errors import Location, NotFound, RenderingFailed, TimedOut

KUBERNETES_VERSION = "v1.35.4"
TIMEOUT_SECONDS = 60
# What Helm prints before each manifest; the path begins with the chart's name.
_SOURCE = re.compile(r"^---\n# Source: [^/\n]+/(.+)\n", re.MULTILINE)
# How Helm names a template in its complaints: chart/templates/file.yaml:12:3. A line of the result it names apart.
_PLACE = re.compile(r"[\w.-]+/(?P<file>templates/[^\s:()]+)(:(?P<line>\d+))?")
_SCHEMA_COMPLAINT = "values don't meet the specifications of the schema"


@dataclass(frozen=True, kw_only=True)
class RenderedManifest:
    """A manifest, and the file of the chart that it comes from."""

    manifest: dict[str, Any]
    template: Path


def render_chart(
    chart: Path, *, release: str, namespace: str, values: Mapping[str, Any], helm_render: Path
) -> list[dict[str, Any]]:
    """Render the chart folder with ``values``; ``helm_render`` is the program.

    Gives the manifests in the order in which Helm installs them. Raises RenderingFailed with Helm's own words, which
    name the template and line or the value that the chart's schema refuses.
    """
    printed = _printed(chart, release=release, namespace=namespace, values=values, helm_render=helm_render)
    return [document for document in _documents(printed, chart=chart) if document]


def render_all(
    chart: Path, *, release: str, namespace: str, values: Mapping[str, Any], helm_render: Path
) -> list[RenderedManifest]:
    """Render as `render_chart` does, hooks too (Pulumi's Chart leaves them out), each with its template."""
    printed = _printed(chart, release=release, namespace=namespace, values=values, helm_render=helm_render, hooks=True)
    return list(_with_templates(printed, chart=chart))


def _with_templates(printed: str, *, chart: Path) -> Iterator[RenderedManifest]:
    _, *parts = _SOURCE.split(printed)
    for template, text in zip(parts[::2], parts[1::2], strict=True):
        for manifest in _documents(text, chart=chart, template=chart / template):
            if manifest:
                yield RenderedManifest(manifest=manifest, template=chart / template)


def _documents(text: str, *, chart: Path, template: Path | None = None) -> list[Any]:
    try:
        return list(yaml.load_all(text, Loader=_loader()))
    except yaml.YAMLError as error:
        where = Location(file=template) if template else None
        raise RenderingFailed(f"the chart {chart.name} does not render", why=str(error), where=where) from error


def _printed(
    chart: Path, *, release: str, namespace: str, values: Mapping[str, Any], helm_render: Path, hooks: bool = False
) -> str:
    with tempfile.TemporaryDirectory(prefix="coopctl-render-") as folder:
        file = Path(folder) / "values.json"
        # JSON is YAML, and holds every string unchanged.
        file.write_text(json.dumps(dict(values), ensure_ascii=False), encoding="utf-8")
        options: dict[str, str | Path] = {"chart": chart, "values": file, "name": release, "namespace": namespace}
        if hooks:
            options["hooks"] = "true"
        return _run(helm_render, options=options, chart=chart)


def _run(helm_render: Path, *, options: Mapping[str, str | Path], chart: Path) -> str:
    arguments = [f"-{name}={value}" for name, value in {**options, "kube-version": KUBERNETES_VERSION}.items()]
    try:
        done = subprocess.run([str(helm_render), *arguments], capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except FileNotFoundError as error:
        raise NotFound(f"{helm_render} does not exist", hint="run `coopctl toolchain install`") from error
    except subprocess.TimeoutExpired as error:
        raise TimedOut(f"the chart {chart.name} did not render within {TIMEOUT_SECONDS} s") from error
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip()
        raise RenderingFailed(f"the chart {chart.name} does not render", why=why, where=_place(why, chart=chart))
    try:
        return done.stdout.decode()
    except UnicodeDecodeError as error:
        raise RenderingFailed(f"the chart {chart.name} does not render", why=f"it gives no UTF-8: {error}") from error


def _place(complaint: str, *, chart: Path) -> Location | None:
    """Where Helm says that the fault is."""
    if _SCHEMA_COMPLAINT in complaint:
        return Location(file=chart / "values.schema.json")
    found = _PLACE.search(complaint)
    return Location(file=chart / found["file"], line=int(found["line"] or 0)) if found else None


def _loader() -> type[yaml.SafeLoader] | type[yaml.CSafeLoader]:
    """libyaml's loader where PyYAML was built with it: ten times quicker, same result."""
    return yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
