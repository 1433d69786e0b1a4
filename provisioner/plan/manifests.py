"""A plan as the manifests that the cluster will hold: charts rendered, credentials as placeholders.

For people and for checks without a cluster. The database and the bucket have no manifest of Kubernetes; they are
shown as documents of coopctl's own kinds, in the order of the plan.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, assert_never

from provisioner.catalogue.rendering import render_chart
from provisioner.naming import API_GROUP
from provisioner.plan.explaining import resource_document
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import (
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    OutputReference,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    Resource,
    SolutionChart,
    StackPlan,
)

GENERATED = "(generated)"
RenderChart = Callable[[SolutionChart], list[dict[str, Any]]]


def manifests(plan: StackPlan, *, render: RenderChart) -> list[Manifest]:
    """Every manifest of ``plan`` in order; ``render`` turns a chart into its manifests."""
    return [manifest for resource in plan.resources for manifest in _manifests(resource, render=render)]


def charts_rendered_by(helm_render: Path) -> RenderChart:
    """Render charts with the program ``helm_render``."""

    def render(solution: SolutionChart) -> list[dict[str, Any]]:
        return render_chart(
            solution.chart,
            release=solution.release,
            namespace=solution.namespace,
            values=solution.values,
            helm_render=helm_render,
        )

    return render


def _manifests(resource: Resource, *, render: RenderChart) -> Iterator[Manifest]:
    match resource:
        case KubernetesObject():
            yield resource.manifest
        case CredentialsSecret():
            yield {**resource.manifest, "stringData": _shown(resource)}
        case SolutionChart():
            yield from render(resource)
        case PostgresDatabase() | PostgresRole() | PostgresGrants() | PostgresMembers():
            yield _own_kind(resource)
        case ObjectsBucket() | ObjectsIdentity():
            yield _own_kind(resource)
        case _:
            assert_never(resource)


def _shown(secret: CredentialsSecret) -> dict[str, str]:
    return {
        key: GENERATED if isinstance(value, OutputReference) else value for key, value in sorted(secret.values.items())
    }


def _own_kind(resource: Resource) -> Manifest:
    content = resource_document(resource)
    kind, name = content.pop("type"), content.pop("name", resource.key)
    spec = {field: value for field, value in content.items() if field not in {"key", "depends_on"}}
    return {"apiVersion": f"{API_GROUP}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
