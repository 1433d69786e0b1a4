"""How the node's processes reach the API server: each its own certificate, user and kubeconfig."""

from collections.abc import Mapping

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.certificates import KeyPair, Subject
from provisioner.embedded.control_plane import kubeconfig, kubernetes_authority
from provisioner.embedded.node.cluster import USER_PREFIX
from provisioner.embedded.node.layout import NODE_NAME, node_files
from provisioner.embedded.private_files import write_if_changed
from provisioner.embedded.process import Surroundings

_NODE = Subject(name=f"system:node:{NODE_NAME}", groups=("system:nodes",))
REAL_USERS: Mapping[str, Subject] = {
    "kubelet": _NODE,
    # Kubernetes' own binding gives this user what kube-proxy needs (system:node-proxier).
    "kube-proxy": Subject(name="system:kube-proxy"),
    **{name: Subject(name=f"{USER_PREFIX}{name}") for name in ("coredns", "netpol", "ingress", "storage")},
}
SIMULATED_USERS: Mapping[str, Subject] = {
    name: Subject(name=f"{USER_PREFIX}{name}") for name in ("simulator", "storage", "ingress")
}


def ensure_users(surroundings: Surroundings, users: Mapping[str, Subject]) -> None:
    """Issue each user's certificate and write its kubeconfig; quick when they are there."""
    files = node_files(surroundings)
    for process, subject in users.items():
        pair = kubernetes_authority(surroundings).issue(f"node-{process}", subject)
        write_if_changed(files.kubeconfig(process), kubeconfig(surroundings, pair=pair))


def user_pair(surroundings: Surroundings, process: str) -> KeyPair:
    """Where the certificate of a process's user is."""
    return kubernetes_authority(surroundings).pair_of(f"node-{process}")


def ensure_kubelet_server(surroundings: Surroundings) -> None:
    """Issue what the kubelet shows as a server; the API server checks it for exec and logs."""
    subject = Subject(name=_NODE.name, hosts=(NODE_NAME,), addresses=(BRIDGE_ADDRESS,))
    kubernetes_authority(surroundings).issue("kubelet-server", subject)


def kubelet_server_pair(surroundings: Surroundings) -> KeyPair:
    """Where the kubelet's certificate as a server is."""
    return kubernetes_authority(surroundings).pair_of("kubelet-server")
