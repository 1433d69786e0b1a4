"""Admission policies: complete, closed on failure, and each rule by its own name."""

import re
from typing import Any

import pytest

from provisioner.plan.admission_sections import sections
from provisioner.plan.platform import platform_plan
from provisioner.rules.cluster_only import CLUSTER_ONLY_RULES
from provisioner.rules.parts import POD_PATHS
from provisioner.rules.registry import RULES
from provisioner.rules.rule import ClusterOnlyRule, Enforcement, Rule, Subject
from tests.unit.plan import builders

JUDGED: tuple[Rule | ClusterOnlyRule, ...] = (*RULES, *CLUSTER_ONLY_RULES)
BY_POLICY = [one.id for one in JUDGED if one.enforcement is Enforcement.ADMISSION_POLICY]


def manifests(kind: str) -> dict[str, dict[str, Any]]:
    """The platform's objects of one kind, by name."""
    found = [resource.manifest for resource in platform_plan(builders.platform()).resources]
    return {manifest["metadata"]["name"]: manifest for manifest in found if manifest["kind"] == kind}


POLICIES = manifests("ValidatingAdmissionPolicy")
BINDINGS = manifests("ValidatingAdmissionPolicyBinding")


def messages() -> list[str]:
    """The message of every validation."""
    return [item["message"] for policy in POLICIES.values() for item in policy["spec"]["validations"]]


@pytest.mark.parametrize("rule", BY_POLICY)
def test_each_rule_is_named_by_the_refusal(rule: str) -> None:
    assert any(message.startswith(f"[{rule}] ") for message in messages())


def test_every_refusal_names_a_rule_and_fits_into_one_line() -> None:
    for message in messages():
        found = re.match(r"\[([a-z-]+)\] .+; .+", message)
        assert found is not None, message
        assert found[1] in BY_POLICY
        assert "\n" not in message


def test_every_policy_fails_closed_and_is_bound_to_deny() -> None:
    assert POLICIES.keys() == BINDINGS.keys()
    for name, policy in POLICIES.items():
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert "Deny" in BINDINGS[name]["spec"]["validationActions"]
        assert BINDINGS[name]["spec"]["policyName"] == name


def test_policies_hold_in_the_namespaces_of_this_platform_alone() -> None:
    for name, binding in BINDINGS.items():
        selector = binding["spec"]["matchResources"]["namespaceSelector"]
        if name.startswith("guarded-namespaces."):
            assert selector == {}
        else:
            assert selector["matchExpressions"] == [
                {"key": "coopctl.dev/cooperative", "operator": "Exists"},
                {"key": "coopctl.dev/cluster", "operator": "In", "values": ["pilot"]},
            ]


def test_policies_of_two_platforms_in_one_cluster_have_different_names() -> None:
    assert all(name.endswith(".pilot.coopctl.dev") for name in POLICIES)


def test_every_kind_that_holds_a_pod_is_judged() -> None:
    judged = {
        resource
        for section in sections()
        if Subject.PODS in section.subjects
        for _, resources in section.resources
        for resource in resources
    }
    assert {f"{kind.lower()}s" for kind in POD_PATHS} <= judged
    assert "pods/ephemeralcontainers" in judged


def test_no_validation_lets_anybody_through_by_name() -> None:
    for name, policy in POLICIES.items():
        for item in policy["spec"]["validations"]:
            if name.split(".")[0] != "chosen-volume":
                assert "username" not in item["expression"]


def test_the_control_plane_s_accounts_are_let_through_one_by_one() -> None:
    text = str([policy["spec"] for policy in POLICIES.values()])
    accounts = set(re.findall(r"'(system:[^']*)'", text))
    assert all(not account.endswith(":") for account in accounts)
    assert "system:serviceaccounts:kube-system" not in text
    assert "system:nodes" not in text


def test_an_empty_list_of_a_tenant_never_becomes_a_prefix_of_everything() -> None:
    for policy in POLICIES.values():
        for variable in policy["spec"].get("variables", []):
            if "split(' ')" in variable["expression"]:
                assert variable["expression"].endswith(".filter(item, item != '')")


def test_what_a_policy_names_it_defines_before() -> None:
    for policy in POLICIES.values():
        defined: set[str] = set()
        for variable in policy["spec"].get("variables", []):
            assert set(re.findall(r"variables\.(\w+)", variable["expression"])) <= defined
            defined.add(variable["name"])
        for item in policy["spec"]["validations"]:
            assert set(re.findall(r"variables\.(\w+)", item["expression"])) <= defined


def test_a_binding_comes_after_its_policy() -> None:
    for resource in platform_plan(builders.platform()).resources:
        if resource.manifest["kind"] == "ValidatingAdmissionPolicyBinding":
            name = resource.manifest["spec"]["policyName"]
            assert resource.depends_on == (f"platform-validatingadmissionpolicy-{name}",)
