"""Quotas and limits: every kind is counted, and a tenant that uses up all it has cannot keep a proof's probes out."""

import copy
from dataclasses import replace

import pytest

from provisioner.cluster.discovery import discover
from provisioner.naming import PRIORITY_PROBE
from provisioner.plan.manifest import Manifest
from provisioner.plan.resource_quota import (
    PROBE_CPU_MILLIS,
    PROBE_MEMORY_BYTES,
    PROBE_PODS,
    PROBE_SCRATCH_BYTES,
    resource_quota,
)
from provisioner.plan.tenant import tenant_of
from tests.integration.admission.conftest import (
    CONTROLLERS_SECONDS,
    GuardedCluster,
    cooperative,
    shown,
    tenant_plan,
    until,
)
from tests.unit.plan import builders
from tests.unit.rules import accepted

pytestmark = pytest.mark.cluster

CROWDED = "crowded"
NAMESPACE = f"{CROWDED}-apps"
# Kinds of a namespace that no quota counts, and why.
UNCOUNTED = {
    # They expire by themselves, and a full quota would hide why something fails.
    "events": "v1",
    "events.events.k8s.io": "v1",
    # Nothing is stored: they are questions.
    "localsubjectaccessreviews.authorization.k8s.io": "v1",
}


def test_every_kind_that_can_be_made_in_a_namespace_is_counted(guarded: GuardedCluster) -> None:
    tenant = tenant_of(accepted.cooperative(), cluster=builders.platform().cluster.id)
    limits = set(resource_quota(tenant.apps)["spec"]["hard"])
    makeable = {
        str(one) for one in discover(guarded.admin) if one.namespaced and "create" in one.verbs and not one.subresource
    }
    # Binding a pod is written as if it were a kind; the right to it is the scheduler's.
    makeable.discard("bindings")
    assert {name for name in makeable if not {name, f"count/{name}"} & limits} == set(UNCOUNTED)


def pod(name: str, *, priority: str | None = None, amounts: Manifest | None = None) -> Manifest:
    """A pod of one container."""
    made = accepted.pod_of_another(CROWDED, name)
    spec = made["spec"]
    spec["initContainers"], spec["volumes"] = [], []
    spec["priorityClassName"] = priority or spec["priorityClassName"]
    if amounts is not None:
        spec["containers"][0]["resources"] = {"requests": amounts, "limits": amounts}
    return made


def probe(name: str) -> Manifest:
    """A pod of a proof: it requests no ephemeral storage, and may use a little."""
    amounts = {"cpu": f"{PROBE_CPU_MILLIS}m", "memory": str(PROBE_MEMORY_BYTES), "ephemeral-storage": "0"}
    made = pod(name, priority=PRIORITY_PROBE, amounts=amounts)
    scratch = {**amounts, "ephemeral-storage": str(PROBE_SCRATCH_BYTES)}
    made["spec"]["containers"][0]["resources"] = {"requests": amounts, "limits": scratch}
    return made


@pytest.fixture(scope="module")
def crowded(guarded: GuardedCluster) -> GuardedCluster:
    """A tenant whose pods use all that it has."""
    made = cooperative(CROWDED)
    budget = replace(
        made.apps_budget,
        pods=3,
        requests_cpu_millis=600,
        limits_cpu_millis=600,
        requests_memory_bytes=600 * builders.MIB,
        limits_memory_bytes=600 * builders.MIB,
        requests_ephemeral_storage_bytes=300 * builders.MIB,
        limits_ephemeral_storage_bytes=300 * builders.MIB,
    )
    guarded.apply(tenant_plan(replace(made, apps_budget=budget)))
    amounts = {"cpu": "200m", "memory": "200Mi", "ephemeral-storage": "100Mi"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tenant", "namespace": NAMESPACE}}
    until(
        lambda: (guarded.get(quota) or {}).get("status", {}).get("hard"),
        seconds=CONTROLLERS_SECONDS,
        what="a quota that counts",
    )
    for number in range(3):
        guarded.make(pod(f"own-{number}", amounts=amounts))
    return guarded


def test_a_tenant_s_own_pods_do_not_get_the_room_of_the_probes(crowded: GuardedCluster) -> None:
    answer = crowded.try_create(pod("one-more", amounts={"cpu": "10m", "memory": "16Mi"}), by=crowded.admin)
    assert answer.status == 403
    assert "exceeded quota: " in answer.message, shown(answer)


def test_a_full_quota_lets_the_probes_in_and_bounds_them_too(crowded: GuardedCluster) -> None:
    probes = [probe(f"probe-{number}") for number in range(PROBE_PODS)]
    try:
        for one in probes:
            crowded.make(one)
        answer = crowded.try_create(probe("one-probe-more"), by=crowded.admin)
        assert "exceeded quota: tenant" in answer.message, shown(answer)
    finally:
        for one in probes:
            crowded.remove(one)


def test_nobody_else_makes_a_probe(guarded: GuardedCluster) -> None:
    made = probe("pretended")
    made["metadata"]["namespace"] = accepted.NAMESPACE
    answer = guarded.try_create(made, by=guarded.operator)
    assert answer.status == 403
    assert "denied request: [" in answer.message, shown(answer)
    templated = accepted.deployment()
    templated["spec"]["template"]["spec"]["priorityClassName"] = PRIORITY_PROBE
    assert "[priority-class] " in guarded.try_create(templated, by=guarded.operator).message


def with_amounts(requests: Manifest, limits: Manifest) -> Manifest:
    """An accepted pod whose one container asks for this."""
    made = accepted.pod()
    made["spec"]["containers"][0]["resources"] = {"requests": copy.copy(requests), "limits": copy.copy(limits)}
    return made


@pytest.mark.parametrize(
    ("requests", "limits", "words"),
    [
        ({"cpu": "3", "memory": "64Mi"}, {"cpu": "3", "memory": "64Mi"}, "maximum cpu usage per Container is 2"),
        ({"cpu": "50m", "memory": "3Gi"}, {"cpu": "50m", "memory": "3Gi"}, "maximum memory usage per Container"),
        ({"cpu": "1m", "memory": "64Mi"}, {"cpu": "10m", "memory": "64Mi"}, "minimum cpu usage per Container"),
        ({"cpu": "0", "memory": "64Mi"}, {"cpu": "0", "memory": "64Mi"}, "minimum cpu usage per Container"),
        ({"cpu": "50m", "memory": "1Mi"}, {"cpu": "50m", "memory": "1Mi"}, "minimum memory usage per Container"),
        ({"cpu": "10m", "memory": "64Mi"}, {"cpu": "1", "memory": "64Mi"}, "cpu max limit to request ratio"),
        ({"cpu": "50m", "memory": "16Mi"}, {"cpu": "50m", "memory": "1Gi"}, "memory max limit to request ratio"),
        (
            {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "1Gi"},
            {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "3Gi"},
            "maximum ephemeral-storage usage per Container",
        ),
    ],
)
def test_a_container_beyond_its_limits_is_refused(
    guarded: GuardedCluster, requests: Manifest, limits: Manifest, words: str
) -> None:
    answer = guarded.try_create(with_amounts(requests, limits), by=guarded.operator)
    assert answer.status == 403
    assert words in answer.message, shown(answer)


def test_many_containers_do_not_add_up_beyond_a_pod_s_limits(guarded: GuardedCluster) -> None:
    made = accepted.pod()
    large = {"cpu": "2", "memory": "1Gi", "ephemeral-storage": "1Gi"}
    made["spec"]["containers"] = [
        {**accepted.container(f"c{number}"), "resources": {"requests": large, "limits": large}} for number in range(3)
    ]
    answer = guarded.try_create(made, by=guarded.operator)
    assert "maximum cpu usage per Pod is 4" in answer.message, shown(answer)


def test_a_container_that_says_nothing_gets_the_defaults(guarded: GuardedCluster) -> None:
    made = accepted.pod()
    del made["spec"]["containers"][0]["resources"]
    answer = guarded.try_create(made, by=guarded.operator)
    assert answer.ok, shown(answer)
    given = answer.content["spec"]["containers"][0]["resources"]
    assert set(given["limits"]) == set(given["requests"]) == {"cpu", "memory", "ephemeral-storage"}


@pytest.mark.parametrize(("size", "words"), [("11Gi", "maximum storage usage"), ("1Ki", "minimum storage usage")])
def test_a_claim_beyond_its_limits_is_refused(guarded: GuardedCluster, size: str, words: str) -> None:
    claim = accepted.claim()
    claim["spec"]["resources"]["requests"]["storage"] = size
    answer = guarded.try_create(claim, by=guarded.operator)
    assert words in answer.message, shown(answer)


@pytest.mark.parametrize("kind", ["DaemonSet", "ReplicationController", "PodTemplate"])
def test_kinds_that_are_not_offered_cannot_be_made_even_by_the_platform(guarded: GuardedCluster, kind: str) -> None:
    template = accepted.deployment()["spec"]["template"]
    selector = {"matchLabels": template["metadata"]["labels"]}
    made = {
        "DaemonSet": {"apiVersion": "apps/v1", "spec": {"selector": selector, "template": template}},
        "ReplicationController": {"apiVersion": "v1", "spec": {"selector": {"app": "ledger"}, "template": template}},
        "PodTemplate": {"apiVersion": "v1", "template": template},
    }[kind]
    made = {**made, "kind": kind, "metadata": {"name": "ledger", "namespace": accepted.NAMESPACE}}
    answer = guarded.try_create(made, by=guarded.admin)
    assert "exceeded quota: tenant" in answer.message, shown(answer)
