"""What a solution's chart may bring: its tenant's own kinds, in its tenant's own namespace, without hooks."""

from typing import Any

import pytest

from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import KubernetesObject
from provisioner.rules.chart_rules import CHART_RULES, KINDS
from provisioner.rules.facts import Facts
from provisioner.rules.judging import judge
from tests.unit.plan import builders

FACTS = Facts(
    namespaces=("rice-apps", "rice-data"),
    domain="rice.example.kr",
    registries=("registry.example.kr/",),
    storage_classes=("local",),
    ingress_class="coopctl",
)


def accepted() -> dict[str, Any]:
    """An object that a chart may bring."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page", "namespace": "rice-apps"}}


def found(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """The rules that ``manifest`` breaks as part of a chart, with the paths."""
    return [(one.rule.id, one.fault.path) for one in judge(manifest, facts=FACTS, rules=CHART_RULES)]


def test_an_object_of_the_tenant_s_own_is_accepted() -> None:
    assert found(accepted()) == []


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("v1", "Namespace"),
        ("v1", "ResourceQuota"),
        ("v1", "Endpoints"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        ("example.kr/v1", "Deployment"),
        ("v1", "List"),
    ],
)
def test_what_is_cluster_wide_or_counted_by_no_quota_is_refused(api_version: str, kind: str) -> None:
    assert found({**accepted(), "apiVersion": api_version, "kind": kind}) == [("chart-scope", "kind")]


@pytest.mark.parametrize("namespace", ["rice-data", "plastics-apps", "kube-system", "", None])
def test_an_object_outside_the_apps_namespace_is_refused(namespace: str | None) -> None:
    metadata = {"name": "page", "namespace": namespace}
    service = {**accepted(), "kind": "Service", "metadata": metadata}
    assert found(service) == [("chart-namespace", "metadata.namespace")]


@pytest.mark.parametrize(("api_version", "kind"), [("batch/v1", "Job"), ("v1", "ConfigMap")])
def test_a_migration_lies_beside_the_data(api_version: str, kind: str) -> None:
    metadata = {"name": "migration", "namespace": "rice-data"}
    assert found({**accepted(), "apiVersion": api_version, "kind": kind, "metadata": metadata}) == []


def test_an_object_without_a_namespace_is_refused() -> None:
    assert found({**accepted(), "metadata": {"name": "page"}}) == [("chart-namespace", "metadata.namespace")]


@pytest.mark.parametrize("hook", ["pre-install", "test", ""])
def test_a_hook_is_refused(hook: str) -> None:
    metadata = {**accepted()["metadata"], "annotations": {"helm.sh/hook": hook}}
    assert found({**accepted(), "metadata": metadata}) == [("chart-hooks", "metadata.annotations")]


@pytest.mark.parametrize("group_and_kind", sorted(KINDS))
def test_every_kind_that_a_chart_may_bring_is_counted_by_the_quota(group_and_kind: tuple[str, str]) -> None:
    hard = _quota()
    names = {name.removeprefix("count/").partition(".")[0] for name in hard}
    kind = group_and_kind[1].lower()
    assert _plural(kind) in names


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}es" if kind.endswith("s") else f"{kind}s"


def _quota() -> dict[str, str]:
    plan = cooperative_plan(
        builders.cooperative(),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    [quota] = [
        resource.manifest
        for resource in plan.resources
        if isinstance(resource, KubernetesObject) and resource.key == "apps-resourcequota-tenant"
    ]
    hard: dict[str, str] = quota["spec"]["hard"]
    return hard
