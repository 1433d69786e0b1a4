"""The node survives kills, and goes without a trace: interfaces, rules, mounts, control groups, processes."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from provisioner.embedded import node
from provisioner.embedded.liveness import lives
from provisioner.embedded.node import NodeKind, claim, kubelet, network, removal
from provisioner.embedded.node.commands import attempt
from provisioner.embedded.node.layout import node_files
from provisioner.errors import CoopctlError
from tests.integration.node.conftest import NodeWorld, fetch, forwarding, pod, service, wait
from tests.integration.node.test_node_pods import claim as volume_claim
from tests.integration.node.test_node_pods import ingress

pytestmark = pytest.mark.node


def kill(world: NodeWorld, *names: str) -> None:
    running = world.supervisor.running()
    for name in names:
        os.kill(running[name].pid, signal.SIGKILL)
    # A kill is carried out when the kernel next runs the process.
    wait(lambda: not any(lives(running[name]) for name in names), "the end of what was killed")


@contextmanager
def down(world: NodeWorld) -> Iterator[None]:
    """The node is down; afterwards it is up again for the other tests."""
    world.down()
    try:
        yield
    finally:
        world.up()


def test_up_again_changes_nothing(world: NodeWorld) -> None:
    assert world.up() == ()


def test_kill_9_of_each_process_is_mended_by_up(world: NodeWorld) -> None:
    namespace = world.namespace("killed")
    world.run(pod(namespace, "web"))
    world.apply(service(namespace, "web"), ingress(namespace, "web", host="killed.example.kr"))
    url = f"http://127.0.0.1:{world.surroundings.endpoints.ingress_http}/"
    wait(lambda: fetch(url, host="killed.example.kr") == f"hello from {namespace}/web", "the site")
    restarts = world.get("pod", "-n", namespace, "web")["status"]["containerStatuses"][0]["restartCount"]

    for name in sorted(spec.name for spec in world.parts[0].specs(world.surroundings)):
        kill(world, name)
        assert name in world.up(), name

    assert node.check().in_force
    wait(lambda: fetch(url, host="killed.example.kr") == f"hello from {namespace}/web", "the site after the kills")
    status = world.get("pod", "-n", namespace, "web")["status"]["containerStatuses"][0]
    assert status["restartCount"] == restarts, "a pod outlives the processes of its node"
    world.run(pod(namespace, "late"))


def test_another_estate_is_told_who_holds_the_node(world: NodeWorld) -> None:
    choice = node.choose("auto", estate=world.surroundings.estate_root.parent)

    assert choice.kind is NodeKind.SIMULATED
    assert str(world.surroundings.estate_root) in choice.reason
    with pytest.raises(CoopctlError, match="holds this machine's real node"):
        node.choose("real", estate=world.surroundings.estate_root.parent)


def test_down_takes_everything_away_and_keeps_data(world: NodeWorld) -> None:
    files = node_files(world.surroundings)
    namespace = world.namespace("kept")
    world.apply(volume_claim(namespace, "data"))
    world.run(pod(namespace, "one", volumes={"/data": {"persistentVolumeClaim": {"claimName": "data"}}}))
    world.ask(f"{namespace}/one", "/write", file="/data/note", text="kept")

    with down(world):
        assert_nothing_is_left(world)
        assert files.volumes.exists()
    world.wait_for_pod(namespace, "one")
    assert world.ask(f"{namespace}/one", "/read", file="/data/note") == "kept"


@pytest.mark.long(seconds=15)
def test_down_after_everything_was_killed_takes_everything_away(world: NodeWorld) -> None:
    """As after a crash of all processes at once: containers and shims are alone, and nginx's worker is."""
    namespace = world.namespace("crashed")
    world.run(pod(namespace, "one"))
    kill(world, *world.supervisor.running())

    with down(world):
        assert_nothing_is_left(world)
    world.wait_for_pod(namespace, "one")


def assert_nothing_is_left(world: NodeWorld) -> None:
    estate = world.surroundings.estate_root
    files = node_files(world.surroundings)
    interfaces = attempt(["ip", "-o", "link"]).stdout
    assert not network.bridge_exists()
    assert "veth" not in interfaces
    assert removal.mounts_below([estate, world.surroundings.run]) == ()
    assert removal.cgroup_members(files.cgroup) == frozenset()
    assert list(kubelet.CGROUPS.rglob(files.cgroup[1:])) == []
    for command in ("iptables", "ip6tables"):
        assert "KUBE" not in attempt([command, "-S"]).stdout
    assert "KUBE" not in attempt(["ipset", "list", "-name"]).stdout
    tables = attempt(["nft", "list", "tables"]).stdout
    assert "kube-proxy" not in tables
    assert "coopctl" not in tables
    assert not files.run.exists()
    assert claim.holder() is None
    assert processes_of(world) == []
    assert forwarding() == world.forwarding_before


def processes_of(world: NodeWorld) -> list[str]:
    """Command lines that name the estate or its folder of sockets."""
    marks = (str(world.surroundings.estate_root), str(world.surroundings.run))
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if any(mark in command for mark in marks):
            found.append(command)
    return found
