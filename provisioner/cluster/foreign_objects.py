"""The objects in a tenant's namespaces that coopctl did not make: the tenant's own, or somebody's by hand."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.cluster.api import ApiServer
from provisioner.cluster.discovery import ApiResource, discover
from provisioner.cluster.objects import resource_path
from provisioner.errors import NotFound
from provisioner.naming import LABEL_COOPERATIVE, CooperativeName

_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# What the control plane makes by itself for every namespace, Service, or happening.
_BY_THE_CONTROL_PLANE = frozenset({"events", "endpoints", "endpointslices"})
_ROOT_CERTIFICATE = ("configmaps", "kube-root-ca.crt")


@dataclass(frozen=True, kw_only=True)
class ForeignObject:
    """An object that bears no mark of ours and belongs to none that does; ``manager`` is who wrote it first."""

    resource: str
    namespace: str
    name: str
    manager: str


def foreign_objects(
    api: ApiServer, *, namespaces: Sequence[str], cooperative: CooperativeName
) -> tuple[ForeignObject, ...]:
    """All foreign objects of ``namespaces``, of every kind that can be listed; what an object of theirs owns is left
    out. Raises NotPermitted or Unreachable."""
    kinds = [kind for kind in discover(api) if _is_looked_at(kind)]
    return tuple(
        found for namespace in namespaces for kind in kinds for found in _foreign(api, kind, namespace, cooperative)
    )


def _is_looked_at(kind: ApiResource) -> bool:
    own = kind.namespaced and not kind.subresource and "list" in kind.verbs
    return own and kind.name not in _BY_THE_CONTROL_PLANE


def _foreign(
    api: ApiServer, kind: ApiResource, namespace: str, cooperative: CooperativeName
) -> Iterator[ForeignObject]:
    path = resource_path(api_version=kind.api_version, resource=kind.name, namespace=namespace)
    try:
        listed = api.get(path, accept=_METADATA_ONLY).get("items") or []
    except NotFound:  # a kind that was just taken away
        return
    for item in listed:
        about = item["metadata"]
        if not _is_accounted_for(about, kind=kind, cooperative=cooperative):
            yield ForeignObject(
                resource=str(kind), namespace=namespace, name=about["name"], manager=_first_manager(about)
            )


def _is_accounted_for(about: Mapping[str, Any], *, kind: ApiResource, cooperative: CooperativeName) -> bool:
    ours = (about.get("labels") or {}).get(LABEL_COOPERATIVE) == cooperative
    owned = any(owner.get("controller") for owner in about.get("ownerReferences") or [])
    return ours or owned or (kind.name, about["name"]) == _ROOT_CERTIFICATE


def _first_manager(about: Mapping[str, Any]) -> str:
    entries = about.get("managedFields") or []
    return str(entries[0].get("manager", "?")) if entries else "?"
