"""The kubelet: configuration, its control group and its process."""

import json
import os
from pathlib import Path

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.node import container_runtime
from provisioner.embedded.node.layout import CLUSTER_DOMAIN, MAX_PODS, NODE_NAME, NodeFiles
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

NAME = "kubelet"
CGROUPS = Path("/sys/fs/cgroup")
# Processes and threads of one pod: no quota counts them, and the node has some thousands for all.
POD_PIDS = 1024
_UNIFIED_CONTROLLERS = "+cpuset +cpu +io +memory +hugetlb +pids"


def kubelet_config(surroundings: Surroundings, files: NodeFiles, *, ca: Path, certificate: Path, key: Path) -> str:
    """The kubelet's configuration (KubeletConfiguration v1beta1), as JSON, which YAML includes.

    The node's address is the bridge's: loopback is refused as a node's address, and without one exec, logs and the
    policy enforcer do not work. Disk limits are absolute: a developer's disk is often 90 % full.
    """
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": BRIDGE_ADDRESS,
        "port": surroundings.endpoints.kubelet,
        "readOnlyPort": 0,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "clusterDNS": [BRIDGE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(files.resolv_conf),
        "containerRuntimeEndpoint": f"unix://{files.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": files.cgroup,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "maxPods": MAX_PODS,
        "podPidsLimit": POD_PIDS,
        "podLogsDir": str(files.pod_logs_link),
        "volumePluginDir": str(files.kubelet_root / "volume-plugins"),
        "registryPullQPS": 0,
        "serializeImagePulls": False,
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "300Mi", "imagefs.available": "300Mi"},
    }
    return json.dumps(config, indent=2) + "\n"


def process(surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> ProcessSpec:
    """The kubelet's process; its control group and the pause image are made just before it starts."""

    def before_start() -> None:
        make_cgroup(files.cgroup)
        container_runtime.ensure_pause_image(files, pause=surroundings.tools["pause"])

    return ProcessSpec(
        name=NAME,
        argv=(
            str(surroundings.tools["kubelet"]),
            f"--config={files.kubelet_config}",
            f"--kubeconfig={files.kubeconfig(NAME)}",
            f"--root-dir={files.kubelet_root}",
            f"--cert-dir={files.kubelet_root / 'pki'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={BRIDGE_ADDRESS}",
        ),
        log=surroundings.logs / f"{NAME}.log",
        ready=ReadyProbe(description=f"the node {NODE_NAME} to be Ready", check=lambda: _ready(surroundings)),
        depends_on=(container_runtime.NAME, "kube-apiserver"),
        start_timeout_seconds=120,
        fingerprint=fingerprint,
        before_start=before_start,
    )


def _ready(surroundings: Surroundings) -> bool:
    from provisioner.embedded.node import cluster

    return cluster.node_is_ready(NODE_NAME, kubeconfig=surroundings.files.kubeconfig)


def make_cgroup(name: str, *, root: Path = CGROUPS) -> None:
    """Make the pods' control group in every hierarchy that the machine has (version 1, 2 or both)."""
    for hierarchy in cgroup_hierarchies(root):
        control = hierarchy / "cgroup.subtree_control"
        group = hierarchy / name.lstrip("/")
        if control.exists():
            _delegate(control)
        group.mkdir(exist_ok=True)
        if control.exists():
            _delegate(group / "cgroup.subtree_control")
        elif (hierarchy / "cpuset.cpus").exists():
            _inherit_cpuset(group, hierarchy)


def cgroup_hierarchies(root: Path = CGROUPS) -> tuple[Path, ...]:
    """The mounted control group hierarchies: one folder of version 2, or one for each controller of version 1."""
    if (root / "cgroup.controllers").exists():
        return (root,)
    if not root.exists():
        return ()
    # `cpu -> cpu,cpuacct` is a link beside the real folder.
    return tuple(sorted(child for child in root.iterdir() if child.is_dir() and not child.is_symlink()))


def _delegate(control: Path) -> None:
    available = (control.parent / "cgroup.controllers").read_text().split()
    for controller in _UNIFIED_CONTROLLERS.split():
        if controller[1:] in available and controller[1:] not in control.read_text().split():
            control.write_text(controller)


def _inherit_cpuset(group: Path, parent: Path) -> None:
    """A new cpuset of version 1 has no processors, and no process may enter it (cpusets(7))."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if not (group / setting).read_text().strip():
            (group / setting).write_text((parent / setting).read_text())


def is_running_as_root() -> bool:
    """Whether this process may make interfaces, mounts and control groups."""
    return os.geteuid() == 0
