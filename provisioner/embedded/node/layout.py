"""Where the node keeps its files, and the names and addresses that are the same on every machine."""

from dataclasses import dataclass
from pathlib import Path

from provisioner.embedded.process import Surroundings

NODE_NAME = "coopctl-node"
BRIDGE = "cbr0"
POD_NETWORK = "10.244.0.0/24"
BRIDGE_PREFIX = 24
NODE_PORTS = (32766, 32767)
"""kube-router lets pods reach these on the host: as few as possible, and no server of ours among them."""
CLUSTER_DOMAIN = "cluster.local"
CONTAINERD_NAMESPACE = "k8s.io"
PAUSE_IMAGE = "coopctl.invalid/pause:1"
"""The reserved domain says that it is never pulled: it is imported."""
INGRESS_CLASS = "coopctl"
STORAGE_CLASS = "local"
MAX_PODS = 200
RUN_FOLDER = Path("/run/coopctl")
"""Below it each estate has its folder of sockets; the claim on the machine's one real node lies in it."""


@dataclass(frozen=True, kw_only=True)
class NodeFiles:
    """The node's files: ``root`` keeps what lasts (images, volumes), ``run`` what a reboot may take."""

    root: Path
    run: Path

    @property
    def config(self) -> Path:
        """The processes' configuration and kubeconfigs."""
        return self.root / "config"

    @property
    def containerd_root(self) -> Path:
        """containerd's images and snapshots."""
        return self.root / "containerd"

    @property
    def containerd_state(self) -> Path:
        """containerd's running tasks, and the mounts of their root file systems."""
        return self.run / "containerd"

    @property
    def runc_state(self) -> Path:
        """runc's records of its containers; containerd's own choice would lie outside of the estate's folders."""
        return self.run / "runc"

    @property
    def containerd_socket(self) -> Path:
        """containerd's CRI and API socket."""
        return self.run / "containerd.sock"

    @property
    def containerd_config(self) -> Path:
        """containerd's configuration."""
        return self.config / "containerd.toml"

    @property
    def registries(self) -> Path:
        """containerd's folder of registries (``certs.d``)."""
        return self.config / "registries"

    @property
    def cni(self) -> Path:
        """The CNI configuration's folder."""
        return self.config / "cni"

    @property
    def addresses(self) -> Path:
        """The addresses given to pods; gone after a reboot, as the pods are."""
        return self.run / "addresses"

    @property
    def kubelet_data(self) -> Path:
        """Where the kubelet's state and the pods' volumes lie."""
        return self.root / "kubelet"

    @property
    def kubelet_root(self) -> Path:
        """How the kubelet names that folder: it makes sockets below it, whose paths must be short."""
        return self.run / "kubelet"

    @property
    def kubelet_config(self) -> Path:
        """The kubelet's configuration."""
        return self.config / "kubelet.yaml"

    @property
    def pod_logs(self) -> Path:
        """The containers' output."""
        return self.root / "pod-logs"

    @property
    def pod_logs_link(self) -> Path:
        """How the kubelet names that folder: it takes ASCII paths only."""
        return self.run / "pod-logs"

    @property
    def resolv_conf(self) -> Path:
        """What pods get that ask for the node's DNS."""
        return self.config / "resolv.conf"

    @property
    def corefile(self) -> Path:
        """CoreDNS's configuration."""
        return self.config / "Corefile"

    @property
    def volumes(self) -> Path:
        """The volumes of StorageClass ``local``."""
        return self.root / "volumes"

    @property
    def images(self) -> Path:
        """Image archives that are imported."""
        return self.root / "images"

    @property
    def sysctls(self) -> Path:
        """The kernel's settings as they were before; lost by a reboot, as the changes are."""
        return self.run / "sysctls.json"

    @property
    def ingress(self) -> Path:
        """nginx's folder: configuration, pid and temporary files, readable for its account."""
        return self.run / "ingress"

    @property
    def cgroup(self) -> str:
        """The control group that holds all pods, as the kubelet names it; its own, so that it can be removed."""
        return f"/coopctl-{self.run.parent.name}"

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of one process."""
        return self.config / f"{name}.kubeconfig"


def node_files(surroundings: Surroundings) -> NodeFiles:
    """The node's files of one estate."""
    return NodeFiles(root=surroundings.data("node"), run=surroundings.run / "node")
