"""A plan in words and as a document: what each resource is, where it lives, what it holds.

Showing as text, as JSON and declaring to Pulumi walk the same list, so they cannot disagree. Credentials are
references here, never values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, assert_never

from provisioner.plan.resources import (
    CooperativePlan,
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    OutputReference,
    PlatformPlan,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    Resource,
    SolutionChart,
    StackPlan,
)

# What JSON can hold.
Plain = dict[str, "Plain"] | list["Plain"] | str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class Description:
    """A resource for people: its kind, its name in the world, and where that is (a namespace or a server)."""

    key: str
    kind: str
    name: str
    where: str


def describe(resource: Resource) -> Description:
    """Say what ``resource`` is."""
    kind, name, where = _described(resource)
    return Description(key=resource.key, kind=kind, name=name, where=where)


def _described(resource: Resource) -> tuple[str, str, str]:
    match resource:
        case KubernetesObject() | CredentialsSecret():
            about = resource.manifest["metadata"]
            described = (resource.manifest["kind"], about["name"], about.get("namespace", "cluster"))
        case PostgresRole():
            described = (f"database role ({resource.kind})", resource.name, "PostgreSQL")
        case PostgresDatabase():
            described = ("database", resource.name, "PostgreSQL")
        case PostgresGrants():
            described = ("database grants", resource.database, "PostgreSQL")
        case PostgresMembers():
            described = ("database members", f"{len(resource.members)} of {resource.database}", "PostgreSQL")
        case ObjectsBucket():
            described = ("bucket", resource.name, "object store")
        case ObjectsIdentity():
            described = ("bucket identity", resource.name, "object store")
        case SolutionChart():
            described = ("solution", f"{resource.solution} {resource.version}", resource.namespace)
        case _:
            assert_never(resource)
    return described


def as_document(plan: StackPlan) -> dict[str, Any]:
    """The plan as JSON-ready data: its head and its resources in order."""
    match plan:
        case CooperativePlan():
            head = {"cooperative": plan.cooperative, "uid": plan.uid, "cluster": plan.cluster, "domain": plan.domain}
        case PlatformPlan():
            head = {"cluster": plan.cluster}
        case _:
            assert_never(plan)
    return {**head, "resources": [resource_document(resource) for resource in plan.resources]}


def resource_document(resource: Resource) -> dict[str, Any]:
    """One resource as JSON-ready data: its type and every field."""
    content = {field.name: _plain(getattr(resource, field.name)) for field in fields(resource)}
    if isinstance(resource, SolutionChart):
        # Where the catalogue lies on this machine is no part of what is planned.
        content["chart"] = resource.chart.name
    return {"type": type(resource).__name__, **content}


def _plain(value: object) -> Plain:
    match value:
        case OutputReference():
            return {"from": value.resource, "output": value.output}
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case Path():
            return str(value)
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)
