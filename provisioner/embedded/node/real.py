"""The real node as a part of the embedded platform.

prepare: claim the machine's node, kernel settings, bridge, fail-closed rules, files. The bridge comes before every
server that listens on it; the fail-closed rules come before every pod. Cut off anywhere, the next `dev up` repeats
the steps (each looks first), and `dev down` takes away what was made.
"""

import contextlib
import hashlib
import os
import signal
from pathlib import Path

from provisioner.descriptor.endpoints import embedded_files
from provisioner.embedded.certificates import serial
from provisioner.embedded.control_plane import kubernetes_authority
from provisioner.embedded.liveness import marked
from provisioner.embedded.node import (
    claim,
    cluster,
    container_runtime,
    enforcement,
    fail_closed,
    ingress,
    kernel,
    kubelet,
    mounts,
    network,
    removal,
    services,
    storage,
)
from provisioner.embedded.node.access import (
    REAL_USERS,
    ensure_kubelet_server,
    ensure_users,
    kubelet_server_pair,
    user_pair,
)
from provisioner.embedded.node.commands import missing_programs
from provisioner.embedded.node.layout import NODE_NAME, NodeFiles, node_files
from provisioner.embedded.private_files import private_folder, write_if_changed
from provisioner.embedded.process import ProcessSpec, Surroundings
from provisioner.errors import CoopctlError

_RESOLV_CONF = "# Pods that ask for the node's DNS resolve nothing: the cluster's is the only one.\n"


class RealNode:
    """containerd, kubelet, Services, DNS, enforced NetworkPolicies, ingress and local storage on this machine."""

    name = "node"
    tools = ("kubelet", "kube-proxy", "pause", "coredns", "netpol", "storage-provisioner")

    def prepare(self, surroundings: Surroundings) -> None:
        """Claim the node and make bridge, rules, folders and files."""
        _refuse_missing_programs()
        files = node_files(surroundings)
        _take_claim(surroundings, files)
        kernel.apply_settings(files.sysctls)
        network.make_bridge()
        if not fail_closed.rules_in_place():
            fail_closed.put_rules()
        # Volumes and logs of tenants: nobody but root looks in.
        private_folder(files.root)
        for folder in (files.config, files.cni, files.pod_logs, files.volumes, files.run):
            folder.mkdir(parents=True, exist_ok=True)
        mounts.bind(files.kubelet_data, at=files.kubelet_root)
        if not files.pod_logs_link.is_symlink():
            files.pod_logs_link.symlink_to(files.pod_logs)
        ensure_users(surroundings, REAL_USERS)
        ensure_kubelet_server(surroundings)
        for path, content in _configuration(surroundings, files).items():
            write_if_changed(path, content)
        ingress.prepare(surroundings, files)

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The node's processes."""
        files = node_files(surroundings)
        configuration = {path.name: content for path, content in _configuration(surroundings, files).items()}
        print_of = _Fingerprints(surroundings, configuration)
        return (
            enforcement.guard_process(surroundings, files),
            container_runtime.process(
                surroundings, files, fingerprint=print_of.configuration("containerd.toml", "coopctl.conflist")
            ),
            kubelet.process(surroundings, files, fingerprint=print_of.user("kubelet", "kubelet.yaml")),
            services.dns_process(surroundings, files, fingerprint=print_of.user("coredns", "Corefile")),
            services.proxy_process(surroundings, files, fingerprint=print_of.user("kube-proxy")),
            enforcement.enforcer_process(surroundings, files, fingerprint=print_of.user("netpol")),
            storage.process(
                surroundings, files, fingerprint=print_of.user("storage"), node=NODE_NAME, needs=(services.DNS,)
            ),
            *ingress.processes(surroundings, files, fingerprint=print_of.user("ingress")),
        )

    def complete(self, surroundings: Surroundings) -> None:
        """Mend the cluster objects, and take nodes out that only an earlier choice had."""
        kubeconfig = surroundings.files.kubeconfig
        cluster.apply_objects(cluster.cluster_objects(), kubeconfig=kubeconfig)
        cluster.delete_other_nodes([NODE_NAME], kubeconfig=kubeconfig)
        state = enforcement.check()
        if not state.in_force:
            raise CoopctlError(
                "NetworkPolicies are not in force", why="; ".join(state.problems), hint="run `coopctl dev up` again"
            )

    def remove(self, surroundings: Surroundings) -> None:
        """Take pods, mounts, interfaces, rules and control groups away; images and volumes stay."""
        remove_node(node_files(surroundings), estate=surroundings.estate_root)


def remove_node(files: NodeFiles, *, estate: Path) -> None:
    """Take away what a real node left on the machine, if ``estate`` is the one that holds it."""
    held = claim.holder()
    if held is None or held.estate != estate:
        return
    ingress.end_leftover_workers(files)
    removal.end_containers(files)
    removal.remove_mounts([files.containerd_state, files.kubelet_root, files.containerd_root])
    network.remove_bridge()
    services.remove_proxy_rules()
    enforcement.remove_rules()
    removal.remove_cgroups(files.cgroup)
    kernel.restore_settings(files.sysctls)
    removal.remove_files(files)
    claim.release(estate)


def _take_claim(surroundings: Surroundings, files: NodeFiles) -> None:
    held = claim.holder()
    if held is not None and held.estate != surroundings.estate_root and held.abandoned:
        _remove_abandoned(held)
        held = None
    if held is None:
        obstacles = network.obstacles()
        if obstacles:
            raise CoopctlError(
                "another Kubernetes or network is in the way of a real node",
                why="; ".join(obstacle.what for obstacle in obstacles),
                hint="; ".join(dict.fromkeys(obstacle.remedy for obstacle in obstacles))
                + "; or use `--node simulated`",
            )
    claim.take(claim.Claim(estate=surroundings.estate_root, run=files.run))


def _remove_abandoned(held: claim.Claim) -> None:
    """Take away the node of an estate whose folder was deleted without `dev down`, its processes first."""
    for _, pid in marked(embedded_files(held.estate).root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    remove_node(NodeFiles(root=held.estate, run=held.run), estate=held.estate)


def _refuse_missing_programs() -> None:
    missing = missing_programs()
    if missing:
        packages = " ".join(sorted({one.package for one in missing}))
        raise CoopctlError(
            f"a real node needs programs that are missing: {', '.join(one.name for one in missing)}",
            hint=f"`apt-get install {packages}`, or use `--node simulated`",
        )


def _configuration(surroundings: Surroundings, files: NodeFiles) -> dict[Path, str]:
    """Every file that the node's processes read at their start, without side effects."""
    server = kubelet_server_pair(surroundings)
    authority = kubernetes_authority(surroundings).pair.certificate
    registry = surroundings.endpoints.registry
    return {
        files.containerd_config: container_runtime.containerd_config(files),
        files.registries / f"127.0.0.1:{registry}" / "hosts.toml": container_runtime.registry_hosts(registry),
        files.cni / "coopctl.conflist": container_runtime.cni_config(files),
        files.resolv_conf: _RESOLV_CONF,
        files.kubelet_config: kubelet.kubelet_config(
            surroundings, files, ca=authority, certificate=server.certificate, key=server.key
        ),
        files.corefile: services.corefile(files),
    }


class _Fingerprints:
    """Digests of what a process reads at its start: configuration files, and its certificate's serial number."""

    def __init__(self, surroundings: Surroundings, configuration: dict[str, str]) -> None:
        self._surroundings = surroundings
        self._configuration = configuration

    def configuration(self, *names: str) -> str:
        """The digest of configuration files."""
        return hashlib.sha256("\0".join(self._configuration[name] for name in names).encode()).hexdigest()

    def user(self, name: str, *names: str) -> str:
        """The digest of a process's certificate and configuration files."""
        return f"{serial(user_pair(self._surroundings, name))} {self.configuration(*names)}"
