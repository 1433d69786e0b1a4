"""What is in the way of a real node is found and named; what an estate left that was deleted is taken away."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles
from provisioner.embedded import node
from provisioner.embedded.node import NodeKind, claim, fail_closed, kernel, network
from provisioner.embedded.node.commands import run
from provisioner.embedded.node.layout import BRIDGE, node_files
from provisioner.embedded.node.real import RealNode
from provisioner.embedded.process import Surroundings
from provisioner.errors import CoopctlError
from tests.network_namespace import NetworkNamespace

pytestmark = pytest.mark.node


@pytest.fixture(autouse=True)
def fresh(inside: None) -> Iterator[None]:
    """A network namespace for each test: a machine on which coopctl has never been."""
    namespace = NetworkNamespace()
    namespace.enter()
    yield
    namespace.leave()


@pytest.fixture
def surroundings(tmp_path: Path) -> Surroundings:
    estate = tmp_path / "estate"
    estate.mkdir()
    return Surroundings(
        estate_root=estate,
        files=EmbeddedFiles(root=estate / ".coopctl" / "embedded"),
        endpoints=EmbeddedEndpoints(),
        run=tmp_path / "run",
        tools={},
        real_node=True,
    )


def test_an_untouched_machine_gets_a_real_node(surroundings: Surroundings) -> None:
    assert node.choose(estate=surroundings.estate_root).kind is NodeKind.REAL


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        ((["ip", "link", "add", BRIDGE, "type", "bridge"],), f"interface {BRIDGE} exists"),
        (
            (
                ["ip", "link", "add", "cni0", "type", "bridge"],
                ["ip", "address", "add", "10.244.0.1/16", "dev", "cni0"],
                ["ip", "link", "set", "cni0", "up"],
            ),
            "10.244.0.0/16 is routed over cni0",
        ),
        ((["iptables", "-N", "KUBE-ROUTER-FORWARD"],), "KUBE-ROUTER-FORWARD"),
        ((["nft", "add", "table", "ip", "kube-proxy"],), "kube-proxy"),
    ],
)
def test_another_kubernetes_is_named_and_left_alone(
    surroundings: Surroundings, commands: tuple[list[str], ...], named: str
) -> None:
    for command in commands:
        run(command)

    choice = node.choose(estate=surroundings.estate_root)

    assert choice.kind is NodeKind.SIMULATED
    assert named in choice.reason
    with pytest.raises(CoopctlError, match="in the way") as refusal:
        RealNode().prepare(surroundings)
    assert refusal.value.hint
    assert "--node simulated" in refusal.value.hint
    assert claim.holder() is None


def test_prepare_twice_and_remove_twice_are_harmless(surroundings: Surroundings) -> None:
    part = RealNode()
    part.prepare(surroundings)
    part.prepare(surroundings)
    assert network.bridge_has_address()
    assert fail_closed.rules_in_place()

    part.remove(surroundings)
    part.remove(surroundings)
    assert not network.bridge_exists()
    assert not fail_closed.rules_in_place()
    assert claim.holder() is None


def test_remove_takes_nothing_of_another_estate(surroundings: Surroundings, tmp_path: Path) -> None:
    RealNode().prepare(surroundings)
    other = Surroundings(**{**vars(surroundings), "estate_root": tmp_path, "run": tmp_path / "other"})

    RealNode().remove(other)

    assert network.bridge_has_address()
    RealNode().remove(surroundings)


def test_the_node_of_a_deleted_estate_is_taken_over(surroundings: Surroundings, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    kernel.apply_settings(gone / "run" / "sysctls.json")
    network.make_bridge()
    fail_closed.put_rules()
    claim.take(claim.Claim(estate=tmp_path / "deleted", run=gone / "run"))

    assert node.choose(estate=surroundings.estate_root).kind is NodeKind.REAL
    RealNode().prepare(surroundings)

    held = claim.holder()
    assert held is not None
    assert held.estate == surroundings.estate_root
    assert held.run == node_files(surroundings).run
    assert network.bridge_has_address()
    RealNode().remove(surroundings)
