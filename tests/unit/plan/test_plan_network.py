"""Network policies: closed by default, opened by listed flows only."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.descriptor.cooperative import Egress
from provisioner.descriptor.platform import DnsAccess, Endpoint, IngressAccess, Platform
from provisioner.errors import PolicyViolated, UsageError
from provisioner.naming import ANNOTATION_WHY
from provisioner.plan.addresses import outside_block
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import KubernetesObject
from tests.unit.plan import builders


def policies(
    *, egress: tuple[Egress, ...] = (), platform: Platform | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    """The plan's network policies by namespace and name."""
    plan = cooperative_plan(
        builders.cooperative(egress=egress),
        platform=platform or builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    found = [resource.manifest for resource in plan.resources if isinstance(resource, KubernetesObject)]
    return {
        (manifest["metadata"]["namespace"], manifest["metadata"]["name"]): manifest
        for manifest in found
        if manifest["kind"] == "NetworkPolicy"
    }


def peers(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Every peer of every rule."""
    rules = [*manifest["spec"].get("ingress", []), *manifest["spec"].get("egress", [])]
    return [peer for rule in rules for side in ("from", "to") for peer in rule.get(side, [])]


@pytest.mark.parametrize("namespace", ["rice-processing-apps", "rice-processing-data"])
def test_both_directions_are_closed_by_default(namespace: str) -> None:
    spec = policies()[namespace, "default-deny"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_no_rule_is_without_peers() -> None:
    for key, manifest in policies().items():
        for rule in [*manifest["spec"].get("ingress", []), *manifest["spec"].get("egress", [])]:
            assert rule.get("from") or rule.get("to"), key


def test_a_platform_without_dns_or_ingress_opens_nothing_in_their_place() -> None:
    bare = replace(builders.platform(), dns=DnsAccess(), ingress=IngressAccess(class_name="none"))
    made = policies(platform=bare)
    assert "egress" not in made["rice-processing-apps", "dns"]["spec"]
    assert "ingress" not in made["rice-processing-apps", "ingress-controller"]["spec"]


def test_the_data_store_is_reached_by_address_and_port_not_by_service() -> None:
    rule = policies()["rice-processing-apps", "to-postgres"]["spec"]["egress"]
    assert rule == [{"to": [{"ipBlock": {"cidr": "10.244.0.1/32"}}], "ports": [{"protocol": "TCP", "port": 15432}]}]


def test_dns_is_open_over_both_protocols() -> None:
    (rule,) = policies()["rice-processing-data", "dns"]["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]


def test_dns_pods_are_chosen_by_namespace_and_labels_at_once() -> None:
    access = DnsAccess(namespace="kube-system", pod_labels=(("k8s-app", "kube-dns"),))
    made = policies(platform=replace(builders.platform(), dns=access))
    assert peers(made["rice-processing-apps", "dns"]) == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]


def test_only_the_tenant_s_own_namespaces_are_selected() -> None:
    for manifest in policies().values():
        for peer in peers(manifest):
            if "namespaceSelector" in peer:
                name = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
                assert name in {"rice-processing-apps", "rice-processing-data"}


def test_listed_egress_is_one_policy_for_each_network_with_its_reasons() -> None:
    made = policies(
        egress=(
            Egress(cidr="203.0.113.0/24", ports=(443,), why="tax office gateway"),
            Egress(cidr="203.0.113.0/24", ports=(8443,), why="tax office test gateway"),
            Egress(cidr="2001:db8::/32", ports=(443,), why="suppliers"),
        )
    )
    both = made["rice-processing-apps", "egress-203-0-113-0-24"]
    assert both["metadata"]["annotations"]["coopctl.dev/why"] == "tax office gateway; tax office test gateway"
    assert [rule["ports"][0]["port"] for rule in both["spec"]["egress"]] == [443, 8443]
    assert ("rice-processing-apps", "egress-2001-db8---32") in made


def test_egress_to_everywhere_leaves_the_metadata_addresses_out() -> None:
    made = policies(egress=(Egress(cidr="0.0.0.0/0", ports=(443,), why="everything"),))
    assert peers(made["rice-processing-apps", "egress-0-0-0-0-0"]) == [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
    ]


@pytest.mark.parametrize("cidr", ["169.254.169.254/32", "169.254.0.0/16", "fe80::1/128", "fd00:ec2::254/128"])
def test_egress_to_metadata_addresses_is_refused(cidr: str) -> None:
    with pytest.raises(PolicyViolated):
        policies(egress=(Egress(cidr=cidr, ports=(80,), why="credentials"),))


def test_a_server_known_by_name_only_is_refused_with_the_remedy() -> None:
    named = replace(builders.platform().postgres, pods=Endpoint(host="db.example.kr", port=5432))
    with pytest.raises(UsageError) as refused:
        policies(platform=replace(builders.platform(), postgres=named))
    assert "platform.yaml" in (refused.value.hint or "")


def test_egress_to_a_network_around_the_cluster_s_own_leaves_those_out() -> None:
    cluster = replace(builders.platform().cluster, networks=("10.244.0.0/16", "10.96.0.0/16", "192.0.2.0/24"))
    made = policies(
        egress=(Egress(cidr="10.0.0.0/8", ports=(443,), why="the offices"),),
        platform=replace(builders.platform(), cluster=cluster),
    )
    assert peers(made["rice-processing-apps", "egress-10-0-0-0-8"]) == [
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.244.0.0/16", "10.96.0.0/16"]}}
    ]


@pytest.mark.parametrize("cidr", ["10.244.0.0/16", "10.244.1.0/24", "10.96.0.1/32"])
def test_egress_to_the_cluster_s_own_networks_is_refused(cidr: str) -> None:
    cluster = replace(builders.platform().cluster, networks=("10.244.0.0/16", "10.96.0.0/16"))
    with pytest.raises(PolicyViolated, match="never allowed"):
        policies(
            egress=(Egress(cidr=cidr, ports=(443,), why="the API server"),),
            platform=replace(builders.platform(), cluster=cluster),
        )


@given(st.ip_addresses(v=4), st.integers(min_value=0, max_value=32))
def test_no_allowed_block_ever_holds_the_metadata_address(address: Any, prefix: int) -> None:
    import ipaddress

    network = ipaddress.ip_network(f"{address}/{prefix}", strict=False)
    try:
        block = outside_block(str(network))["ipBlock"]
    except PolicyViolated:
        return
    metadata = ipaddress.ip_address("169.254.169.254")
    held = metadata in ipaddress.ip_network(block["cidr"])
    assert not held or any(metadata in ipaddress.ip_network(hole) for hole in block.get("except", []))


def test_policies_say_why_they_are_there() -> None:
    assert all(manifest["metadata"]["annotations"][ANNOTATION_WHY] for manifest in policies().values())
