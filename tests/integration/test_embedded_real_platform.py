"""The whole embedded platform with a real node: what listens for pods, what stays closed, what is taken away.

It runs in a network namespace of its own, so that a platform that already has the machine's node (`make demo` leaves
one running) is not in the way.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from provisioner.embedded import platform, ports
from provisioner.embedded.folders import run_folder
from provisioner.embedded.node import NodeKind
from provisioner.errors import CoopctlError
from provisioner.toolchain import Toolchain
from tests.conftest import EmbeddedPlatform, open_temporary_folder, running_platform
from tests.integration.test_embedded_platform import SILENT, new_estate, pids, put_data, require_data
from tests.network_namespace import NetworkNamespace, new_network_namespace

pytestmark = pytest.mark.node


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where this module's estates are."""
    with open_temporary_folder() as made:
        yield made


@pytest.fixture(scope="module")
def network() -> NetworkNamespace:
    """The network namespace of this module."""
    return new_network_namespace()


@pytest.fixture(autouse=True)
def inside(network: NetworkNamespace) -> Iterator[None]:
    """Let each test be inside."""
    with network.inside():
        yield


@pytest.fixture(scope="module")
def running(folder: Path, toolchain: Toolchain, network: NetworkNamespace) -> Iterator[EmbeddedPlatform]:
    """The platform with a real node, the only one in its network namespace."""
    # Before entering: a tool that must be built needs the machine's network.
    toolchain.ensure(toolchain.names, report=SILENT)
    # Longer than a socket's path may be.
    estate = new_estate(folder / "한국쌀가공식품협회" / "한국플라스틱공업협동조합연합회" / "it's an estate")
    with network.inside(), running_platform(estate, toolchain=toolchain, node="real") as made:
        yield made
        network.enter()


def test_real_node_enforces_policies_and_says_so(running: EmbeddedPlatform) -> None:
    assert running.status.runs
    assert running.real_node
    assert running.status.node is not None
    assert running.status.node.policies_in_force


def test_second_up_starts_nothing(running: EmbeddedPlatform) -> None:
    again = platform.up(running.estate, toolchain=running.toolchain, node="auto", report=SILENT)
    assert again.started == ()
    assert again.node == running.status.node


def test_databases_and_objects_are_reachable_on_the_bridge(running: EmbeddedPlatform) -> None:
    endpoints = running.status.endpoints
    for port in (endpoints.postgres, endpoints.objects):
        assert ports.answers(port, address=endpoints.bridge)
        assert ports.answers(port)


def test_nothing_else_listens_beside_loopback_and_the_bridge(running: EmbeddedPlatform) -> None:
    ours = set(pids(running.estate).values())
    addresses = {
        connection.laddr[0].removeprefix("::ffff:")
        for connection in psutil.net_connections(kind="tcp")
        if connection.laddr and connection.pid in ours and connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1", running.status.endpoints.bridge}


def test_s3_gateways_grpc_port_is_closed_to_pods(running: EmbeddedPlatform) -> None:
    endpoints = running.status.endpoints
    grpc = endpoints.objects + ports.GRPC_OFFSET
    listed = subprocess.run(["nft", "-j", "list", "ruleset"], check=True, capture_output=True, text=True).stdout
    rules = [entry["rule"] for entry in json.loads(listed)["nftables"] if "rule" in entry]
    ours = [rule for rule in rules if rule["table"].startswith("coopctl_objects_")]
    assert any(f'"right": {grpc}' in json.dumps(rule) and '"drop"' in json.dumps(rule) for rule in ours)
    with neighbour_on_the_bridge(endpoints.bridge) as connects:
        assert not connects(grpc)


def has_bridge() -> bool:
    """Whether the node's bridge is there; /sys would show another namespace's interfaces."""
    return subprocess.run(["ip", "link", "show", "cbr0"], capture_output=True, check=False).returncode == 0


@contextmanager
def neighbour_on_the_bridge(bridge: str) -> Iterator[Callable[[int], bool]]:
    """A network namespace on the bridge, as a pod has, without a pod: tells whether it can connect to a port."""
    name, inside = "coopctl-test", ("ip", "netns", "exec", "coopctl-test")
    commands = (
        ("ip", "netns", "add", name),
        ("ip", "link", "add", "coopt0", "type", "veth", "peer", "name", "eth0", "netns", name),
        ("ip", "link", "set", "coopt0", "master", "cbr0", "up"),
        (*inside, "ip", "address", "add", "10.244.0.250/24", "dev", "eth0"),
        (*inside, "ip", "link", "set", "eth0", "up"),
    )

    def connects(port: int) -> bool:
        command = [*inside, "timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{bridge}/{port}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        yield connects
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.mark.long(seconds=15)
def test_second_estate_gets_simulated_nodes_and_says_why(
    running: EmbeddedPlatform, folder: Path, toolchain: Toolchain
) -> None:
    with running_platform(new_estate(folder / "second"), toolchain=toolchain, node="auto") as second:
        assert second.status.runs
        assert second.status.node is not None
        assert second.status.node.kind is NodeKind.SIMULATED
        assert str(running.estate.root) in second.status.node.reason
    assert platform.status(running.estate).runs


def test_second_estate_that_insists_on_a_real_node_is_refused(
    running: EmbeddedPlatform, folder: Path, toolchain: Toolchain
) -> None:
    estate = new_estate(folder / "insists")
    with pytest.raises(CoopctlError, match="no real node is possible here"):
        platform.up(estate, toolchain=toolchain, node="real", report=SILENT)
    assert platform.status(running.estate).runs


@pytest.mark.long(seconds=25)
def test_everything_is_mended_after_a_crash_of_the_machine(running: EmbeddedPlatform) -> None:
    put_data(running, "survived")
    for pid in pids(running.estate).values():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(run_folder(running.status.files.root) / "postgres")
    again = platform.up(running.estate, toolchain=running.toolchain, node="auto", report=SILENT)
    assert again.runs
    assert again.node is not None
    assert again.node.policies_in_force
    require_data(running, "survived")


@pytest.mark.long(seconds=40)
def test_node_changes_to_simulated_and_back_and_data_stays(running: EmbeddedPlatform) -> None:
    put_data(running, "stayed")
    simulated = platform.up(running.estate, toolchain=running.toolchain, node="simulated", report=SILENT)
    assert simulated.runs
    assert not has_bridge()
    require_data(running, "stayed")
    real = platform.up(running.estate, toolchain=running.toolchain, node="real", report=SILENT)
    assert real.runs
    require_data(running, "stayed")


@pytest.mark.long(seconds=30)
def test_down_takes_interfaces_rules_mounts_and_groups_away_and_keeps_data(running: EmbeddedPlatform) -> None:
    put_data(running, "kept")
    platform.down(running.estate, report=SILENT)
    root = running.status.files.root
    assert not has_bridge()
    tables = subprocess.run(["nft", "list", "tables"], check=True, capture_output=True, text=True).stdout
    assert "coopctl" not in tables
    assert str(root) not in Path("/proc/mounts").read_text().replace("\\040", " ")
    assert not run_folder(root).exists()
    assert platform.up(running.estate, toolchain=running.toolchain, node="real", report=SILENT).runs
    require_data(running, "kept")
