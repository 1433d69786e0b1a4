"""Simulated nodes: pods become Running without anything running, Ingresses get a status, and it says what it is not."""

import json
import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedFiles
from provisioner.embedded import node
from provisioner.embedded.control_plane import ControlPlanePart
from provisioner.embedded.node import NodeChoice, NodeKind
from provisioner.embedded.node.simulated import SimulatedNode
from provisioner.embedded.process import Surroundings
from provisioner.embedded.supervisor import Supervisor, wait_until
from provisioner.plan.manifest import Manifest
from provisioner.toolchain import Toolchain
from tests.free_ports import claimed_endpoints

pytestmark = pytest.mark.cluster

COUNT = 2
report = logging.getLogger(__name__).info


@dataclass(frozen=True, kw_only=True)
class SimulatedWorld:
    """A control plane with simulated nodes."""

    surroundings: Surroundings
    supervisor: Supervisor
    parts: tuple[ControlPlanePart, SimulatedNode]

    def up(self) -> tuple[str, ...]:
        """What `coopctl dev up` does."""
        for part in self.parts:
            part.prepare(self.surroundings)
        started = self.supervisor.start([spec for part in self.parts for spec in part.specs(self.surroundings)])
        for part in self.parts:
            part.complete(self.surroundings)
        return started

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        command: list[str | Path] = [self.surroundings.tools["kubectl"], "--kubeconfig"]
        command += [self.surroundings.files.kubeconfig, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout

    def get(self, *arguments: str) -> Manifest:
        """Get an object or a list."""
        found: Manifest = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found


@pytest.fixture(scope="module")
def simulated(toolchain: Toolchain) -> Iterator[SimulatedWorld]:
    parts = (ControlPlanePart(quick=True), SimulatedNode(count=COUNT))
    tools = toolchain.ensure(["kubectl", *(tool for part in parts for tool in part.tools)], report=report)
    folder = Path(tempfile.mkdtemp(prefix="coopctl-kwok-"))
    surroundings = Surroundings(
        estate_root=folder,
        files=EmbeddedFiles(root=folder),
        endpoints=claimed_endpoints(),
        run=folder / "run",
        tools=tools,
        real_node=False,
    )
    world = SimulatedWorld(surroundings=surroundings, supervisor=Supervisor(folder, report=report), parts=parts)
    try:
        world.up()
        # Without it the API server takes no pod yet.
        world.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        yield world
    finally:
        world.supervisor.stop()
        shutil.rmtree(folder)


def test_the_nodes_are_ready_and_up_again_starts_nothing(simulated: SimulatedWorld) -> None:
    names = [item["metadata"]["name"] for item in simulated.get("nodes")["items"]]

    assert names == ["coopctl-simulated-1", "coopctl-simulated-2"]
    assert simulated.up() == ()


def test_a_deployment_rolls_out_though_nothing_runs(simulated: SimulatedWorld) -> None:
    simulated.kubectl("create", "deployment", "web", "--image=registry.example/web:1", "--replicas=3")

    simulated.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    pods = simulated.get("pods", "-l", "app=web")["items"]
    assert {one["status"]["phase"] for one in pods} == {"Running"}
    simulated.kubectl("delete", "deployment", "web")
    assert wait_until(lambda: simulated.get("pods", "-l", "app=web")["items"] == [], seconds=30)


@pytest.mark.long(seconds=30)
def test_a_claim_is_bound_when_a_pod_needs_it(simulated: SimulatedWorld) -> None:
    requests = {"requests": {"storage": "1Gi"}}
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": requests},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "with-data"},
        "spec": {
            "containers": [{"name": "one", "image": "registry.example/web:1"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }
    simulated.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [claim, pod]}))

    assert wait_until(lambda: bool(simulated.get("pod", "with-data")["status"]["phase"] == "Running"), seconds=120)
    assert simulated.get("pvc", "data")["status"]["phase"] == "Bound"


def test_an_ingress_gets_its_status(simulated: SimulatedWorld) -> None:
    simulated.kubectl("create", "ingress", "web", "--class=coopctl", "--rule=rice.example.kr/*=web:80")

    def status() -> Manifest:
        found: Manifest = simulated.get("ingress", "web")["status"]["loadBalancer"]
        return found

    assert wait_until(lambda: status() == {"ingress": [{"ip": "127.0.0.1"}]}, seconds=30)


def test_a_killed_simulator_is_mended_by_up(simulated: SimulatedWorld) -> None:
    os.kill(simulated.supervisor.running()["kwok"].pid, 9)

    assert simulated.up() == ("kwok",)


def test_it_says_that_no_policy_is_enforced() -> None:
    described = node.describe(NodeChoice(kind=NodeKind.SIMULATED, reason="it was asked for"))

    assert not described.policies_in_force
    assert "not enforced" in described.policies
