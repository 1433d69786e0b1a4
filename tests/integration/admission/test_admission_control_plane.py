"""What Kubernetes itself must do in a tenant's namespaces is let through, and nothing is stuck because of a policy."""

import copy
from typing import Any

import pytest

from provisioner.naming import ANNOTATION_EXCEPTIONS, LABEL_COOPERATIVE
from provisioner.plan.manifest import Manifest
from tests.integration.admission.conftest import (
    CONTROLLERS_SECONDS,
    GuardedCluster,
    cooperative,
    in_force,
    shown,
    tenant_plan,
    until,
)
from tests.unit.rules import accepted

pytestmark = pytest.mark.cluster

# The horizontal autoscaler looks every 15 seconds; the endpoint controllers back off after a conflict.
SLOW_CONTROLLERS_SECONDS = 60.0
LABELS = {LABEL_COOPERATIVE: "rice-processing", "app.kubernetes.io/managed-by": "coopctl", "app": "portal"}


def platform_s(manifest: Manifest, *, name: str) -> Manifest:
    """The object as the platform's own: as a chart would bring it."""
    made = copy.deepcopy(manifest)
    made["metadata"] = {"name": name, "namespace": accepted.NAMESPACE, "labels": dict(LABELS)}
    return made


def plain_deployment(name: str, *, replicas: int = 1) -> Manifest:
    """A Deployment of pods that need no claim."""
    made = accepted.deployment()
    made["metadata"]["name"] = name
    made["spec"]["replicas"] = replicas
    made["spec"]["selector"]["matchLabels"] = made["spec"]["template"]["metadata"]["labels"] = {"app": name}
    pod = made["spec"]["template"]["spec"]
    pod["volumes"] = [volume for volume in pod["volumes"] if "ephemeral" not in volume]
    return made


def listed(guarded: GuardedCluster, path: str, **labels: str) -> list[Manifest]:
    """Objects of the tenant's namespace with these labels."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found: list[Manifest] = guarded.admin.get(f"{path}?labelSelector={selector}")["items"]
    return found


def replica_sets(guarded: GuardedCluster, app: str) -> list[Manifest]:
    """The ReplicaSets of an application."""
    return listed(guarded, f"/apis/apps/v1/namespaces/{accepted.NAMESPACE}/replicasets", app=app)


def pods(guarded: GuardedCluster, app: str) -> list[Manifest]:
    """The pods of an application."""
    return listed(guarded, f"/api/v1/namespaces/{accepted.NAMESPACE}/pods", app=app)


def test_a_deployment_is_rolled_out_and_cleared_away(guarded: GuardedCluster) -> None:
    made = plain_deployment("rolled-out")
    guarded.make(made, by=guarded.operator)
    until(lambda: pods(guarded, "rolled-out"), seconds=CONTROLLERS_SECONDS, what="pods of a Deployment")
    made["spec"]["template"]["metadata"]["annotations"] = {"release": "2"}
    guarded.make(made, by=guarded.operator)
    until(lambda: len(replica_sets(guarded, "rolled-out")) == 2, seconds=CONTROLLERS_SECONDS, what="a second release")
    guarded.operator.delete(guarded.path(made))
    until(
        lambda: not replica_sets(guarded, "rolled-out") and not pods(guarded, "rolled-out"),
        seconds=CONTROLLERS_SECONDS,
        what="nothing left of a Deployment",
    )


def test_a_solution_s_deployment_is_rolled_out_too(guarded: GuardedCluster) -> None:
    made = plain_deployment("solution")
    made["metadata"]["labels"] = dict(LABELS)
    guarded.make(made)
    try:
        until(lambda: pods(guarded, "solution"), seconds=CONTROLLERS_SECONDS, what="pods of a solution")
        revision = "deployment.kubernetes.io/revision"
        until(
            lambda: revision in (guarded.get(made) or {})["metadata"].get("annotations", {}),
            seconds=CONTROLLERS_SECONDS,
            what="the controller's own annotation",
        )
    finally:
        guarded.remove(made)
    until(lambda: not replica_sets(guarded, "solution"), seconds=CONTROLLERS_SECONDS, what="nothing left of a solution")


@pytest.mark.long(seconds=20)
def test_an_autoscaler_scales_the_tenant_s_own(guarded: GuardedCluster) -> None:
    made = plain_deployment("scaled")
    guarded.make(made, by=guarded.operator)
    scaler = accepted.autoscaler()
    scaler["spec"]["scaleTargetRef"]["name"] = "scaled"
    scaler["spec"]["minReplicas"] = 2
    guarded.make(scaler, by=guarded.operator)
    try:
        until(lambda: len(pods(guarded, "scaled")) == 2, seconds=SLOW_CONTROLLERS_SECONDS, what="a second pod")
    finally:
        guarded.remove(scaler)
        guarded.remove(made)


def test_slices_of_a_labelled_service_are_made_and_cleared_away(guarded: GuardedCluster) -> None:
    service = platform_s(accepted.service(), name="labelled")
    service["spec"]["selector"] = {"app": "labelled"}
    guarded.make(service)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{accepted.NAMESPACE}/endpointslices"
    found = until(
        lambda: listed(guarded, slices, **{"kubernetes.io/service-name": "labelled"}),
        seconds=SLOW_CONTROLLERS_SECONDS,
        what="slices of a labelled Service",
    )
    assert found[0]["metadata"]["labels"][LABEL_COOPERATIVE] == "rice-processing"
    guarded.remove(service)
    until(
        lambda: not listed(guarded, slices, **{"kubernetes.io/service-name": "labelled"}),
        seconds=SLOW_CONTROLLERS_SECONDS,
        what="no slices any more",
    )


def volume(name: str, *, size: str) -> Manifest:
    """A volume of the class that tenants may use."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": size},
            "storageClassName": "local",
            "hostPath": {"path": f"/nowhere/{name}"},
            "persistentVolumeReclaimPolicy": "Retain",
        },
    }


@pytest.mark.parametrize("owner", ["operator", "platform"])
def test_a_claim_is_bound_and_goes_again(guarded: GuardedCluster, owner: str) -> None:
    size = {"operator": "1Gi", "platform": "2Gi"}[owner]
    claim = accepted.claim()
    claim["metadata"] = {"name": f"bound-{owner}", "namespace": accepted.NAMESPACE}
    claim["spec"]["resources"]["requests"]["storage"] = size
    by = guarded.operator
    if owner == "platform":
        claim["metadata"]["labels"], by = dict(LABELS), guarded.admin
    held = volume(f"for-{owner}", size=size)
    guarded.make(held)
    guarded.make(claim, by=by)
    try:
        until(
            lambda: (guarded.get(claim) or {}).get("status", {}).get("phase") == "Bound",
            seconds=SLOW_CONTROLLERS_SECONDS,
            what="a claim that is bound",
        )
        by.delete(guarded.path(claim))
        until(lambda: guarded.get(claim) is None, seconds=CONTROLLERS_SECONDS, what="the claim's end")
    finally:
        guarded.remove(held)


def test_a_labelled_job_is_cleared_away_after_its_time(guarded: GuardedCluster) -> None:
    job = platform_s(accepted.job(), name="dump")
    job["spec"].update(activeDeadlineSeconds=1, ttlSecondsAfterFinished=0)
    pod = job["spec"]["template"]["spec"]
    pod["volumes"] = [volume for volume in pod["volumes"] if "ephemeral" not in volume]
    guarded.make(job)
    until(lambda: guarded.get(job) is None, seconds=SLOW_CONTROLLERS_SECONDS, what="the end of a Job that has ended")


def test_the_account_default_comes_again_and_gives_pods_no_token_meanwhile(guarded: GuardedCluster) -> None:
    tenant = "account-less"
    guarded.apply(tenant_plan(cooperative(tenant)))
    account: Manifest = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": f"{tenant}-apps"},
    }
    before = guarded.get(account)
    assert before is not None
    guarded.remove(account)

    def again() -> Any:
        found = guarded.get(account)
        return found and found["metadata"]["uid"] != before["metadata"]["uid"] and found

    found = until(again, seconds=CONTROLLERS_SECONDS, what="the account default, made by Kubernetes")
    assert "automountServiceAccountToken" not in found
    pod = accepted.pod_of_another(tenant)
    del pod["spec"]["automountServiceAccountToken"]
    answer = until(
        lambda: _answered_for_its_account(guarded, pod), seconds=CONTROLLERS_SECONDS, what="an answer about the pod"
    )
    assert "[api-token] " in answer.message, shown(answer)


def _answered_for_its_account(guarded: GuardedCluster, pod: Manifest) -> Any:
    """The answer, once the API server knows of the account that it asks for."""
    answer = guarded.try_create(pod, by=guarded.admin)
    return None if "error looking up service account" in answer.message else answer


def test_a_tenant_s_namespaces_can_be_deleted_with_all_that_is_in_them(guarded: GuardedCluster) -> None:
    tenant = "leaving"
    plan = tenant_plan(cooperative(tenant))
    guarded.apply(plan)
    service = accepted.service()
    service["metadata"] = {"name": "labelled", "namespace": f"{tenant}-apps", "labels": dict(LABELS)}
    guarded.make(service)
    namespaces: list[Manifest] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{tenant}-{part}"}} for part in ("apps", "data")
    ]
    for namespace in namespaces:
        guarded.remove(namespace)
    until(
        lambda: all(guarded.get(namespace) is None for namespace in namespaces),
        seconds=SLOW_CONTROLLERS_SECONDS,
        what="the end of a tenant's namespaces",
    )


def test_a_pod_that_a_stricter_rule_would_refuse_now_can_still_be_labelled_and_deleted(
    guarded: GuardedCluster,
) -> None:
    tenant = "stricter"
    guarded.apply(tenant_plan(cooperative(tenant)))
    namespace: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{tenant}-apps"}}
    _except(guarded, namespace, "image-digest")
    pod = accepted.pod_of_another(tenant, "tagged")
    pod["metadata"]["finalizers"] = ["example.kr/kept"]
    pod["spec"]["containers"][0]["image"] = f"{accepted.REGISTRY}/coopctl/portal:1"
    del pod["spec"]["volumes"][1]
    until(lambda: guarded.try_create(pod, by=guarded.admin).ok, seconds=CONTROLLERS_SECONDS, what="the exception")
    guarded.make(pod)
    _except(guarded, namespace, "")
    until(
        lambda: (
            not guarded.try_create({**pod, "metadata": {**pod["metadata"], "name": "another"}}, by=guarded.admin).ok
        ),
        seconds=CONTROLLERS_SECONDS,
        what="the rule again",
    )
    for change in ({"metadata": {"labels": {"seen": "yes"}}}, {"metadata": {"finalizers": None}}):
        answer = guarded.try_merge(pod, change, by=guarded.admin)
        assert answer.ok, shown(answer)
    guarded.admin.merge(guarded.path(pod), {"metadata": {"finalizers": None}})
    guarded.remove(pod)
    until(lambda: guarded.get(pod) is None, seconds=CONTROLLERS_SECONDS, what="the pod's end")


def _except(guarded: GuardedCluster, namespace: Manifest, rules: str) -> None:
    guarded.admin.merge(guarded.path(namespace), {"metadata": {"annotations": {ANNOTATION_EXCEPTIONS: rules}}})


def test_a_namespace_that_lost_its_facts_lets_nothing_in(guarded: GuardedCluster) -> None:
    tenant = "factless"
    guarded.apply(tenant_plan(cooperative(tenant)))
    namespace: Manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{tenant}-apps"}}
    pod = accepted.pod_of_another(tenant)
    assert guarded.try_create(pod, by=guarded.admin).ok
    guarded.admin.merge(guarded.path(namespace), {"metadata": {"annotations": {"coopctl.dev/registries": None}}})
    answer = until(
        lambda: _refused(guarded, pod), seconds=CONTROLLERS_SECONDS, what="a pod that is refused for want of a fact"
    )
    assert "no such key: coopctl.dev/registries" in answer.message
    guarded.admin.merge(guarded.path(namespace), {"metadata": {"annotations": {"coopctl.dev/registries": ""}}})
    until(
        lambda: "[image-registry] " in guarded.try_create(pod, by=guarded.admin).message,
        seconds=CONTROLLERS_SECONDS,
        what="an empty list that allows nothing",
    )
    in_force(guarded)


def _refused(guarded: GuardedCluster, pod: Manifest) -> Any:
    answer = guarded.try_create(pod, by=guarded.admin)
    return None if answer.ok else answer
