"""Solutions on a real node, kept apart by the policies as they are planned, and connected where they are integrated."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from types import MappingProxyType

import pytest

from provisioner.catalogue import Catalogue
from provisioner.catalogue.offer import Serving
from tests.integration.node.conftest import ECHO_PORT, PROBE_PORT, NodeWorld, pod, policy, service, wait
from tests.network_namespace import NetworkNamespace
from tests.unit.plan import integrated

pytestmark = [pytest.mark.node, pytest.mark.long(seconds=60)]
NAME, NAMESPACE = "weighing", "weighing-apps"
SOLUTION = "coopctl.dev/solution"
# By their pods: the solution whose label each bears, none for applications of the operators' own.
PODS = {"scales": "scales", "ledger": "ledger", "worker": "ledger", "notes": "notes", "own": "", "other": ""}


@dataclass(frozen=True, kw_only=True)
class Weighing:
    """A cooperative's solutions, and what connects to what."""

    world: NodeWorld

    def connects(self, source: str, target: str, *, port: int = PROBE_PORT) -> bool:
        """Whether one pod opens a connection to another."""
        address = self.world.address(f"{NAMESPACE}/{target}")
        return self.world.connects(f"{NAMESPACE}/{source}", f"{address}:{port}")

    def open_pairs(self) -> set[tuple[str, str]]:
        """All pairs of different pods between which connections are opened."""
        return {(one, other) for one, other in product(PODS, PODS) if one != other and self.connects(one, other)}


def catalogue() -> Catalogue:
    """The catalogue whose ledger serves where probes listen."""
    ledger = replace(
        integrated.CATALOGUE.solution("ledger"), serves=Serving(scheme="http", port=80, pod_port=PROBE_PORT)
    )
    return replace(
        integrated.CATALOGUE, solutions=MappingProxyType({**integrated.CATALOGUE.solutions, "ledger": ledger})
    )


@pytest.fixture(scope="module")
def weighing(world: NodeWorld, network: NetworkNamespace) -> Iterator[Weighing]:
    """Pods of solutions and of none, under the planned policies of their namespace."""
    world.namespace(NAMESPACE)
    labels = {name: {SOLUTION: solution} if solution else {} for name, solution in PODS.items()}
    world.run(*(pod(NAMESPACE, name, labels=found) for name, found in labels.items()))
    world.apply(service(NAMESPACE, "ledger"))
    made = Weighing(world=world)
    wait(lambda: made.open_pairs() == {pair for pair in product(PODS, PODS) if len(set(pair)) == 2}, "the open network")
    world.apply(*integrated.policies(integrated.plan(catalogue=catalogue(), name=NAME)).values())
    wait(lambda: not made.connects("scales", "notes"), "the policies")
    yield made
    with network.inside():
        world.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_connections_are_opened_between_the_integrated_two_and_within_each_and_nowhere_else(
    weighing: Weighing,
) -> None:
    within = {("ledger", "worker"), ("worker", "ledger"), ("own", "other"), ("other", "own")}
    integrated_ = {("scales", "ledger"), ("scales", "worker")}
    wait(lambda: weighing.open_pairs() == within | integrated_, "the flows", show=lambda: str(weighing.open_pairs()))


def test_an_integration_opens_the_served_port_alone(weighing: Weighing) -> None:
    wait(lambda: weighing.connects("worker", "ledger", port=ECHO_PORT), "every port within a solution")
    assert weighing.connects("scales", "ledger")
    assert not weighing.connects("scales", "ledger", port=ECHO_PORT)


def test_the_address_that_the_secret_tells_is_where_the_other_answers(weighing: Weighing) -> None:
    made = integrated.plan(catalogue=catalogue(), name=NAME)
    told = integrated.secrets(made)["scales-connections"].values
    address = f"{told['SOLUTION_LEDGER_HOST']}:{told['SOLUTION_LEDGER_PORT']}"
    wait(lambda: weighing.world.connects(f"{NAMESPACE}/scales", address), f"{address} by its name")
    assert not weighing.world.connects(f"{NAMESPACE}/own", address)


def test_operators_open_a_solution_to_their_own_by_policies_at_both_ends(weighing: Weighing) -> None:
    own, ledger = {"matchLabels": {"app": "own"}}, {"matchLabels": {SOLUTION: "ledger"}}
    out = policy(
        NAMESPACE, "own-to-ledger", podSelector=own, policyTypes=["Egress"], egress=[{"to": [{"podSelector": ledger}]}]
    )
    into = policy(
        NAMESPACE,
        "ledger-from-own",
        podSelector=ledger,
        policyTypes=["Ingress"],
        ingress=[{"from": [{"podSelector": own}]}],
    )
    weighing.world.apply(out)
    assert not weighing.connects("own", "ledger")
    weighing.world.apply(into)
    wait(lambda: weighing.connects("own", "ledger"), "what the operators opened")
    assert not weighing.connects("other", "ledger")
    weighing.world.kubectl("delete", "networkpolicy", "-n", NAMESPACE, "own-to-ledger", "ledger-from-own")
    wait(lambda: not weighing.connects("own", "ledger"), "it to be closed again")
