"""containerd for this node alone: configuration, CNI, its process and the pause image.

It shares nothing with a containerd that the machine may run already: own root, state, socket and CNI folder.
"""

import json
import socket
from pathlib import Path

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.node import images
from provisioner.embedded.node.commands import CNI_FOLDER, program
from provisioner.embedded.node.layout import BRIDGE, PAUSE_IMAGE, POD_NETWORK, NodeFiles
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

NAME = "containerd"

# Version 2 of the format: containerd 1.6. `restrict_oom_score_adj`: without it no sandbox starts where coopctl may not
# lower its score.
_CONFIGURATION = """version = 2
root = {root}
state = {state}
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]

[grpc]
  address = {socket}

[plugins."io.containerd.internal.v1.opt"]
  path = {opt}

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = {pause_image}
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  BinaryName = {runc}
  Root = {runc_state}

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = {cni_programs}
  conf_dir = {cni}

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = {registries}
"""


def containerd_config(files: NodeFiles) -> str:
    """containerd's configuration."""
    # A JSON string is a TOML basic string as well (TOML 1.0, "String"), whatever the path holds.
    words = {name: json.dumps(str(value), ensure_ascii=False) for name, value in _values(files).items()}
    return _CONFIGURATION.format(**words)


def _values(files: NodeFiles) -> dict[str, Path | str]:
    return {
        "pause_image": PAUSE_IMAGE,
        "root": files.containerd_root,
        "state": files.containerd_state,
        "socket": files.containerd_socket,
        "opt": files.containerd_root / "opt",
        "runc": program("runc"),
        "runc_state": files.runc_state,
        "cni_programs": CNI_FOLDER,
        "cni": files.cni,
        "registries": files.registries,
    }


def registry_hosts(port: int) -> str:
    """containerd's ``hosts.toml`` for the platform's registry on loopback, which speaks plain HTTP."""
    address = f"http://127.0.0.1:{port}"
    return f'server = "{address}"\n\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'


def cni_config(files: NodeFiles) -> str:
    """The pods' network: the bridge, addresses of this machine alone, and no IPv6 (see network.py)."""
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": False,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(files.addresses),
            "ranges": [[{"subnet": POD_NETWORK, "gateway": BRIDGE_ADDRESS}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    no_ipv6 = {"type": "tuning", "sysctl": {"net.ipv6.conf.all.disable_ipv6": "1"}}
    return json.dumps({"cniVersion": "1.0.0", "name": "coopctl", "plugins": [bridge, no_ipv6]}, indent=2) + "\n"


def process(surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> ProcessSpec:
    """containerd's process."""
    return ProcessSpec(
        name=NAME,
        argv=(str(program("containerd")), "--config", str(files.containerd_config)),
        log=surroundings.logs / f"{NAME}.log",
        ready=ReadyProbe(
            description=f"its socket {files.containerd_socket}", check=lambda: answers(files.containerd_socket)
        ),
        fingerprint=fingerprint,
    )


def answers(path: Path) -> bool:
    """Whether a server listens on the socket at ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def ensure_pause_image(files: NodeFiles, *, pause: Path) -> None:
    """Import the image that holds each pod's namespaces, once."""
    if images.has_image(PAUSE_IMAGE, socket=files.containerd_socket):
        return
    files.images.mkdir(parents=True, exist_ok=True)
    archive = files.images / "pause.tar"
    archive.write_bytes(images.program_image(pause, reference=PAUSE_IMAGE))
    images.import_image(archive, socket=files.containerd_socket)
