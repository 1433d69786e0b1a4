"""How rendered manifests look: a stream of YAML documents, or one JSON document."""

import sys
from collections.abc import Sequence
from typing import Any

import yaml

from cli import streams
from cli.views import json


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, so that a page in a ConfigMap can be read; no aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Equal parts are written out: kubectl and people read each object alone."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def show(name: str, manifests: Sequence[dict[str, Any]], *, output: str) -> None:
    """Write the manifests of the cooperative ``name`` in order."""
    if output == "json":
        json.write("Manifests", {"cooperative": name, "items": list(manifests)})
        return
    yaml.dump_all(
        manifests,
        sys.stdout,
        Dumper=_Dumper,
        allow_unicode=streams.speaks_unicode(sys.stdout),
        sort_keys=False,
        width=120,
        explicit_start=True,
    )
