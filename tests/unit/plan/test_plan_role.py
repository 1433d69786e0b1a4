"""What operators may do: run applications of their own, and nothing that would let them past their bounds."""

from typing import Any

import pytest

from provisioner.naming import ClusterId
from provisioner.plan.role import EDITED, WITHHELD, cluster_manage_role, cluster_view_role, operators_role
from provisioner.plan.tenant import tenant_of
from tests.unit.plan import builders

WRITING = {"create", "update", "patch", "delete", "deletecollection"}


def rules(part: str) -> list[dict[str, Any]]:
    """The rules of the operators' Role in one namespace."""
    tenant = tenant_of(builders.cooperative(), cluster=builders.platform().cluster.id)
    found: list[dict[str, Any]] = operators_role({"apps": tenant.apps, "data": tenant.data}[part])["rules"]
    return found


def granted(part: str) -> set[tuple[str, str, str]]:
    """Every (group, resource, verb)."""
    return {
        (group, resource, verb)
        for rule in rules(part)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_operators_write_every_kind_that_an_application_consists_of() -> None:
    for group, resources in EDITED.items():
        for resource in resources:
            assert {verb for where, what, verb in granted("apps") if (where, what) == (group, resource)} >= WRITING


def test_operators_only_look_at_the_data_namespace_and_not_at_its_secrets() -> None:
    assert {verb for _, _, verb in granted("data")} == {"get", "list", "watch"}
    assert "secrets" not in {resource for _, resource, _ in granted("data")}
    assert ("", "pods/log", "get") in granted("data")


@pytest.mark.parametrize("part", ["apps", "data"])
@pytest.mark.parametrize("what", sorted(WITHHELD))
def test_what_is_withheld_is_never_written(part: str, what: str) -> None:
    for _, resource, verb in granted(part):
        assert verb != what
        if resource == what or (what.startswith("*/") and resource.endswith(what[1:])):
            assert verb not in WRITING, (resource, verb)


@pytest.mark.parametrize("part", ["apps", "data"])
def test_no_right_is_a_wildcard_and_subresources_are_only_read(part: str) -> None:
    for group, resource, verb in granted(part):
        assert "*" not in {group, resource, verb}
        assert "/" not in resource or verb in {"get", "list", "watch"}, (resource, verb)


@pytest.mark.parametrize("part", ["apps", "data"])
def test_of_cluster_wide_kinds_their_own_namespace_alone_is_seen(part: str) -> None:
    (itself,) = [rule for rule in rules(part) if "namespaces" in rule["resources"]]
    assert itself == {
        "apiGroups": [""],
        "resources": ["namespaces"],
        "resourceNames": [f"rice-processing-{part}"],
        "verbs": ["get"],
    }


def test_the_help_desk_s_view_changes_nothing_and_sees_no_secrets() -> None:
    role = cluster_view_role(cluster=ClusterId("pilot"))
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert "secrets" not in {resource for rule in role["rules"] for resource in rule["resources"]}


def test_managing_tenants_is_one_right_that_nothing_else_needs() -> None:
    assert cluster_manage_role(cluster=ClusterId("pilot"))["rules"] == [
        {"apiGroups": ["coopctl.dev"], "resources": ["tenants"], "verbs": ["manage"]}
    ]
