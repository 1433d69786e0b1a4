"""Makes guards what the plan says where Pulumi does not see that they are not: a guard is exactly what was declared."""

from collections.abc import Iterable, Mapping
from typing import Any

from provisioner.cluster.objects import ClusterClient
from provisioner.engine.foreign import ForeignFields
from provisioner.engine.paths import parse


def take_off_foreign_fields(guards: Iterable[ForeignFields], *, reader: ClusterClient) -> None:
    """Bring each guard's foreign fields to what is declared. Raises NotPermitted or Unreachable."""
    for guard in guards:
        reader.merge(
            merge_patch(guard.wanted),
            api_version=guard.api_version,
            kind=guard.kind,
            name=guard.name,
            namespace=guard.namespace,
        )


def merge_patch(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7396) that gives each field, by its path, its value: lists whole, None takes away."""
    patch: dict[str, Any] = {}
    for path, value in wanted.items():
        *parents, last = (str(part) for part in parse(path))
        inner = patch
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[last] = value
    return patch
