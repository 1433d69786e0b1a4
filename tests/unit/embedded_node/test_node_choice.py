"""Which node an estate gets, and why: every hindrance is named with its remedy."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.embedded.node.choice import Machine, NodeKind, choose, decide
from provisioner.errors import CoopctlError, NotPermitted

ESTATE = Path("/srv/협동 조합")
ABLE = Machine(system="Linux", root=True, missing=(), bridge_filter=True, holder=None, obstacles=())


def test_a_machine_that_can_gets_a_real_node() -> None:
    assert decide("auto", machine=ABLE, estate=ESTATE).kind is NodeKind.REAL


def test_the_estate_that_holds_the_node_keeps_it() -> None:
    assert decide("auto", machine=replace(ABLE, holder=ESTATE), estate=ESTATE).kind is NodeKind.REAL


@pytest.mark.parametrize(
    ("machine", "problem", "remedy"),
    [
        (replace(ABLE, system="Darwin"), "Darwin", "Linux machine"),
        (replace(ABLE, root=False), "root", "run coopctl as root"),
        (replace(ABLE, missing=("runc (`apt-get install runc`)",)), "runc", "install them"),
        (replace(ABLE, holder=Path("/srv/other")), "/srv/other", "dev down"),
        (replace(ABLE, bridge_filter=False), "br_netfilter", "modules"),
        (replace(ABLE, obstacles=("cbr0 is there; stop it", "a route; stop it")), "cbr0 is there; a route", "stop it"),
    ],
)
def test_each_hindrance_is_named_with_its_remedy(machine: Machine, problem: str, remedy: str) -> None:
    choice = decide("auto", machine=machine, estate=ESTATE)

    assert choice.kind is NodeKind.SIMULATED
    assert problem in choice.reason
    assert remedy in choice.reason
    with pytest.raises(CoopctlError, match="no real node is possible") as refusal:
        decide("real", machine=machine, estate=ESTATE)
    assert refusal.value.hint
    assert remedy in refusal.value.hint


def test_wanting_a_real_node_without_root_is_not_permitted() -> None:
    with pytest.raises(NotPermitted):
        decide("real", machine=replace(ABLE, root=False), estate=ESTATE)


@pytest.mark.parametrize("path", ["/srv/a:b", "/srv/a,b", "/srv/a\\b", "/srv/a\nb"])
def test_a_path_that_file_system_layers_cannot_take_is_a_hindrance(path: str) -> None:
    assert decide("auto", machine=ABLE, estate=Path(path)).kind is NodeKind.SIMULATED


def test_simulated_nodes_are_given_when_asked_for() -> None:
    choice = choose("simulated", estate=ESTATE)

    assert (choice.kind, choice.reason) == (NodeKind.SIMULATED, "it was asked for")
