"""Plans of the pilots, of every size and of platforms of other shapes hold and let through all that is promised."""

import ipaddress
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.descriptor.cooperative import (
    Cooperative,
    Egress,
    MemberLayout,
    Operator,
    SubjectKind,
)
from provisioner.descriptor.platform import DnsAccess, Endpoint, IngressAccess, Platform
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.platform import platform_plan
from provisioner.plan.store_place import StorePlace, seen_from_pods
from provisioner.proof.flows import Network
from provisioner.proof.planning_flows import flow_attempts
from provisioner.proof.promises import promise_looks
from provisioner.proof.running_flows import FlowRunner
from provisioner.proof.tenant import Terms, proven_tenant
from provisioner.proof.verdicts import PROBLEMS
from tests.unit.plan import builders
from tests.unit.plan.pilots import NAMES, load_pilots, pilot_plan, resized

SIZES = ("small", "medium", "large")


def problems(cooperative: Cooperative, *, platform: Platform) -> list[str]:
    """What is not as promised, in a cluster that is exactly as it is planned."""
    terms = Terms(cooperative=cooperative, platform=platform)
    tenant = proven_tenant(pilot_plan(cooperative, platform=platform), terms=terms)
    looks = promise_looks(tenant, platform=platform_plan(platform))
    network = _network([item.manifest for item in tenant.guards.values()])
    flows = flow_attempts(tenant, network=network, neighbours=[], servers={"a node": "10.244.0.1:10250"})
    found = [f"{look.about.id}: {look.lacking}" for look in looks if look.lacking]
    return [*found, *(one.about.id for one in flows if FlowRunner(network).run(one).ending in PROBLEMS)]


def _network(guards: list[Manifest]) -> Network:
    names = [guard["metadata"]["name"] for guard in guards if guard["kind"] == "Namespace"]
    listed = {
        name: [guard for guard in guards if guard["kind"] == "NetworkPolicy" and guard["metadata"]["namespace"] == name]
        for name in names
    }
    labels = {name: {"kubernetes.io/metadata.name": name} for name in (*names, "kube-system", "default", "ingress")}
    pods = (ipaddress.ip_network("10.244.0.0/24"),)
    return Network(
        namespaces=labels, policies=listed, pods=pods, others=frozenset({ipaddress.ip_address("10.244.0.1")})
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_plan_of_a_pilot_is_as_promised(name: str) -> None:
    platform, pilots = load_pilots()
    assert problems(pilots[name], platform=platform) == []


@pytest.mark.parametrize("size", SIZES)
def test_the_plan_of_every_size_is_as_promised(size: str, tmp_path: Path) -> None:
    platform, cooperative = resized(NAMES[0], size=size, folder=tmp_path)
    assert problems(cooperative, platform=platform) == []


def test_a_platform_with_pods_for_names_and_ingress_is_as_promised() -> None:
    base = builders.platform()
    platform = replace(
        base,
        dns=DnsAccess(namespace="kube-system", pod_labels=(("k8s-app", "kube-dns"),)),
        ingress=IngressAccess(class_name="nginx", controller_namespace="ingress"),
        cluster=replace(base.cluster, networks=("10.244.0.0/16", "10.96.0.0/12")),
        priority_classes=("more",),
        storage_classes=(),
    )
    everywhere = tuple(
        Egress(cidr=cidr, ports=ports, why=why)
        for cidr, ports, why in (
            ("0.0.0.0/0", (443,), "everything"),
            ("0.0.0.0/0", (25, 587), "mail"),
            ("2001:db8::/32", (443,), "the same over IPv6"),
            ("169.254.0.0/15", (80,), "beside the metadata addresses"),
        )
    )
    cooperative = builders.cooperative(egress=everywhere, solutions=())
    assert problems(cooperative, platform=platform) == []


def test_other_operators_layouts_and_limits_are_as_promised() -> None:
    base = builders.cooperative(egress=(), solutions=())
    groups = (Operator(kind=SubjectKind.GROUP, name="rice office"), Operator(kind=SubjectKind.USER, name="b"))
    for changed in (
        replace(base, operators=()),
        replace(base, operators=groups),
        replace(base, postgres=replace(base.postgres, member_layout=MemberLayout.SCHEMA, storage_bytes=0)),
        replace(base, postgres=replace(base.postgres, connection_limit=5)),
        replace(base, objects=replace(base.objects, quota_bytes=0, versioning=False)),
        replace(base, container_limits=replace(base.container_limits, max_claim_storage_bytes=1000)),
        replace(base, apps_budget=replace(base.apps_budget, resourcequotas=0)),
    ):
        assert problems(changed, platform=builders.platform()) == []


def test_a_plan_whose_data_store_has_moved_is_as_promised_and_no_other_is() -> None:
    platform, cooperative = builders.platform(), builders.cooperative()
    away = StorePlace(
        postgres=Endpoint(host="203.0.113.10", port=5433), objects=Endpoint(host="203.0.113.20", port=9000)
    )
    ended = replace(away, rotation=1)
    plans = {
        place: cooperative_plan(
            cooperative,
            platform=platform,
            catalogue=builders.catalogue(),
            images=builders.fake_lock(),
            moved_to=place,
        )
        for place in (away, ended, replace(ended, erased=True))
    }

    def lacking(terms: Terms, *, place: StorePlace) -> list[str]:
        looks = promise_looks(proven_tenant(plans[place], terms=terms), platform=platform_plan(platform))
        return [look.lacking for look in looks if look.lacking]

    home = Terms(cooperative=cooperative, platform=platform)
    moved = replace(home, platform=seen_from_pods(platform, moved_to=away), moved=True)
    assert lacking(moved, place=away) == []
    assert "it is fenced, and the data store is at home" in lacking(home, place=away)
    assert lacking(replace(moved, rotation=1), place=ended) == []
    assert "its credentials were changed 0 times, not 1" in lacking(replace(moved, rotation=1), place=away)
    gone = replace(moved, rotation=1, erased=True)
    assert lacking(gone, place=replace(ended, erased=True)) == []
    assert "there is a PostgresDatabase, and the data store was erased here" in lacking(gone, place=ended)
