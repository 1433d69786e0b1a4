"""What somebody may do is compared thing by thing with what the plan gives."""

from dataclasses import replace

import pytest

from provisioner.proof.attempts import AccessReview, Right, RulesReview
from provisioner.proof.planning_rights import rights_attempts
from provisioner.proof.rights import EVERYBODY, allows, askables, planned_rights, rights
from tests.unit.proof.world import neighbour, proven, resource

RESOURCES = (
    resource("pods", "create", "get", "list"),
    resource("pods/exec", "create", "get"),
    resource("secrets", "get", "list"),
    resource("deployments", "create", "get", group="apps"),
    resource("roles", "create", group="rbac.authorization.k8s.io"),
    resource("nodes", "get", namespaced=False),
)
ASKABLES = askables(RESOURCES)
TENANT = proven()


def found(*rules: dict[str, list[str]]) -> set[str]:
    return {str(right) for right in rights(list(rules), of=ASKABLES)}


def test_wildcards_stand_for_all_that_the_api_server_offers() -> None:
    everything = found({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})
    assert {
        "get nodes",
        "create pods/exec",
        "escalate roles.rbac.authorization.k8s.io",
        "impersonate users",
    } <= everything
    assert found({"apiGroups": [""], "resources": ["*/exec"], "verbs": ["get"]}) == {"get pods/exec", "get */exec"}


def test_a_wildcard_is_more_than_all_that_is_known_today() -> None:
    listed = found({"apiGroups": [""], "resources": ["pods", "pods/exec", "secrets", "nodes"], "verbs": ["get"]})
    assert found({"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}) - listed == {
        "get *",
        "get serviceaccounts",
    } - {"get serviceaccounts"}


def test_a_right_on_one_object_is_no_right_on_all() -> None:
    one = rights([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["a"]}], of=ASKABLES)
    secrets = next(item for item in ASKABLES if item.resource == "secrets")
    assert one == {Right(group="", resource="secrets", verb="get", name="a")}
    assert allows(one, secrets) == ()


def test_the_plan_s_bindings_say_what_an_operator_may_where() -> None:
    guards = [item.manifest for item in TENANT.guards.values()]
    operator = TENANT.operators[0].identity
    create = Right(group="", resource="pods", verb="create")
    assert create in planned_rights(operator, namespace=TENANT.apps, guards=guards, of=ASKABLES)
    assert create not in planned_rights(operator, namespace=TENANT.data, guards=guards, of=ASKABLES)
    assert planned_rights(operator, namespace="kube-system", guards=guards, of=ASKABLES) == EVERYBODY
    stranger = replace(operator, user="somebody-else")
    assert planned_rights(stranger, namespace=TENANT.apps, guards=guards, of=ASKABLES) == EVERYBODY


def attempts(*, complete: bool = True, **changes: object) -> list[AccessReview | RulesReview]:
    other = replace(neighbour(), **changes)  # type: ignore[arg-type]
    namespaces = (*TENANT.namespaces, *other.namespaces, "kube-system", "default")
    made = rights_attempts(
        TENANT, namespaces=namespaces, neighbours=[other], askables=ASKABLES, rules_are_complete=complete
    )
    return [one for one in made if isinstance(one, AccessReview | RulesReview)]


def test_every_verb_on_every_resource_is_asked_where_an_authorizer_cannot_list_its_rules() -> None:
    for namespace in (*TENANT.namespaces, "plastics-apps", "plastics-data", "kube-system", "default"):
        reviews = [
            one for one in attempts(complete=False) if isinstance(one, AccessReview) and one.namespace == namespace
        ]
        asked = {
            (one.group, f"{one.resource}/{one.subresource}".rstrip("/"), verb) for one in reviews for verb in one.verbs
        }
        assert asked == {(one.group, one.resource, verb) for one in ASKABLES if one.namespaced for verb in one.verbs}


def test_otherwise_what_would_hurt_most_is_asked_everywhere() -> None:
    reviews = [one for one in attempts() if isinstance(one, AccessReview)]
    asked = {(one.namespace, one.resource, one.subresource) for one in reviews}
    for namespace in (*TENANT.namespaces, "plastics-apps", "plastics-data", "kube-system", "default"):
        assert {(namespace, "secrets", ""), (namespace, "pods", "exec")} <= asked
    assert ("", "users", "") in asked
    assert ("plastics-apps", "deployments", "") not in asked


@pytest.mark.parametrize("complete", [True, False])
def test_everything_that_is_cluster_wide_is_denied(complete: bool) -> None:
    reviews = [one for one in attempts(complete=complete) if isinstance(one, AccessReview) and not one.namespace]
    assert {"nodes", "users", "signers", "tenants"} <= {one.resource for one in reviews}
    assert all(one.about.guard for one in reviews)


def test_rights_are_controls_where_the_plan_gives_them_and_attacks_elsewhere() -> None:
    pods = [
        one for one in attempts() if isinstance(one, AccessReview) and (one.resource, one.subresource) == ("pods", "")
    ]
    given = {one.namespace: one.verbs for one in pods if one.about.guard is None}
    denied = {one.namespace: one.verbs for one in pods if one.about.guard}
    assert given == {TENANT.apps: ("create", "get"), TENANT.data: ("get",)}
    assert denied[TENANT.data] == ("create",)
    assert denied["plastics-apps"] == ("create", "get")


def test_rules_are_reviewed_in_every_namespace_for_operators_and_service_accounts() -> None:
    reviews = {(one.about.who, one.namespace) for one in attempts() if isinstance(one, RulesReview)}
    assert ("operator rice-operator", "kube-system") in reviews
    assert (f"service account {TENANT.apps}/default", "plastics-data") in reviews


def test_the_neighbours_operators_are_strangers_here() -> None:
    theirs = replace(TENANT.operators[0], label="operator lee", subject="User:lee")
    reviews = {(one.about.who, one.namespace) for one in attempts(operators=(theirs,)) if isinstance(one, RulesReview)}
    assert {("operator lee", TENANT.apps), ("operator lee", TENANT.data)} <= reviews


def test_who_operates_both_tenants_is_no_stranger_to_either() -> None:
    made = attempts(operators=TENANT.operators)
    assert not [
        one for one in made if one.about.who == "operator rice-operator" and one.namespace.startswith("plastics")
    ]
