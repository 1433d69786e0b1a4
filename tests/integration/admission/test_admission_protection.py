"""What needs who asks, or the object before: the platform's objects, the tenants' namespaces, a claim's volume."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.cluster.api import Answer, ApiServer, Identity
from provisioner.naming import API_GROUP, LABEL_COOPERATIVE, LABEL_MANAGED_BY
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import KubernetesObject
from provisioner.rules.cluster_only import CHOSEN_VOLUME, GUARDED_NAMESPACES, PLATFORM_OBJECTS
from provisioner.rules.rule import ClusterOnlyRule
from tests.integration.admission.conftest import CONTROLLERS_SECONDS, GuardedCluster, shown, until
from tests.unit.plan import builders
from tests.unit.rules import accepted

pytestmark = pytest.mark.cluster

RBAC = "rbac.authorization.k8s.io/v1"
# Kinds of the platform's own objects that operators have every right to write.
WRITABLE = {"NetworkPolicy", "Role", "RoleBinding", "ServiceAccount", "Deployment", "Service", "ConfigMap", "Secret"}


def platform_objects() -> list[Manifest]:
    """What the platform made in the namespace of the tenant's applications."""
    plan = cooperative_plan(
        accepted.cooperative(),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    found = [resource.manifest for resource in plan.resources if isinstance(resource, KubernetesObject)]
    return [manifest for manifest in found if manifest["metadata"].get("namespace") == accepted.NAMESPACE]


PLATFORM_S = {f"{one['kind']} {one['metadata']['name']}": one for one in platform_objects()}


def refused_by(answer: Answer, rule: ClusterOnlyRule) -> bool:
    """Whether this rule refused it."""
    return answer.status == 403 and f"denied request: [{rule.id}] " in answer.message


def refused_by_rbac(answer: Answer) -> bool:
    """Whether the right was missing."""
    return answer.status == 403 and "cannot" in answer.message


def holder_of(guarded: GuardedCluster, user: str, *rules: Manifest, namespace: str = "") -> ApiServer:
    """Somebody who has these rights, in a namespace or everywhere."""
    kind = "Role" if namespace else "ClusterRole"
    about = {"name": user, **({"namespace": namespace} if namespace else {})}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": user}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}
    guarded.make({"apiVersion": RBAC, "kind": kind, "metadata": about, "rules": list(rules)})
    binding = {"apiVersion": RBAC, "kind": f"{kind}Binding", "metadata": about, "roleRef": reference}
    guarded.make({**binding, "subjects": [subject]})
    somebody = guarded.admin.acting_as(Identity(user=user))
    attributes = {"verb": rules[0]["verbs"][0], "group": rules[0]["apiGroups"][0], "resource": rules[0]["resources"][0]}
    review: Manifest = {"spec": {"resourceAttributes": {**attributes, "namespace": namespace}}}
    review |= {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    until(
        lambda: somebody.attempt("POST", path, body=review).content.get("status", {}).get("allowed"),
        seconds=CONTROLLERS_SECONDS,
        what=f"the rights of {user}",
    )
    return somebody


@pytest.fixture(scope="module")
def portal(guarded: GuardedCluster) -> Manifest:
    """A Deployment as a solution's chart brings it: with the platform's labels, but not in its template."""
    made = accepted.deployment()
    made["metadata"] = {
        "name": "portal",
        "namespace": accepted.NAMESPACE,
        "labels": {**PLATFORM_S["Role operators"]["metadata"]["labels"], "app": "portal"},
    }
    guarded.make(made)
    return made


@pytest.mark.parametrize("name", PLATFORM_S)
def test_operators_change_no_object_of_the_platform(guarded: GuardedCluster, name: str) -> None:
    manifest = PLATFORM_S[name]
    path = guarded.path(manifest)
    attempts = {
        "annotate": guarded.try_merge(manifest, {"metadata": {"annotations": {"key": "value"}}}, by=guarded.operator),
        "unlabel": guarded.try_merge(
            manifest, {"metadata": {"labels": {LABEL_COOPERATIVE: None}}}, by=guarded.operator
        ),
        "unlabel all": guarded.try_merge(manifest, {"metadata": {"labels": None}}, by=guarded.operator),
        "delete": guarded.operator.attempt("DELETE", f"{path}?dryRun=All"),
    }
    for what, answer in attempts.items():
        if manifest["kind"] in WRITABLE:
            assert refused_by(answer, PLATFORM_OBJECTS), f"{what}: {shown(answer)}"
        else:
            assert refused_by_rbac(answer), f"{what}: {shown(answer)}"


def test_operators_change_no_solution(guarded: GuardedCluster, portal: Manifest) -> None:
    scale = guarded.path(portal) + "/scale?dryRun=All"
    changes: tuple[Manifest, ...] = ({"spec": {"replicas": 0}}, {"metadata": {"labels": {LABEL_MANAGED_BY: None}}})
    for change in changes:
        answer = guarded.try_merge(portal, change, by=guarded.operator)
        assert refused_by(answer, PLATFORM_OBJECTS), shown(answer)
    answer = guarded.operator.attempt("PATCH", scale, body=changes[0], content_type="application/merge-patch+json")
    assert refused_by_rbac(answer), shown(answer)


def test_deleting_all_of_a_kind_stops_at_the_platform_s(guarded: GuardedCluster) -> None:
    path = guarded.path(PLATFORM_S["NetworkPolicy default-deny"], named=False)
    answer = guarded.operator.attempt("DELETE", f"{path}?dryRun=All")
    assert refused_by(answer, PLATFORM_OBJECTS), shown(answer)


def test_operators_do_with_their_own_what_they_like(guarded: GuardedCluster) -> None:
    own = accepted.network_policy()
    guarded.make(own, by=guarded.operator)
    try:
        for change in ({"metadata": {"labels": {"team": "books"}}}, {"spec": {"ingress": None}}):
            answer = guarded.try_merge(own, change, by=guarded.operator)
            assert answer.ok, shown(answer)
        assert guarded.operator.attempt("DELETE", guarded.path(own) + "?dryRun=All").ok
    finally:
        guarded.remove(own)


@pytest.mark.parametrize(
    "labels",
    [
        {LABEL_COOPERATIVE: "rice-processing"},
        {f"{API_GROUP}/cluster": "pilot"},
        {f"{API_GROUP}/part": "apps"},
        {LABEL_MANAGED_BY: "coopctl"},
    ],
    ids=str,
)
def test_operators_pass_nothing_off_as_the_platform_s(guarded: GuardedCluster, labels: dict[str, str]) -> None:
    made = accepted.config_map()
    made["metadata"]["labels"] = labels
    answer = guarded.try_create(made, by=guarded.operator)
    assert refused_by(answer, PLATFORM_OBJECTS), shown(answer)


def test_another_manager_s_label_is_no_mark_of_the_platform(guarded: GuardedCluster) -> None:
    made = accepted.config_map()
    made["metadata"]["labels"] = {LABEL_MANAGED_BY: "Helm"}
    assert guarded.try_create(made, by=guarded.operator).ok


def test_an_own_object_cannot_be_labelled_as_the_platform_s_later(guarded: GuardedCluster) -> None:
    own = accepted.config_map()
    guarded.make(own, by=guarded.operator)
    try:
        change = {"metadata": {"labels": {LABEL_COOPERATIVE: "rice-processing"}}}
        answer = guarded.try_merge(own, change, by=guarded.operator)
        assert refused_by(answer, PLATFORM_OBJECTS), shown(answer)
    finally:
        guarded.remove(own)


def test_who_manages_tenants_is_known_by_a_right_of_the_whole_cluster(guarded: GuardedCluster) -> None:
    own = {"apiGroups": [API_GROUP], "resources": ["tenants"], "verbs": ["manage"]}
    policies = {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["patch"]}
    within = holder_of(guarded, "managing-within", policies, own, namespace=accepted.NAMESPACE)
    everything = holder_of(
        guarded,
        "everything-within",
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        namespace=accepted.NAMESPACE,
    )
    everywhere = holder_of(guarded, "managing-everywhere", policies, own)
    change = {"metadata": {"annotations": {"key": "value"}}}
    policy = PLATFORM_S["NetworkPolicy default-deny"]
    for somebody in (within, everything):
        answer = guarded.try_merge(policy, change, by=somebody)
        assert refused_by(answer, PLATFORM_OBJECTS), shown(answer)
    assert guarded.try_merge(policy, change, by=everywhere).ok


def test_who_keeps_books_in_the_whole_cluster_changes_nothing_else(guarded: GuardedCluster, portal: Manifest) -> None:
    right = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch", "delete"]}
    keeper = holder_of(guarded, "book-keeper", right)
    assert guarded.try_merge(portal, {"metadata": {"finalizers": ["example.kr/kept"]}}, by=keeper).ok
    assert guarded.try_merge(portal, {"metadata": {"annotations": {"example.kr/seen": "yes"}}}, by=keeper).ok
    for change in ({"spec": {"replicas": 0}}, {"metadata": {"labels": {LABEL_COOPERATIVE: None}}}):
        answer = guarded.try_merge(portal, change, by=keeper)
        assert refused_by(answer, PLATFORM_OBJECTS), shown(answer)
    deleted = keeper.attempt("DELETE", guarded.path(portal) + "?dryRun=All")
    assert refused_by(deleted, PLATFORM_OBJECTS), shown(deleted)


def test_operators_keep_nothing_from_being_deleted(guarded: GuardedCluster) -> None:
    """A finalizer that nobody takes off would keep the namespace from going with its cooperative."""
    own = accepted.config_map()
    guarded.make(own, by=guarded.operator)
    try:
        kept = {"metadata": {"finalizers": ["example.kr/kept"]}}
        answer = guarded.try_merge(own, kept, by=guarded.operator)
        assert "denied request: [finalizers] " in answer.message, shown(answer)
        kept["metadata"]["finalizers"] = ["foregroundDeletion"]
        assert guarded.try_merge(own, kept, by=guarded.operator).ok
    finally:
        guarded.remove(own)


def tenant_namespace() -> Manifest:
    """The tenant's namespace by name."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": accepted.NAMESPACE}}


@pytest.fixture(scope="module")
def namespace_editor(guarded: GuardedCluster) -> ApiServer:
    """Somebody who may write namespaces, but does not manage tenants."""
    right = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["create", "patch", "update", "delete"]}
    return holder_of(guarded, "namespace-editor", right)


GUARDS: tuple[Manifest, ...] = (
    {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    {"labels": {"pod-security.kubernetes.io/enforce": None}},
    {"labels": {"pod-security.kubernetes.io/enforce-version": "v1.0"}},
    {"labels": {f"{API_GROUP}/cluster": None}},
    {"labels": {LABEL_COOPERATIVE: "another"}},
    {"labels": None},
    {"annotations": {f"{API_GROUP}/registries": "docker.io/"}},
    {"annotations": {f"{API_GROUP}/exceptions": "image-digest"}},
    {"annotations": {f"{API_GROUP}/operators": None}},
    {"annotations": {f"{API_GROUP}/new": ""}},
    {"annotations": None},
)


@pytest.mark.parametrize("change", GUARDS, ids=str)
def test_what_guards_a_namespace_is_kept(
    guarded: GuardedCluster, namespace_editor: ApiServer, change: Manifest
) -> None:
    answer = guarded.try_merge(tenant_namespace(), {"metadata": change}, by=namespace_editor)
    assert refused_by(answer, GUARDED_NAMESPACES), shown(answer)
    assert refused_by_rbac(guarded.try_merge(tenant_namespace(), {"metadata": change}, by=guarded.operator))


def test_others_may_add_to_a_namespace_what_guards_nothing(
    guarded: GuardedCluster, namespace_editor: ApiServer
) -> None:
    for field in ("labels", "annotations"):
        change = {"metadata": {field: {"mesh.example.kr/seen": "yes"}}}
        answer = guarded.try_merge(tenant_namespace(), change, by=namespace_editor)
        assert answer.ok, shown(answer)


def test_a_tenant_s_namespace_is_neither_made_nor_deleted_by_others(
    guarded: GuardedCluster, namespace_editor: ApiServer
) -> None:
    found = guarded.get(tenant_namespace())
    assert found is not None
    copied = {**tenant_namespace(), "metadata": {"name": "copied-apps", "labels": found["metadata"]["labels"]}}
    assert refused_by(guarded.try_create(copied, by=namespace_editor), GUARDED_NAMESPACES)
    deleted = namespace_editor.attempt("DELETE", guarded.path(tenant_namespace()) + "?dryRun=All")
    assert refused_by(deleted, GUARDED_NAMESPACES), shown(deleted)
    plain = {**tenant_namespace(), "metadata": {"name": "somebody-s"}}
    assert guarded.try_create(plain, by=namespace_editor).ok


@pytest.fixture
def waiting_claim(guarded: GuardedCluster) -> Iterator[Manifest]:
    """A claim that no volume fits."""
    claim = accepted.claim()
    claim["spec"]["resources"]["requests"]["storage"] = "9Gi"
    guarded.make(claim, by=guarded.operator)
    yield claim
    guarded.remove(claim)


def test_a_waiting_claim_cannot_be_pointed_at_a_volume(guarded: GuardedCluster, waiting_claim: Manifest) -> None:
    change: dict[str, Any] = {"spec": {"volumeName": "another-tenant-s"}}
    for somebody in (guarded.operator, guarded.admin):
        answer = guarded.try_merge(waiting_claim, change, by=somebody)
        assert refused_by(answer, CHOSEN_VOLUME), shown(answer)
    assert guarded.try_merge(waiting_claim, {"metadata": {"labels": {"a": "b"}}}, by=guarded.operator).ok


def test_a_claim_s_class_cannot_be_changed_to_one_not_listed(guarded: GuardedCluster) -> None:
    classless = accepted.claim()
    del classless["spec"]["storageClassName"]
    classless["metadata"]["name"] = "classless"
    guarded.make(classless, by=guarded.operator)
    try:
        answer = guarded.try_merge(classless, {"spec": {"storageClassName": "shared"}}, by=guarded.operator)
        assert "[storage-class] " in answer.message, shown(answer)
        assert guarded.try_merge(classless, {"spec": {"storageClassName": "local"}}, by=guarded.operator).ok
    finally:
        guarded.remove(classless)


def test_no_container_is_added_to_a_running_pod(guarded: GuardedCluster) -> None:
    pod = accepted.pod("debugged")
    guarded.make(pod, by=guarded.operator)
    try:
        debugger = {**copy.deepcopy(accepted.container("debugger"))}
        del debugger["resources"]
        path = guarded.path(pod) + "/ephemeralcontainers?dryRun=All"
        change = {"spec": {"ephemeralContainers": [debugger]}}
        content_type = "application/strategic-merge-patch+json"
        by_admin = guarded.admin.attempt("PATCH", path, body=change, content_type=content_type)
        assert by_admin.status == 403
        assert "[ephemeral-containers] " in by_admin.message, shown(by_admin)
        assert refused_by_rbac(guarded.operator.attempt("PATCH", path, body=change, content_type=content_type))
    finally:
        guarded.remove(pod)


def test_a_pod_s_image_cannot_be_changed_to_one_that_is_not_allowed(guarded: GuardedCluster) -> None:
    pod = accepted.pod("changed")
    guarded.make(pod, by=guarded.operator)
    try:
        unlisted = ("docker.io/x/y" + accepted.DIGEST, "image-registry")
        for image, rule in (unlisted, (f"{accepted.REGISTRY}/x:1", "image-digest")):
            answer = guarded.operator.attempt(
                "PATCH",
                guarded.path(pod) + "?dryRun=All",
                body={"spec": {"containers": [{"name": "main", "image": image}]}},
                content_type="application/strategic-merge-patch+json",
            )
            assert f"[{rule}] " in answer.message, shown(answer)
    finally:
        guarded.remove(pod)


def test_annotations_of_a_pod_that_waits_are_judged_as_at_its_creation(guarded: GuardedCluster) -> None:
    pod = accepted.pod("waiting")
    guarded.make(pod, by=guarded.operator)
    try:
        network: Manifest = {"metadata": {"annotations": {"k8s.v1.cni.cncf.io/networks": "theirs"}}}
        for somebody in (guarded.operator, guarded.admin):
            answer = guarded.try_merge(pod, network, by=somebody)
            assert "denied request: [pod-annotations] " in answer.message, shown(answer)
        assert guarded.try_merge(pod, {"metadata": {"annotations": {"note": "another"}}}, by=guarded.operator).ok
        # Network plugins write what they did beside the pod's status.
        content_type = "application/merge-patch+json"
        path = guarded.path(pod) + "/status?dryRun=All"
        assert guarded.admin.attempt("PATCH", path, body=network, content_type=content_type).ok
    finally:
        guarded.remove(pod)


def test_a_claim_s_class_cannot_be_named_by_an_annotation_later(
    guarded: GuardedCluster, waiting_claim: Manifest
) -> None:
    change = {"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "shared"}}}
    answer = guarded.try_merge(waiting_claim, change, by=guarded.operator)
    assert (answer.status, "field is immutable" in answer.message) == (422, True), shown(answer)
