"""A solution's label on pods: Kubernetes copies it from the platform's templates, and nobody else puts or takes it."""

import copy
from collections.abc import Iterator

import pytest

from provisioner.cluster.api import Answer, ApiServer, Identity
from provisioner.naming import LABEL_COOPERATIVE, LABEL_SOLUTION
from provisioner.plan.manifest import Manifest
from tests.integration.admission.conftest import CONTROLLERS_SECONDS, GuardedCluster, shown, until
from tests.unit.rules import accepted

pytestmark = pytest.mark.cluster
CONTENT_TYPE = "application/merge-patch+json"


def refused(answer: Answer) -> bool:
    """Whether the rule's own policy refused it."""
    return answer.status == 403 and "denied request: [solution-label] " in answer.message


def labelled(manifest: Manifest, *path: str) -> Manifest:
    """The object with the label of the ledger on its pod at ``path``."""
    made = copy.deepcopy(manifest)
    pod = made
    for step in path:
        pod = pod[step]
    pod["metadata"]["labels"] = {**pod["metadata"]["labels"], LABEL_SOLUTION: "ledger"}
    return made


def controller(guarded: GuardedCluster, name: str) -> ApiServer:
    """One of Kubernetes' own controllers."""
    groups = ("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated")
    return guarded.admin.acting_as(Identity(user=f"system:serviceaccount:kube-system:{name}", groups=groups))


@pytest.fixture
def solution_pod(guarded: GuardedCluster) -> Iterator[Manifest]:
    """A running solution's pod."""
    made = labelled(accepted.pod("ledger-pod"))
    guarded.make(made)
    yield made
    guarded.remove(made)


@pytest.fixture
def own_pod(guarded: GuardedCluster) -> Iterator[Manifest]:
    """A pod of an operator's own."""
    made = accepted.pod("own-pod")
    guarded.make(made, by=guarded.operator)
    yield made
    guarded.remove(made)


@pytest.mark.parametrize("value", ["ledger", "nobody", ""])
def test_operators_put_no_solution_s_label_on_a_pod_that_runs(
    guarded: GuardedCluster, own_pod: Manifest, value: str
) -> None:
    answer = guarded.try_merge(own_pod, {"metadata": {"labels": {LABEL_SOLUTION: value}}}, by=guarded.operator)
    assert refused(answer), shown(answer)
    assert guarded.try_merge(own_pod, {"metadata": {"labels": {"team": "books"}}}, by=guarded.operator).ok


@pytest.mark.parametrize("labels", [None, {LABEL_SOLUTION: None}, {LABEL_SOLUTION: "notes"}], ids=str)
def test_operators_take_no_solution_s_label_off(
    guarded: GuardedCluster, solution_pod: Manifest, labels: Manifest | None
) -> None:
    change = {"metadata": {"labels": labels}}
    answer = guarded.try_merge(solution_pod, change, by=guarded.operator)
    assert refused(answer), shown(answer)
    assert guarded.try_merge(solution_pod, change, by=guarded.admin).ok


def test_what_keeps_the_label_as_it_is_is_not_judged_by_it(guarded: GuardedCluster, solution_pod: Manifest) -> None:
    for change in ({"labels": {"app": "ledger-2"}}, {"annotations": {"note": "seen"}}):
        answer = guarded.try_merge(solution_pod, {"metadata": change}, by=guarded.operator)
        assert answer.ok, shown(answer)


def test_a_controller_makes_pods_of_a_solution_and_relabels_none(guarded: GuardedCluster, own_pod: Manifest) -> None:
    made = labelled(accepted.pod("made"))
    for name in ("replicaset-controller", "statefulset-controller", "job-controller", "daemon-set-controller"):
        answer = guarded.try_create(made, by=controller(guarded, name))
        assert answer.ok, f"{name}: {shown(answer)}"
    change = {"metadata": {"labels": {LABEL_SOLUTION: "ledger"}}}
    answer = guarded.try_merge(own_pod, change, by=controller(guarded, "replicaset-controller"))
    assert refused(answer), shown(answer)


def test_a_controller_makes_only_what_it_makes_of_templates(guarded: GuardedCluster) -> None:
    job = labelled(accepted.job(), "spec", "template")
    assert guarded.try_create(job, by=controller(guarded, "cronjob-controller")).ok
    deployment = labelled(accepted.deployment(), "spec", "template")
    deployment["spec"]["selector"]["matchLabels"] = {"app": "ledger"}
    answer = guarded.try_create(deployment, by=guarded.operator)
    assert refused(answer), shown(answer)


def test_kubernetes_rolls_a_solution_out_with_its_label(guarded: GuardedCluster) -> None:
    made = labelled(accepted.deployment(), "spec", "template")
    made["metadata"] |= {"name": "shown", "labels": {LABEL_COOPERATIVE: accepted.NAME}}
    pod = made["spec"]["template"]["spec"]
    pod["volumes"] = [volume for volume in pod["volumes"] if "ephemeral" not in volume]
    guarded.make(made)
    path = f"/api/v1/namespaces/{accepted.NAMESPACE}/pods?labelSelector={LABEL_SOLUTION}=ledger"
    try:
        until(lambda: guarded.admin.get(path)["items"], seconds=CONTROLLERS_SECONDS, what="a pod with its label")
    finally:
        guarded.remove(made)
        until(lambda: not guarded.admin.get(path)["items"], seconds=CONTROLLERS_SECONDS, what="no pod any more")
