"""Quotas, limits and their quantities."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.descriptor.cooperative import Cooperative
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.explaining import resource_document
from provisioner.plan.limit_range import limit_range
from provisioner.plan.quantity import cpu, number, size
from provisioner.plan.resource_quota import (
    PROBE_MEMORY_BYTES,
    PROBE_PODS,
    PROBE_SCRATCH_BYTES,
    resource_quota,
    solutions_quota,
)
from provisioner.plan.tenant import tenant_of
from tests.unit.plan import builders

# Every namespaced kind that Kubernetes 1.35 stores (kubectl api-resources --namespaced), but Events.
CORE_KINDS = {
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
}
COUNTED_KINDS = {
    "controllerrevisions.apps",
    "cronjobs.batch",
    "csistoragecapacities.storage.k8s.io",
    "daemonsets.apps",
    "deployments.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "ingresses.networking.k8s.io",
    "jobs.batch",
    "leases.coordination.k8s.io",
    "limitranges",
    "networkpolicies.networking.k8s.io",
    "poddisruptionbudgets.policy",
    "podtemplates",
    "replicasets.apps",
    "resourceclaims.resource.k8s.io",
    "resourceclaimtemplates.resource.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "serviceaccounts",
    "statefulsets.apps",
}
COMPUTE = {
    f"{side}.{resource}" for side in ("requests", "limits") for resource in ("cpu", "memory", "ephemeral-storage")
}

UNITS: dict[str, int] = {
    "": 1,
    **{suffix: 1000 ** (power + 1) for power, suffix in enumerate(["k", "M", "G", "T", "P"])},
    **{suffix: 1024 ** (power + 1) for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi"])},
}


def hard(cooperative: Cooperative) -> dict[str, str]:
    """The limits of the quota of the cooperative's apps namespace."""
    tenant = tenant_of(cooperative, cluster=builders.platform().cluster.id)
    limits: dict[str, str] = resource_quota(tenant.apps)["spec"]["hard"]
    return limits


def parsed(quantity: str) -> int:
    """The number that a quantity without fraction stands for."""
    digits = quantity.rstrip("kKMGTPi")
    return int(digits) * UNITS[quantity.removeprefix(digits)]


def test_every_countable_kind_has_a_limit() -> None:
    limits = hard(builders.cooperative())
    expected = {*COMPUTE, *CORE_KINDS, "requests.storage", "services.nodeports", "services.loadbalancers"}
    assert set(limits) == expected | {f"count/{kind}" for kind in COUNTED_KINDS}


def test_neither_node_ports_nor_load_balancers_are_allowed() -> None:
    limits = hard(builders.cooperative())
    assert (limits["services.nodeports"], limits["services.loadbalancers"]) == ("0", "0")


def test_a_change_of_size_changes_only_the_quota_it_is_about() -> None:
    def documents(cooperative: Cooperative) -> dict[str, object]:
        plan = cooperative_plan(
            cooperative,
            platform=builders.platform(),
            catalogue=builders.catalogue(),
            images=builders.fake_lock(),
        )
        return {resource.key: resource_document(resource) for resource in plan.resources}

    small = builders.cooperative()
    large = replace(small, size="large", apps_budget=replace(small.apps_budget, pods=50, limits_memory_bytes=2**34))
    before, after = documents(small), documents(large)
    changed = [key for key in before if before[key] != after[key]]
    assert changed == ["apps-resourcequota-solutions", "apps-resourcequota-tenant"]
    limits_before, limits_after = hard(small), hard(large)
    assert {key for key in limits_before if limits_before[key] != limits_after[key]} == {"pods", "limits.memory"}


def test_a_tenant_that_uses_all_it_has_leaves_room_for_the_probes_of_a_proof() -> None:
    tenant = tenant_of(builders.cooperative(), cluster=builders.platform().cluster.id)
    for namespace in (tenant.apps, tenant.data):
        everything = resource_quota(namespace)["spec"]["hard"]
        own = solutions_quota(namespace)["spec"]
        assert own["hard"].keys() < everything.keys()
        assert own["scopeSelector"]["matchExpressions"] == [
            {"scopeName": "PriorityClass", "operator": "NotIn", "values": ["coopctl-probe"]}
        ]
        assert int(everything["pods"]) - int(own["hard"]["pods"]) == PROBE_PODS
        assert own["hard"]["pods"] == str(namespace.budget.pods)
        for amount, one in (("requests.memory", PROBE_MEMORY_BYTES), ("limits.memory", PROBE_MEMORY_BYTES)):
            assert parsed(everything[amount]) - parsed(own["hard"][amount]) == PROBE_PODS * one
        scratch = parsed(everything["limits.ephemeral-storage"]) - namespace.budget.limits_ephemeral_storage_bytes
        assert scratch == PROBE_PODS * PROBE_SCRATCH_BYTES


def test_a_container_has_a_least_a_most_defaults_and_a_ratio() -> None:
    tenant = tenant_of(builders.cooperative(), cluster=builders.platform().cluster.id)
    container, pod, claim = limit_range(tenant.apps)["spec"]["limits"]
    for field in ("default", "defaultRequest", "max"):
        assert set(container[field]) == {"cpu", "memory", "ephemeral-storage"}
    # Both would refuse the probes of a proof, which request no ephemeral storage.
    for field in ("min", "maxLimitRequestRatio"):
        assert set(container[field]) == {"cpu", "memory"}
    assert pod["max"] == {"cpu": "4", "memory": "4Gi", "ephemeral-storage": "4Gi"}
    assert claim == {"type": "PersistentVolumeClaim", "max": {"storage": "10Gi"}, "min": {"storage": "1Mi"}}


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (cpu(0), "0"),
        (cpu(100), "100m"),
        (cpu(1500), "1500m"),
        (cpu(2000), "2"),
        (cpu(1_000_000), "1k"),
        (size(0), "0"),
        (size(1024), "1Ki"),
        (size(1536 * 1024), "1536Ki"),
        (size(2 * 1024**3), "2Gi"),
        (size(1_000_000), "1M"),
        (size(1001), "1001"),
        (number(12), "12"),
        (number(3000), "3k"),
    ],
)
def test_quantities_are_written_as_the_api_server_writes_them(made: str, written: str) -> None:
    assert made == written


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_keeps_its_value(count: int) -> None:
    assert parsed(size(count)) == count


@given(st.integers(min_value=0, max_value=2**40))
def test_cpu_keeps_its_value(millicores: int) -> None:
    written = cpu(millicores)
    assert (int(written[:-1]) if written.endswith("m") else parsed(written) * 1000) == millicores
