"""Objects by kind and name in a Platform's cluster: what operations read, and the little that they write themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from provisioner.cluster.api import ANY, ApiServer
from provisioner.descriptor.platform import Platform
from provisioner.errors import NotFound, NotPermitted
from provisioner.naming import MANAGED_BY

# Plural names of the kinds that are read by name; every other kind is Pulumi's matter.
PLURALS: Mapping[str, str] = {
    "Namespace": "namespaces",
    "NetworkPolicy": "networkpolicies",
    "ResourceQuota": "resourcequotas",
    "LimitRange": "limitranges",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts",
    "Secret": "secrets",
    "Service": "services",
    "EndpointSlice": "endpointslices",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "Job": "jobs",
    "Pod": "pods",
    "Event": "events",
    "PriorityClass": "priorityclasses",
    "ClusterRole": "clusterroles",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


@dataclass(frozen=True, kw_only=True)
class ClusterClient:
    """Reads and patches objects of one cluster."""

    api: ApiServer

    def get(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> Mapping[str, Any] | None:
        """One object, or None if there is none. Raises NotPermitted or Unreachable, as all here do."""
        try:
            return self.api.get(object_path(api_version=api_version, kind=kind, name=name, namespace=namespace))
        except NotFound:
            return None

    def list(self, *, api_version: str, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """All objects of a kind in a namespace."""
        found = self.api.get(object_path(api_version=api_version, kind=kind, namespace=namespace))
        return list(found.get("items") or [])

    def merge(self, patch: Mapping[str, Any], *, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        """Merge ``patch`` into an object (RFC 7396: null takes a field away), as our field manager."""
        path = object_path(api_version=api_version, kind=kind, name=name, namespace=namespace)
        self.api.merge(f"{path}?fieldManager={MANAGED_BY}", patch)

    def log(self, *, namespace: str, pod: str, lines: int) -> str:
        """The last ``lines`` lines that a pod's only container printed."""
        path = object_path(api_version="v1", kind="Pod", name=pod, namespace=namespace)
        answer = self.api.attempt("GET", f"{path}/log?tailLines={lines}", accept=ANY)
        if not answer.ok:
            raise NotPermitted(f"the log of pod {pod} cannot be read", why=answer.message)
        return answer.message

    def delete(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object and, in the background, what it owns; nothing when there is none."""
        path = object_path(api_version=api_version, kind=kind, name=name, namespace=namespace)
        self.api.delete(f"{path}?propagationPolicy=Background")


def open_cluster(platform: Platform) -> ClusterClient:
    """The Platform's cluster, by its kubeconfig. Raises Unreachable if that is not usable."""
    cluster = platform.cluster
    return ClusterClient(api=ApiServer(cluster.kubeconfig, context=cluster.context, hint=platform.remedy))


def object_path(*, api_version: str, kind: str, name: str = "", namespace: str = "") -> str:
    """The path of an object, or of a list, in the API server's REST interface."""
    return resource_path(api_version=api_version, resource=PLURALS[kind], name=name, namespace=namespace)


def resource_path(*, api_version: str, resource: str, name: str = "", namespace: str = "") -> str:
    """The path of an object, or of a list, of a resource by its plural name."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    within = f"/namespaces/{quote(namespace)}" if namespace else ""
    return f"{root}{within}/{resource}" + (f"/{quote(name)}" if name else "")
