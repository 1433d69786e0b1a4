"""How a cooperative's values and their origins are shown."""

from pathlib import Path
from typing import Any

from cli.views import human
from cli.views import json as json_view
from provisioner.descriptor.cooperative import Origin
from provisioner.descriptor.explaining import ExplainedValue, Explanation

_VALUE_WIDTH = 60


def show(found: Explanation, *, output: str) -> None:
    """Show every value with its origin."""
    if output == "json":
        json_view.write("Explanation", _document(found))
        return
    rows: list[tuple[str, ...]] = [
        (value.path, _cut(value.value), _origin(value.origin), _place(value.origin)) for value in found.values
    ]
    console = human.stdout()
    console.print(f"{found.name}: template {found.template} {found.template_version}, size {found.size}", markup=False)
    console.print(human.table("value", "is", "from", "at", rows=rows))


def _document(found: Explanation) -> dict[str, Any]:
    return {
        "name": found.name,
        "source": str(found.source),
        "template": {"name": found.template, "version": found.template_version, "size": found.size},
        "values": [_value(value) for value in found.values],
    }


def _value(value: ExplainedValue) -> dict[str, Any]:
    origin = value.origin
    return {
        "path": value.path,
        "value": value.value,
        "origin": str(origin.kind),
        "expression": origin.expression,
        "where": str(origin.location) if origin.location else None,
    }


def _origin(origin: Origin) -> str:
    return f"{origin.kind}: {origin.expression}" if origin.expression else str(origin.kind)


def _place(origin: Origin) -> str:
    """The file's name and its folder's, which tell templates apart, with the line."""
    if origin.location is None:
        return ""
    file = Path(origin.location.file)
    return f"{file.parent.name}/{file.name}:{origin.location.line}"


def _cut(text: str) -> str:
    return text if len(text) <= _VALUE_WIDTH else f"{text[: _VALUE_WIDTH - 3]}..."
