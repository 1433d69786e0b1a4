"""What a preflight says of the cluster that the solutions are to follow to."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.cluster.readiness import ADMISSION, WRITTEN, ClusterFacts, Right
from provisioner.descriptor.migration import ClusterTarget
from provisioner.errors import NotPermitted, Severity
from provisioner.operations.cluster_checks import judge_cluster, look_at_cluster
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import KubernetesObject
from tests.cluster_objects import ReadyCluster, serving
from tests.unit.plan import builders

READY = ClusterFacts(
    server="https://k8s.rice.kr",
    version=(1, 31),
    policies=True,
    pod_security=True,
    ingress_classes=("nginx",),
    storage_classes=("fast", "standard"),
    default_storage="standard",
    default_priorities=(),
    networks=("10.96.0.0/12",),
    lacking=(),
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ReadyCluster]:
    with serving(ReadyCluster()) as made:
        made.kubeconfig(tmp_path / "kubeconfig")
        yield made


def look(folder: Path) -> ClusterFacts:
    return look_at_cluster(ClusterTarget(kubeconfig=folder / "kubeconfig"))


def test_a_cluster_says_what_it_offers(cluster: ReadyCluster, tmp_path: Path) -> None:
    found = look(tmp_path)
    assert found == replace(
        READY,
        server=f"http://127.0.0.1:{cluster.port}",
        default_priorities=("usual",),
        networks=("10.0.0.4/32", "10.244.0.0/24", "10.96.0.0/12"),
    )
    assert list(judge_cluster(found)) == []


def test_what_is_missing_is_named_with_its_remedy(cluster: ReadyCluster, tmp_path: Path) -> None:
    cluster.objects["/version"] = {"major": "1", "minor": "29"}
    for path in (ADMISSION, "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"):
        del cluster.objects[path]
    for kind in ("storage.k8s.io/v1/storageclasses", "networking.k8s.io/v1/ingressclasses"):
        cluster.objects[f"/apis/{kind}"] = {"items": []}
    cluster.namespace_answer = (201, {})
    cluster.denied = frozenset({("create", "namespaces"), ("manage", "tenants")})
    found = list(judge_cluster(look(tmp_path)))
    assert [one.severity for one in found] == 6 * [Severity.ERROR]
    said = " ".join(f"{one.what}; {one.remedy}" for one in found)
    for text in ("Kubernetes 1.29", "no ValidatingAdmissionPolicy", "Pod Security admission is off", "no IngressClass"):
        assert text in said
    assert "no StorageClass" in said
    assert "may not create namespaces, manage tenants.coopctl.dev" in said
    assert "--clusterrole=cluster-admin" in said


def test_what_nobody_can_see_is_a_warning(cluster: ReadyCluster, tmp_path: Path) -> None:
    cluster.namespace_answer = (403, {"message": "namespaces is forbidden"})
    [problem] = judge_cluster(look(tmp_path))
    assert (problem.severity, "cannot be seen" in problem.what) == (Severity.WARNING, True)


def test_many_missing_rights_are_counted() -> None:
    lacking = tuple(Right(verb="create", resource=f"kind{number}") for number in range(9))
    [problem] = judge_cluster(replace(READY, lacking=lacking))
    assert problem.what.endswith("create kind5 and 3 more at https://k8s.rice.kr")


def test_a_user_who_may_not_look_is_told(cluster: ReadyCluster, tmp_path: Path) -> None:
    def forbid(method: str, path: str, body: bytes, *, content_type: str) -> tuple[int, dict[str, Any]]:
        return 403, {"message": f"{method} {path} {content_type} {len(body)} is forbidden"}

    cluster.answer = forbid  # type: ignore[method-assign]
    with pytest.raises(NotPermitted):
        look(tmp_path)


def test_every_kind_that_a_plan_makes_is_asked_for() -> None:
    platform = builders.platform()
    plans = (
        platform_plan(platform),
        cooperative_plan(
            builders.cooperative(), platform=platform, catalogue=builders.catalogue(), images=builders.fake_lock()
        ),
    )
    objects = [one.manifest for plan in plans for one in plan.resources if isinstance(one, KubernetesObject)]
    kinds = {(one["apiVersion"].rpartition("/")[0], one["kind"].lower()) for one in objects}
    asked = {(group, name) for group, names in WRITTEN.items() for name in names}
    plurals = {
        (group, f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}es" if kind.endswith("s") else f"{kind}s")
        for group, kind in kinds
    }
    assert plurals <= asked
