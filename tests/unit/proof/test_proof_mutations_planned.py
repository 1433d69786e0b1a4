"""What a builder plans weaker than promised shows in a proof, though the proof compares the cluster with that plan."""

import ipaddress
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest

from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import KubernetesObject, PlatformPlan
from provisioner.proof.flows import Network
from provisioner.proof.planning_flows import flow_attempts
from provisioner.proof.promises import promise_looks
from provisioner.proof.running_flows import FlowRunner
from provisioner.proof.tenant import ProvenTenant, proven_tenant
from provisioner.proof.verdicts import PROBLEMS
from tests.proof_mutations import (
    NEIGHBOUR,
    OWN,
    Mutation,
    Place,
    is_for_attacks,
    mutations,
    place,
    planned,
    platform_guards,
    proved_platform,
    proved_terms,
    store_parts,
    tenant_guards,
    weakened_parts,
)
from tests.unit.proof.world import neighbour

# Where a policy finds what it judges only attacks on an API server tell; they are made in tests/integration/proof.
GUARDS = {**tenant_guards(), **platform_guards()}
ALL = [one for one in mutations(GUARDS) if not is_for_attacks(one)]
NEIGHBOURS = tenant_guards(NEIGHBOUR)


@lru_cache
def sound() -> tuple[ProvenTenant, PlatformPlan]:
    """The tenant and the platform as they are planned."""
    terms = proved_terms()
    return proven_tenant(planned(terms), terms=terms), platform_plan(proved_platform())


def weakened(items: tuple[KubernetesObject, ...], mutation: Mutation) -> tuple[KubernetesObject, ...]:
    """Planned objects as a builder with this mistake would plan them."""
    return tuple(_weakened(items, mutation))


def _weakened(items: tuple[KubernetesObject, ...], mutation: Mutation) -> Iterator[KubernetesObject]:
    for item in items:
        if place(item.manifest) != mutation.place:
            yield item
        elif mutation.change:
            yield replace(item, manifest=mutation.change(deepcopy(item.manifest)))


def shown(tenant: ProvenTenant, platform: PlatformPlan) -> Iterator[str]:
    """What a proof that needs no server finds wrong, with the cluster exactly as it is planned."""
    for look in promise_looks(tenant, platform=platform):
        if look.lacking:
            yield f"{look.about.id}: {look.lacking}"
    yield from _flows(tenant)


def _flows(tenant: ProvenTenant) -> Iterator[str]:
    policies: dict[str, list[dict[str, Any]]] = {}
    for manifest in (*(item.manifest for item in tenant.guards.values()), *NEIGHBOURS.values()):
        if manifest["kind"] == "NetworkPolicy":
            policies.setdefault(manifest["metadata"]["namespace"], []).append(manifest)
    names = [f"{name}-{part}" for name in (OWN, NEIGHBOUR) for part in ("apps", "data")]
    network = Network(
        namespaces={name: {"kubernetes.io/metadata.name": name} for name in names},
        policies=policies,
        pods=(ipaddress.ip_network("10.244.0.0/24"),),
        others=frozenset({ipaddress.ip_address("10.244.0.1")}),
    )
    runner = FlowRunner(network)
    for one in flow_attempts(tenant, network=network, neighbours=[neighbour(NEIGHBOUR)], servers={}):
        if runner.run(one).ending in PROBLEMS:
            yield one.about.id


def test_a_plan_as_promised_shows_nothing() -> None:
    assert list(shown(*sound())) == []


@pytest.mark.parametrize("guard", GUARDS, ids="/".join)
def test_a_guard_that_is_planned_weaker_shows(guard: Place) -> None:
    tenant, platform = sound()
    overlooked = []
    for mutation in (one for one in ALL if one.place == guard):
        own = {item.key: item for item in weakened(tuple(tenant.guards.values()), mutation)}
        found = shown(replace(tenant, guards=own), replace(platform, resources=weakened(platform.resources, mutation)))
        if not next(found, None):
            overlooked.append(mutation.what)
    assert overlooked == []


@pytest.mark.parametrize("key", store_parts())
def test_a_part_of_the_data_store_that_is_planned_weaker_shows(key: str) -> None:
    tenant, platform = sound()
    part = store_parts()[key]
    for attribute, weaker in weakened_parts(part).items():
        resources = tuple(weaker if item.key == key else item for item in tenant.plan.resources)
        changed = replace(tenant, plan=replace(tenant.plan, resources=resources))
        assert next(shown(changed, platform), None), attribute


@pytest.mark.parametrize("key", store_parts())
def test_a_part_of_the_data_store_that_is_not_planned_shows(key: str) -> None:
    tenant, platform = sound()
    resources = tuple(item for item in tenant.plan.resources if item.key != key)
    assert next(shown(replace(tenant, plan=replace(tenant.plan, resources=resources)), platform), None)
