"""The seven pilot cooperatives, and every size of every template: plans that fit into their own bounds."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.descriptor.cooperative import ContainerLimits, Cooperative
from provisioner.descriptor.platform import Platform
from provisioner.plan.explaining import resource_document
from provisioner.plan.resources import KubernetesObject, SolutionChart
from tests.unit.plan import builders
from tests.unit.plan.pilots import NAMES, load_pilots, pilot_plan, resized

Pilots = dict[str, Cooperative]

# How the quota counts the kinds that a plan makes; every namespace also holds kube-root-ca.crt.
COUNTED = {
    "NetworkPolicy": "networkpolicies",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Service": "services",
    "ResourceQuota": "resourcequotas",
    "ServiceAccount": "serviceaccounts",
}


@pytest.fixture(scope="module")
def platform() -> Platform:
    """The pilots' platform."""
    return load_pilots()[0]


@pytest.fixture(scope="module")
def pilots() -> Pilots:
    """The cooperatives by name."""
    return load_pilots()[1]


def objects(cooperative: Cooperative, *, platform: Platform, part: str) -> list[dict[str, Any]]:
    """The plan's objects in one of the namespaces."""
    return [
        resource.manifest
        for resource in pilot_plan(cooperative, platform=platform).resources
        if isinstance(resource, KubernetesObject) and resource.key.startswith(part)
    ]


def millicores(quantity: str) -> int:
    """CPU of the portal's chart in millicores."""
    return int(quantity.removesuffix("m")) if quantity.endswith("m") else int(quantity) * 1000


def test_there_are_seven_pilots(pilots: Pilots) -> None:
    assert len(pilots) == 7


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["apps", "data"])
def test_what_a_plan_makes_fits_into_its_own_quota(platform: Platform, pilots: Pilots, name: str, part: str) -> None:
    budget = pilots[name].apps_budget if part == "apps" else pilots[name].data_budget
    made = Counter(manifest["kind"] for manifest in objects(pilots[name], platform=platform, part=part))
    over = {kind: made[kind] for kind, limit in COUNTED.items() if made[kind] > getattr(budget, limit)}
    assert over == {}
    # The portal's page and kube-root-ca.crt; the credentials.
    assert budget.configmaps >= 2
    assert budget.secrets >= 1


@pytest.mark.parametrize("name", NAMES)
def test_the_portal_fits_into_the_limits_of_a_container(pilots: Pilots, name: str) -> None:
    limits: ContainerLimits = pilots[name].container_limits
    resources = yaml.safe_load((builders.CHARTS / "portal" / "values.yaml").read_text())["resources"]
    requested, limited = (millicores(resources[side]["cpu"]) for side in ("requests", "limits"))
    assert limits.min_cpu_millis <= requested
    assert limited <= limits.max_cpu_millis
    assert limited <= requested * limits.max_limit_request_ratio_cpu
    memory = [int(resources[side]["memory"].removesuffix("Mi")) * builders.MIB for side in ("requests", "limits")]
    assert limits.min_memory_bytes <= memory[0]
    assert memory[1] <= min(limits.max_memory_bytes, memory[0] * limits.max_limit_request_ratio_memory)


@pytest.mark.parametrize("name", NAMES)
def test_two_replicas_and_a_rollout_fit_into_the_quota(platform: Platform, pilots: Pilots, name: str) -> None:
    charts = [
        resource
        for resource in pilot_plan(pilots[name], platform=platform).resources
        if isinstance(resource, SolutionChart)
    ]
    servers = [chart for chart in charts if chart.values["images"]]
    assert sorted(server.solution for server in servers) == ["ledger", "portal"]
    for chart in charts:
        assert chart.values["coopctl"]["twoReplicas"]
    # Two of each, and one more of each while it is rolled out.
    assert pilots[name].apps_budget.pods >= 3 * len(servers)


@pytest.mark.parametrize("name", NAMES)
def test_the_ledger_and_its_migration_fit_into_the_quota_and_the_limits(pilots: Pilots, name: str) -> None:
    values = yaml.safe_load((builders.CHARTS / "ledger" / "values.yaml").read_text())
    limits, apps = pilots[name].container_limits, pilots[name].apps_budget
    for one in (values["resources"], values["migration"]["resources"]):
        requested, limited = (millicores(one[side]["cpu"]) for side in ("requests", "limits"))
        memory = [int(one[side]["memory"].removesuffix("Mi")) * builders.MIB for side in ("requests", "limits")]
        assert limits.min_cpu_millis <= requested
        assert limited <= min(limits.max_cpu_millis, requested * limits.max_limit_request_ratio_cpu)
        assert memory[1] <= min(limits.max_memory_bytes, memory[0] * limits.max_limit_request_ratio_memory)
    three = 3 * millicores(values["resources"]["limits"]["cpu"])
    assert three <= apps.limits_cpu_millis


def test_no_two_pilots_share_a_name_in_the_world(platform: Platform, pilots: Pilots) -> None:
    names = Counter(
        resource.name
        for cooperative in pilots.values()
        for resource in pilot_plan(cooperative, platform=platform).resources
        if not isinstance(resource, KubernetesObject | SolutionChart) and hasattr(resource, "name")
    )
    # A bucket and its identity share one name on purpose: they are of different kinds.
    assert {name: count for name, count in names.items() if count > 2} == {}


def test_another_contact_changes_the_solutions_alone(platform: Platform, pilots: Pilots) -> None:
    before = pilots["rice-processing"]
    after = replace(before, contact=replace(before.contact, phone="000-1111-2222"))
    pairs = zip(
        pilot_plan(before, platform=platform).resources, pilot_plan(after, platform=platform).resources, strict=True
    )
    changed = {old.key for old, new in pairs if old != new}
    assert changed == {f"solution-{choice.name}" for choice in before.solutions}


def test_another_size_changes_bounds_and_shares_and_replaces_nothing(
    platform: Platform, pilots: Pilots, tmp_path: Path
) -> None:
    _, larger = resized("rice-processing", size="large", folder=tmp_path)
    pairs = zip(
        pilot_plan(pilots["rice-processing"], platform=platform).resources,
        pilot_plan(larger, platform=platform).resources,
        strict=True,
    )
    changed = {old.key: (resource_document(old), resource_document(new)) for old, new in pairs if old != new}
    assert set(changed) == {
        "apps-resourcequota-solutions",
        "apps-resourcequota-tenant",
        "data-resourcequota-solutions",
        "data-resourcequota-tenant",
        "apps-limitrange-tenant",
        "data-limitrange-tenant",
    }
    for old, new in changed.values():
        assert old["manifest"]["metadata"] == new["manifest"]["metadata"]


@pytest.mark.parametrize("size", ["small", "medium", "large"])
@pytest.mark.parametrize("name", ["rice-processing", "lp-gas", "publishing"])
def test_every_size_of_every_template_makes_a_plan(name: str, size: str, tmp_path: Path) -> None:
    platform, cooperative = resized(name, size=size, folder=tmp_path)
    assert cooperative.size == size
    for part, budget in (("apps", cooperative.apps_budget), ("data", cooperative.data_budget)):
        made = Counter(manifest["kind"] for manifest in objects(cooperative, platform=platform, part=part))
        assert all(made[kind] <= getattr(budget, limit) for kind, limit in COUNTED.items())
