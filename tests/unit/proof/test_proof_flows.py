"""What policies let through is found whatever labels pods choose, and crossing flows of planned tenants are none."""

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Egress
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import KubernetesObject
from provisioner.proof.flows import Network, Ports, selects
from provisioner.proof.planning_flows import flow_attempts
from provisioner.proof.running_flows import FlowRunner
from provisioner.proof.verdicts import Ending
from tests.unit.plan import builders
from tests.unit.proof.world import neighbour, proven

NAME = "kubernetes.io/metadata.name"
TENANTS = ("rice-processing", "plastics", "lp-gas")
PODS = (ipaddress.ip_network("10.244.0.0/24"),)
BRIDGE = frozenset({ipaddress.ip_address("10.244.0.1")})
SERVERS = {"the kubelet": "10.244.0.1:10250", "the API server's Service": "10.96.0.1:443"}


def policy(**spec: Any) -> Manifest:
    """A policy for every pod of its namespace, unless ``spec`` says otherwise."""
    return {"spec": {"podSelector": {}, **spec}}


def network(**policies: list[Manifest]) -> Network:
    """Two namespaces, ``a`` and ``b``, with these policies."""
    labels = {name: {NAME: name, "tenant": name} for name in ("a", "b")}
    return Network(namespaces=labels, policies=policies, pods=PODS, others=BRIDGE)


GONE = "plastics-data"
CLOSED = policy(policyTypes=["Ingress", "Egress"])


def planned(*names: str, egress: tuple[Egress, ...] = ()) -> Network:
    """The namespaces of these cooperatives as they are planned."""
    found: dict[str, list[Manifest]] = {}
    for name in names:
        made = cooperative_plan(
            builders.cooperative(name, egress=egress),
            platform=builders.platform(),
            catalogue=builders.catalogue(),
            images=builders.fake_lock(),
        )
        for item in made.resources:
            if isinstance(item, KubernetesObject) and item.manifest["kind"] == "NetworkPolicy":
                found.setdefault(item.manifest["metadata"]["namespace"], []).append(item.manifest)
    return Network(namespaces={name: {NAME: name} for name in found}, policies=found, pods=PODS, others=BRIDGE)


def test_without_policies_everything_flows() -> None:
    assert [str(ports) for ports in network().between("a", "b")] == ["any SCTP", "any TCP", "any UDP"]


def test_a_flow_needs_both_sides() -> None:
    everybody = policy(egress=[{}], ingress=[{}], policyTypes=["Ingress", "Egress"])
    assert network(a=[CLOSED]).between("a", "b") == ()
    assert network(b=[CLOSED]).between("a", "b") == ()
    assert network(a=[CLOSED, everybody], b=[CLOSED]).between("a", "b") == ()
    assert network(a=[CLOSED, everybody], b=[CLOSED, everybody]).between("a", "b") != ()


def test_ports_of_both_sides_must_meet() -> None:
    out = policy(policyTypes=["Egress"], egress=[{"ports": [{"port": 80, "endPort": 90}]}])
    into = policy(
        policyTypes=["Ingress"], ingress=[{"ports": [{"port": 85, "endPort": 99}, {"port": 90, "protocol": "UDP"}]}]
    )
    assert network(a=[out], b=[into]).between("a", "b") == (Ports(protocol="TCP", first=85, last=90),)


def test_a_port_by_name_may_be_any() -> None:
    into = policy(policyTypes=["Ingress"], ingress=[{"ports": [{"port": "web"}]}])
    assert network(b=[into]).between("a", "b") == (Ports(protocol="TCP"),)


def test_a_policy_for_some_pods_closes_nothing_since_a_pod_may_bear_other_labels() -> None:
    some = policy(podSelector={"matchLabels": {"app": "x"}}, policyTypes=["Ingress", "Egress"])
    assert network(a=[some], b=[some]).between("a", "b") != ()


def test_a_policy_for_some_pods_opens_for_whoever_bears_their_labels() -> None:
    some = policy(podSelector={"matchLabels": {"app": "x"}}, ingress=[{"from": [{"namespaceSelector": {}}]}])
    assert network(b=[CLOSED, some]).between("a", "b") != ()


@pytest.mark.parametrize(
    ("peer", "reached"),
    [
        ({"podSelector": {}}, False),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {NAME: "a"}}}, True),
        ({"namespaceSelector": {"matchLabels": {NAME: "c"}}}, False),
        (
            {"namespaceSelector": {"matchExpressions": [{"key": "tenant", "operator": "Exists"}]}, "podSelector": {}},
            True,
        ),
        ({"namespaceSelector": {"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}}, True),
        ({"ipBlock": {"cidr": "10.244.0.0/16"}}, True),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}, False),
        ({"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.244.0.0/25"]}}, True),
        ({"ipBlock": {"cidr": "203.0.113.0/24"}}, False),
        ({"ipBlock": {"cidr": "10.244.0.1/32"}}, False),
        ({"ipBlock": {"cidr": "10.244.0.7/32"}}, True),
        ({"ipBlock": {"cidr": "fd00::/8"}}, False),
    ],
)
def test_a_peer_reaches_the_pods_that_it_names(peer: Manifest, reached: bool) -> None:
    into = policy(policyTypes=["Ingress"], ingress=[{"from": [peer]}])
    assert bool(network(b=[into]).between("a", "b")) is reached


def test_where_the_pods_addresses_are_not_known_any_block_may_hold_them() -> None:
    into = policy(policyTypes=["Ingress"], ingress=[{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}])
    unknown = Network(namespaces={"a": {}, "b": {}}, policies={"b": [into]})
    assert unknown.between("a", "b") != ()


def test_egress_without_types_closes_only_if_it_is_spoken_of() -> None:
    silent: Manifest = {"spec": {"podSelector": {}, "ingress": []}}
    assert network(a=[silent]).outwards("a", "192.0.2.1") != ()
    assert (
        network(a=[{"spec": {"podSelector": {}, "egress": [{"to": [{"podSelector": {}}]}]}}]).outwards("a", "192.0.2.1")
        == ()
    )


@pytest.mark.parametrize(
    ("expression", "labels", "selected"),
    [
        ({"key": "a", "operator": "In", "values": ["1", "2"]}, {"a": "2"}, True),
        ({"key": "a", "operator": "In", "values": ["1"]}, {}, False),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {"a": "1"}, False),
        ({"key": "a", "operator": "DoesNotExist"}, {"a": "1"}, False),
    ],
)
def test_label_expressions_mean_what_kubernetes_says(
    expression: Manifest, labels: dict[str, str], selected: bool
) -> None:
    assert selects({"matchExpressions": [expression]}, labels) is selected


def test_no_flow_crosses_planned_tenants_and_all_that_are_needed_are_there() -> None:
    found = planned(*TENANTS, egress=builders.cooperative().network.egress)
    attempts = flow_attempts(
        proven(),
        network=found,
        neighbours=[neighbour("plastics"), neighbour("lp-gas")],
        servers=SERVERS,
    )
    endings = {one.about.id: FlowRunner(found).run(one).ending for one in attempts}
    assert set(endings.values()) == {Ending.BLOCKED, Ending.WORKS}
    assert endings["flows/rice-processing-apps/plastics-data"] is Ending.BLOCKED
    assert endings["flows/plastics-apps/rice-processing-apps"] is Ending.BLOCKED
    assert endings["flows/rice-processing-data/to-postgres/1"] is Ending.WORKS
    assert endings["flows/rice-processing-apps/to-data/1"] is Ending.WORKS
    assert endings["flows/rice-processing-apps/ingress/kube-system"] is Ending.BLOCKED
    assert endings["flows/rice-processing-apps/the metadata service"] is Ending.BLOCKED
    assert endings["flows/192.0.2.1/rice-processing-apps"] is Ending.BLOCKED


def test_a_neighbour_of_which_one_namespace_is_gone_is_reached_no_more_than_a_whole_one() -> None:
    found = planned(*TENANTS)
    half = replace(found, namespaces={name: labels for name, labels in found.namespaces.items() if name != GONE})
    attempts = flow_attempts(proven(), network=half, neighbours=[neighbour("plastics")], servers=SERVERS)
    endings = {one.about.id: FlowRunner(half).run(one).ending for one in attempts}
    assert endings[f"flows/rice-processing-apps/{GONE}"] is Ending.BLOCKED
    assert endings[f"flows/{GONE}/rice-processing-apps"] is Ending.BLOCKED


def test_a_tenant_that_lists_the_whole_internet_still_reaches_no_other_and_no_metadata() -> None:
    everywhere = (Egress(cidr="0.0.0.0/0", ports=(80, 443, 10250), why="everything"),)
    found = planned(*TENANTS, egress=everywhere)
    assert found.outwards("rice-processing-apps", "192.0.2.1") != ()
    assert found.outwards("rice-processing-apps", "169.254.169.254") == ()
    for target in ("plastics-apps", "plastics-data", "lp-gas-apps"):
        assert found.between("rice-processing-apps", target) == ()


def changed(found: Network, policies: dict[str, list[Manifest]]) -> Network:
    """The same namespaces with other policies."""
    return Network(namespaces=found.namespaces, policies=policies, pods=found.pods, others=found.others)


def test_policies_for_every_pod_close_a_namespace_together() -> None:
    found = planned(*TENANTS)
    kept = [item for item in found.policies["rice-processing-apps"] if item["metadata"]["name"] != "default-deny"]
    without = changed(found, {**{k: list(v) for k, v in found.policies.items()}, "rice-processing-apps": kept})
    assert without.between("plastics-apps", "rice-processing-apps") == ()


def test_namespaces_whose_policies_are_gone_reach_each_other() -> None:
    found = planned(*TENANTS)
    without = changed(found, {"plastics-apps": list(found.policies["plastics-apps"])})
    assert without.between("rice-processing-apps", "lp-gas-apps") != ()
    assert without.between("rice-processing-apps", "plastics-apps") == ()


def changed_policy(found: Network, name: str, **spec: Any) -> Network:
    """The same namespaces, where one policy of rice-processing-apps says something else."""
    policies = [
        {**item, "spec": {**item["spec"], **spec}} if item["metadata"]["name"] == name else item
        for item in found.policies["rice-processing-apps"]
    ]
    return changed(found, {**{k: list(v) for k, v in found.policies.items()}, "rice-processing-apps": policies})


def endings(found: Network) -> dict[str, Ending]:
    """How the attempts on the flows of rice-processing end, beside two neighbours."""
    neighbours = [neighbour("plastics"), neighbour("lp-gas")]
    attempts = flow_attempts(proven(), network=found, neighbours=neighbours, servers=SERVERS)
    return {one.about.id: FlowRunner(found).run(one).ending for one in attempts}


SOUND = planned(*TENANTS, egress=builders.cooperative().network.egress)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("to-data", {"egress": []}),
        ("to-data", {"podSelector": {"matchLabels": {"app": "x"}}}),
        ("to-data", {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}),
        (
            "dns",
            {"egress": [{"to": [{"ipBlock": {"cidr": "10.244.0.1/32"}}], "ports": [{"protocol": "UDP", "port": 53}]}]},
        ),
        ("to-postgres", {"egress": [{"to": [{"ipBlock": {"cidr": "10.244.0.1/32"}}], "ports": [{"port": "sql"}]}]}),
    ],
)
def test_a_flow_that_is_only_possible_is_no_control_that_works(name: str, change: Manifest) -> None:
    found = endings(changed_policy(SOUND, name, **change))
    failed = {key for key, ending in found.items() if ending is Ending.FAILED_CONTROL}
    assert failed
    assert {key.rsplit("/", 1)[0] for key in failed} == {f"flows/rice-processing-apps/{name}"}


@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_a_gate_that_is_open_got_through_though_the_other_s_is_closed(direction: str) -> None:
    found = endings(changed_policy(SOUND, "own-applications", **{direction: [{}]}))
    assert found[f"flows/rice-processing-apps/{direction}/plastics-apps"] is Ending.GOT_THROUGH
    assert found["flows/rice-processing-apps/plastics-apps"] is Ending.BLOCKED


def test_a_network_that_the_plan_lists_opens_no_gate_where_the_pods_addresses_are_not_known() -> None:
    unknown = Network(namespaces=SOUND.namespaces, policies=SOUND.policies, others=BRIDGE)
    assert set(endings(unknown).values()) == {Ending.BLOCKED, Ending.WORKS}
    more = [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
    opened = endings(changed_policy(unknown, "to-data", egress=more))
    assert opened["flows/rice-processing-apps/egress/plastics-apps"] is Ending.GOT_THROUGH
