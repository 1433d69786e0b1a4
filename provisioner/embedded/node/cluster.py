"""What the node needs in the cluster: rights of its processes, IngressClass, StorageClass; and whether it is Ready.

Objects are applied on the server's side (one field manager), so applying again changes nothing and mends what
somebody changed.
"""

from collections.abc import Iterable
from pathlib import Path

from provisioner.cluster.api import ApiServer
from provisioner.embedded.node.layout import INGRESS_CLASS, STORAGE_CLASS
from provisioner.errors import CoopctlError
from provisioner.plan.manifest import Manifest

FIELD_MANAGER = "coopctl-embedded"
INGRESS_CONTROLLER = "coopctl.dev/ingress"
STORAGE_PROVISIONER = "coopctl.dev/local"
USER_PREFIX = "coopctl:"
"""The node's processes are the users ``coopctl:<process>``, each with the rights below and no others."""

_READ = ["get", "list", "watch"]
_WRITE = ["patch", "update"]


def cluster_objects() -> tuple[Manifest, ...]:
    """The node's cluster-wide objects, real node or simulated."""
    return (
        *(manifest for process, rules in _rules().items() for manifest in _rights(process, rules)),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": INGRESS_CLASS},
            "spec": {"controller": INGRESS_CONTROLLER},
        },
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": STORAGE_PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowVolumeExpansion": False,
        },
    )


def _rules() -> dict[str, list[Manifest]]:
    """What each process of the node may do in the cluster."""
    slices = _rule("discovery.k8s.io", ["endpointslices"], _READ)
    events = _rule("", ["events"], ["create", *_WRITE])
    leases = _rule("coordination.k8s.io", ["leases"], [*_READ, "create", "delete", *_WRITE])
    return {
        "coredns": [_rule("", ["services", "pods", "namespaces", "endpoints"], _READ), slices],
        "netpol": [
            _rule("", ["pods", "namespaces", "nodes"], _READ),
            _rule("networking.k8s.io", ["networkpolicies"], _READ),
        ],
        "ingress": [
            _rule("", ["services"], _READ),
            _rule("networking.k8s.io", ["ingresses", "ingressclasses"], _READ),
            _rule("networking.k8s.io", ["ingresses/status"], _WRITE),
            slices,
        ],
        "storage": [
            _rule("", ["persistentvolumes"], [*_READ, "create", "delete", *_WRITE]),
            _rule("", ["persistentvolumeclaims"], [*_READ, *_WRITE]),
            _rule("", ["nodes", "pods"], _READ),
            _rule("storage.k8s.io", ["storageclasses"], _READ),
            events,
        ],
        "simulator": [
            _rule("", ["nodes", "pods"], [*_READ, "create", "delete", *_WRITE]),
            _rule("", ["nodes/status", "pods/status"], _WRITE),
            events,
            leases,
        ],
    }


def simulated_node(name: str) -> Manifest:
    """A node that kwok plays. It has room for every pilot, so that scheduling decides as on a big machine."""
    room = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "500"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "coopctl.dev/simulated": "true"},
        },
        "status": {"allocatable": room, "capacity": room},
    }


def _rights(process: str, rules: list[Manifest]) -> tuple[Manifest, Manifest]:
    name = f"coopctl:node:{process}"
    role: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": rules,
    }
    binding: Manifest = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"{USER_PREFIX}{process}"}],
    }
    return role, binding


def _rule(group: str, resources: list[str], verbs: list[str]) -> Manifest:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


_PATHS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "IngressClass": "/apis/networking.k8s.io/v1/ingressclasses",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "Node": "/api/v1/nodes",
}


def apply_objects(objects: Iterable[Manifest], *, kubeconfig: Path) -> None:
    """Apply cluster-wide objects; raises Unreachable or NotPermitted when the API server does not take one."""
    server = ApiServer(kubeconfig)
    for manifest in objects:
        path = f"{_PATHS[manifest['kind']]}/{manifest['metadata']['name'].replace(':', '%3A')}"
        server.apply(path, manifest, manager=FIELD_MANAGER)


def node_is_ready(name: str, *, kubeconfig: Path) -> bool:
    """Whether the node is registered and Ready; false as well when the API server does not answer."""
    try:
        node = ApiServer(kubeconfig).get(f"{_PATHS['Node']}/{name}")
    except CoopctlError:
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def delete_other_nodes(keep: Iterable[str], *, kubeconfig: Path) -> None:
    """Take the nodes out that an earlier choice made: a real node's when it is simulated now, and the other way."""
    server, kept = ApiServer(kubeconfig), set(keep)
    for item in server.get(_PATHS["Node"])["items"]:
        if item["metadata"]["name"] not in kept:
            server.delete(f"{_PATHS['Node']}/{item['metadata']['name']}")
