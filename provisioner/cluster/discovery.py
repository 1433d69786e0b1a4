"""Which resources an API server offers: every kind and subresource with its verbs.

Aggregated discovery (Kubernetes documentation, "API Overview", KEP-3352) tells it in two calls.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.cluster.api import ApiServer
from provisioner.plan.manifest import Manifest

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True, kw_only=True)
class ApiResource:
    """A resource of the API in its group's preferred version; ``subresource`` is empty for the resource itself."""

    group: str
    version: str
    name: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]
    subresource: str = ""

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        name = f"{self.name}.{self.group}" if self.group else self.name
        return f"{name}/{self.subresource}" if self.subresource else name


def discover(api: ApiServer) -> tuple[ApiResource, ...]:
    """Every resource and subresource, sorted. Raises NotPermitted or Unreachable."""
    found = {
        resource
        for path in ("/api", "/apis")
        for group in api.get(path, accept=_AGGREGATED).get("items") or []
        for resource in _resources(group)
    }
    return tuple(sorted(found, key=lambda resource: (resource.group, resource.name, resource.subresource)))


def _resources(group: Manifest) -> Iterator[ApiResource]:
    name, versions = group["metadata"].get("name", ""), group.get("versions") or []
    # The first version is the preferred one; what only later ones have (alpha, beta) is taken from there.
    seen: set[str] = set()
    for version in versions:
        for item in version.get("resources") or []:
            if item["resource"] not in seen:
                seen.add(item["resource"])
                yield from _with_subresources(item, group=name, version=version["version"])


def _with_subresources(item: Manifest, *, group: str, version: str) -> Iterator[ApiResource]:
    namespaced = item["scope"] == "Namespaced"
    listed = [("", item), *((below["subresource"], below) for below in item.get("subresources") or [])]
    for subresource, one in listed:
        yield ApiResource(
            group=group,
            version=version,
            name=item["resource"],
            kind=(one.get("responseKind") or {}).get("kind", ""),
            namespaced=namespaced,
            verbs=tuple(sorted(one.get("verbs") or [])),
            subresource=subresource,
        )
