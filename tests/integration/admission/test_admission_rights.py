"""What operators may: run applications and give away what they have; and no more, whatever verb or subresource."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.cluster.api import ApiServer, Identity
from provisioner.cluster.discovery import ApiResource, discover
from provisioner.plan.manifest import Manifest
from provisioner.plan.role import EDIT, EDITED, VIEWED
from tests.integration.admission.conftest import OTHER_TENANT, GuardedCluster, shown
from tests.unit.rules import accepted

pytestmark = pytest.mark.cluster

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
# What Kubernetes lets everybody ask about themselves; nothing is stored (ClusterRoles system:basic-user).
ABOUT_ONESELF = {
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
}


def allowed(by: ApiServer, *, resource: ApiResource, verb: str, namespace: str = "") -> bool:
    """Whether RBAC lets them."""
    attributes = {
        "group": resource.group,
        "resource": resource.name,
        "subresource": resource.subresource,
        "verb": verb,
        "namespace": namespace,
    }
    review: Manifest = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = by.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def all_allowed(
    by: ApiServer, resources: Iterator[ApiResource], *, verbs: tuple[str, ...] = VERBS, namespace: str = ""
) -> set[tuple[str, str]]:
    """Every (resource, verb) that they may."""
    asked = [(resource, verb) for resource in resources for verb in verbs]
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(lambda one: allowed(by, resource=one[0], verb=one[1], namespace=namespace), asked)
        return {(str(resource), verb) for (resource, verb), yes in zip(asked, answers, strict=True) if yes}


@pytest.fixture(scope="module")
def resources(guarded: GuardedCluster) -> tuple[ApiResource, ...]:
    """Every resource and subresource of the API server."""
    return discover(guarded.admin)


def named(groups: dict[str, tuple[str, ...]], verbs: tuple[str, ...]) -> set[tuple[str, str]]:
    """As all_allowed gives them."""
    return {
        (".".join(filter(None, (name.partition("/")[0], group))) + "".join(name.partition("/")[1:]), verb)
        for group, names in groups.items()
        for name in names
        for verb in verbs
    }


def test_in_the_applications_namespace_operators_may_exactly_what_the_role_says(
    guarded: GuardedCluster, resources: tuple[ApiResource, ...]
) -> None:
    namespaced = (one for one in resources if one.namespaced)
    found = all_allowed(guarded.operator, namespaced, namespace=accepted.NAMESPACE)
    assert found == named(EDITED, EDIT) | named(VIEWED, ("get", "list", "watch"))


def test_in_the_data_namespace_operators_only_look(guarded: GuardedCluster, resources: tuple[ApiResource, ...]) -> None:
    namespaced = (one for one in resources if one.namespaced)
    found = all_allowed(guarded.operator, namespaced, namespace=accepted.DATA_NAMESPACE)
    assert found == named(VIEWED, ("get", "list", "watch"))


def test_elsewhere_operators_may_nothing(guarded: GuardedCluster, resources: tuple[ApiResource, ...]) -> None:
    namespaced = [one for one in resources if one.namespaced]
    for namespace in (f"{OTHER_TENANT}-apps", "kube-system"):
        found = all_allowed(guarded.operator, iter(namespaced), verbs=("get", "create"), namespace=namespace)
        assert found == set(), namespace


def test_of_the_whole_cluster_operators_may_nothing(
    guarded: GuardedCluster, resources: tuple[ApiResource, ...]
) -> None:
    found = all_allowed(guarded.operator, (one for one in resources if not one.namespaced))
    assert {resource for resource, _ in found} <= ABOUT_ONESELF


@pytest.mark.parametrize(
    ("group", "name", "verb"),
    [
        ("rbac.authorization.k8s.io", "roles", "escalate"),
        ("rbac.authorization.k8s.io", "roles", "bind"),
        ("rbac.authorization.k8s.io", "clusterroles", "bind"),
        ("", "users", "impersonate"),
        ("", "groups", "impersonate"),
        ("", "serviceaccounts", "impersonate"),
        ("coopctl.dev", "tenants", "manage"),
    ],
)
def test_verbs_that_would_lift_every_bound_are_withheld(
    guarded: GuardedCluster, group: str, name: str, verb: str
) -> None:
    resource = ApiResource(group=group, version="v1", name=name, kind="", namespaced=True, verbs=())
    for namespace in ("", accepted.NAMESPACE):
        assert not allowed(guarded.operator, resource=resource, verb=verb, namespace=namespace)


def test_operators_give_away_what_they_have(guarded: GuardedCluster) -> None:
    role, binding = accepted.role(), accepted.role_binding()
    for manifest in (role, binding, {**binding, "subjects": []}):
        answer = guarded.try_create(manifest, by=guarded.operator)
        assert answer.ok, shown(answer)


@pytest.mark.parametrize(
    "rule",
    [
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["patch"]},
        {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["create"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]},
        {"apiGroups": ["coopctl.dev"], "resources": ["tenants"], "verbs": ["manage"]},
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    ],
    ids=str,
)
def test_operators_cannot_make_a_role_of_more_than_they_have(guarded: GuardedCluster, rule: Manifest) -> None:
    answer = guarded.try_create({**accepted.role(), "rules": [rule]}, by=guarded.operator)
    assert answer.status == 403
    assert "is attempting to grant RBAC permissions not currently held" in answer.message, shown(answer)


@pytest.mark.parametrize("role", ["cluster-admin", "admin", "edit", "coopctl-tenants-manage"])
def test_operators_cannot_bind_a_cluster_role_that_has_more(guarded: GuardedCluster, role: str) -> None:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    answer = guarded.try_create({**accepted.role_binding(), "roleRef": reference}, by=guarded.operator)
    assert answer.status == 403
    assert "not currently held" in answer.message, shown(answer)


def test_a_group_of_operators_has_the_same_rights(guarded: GuardedCluster) -> None:
    member = guarded.admin.acting_as(Identity(user="kim", groups=(accepted.GROUP, "system:authenticated")))
    answer = guarded.try_create(accepted.pod(), by=member)
    assert answer.ok, shown(answer)
    stranger = guarded.admin.acting_as(Identity(user="kim"))
    assert guarded.try_create(accepted.pod(), by=stranger).status == 403


def test_an_account_of_the_tenant_has_no_rights_of_its_own(
    guarded: GuardedCluster, resources: tuple[ApiResource, ...]
) -> None:
    account = guarded.account("default")
    for namespace in (accepted.NAMESPACE, accepted.DATA_NAMESPACE):
        namespaced = (one for one in resources if one.namespaced)
        assert all_allowed(account, namespaced, verbs=("get", "create"), namespace=namespace) == set()
