"""One real node for all tests of this folder: control plane, node and registry, without PostgreSQL and S3.

Its estate lies at a path with a space and Hangul. Tests make namespaces of their own and leave the node running.
All of it happens in a network namespace of its own, so that these tests meet neither an embedded platform that runs
on this machine nor another Kubernetes, and change no rule of the machine's.
"""

import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode

import pytest

from provisioner.descriptor.endpoints import embedded_files
from provisioner.embedded import ports
from provisioner.embedded.control_plane import ControlPlanePart
from provisioner.embedded.folders import delete, run_folder
from provisioner.embedded.node import images, kernel
from provisioner.embedded.node.layout import node_files
from provisioner.embedded.node.real import RealNode
from provisioner.embedded.process import Part, ProcessSpec, Surroundings
from provisioner.embedded.registry import RegistryPart
from provisioner.embedded.supervisor import Supervisor
from provisioner.plan.manifest import Manifest
from provisioner.toolchain import Toolchain
from provisioner.toolchain.go import ensure_go
from tests.network_namespace import NetworkNamespace, new_network_namespace

PROBE = "coopctl.invalid/probe:1"
PROBE_PORT = 8080
ECHO_PORT = 9000
report = logging.getLogger(__name__).info
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True, kw_only=True)
class NodeWorld:
    """A running node, and hands to use it."""

    surroundings: Surroundings
    supervisor: Supervisor
    parts: tuple[Part, ...]
    forwarding_before: str

    def up(self) -> tuple[str, ...]:
        """What `coopctl dev up` does; the names of the processes that were started."""
        for part in self.parts:
            part.prepare(self.surroundings)
        started = self.supervisor.start(self.specs())
        for part in self.parts:
            part.complete(self.surroundings)
        return started

    def down(self) -> None:
        """What `coopctl dev down` does."""
        self.supervisor.stop()
        for part in self.parts:
            part.remove(self.surroundings)

    def specs(self) -> tuple[ProcessSpec, ...]:
        """All processes."""
        return tuple(spec for part in self.parts for spec in part.specs(self.surroundings))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator; its output."""
        command: list[str | Path] = [
            self.surroundings.tools["kubectl"],
            "--kubeconfig",
            self.surroundings.files.kubeconfig,
            *arguments,
        ]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *manifests: Manifest) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    def get(self, *arguments: str) -> Manifest:
        """Get an object or a list."""
        found: Manifest = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def namespace(self, name: str, *, labels: dict[str, str] | None = None) -> str:
        """Make a namespace under Pod Security restricted, and wait for its service account."""
        metadata = {"name": name, "labels": {**RESTRICTED, **(labels or {})}}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        wait(lambda: bool(self.get("serviceaccounts", "-n", name)["items"]), "the namespace's service account")
        return name

    def run(self, *pods: Manifest) -> None:
        """Start pods and wait until each answers."""
        self.apply(*pods)
        for one in pods:
            self.wait_for_pod(one["metadata"]["namespace"], one["metadata"]["name"])

    def wait_for_pod(self, namespace: str, name: str) -> str:
        """Wait until a pod answers the host; its address."""
        answers = lambda: self.ask(f"{namespace}/{name}", "/").startswith("hello")  # noqa: E731
        wait(
            answers, f"the pod {namespace}/{name}", show=lambda: self.kubectl("describe", "pod", "-n", namespace, name)
        )
        return self.address(f"{namespace}/{name}")

    def address(self, pod: str) -> str:
        """A pod's address."""
        namespace, name = pod.split("/")
        found: str = self.get("pod", "-n", namespace, name)["status"].get("podIP", "")
        return found

    def ask(self, pod: str, path: str, **query: str) -> str:
        """Ask the probe in a pod from the host; an empty answer when it cannot be reached."""
        address = self.address(pod)
        return fetch(f"http://{address}:{PROBE_PORT}{path}?{urlencode(query)}") if address else ""

    def connects(self, pod: str, address: str) -> bool:
        """Whether a pod can open a TCP connection to ``address`` (host:port)."""
        return self.ask(pod, "/connect", to=address) == "open"


def fetch(url: str, *, host: str | None = None) -> str:
    """The answer's text; an empty one when there is no connection, the status when the server refuses."""
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310 - http
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=3) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.HTTPError as error:
        return str(error.code)
    except (URLError, OSError):
        return ""


def wait(
    condition: Callable[[], bool], what: str, *, seconds: float = 45, show: Callable[[], str] = lambda: ""
) -> None:
    """Wait until ``condition`` holds; ``show`` tells more when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} seconds in vain for {what}\n{show()}"
        time.sleep(0.1)


def pod(
    namespace: str,
    name: str,
    *,
    labels: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    volumes: dict[str, Manifest] | None = None,
    image: str = PROBE,
) -> Manifest:
    """A pod of the probe that Pod Security restricted admits; ``volumes`` maps a mount path to its source."""
    sources = list((volumes or {}).items())
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": name, **(labels or {})}},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "env": [
                        {"name": key, "value": value}
                        for key, value in {"NAME": f"{namespace}/{name}", **(environment or {})}.items()
                    ],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [
                        {"name": f"v{index}", "mountPath": path} for index, (path, _) in enumerate(sources)
                    ],
                }
            ],
            "volumes": [{"name": f"v{index}", **source} for index, (_, source) in enumerate(sources)],
        },
    }


def policy(namespace: str, name: str, **spec: object) -> Manifest:
    """A NetworkPolicy; without more it selects every pod and denies all, both ways."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], **spec},
    }


def service(namespace: str, name: str, *, port: int = 80, target: int = PROBE_PORT) -> Manifest:
    """A Service in front of the pods with the label app=``name``."""
    ports_ = [{"name": "web", "port": port, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"app": name}, "ports": ports_},
    }


@pytest.fixture(scope="session")
def probe(toolchain: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The probe's program; Go's cache makes it quick."""
    go = ensure_go(
        toolchain.store, requirements=toolchain.go_requirements, environment=toolchain.environment, report=report
    )
    binary = tmp_path_factory.mktemp("probe") / "probe"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""}
    source = Path(__file__).parent / "probe" / "main.go"
    subprocess.run([go, "build", "-trimpath", "-o", binary, source], check=True, env=environment)
    return binary


@pytest.fixture(scope="session")
def network() -> NetworkNamespace:
    """The node's network namespace; the kernel takes it away with the last process in it."""
    return new_network_namespace()


@pytest.fixture(autouse=True)
def inside(network: NetworkNamespace) -> Iterator[None]:
    """Let each test of this folder be inside."""
    with network.inside():
        yield


@pytest.fixture(scope="package")
def world(network: NetworkNamespace, toolchain: Toolchain, probe: Path) -> Iterator[NodeWorld]:
    """The node, taken away after the last test of this folder."""
    parts = (RealNode(), RegistryPart(), ControlPlanePart(quick=True))
    # Before entering: a tool that must be built needs the machine's network.
    tools = toolchain.ensure(["kubectl", *(tool for part in parts for tool in part.tools)], report=report)
    network.enter()
    folder = Path(tempfile.mkdtemp(prefix="coopctl-node-"))
    folder.chmod(0o711)
    estate = folder / "협동 조합"
    files = embedded_files(estate)
    files.root.mkdir(parents=True)
    surroundings = Surroundings(
        estate_root=estate,
        files=files,
        endpoints=ports.settled_endpoints(files),
        run=run_folder(files.root),
        tools=tools,
        real_node=True,
    )
    made = NodeWorld(
        surroundings=surroundings,
        supervisor=Supervisor(files.root, report=report),
        parts=parts,
        forwarding_before=forwarding(),
    )
    try:
        made.up()
        import_probe(made, probe, folder=folder)
        yield made
    finally:
        network.enter()
        made.down()
        network.leave()
        delete(surroundings.run)
        shutil.rmtree(folder)


def forwarding() -> str:
    """Whether this network namespace forwards packets; a new one is as the machine was."""
    return (kernel.PROC_SYS / "net/ipv4/ip_forward").read_text()


def import_probe(made: NodeWorld, probe: Path, *, folder: Path) -> None:
    """Let the node have the probe's image."""
    archive = folder / "probe.tar"
    archive.write_bytes(images.program_image(probe, reference=PROBE))
    images.import_image(archive, socket=node_files(made.surroundings).containerd_socket)
