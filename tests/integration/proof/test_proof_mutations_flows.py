"""Each network policy, taken away or opened by itself: a control or an attack notices it."""

from collections.abc import Iterator
from copy import deepcopy

import pytest

from provisioner.naming import LABEL_SOLUTION
from provisioner.proof.accepted import NAME, accepted
from provisioner.proof.proving import prove_flows, prove_labels
from provisioner.proof.verdicts import Ending, problems
from tests.integration.proof.conftest import ProvedWorld
from tests.proof_mutations import NEIGHBOUR, OWN, tenant_guards

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
# The other policies of the namespace close it for every pod, too: this one only says so where there are no others.
CLOSED_BY_OTHERS = {"default-deny"}
# What is open for some pods alone is tried for those.
CONTROLS = {"own-applications": "own applications/egress/own applications/open"}


POLICIES = [(namespace, name) for kind, namespace, name in tenant_guards() if kind == "NetworkPolicy"]


def flow_problems(world: ProvedWorld) -> dict[str, Ending]:
    """The flows that are problems now."""
    cluster = world.cluster()
    found = prove_flows(world.target(cluster), means=world.means(cluster))
    return {one.about.id: one.verdict.ending for one in problems(found)}


@pytest.fixture
def mended(proved: ProvedWorld) -> Iterator[ProvedWorld]:
    """The world, whose policies are put back afterwards."""
    yield proved
    for namespace, name in POLICIES:
        proved.put(proved.guard("NetworkPolicy", name=name, namespace=namespace))


@pytest.mark.parametrize(("namespace", "name"), [one for one in POLICIES if one[1] not in CLOSED_BY_OTHERS])
def test_a_network_policy_that_is_gone_fails_the_control_that_it_was_made_for(
    mended: ProvedWorld, namespace: str, name: str
) -> None:
    mended.api.delete(mended.path(mended.guard("NetworkPolicy", name=name, namespace=namespace)))
    found = flow_problems(mended)
    control = CONTROLS.get(name, f"{name}/1")
    assert found[f"flows/{namespace}/{control}"] is Ending.FAILED_CONTROL


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize(("namespace", "name"), POLICIES)
def test_a_network_policy_that_lets_everybody_pass_got_through(
    mended: ProvedWorld, namespace: str, name: str, direction: str
) -> None:
    opened = deepcopy(mended.guard("NetworkPolicy", name=name, namespace=namespace))
    opened["spec"] |= {"policyTypes": ["Ingress", "Egress"], direction: [{}]}
    mended.put(opened)
    assert flow_problems(mended)[f"flows/{namespace}/{direction}/kube-system"] is Ending.GOT_THROUGH


@pytest.mark.parametrize("namespace", [namespace for kind, namespace, _ in tenant_guards() if kind == "LimitRange"])
def test_without_default_deny_the_others_still_close_the_namespace(mended: ProvedWorld, namespace: str) -> None:
    guard = mended.guard("NetworkPolicy", name="default-deny", namespace=namespace)
    mended.api.delete(mended.path(guard))
    assert flow_problems(mended) == {}
    (look,) = mended.requests(lambda one: one.about.id == f"guards/NetworkPolicy {namespace}/default-deny")
    assert look.verdict.ending is Ending.FAILED_CONTROL


@pytest.mark.parametrize("namespace", [namespace for kind, namespace, _ in tenant_guards() if kind == "LimitRange"])
def test_a_namespace_whose_policies_are_all_gone_is_open_to_everybody(mended: ProvedWorld, namespace: str) -> None:
    for where, name in POLICIES:
        if where == namespace:
            mended.api.delete(mended.path(mended.guard("NetworkPolicy", name=name, namespace=namespace)))
    found = flow_problems(mended)
    assert {found[f"flows/{namespace}/{way}/kube-system"] for way in ("ingress", "egress")} == {Ending.GOT_THROUGH}
    assert found[f"flows/192.0.2.1/{namespace}"] is Ending.GOT_THROUGH


def test_a_pod_that_had_a_solution_s_label_before_the_rule_fails_a_control(proved: ProvedWorld) -> None:
    """An administrator stands for the time before: nobody else can make such a pod now."""
    made = accepted("Pod", namespace=f"{OWN}-apps", facts=proved.tenant().facts, role="")
    made["metadata"]["labels"] |= {LABEL_SOLUTION: "ledger"}
    cluster = proved.cluster()
    before = prove_labels(proved.target(cluster), means=proved.means(cluster))
    proved.put(made)
    try:
        found = prove_labels(proved.target(cluster), means=proved.means(cluster))
        neighbour = prove_labels(proved.target(cluster, name=NEIGHBOUR), means=proved.means(cluster))
    finally:
        proved.api.delete(f"{proved.path(made)}?gracePeriodSeconds=0")
    assert (before.verdict.ending, neighbour.verdict.ending) == (Ending.WORKS, Ending.WORKS)
    assert found.verdict.ending is Ending.FAILED_CONTROL
    assert f"Pod {OWN}-apps/{NAME} bears {LABEL_SOLUTION}: ledger" in found.verdict.said
