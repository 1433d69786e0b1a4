"""What operations read of the world: quantities, kubeconfigs, workloads, paths of objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from provisioner.cluster.objects import object_path
from provisioner.engine.events import unheard
from provisioner.engine.interruption import Interruption
from provisioner.errors import CoopctlError, NotFound, NotPermitted, PartlyFailed, TimedOut, Unreachable
from provisioner.naming import LABEL_SOLUTION, ClusterId, CooperativeName, CooperativeUid
from provisioner.operations import workloads
from provisioner.operations.health import Readers, read_health
from provisioner.operations.reaching import api_server, require_reachable
from provisioner.operations.workloads import (
    end_jobs,
    pod_problems,
    read_workloads,
    take_away_failed_jobs,
    wait_for_workloads,
)
from provisioner.plan.resources import CooperativePlan, KubernetesObject
from provisioner.rules.quantities import parse_quantity
from tests.unit.plan import builders

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
"""


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("2Gi", "2147483648"), ("1e3", "1000"), ("0", "0"), ("1.5k", "1500"), ("100n", "1e-7")],
)
def test_quantities_are_numbers(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Gi", "1Zi", "one", "1.2.3", ".", "1e9999999999", "9" * 10_000, "٣"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


@pytest.mark.parametrize(("used", "hard"), [("no number", "30"), ("1", "1.2.3"), ("1", "1e999999999999")])
def test_a_quota_that_is_no_quantity_is_a_problem_of_the_status_and_not_its_end(used: str, hard: str) -> None:
    health = read_health(quota_plan(), readers=quota_readers(used=used, hard=hard))

    assert health.problems == (f"namespace rice-apps: quota pods cannot be read: {used!r} of {hard!r}",)
    assert health.namespaces[0].quota[0].fraction is None


def test_the_api_servers_address_is_read_from_the_kubeconfig(tmp_path: Path) -> None:
    server = api_server(platform_with(tmp_path, text=KUBECONFIG))

    assert (server.host, server.port) == ("127.0.0.1", 1)


def test_an_embedded_platform_that_does_not_run_says_how_it_is_started(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as refused:
        require_reachable(platform_with(tmp_path, text=KUBECONFIG), data_store=False)

    assert refused.value.hint == "run `coopctl dev up`"


def test_kubeconfigs_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        api_server(builders.platform())
    with pytest.raises(CoopctlError, match="not a kubeconfig"):
        api_server(platform_with(tmp_path, text="- 1"))
    with pytest.raises(NotFound, match="no context"):
        api_server(platform_with(tmp_path, text=KUBECONFIG, context="there"))


def test_paths_of_objects_are_those_of_the_rest_interface() -> None:
    policy = object_path(api_version="networking.k8s.io/v1", kind="NetworkPolicy", name="deny", namespace="n")

    assert policy == "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/deny"
    assert object_path(api_version="v1", kind="Namespace", name="n") == "/api/v1/namespaces/n"
    assert object_path(api_version="v1", kind="Pod", namespace="n") == "/api/v1/namespaces/n/pods"


def test_a_deployment_is_ready_when_the_newest_generation_is() -> None:
    old = deployment(ready=2, generation=2, observed=1)
    new = deployment(ready=2, generation=2, observed=2)

    assert not read_workloads(FakeCluster(Deployment=[old]), namespaces=("n",))[0].is_ready
    assert read_workloads(FakeCluster(Deployment=[new]), namespaces=("n",))[0].is_ready


def test_waiting_in_vain_ends_with_what_the_pods_wait_for() -> None:
    cluster = FakeCluster(Deployment=[deployment(ready=0)], Pod=[waiting_pod("ImagePullBackOff", "no such image")])

    with pytest.raises(TimedOut) as late:
        wait(cluster)

    assert "Deployment portal: 0 of 2 ready" in late.value.message
    assert late.value.why == "pod portal-1: ImagePullBackOff: no such image"


def test_nobody_waits_for_what_operators_run_themselves() -> None:
    own = deployment(ready=0)
    own["metadata"]["labels"] = {}

    wait(FakeCluster(Deployment=[own, deployment(ready=2)]))


def test_a_job_that_failed_ends_the_waiting_with_the_end_of_its_newest_pods_log() -> None:
    pods = [job_pod("migration-1", made="2026-01-01T00:00:00Z"), job_pod("migration-2", made="2026-01-01T00:00:09Z")]
    cluster = FakeCluster(Job=[migration("Failed")], Pod=pods, logs={"migration-2": "no such table\n"})

    with pytest.raises(PartlyFailed) as failed:
        wait(cluster)

    assert failed.value.message == "rice: Job migration: failed"
    assert failed.value.why == "pod migration-2: no such table"


def test_a_log_that_cannot_be_read_does_not_hide_that_a_job_failed() -> None:
    cluster = FakeCluster(Job=[migration("Failed")], Pod=[job_pod("migration-1", made="")])

    with pytest.raises(PartlyFailed) as failed:
        wait(cluster)

    assert failed.value.why == "pod migration-1: its log cannot be read: there is none"


def test_only_solutions_jobs_that_failed_are_taken_away() -> None:
    others = migration("Failed")
    others["metadata"]["labels"] = {}
    cluster = FakeCluster(Job=[migration("Complete"), others])
    take_away_failed_jobs(namespaces=("n",), cluster=cluster)
    assert cluster.deleted == []

    cluster = FakeCluster(Job=[migration("Failed")])
    take_away_failed_jobs(namespaces=("n",), cluster=cluster)
    assert cluster.deleted == ["migration"]


def test_jobs_that_have_not_succeeded_are_ended_and_what_they_printed_is_kept() -> None:
    pod = job_pod("migration-1", made="") | {"status": {"phase": "Failed"}}
    cluster = FakeCluster(Job=[migration("Failed")], Pod=[pod], logs={"migration-1": "no such table\n"})
    assert end_jobs(namespaces=("n",), cluster=cluster, interruption=Interruption()) == (
        "pod migration-1:\nno such table\n"
    )
    assert cluster.deleted == ["migration"]


@pytest.mark.parametrize("jobs", [[], ["Failed"]])
def test_no_pod_of_a_job_that_was_deleted_now_or_before_is_left_at_work(
    jobs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workloads, "_ENDING_SECONDS", 0.0)
    pod = job_pod("migration-1", made="") | {"status": {"phase": "Running"}}
    cluster = FakeCluster(Job=[migration(one) for one in jobs], Pod=[pod], logs={"migration-1": ""})
    with pytest.raises(TimedOut, match="do not end: migration-1"):
        end_jobs(namespaces=("n",), cluster=cluster, interruption=Interruption())


def wait(cluster: "FakeCluster") -> None:
    """Wait for no time at all."""
    wait_for_workloads(
        "rice",
        namespaces=("n",),
        reader=cluster,
        timeout_seconds=0,
        interruption=Interruption(),
        report=unheard,
    )


def test_pods_that_are_only_being_started_are_no_problem() -> None:
    cluster = FakeCluster(Pod=[waiting_pod("ContainerCreating", "")])

    assert pod_problems(cluster, namespaces=("n",)) == ()


class FakeCluster:
    """A cluster whose lists are given; it stands for ClusterClient, whose contract is tested on a real API server."""

    def __init__(self, *, logs: Mapping[str, str] | None = None, **items: Sequence[Mapping[str, Any]]) -> None:
        self._items = items
        self._logs = logs or {}
        self.deleted: list[str] = []

    def log(self, *, namespace: str, pod: str, lines: int) -> str:
        """The log of a pod."""
        del namespace, lines
        if pod not in self._logs:
            raise NotPermitted("no log", why="there is none")
        return self._logs[pod]

    def delete(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object."""
        del api_version, kind, namespace
        self.deleted.append(name)

    def list(self, *, api_version: str, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """The objects of a kind."""
        del api_version, namespace
        return list(self._items.get(kind, []))

    def get(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> Mapping[str, Any] | None:
        """The object of this name."""
        del api_version, namespace
        return next((item for item in self._items.get(kind, []) if item["metadata"]["name"] == name), None)


def test_of_two_quotas_on_one_resource_the_tighter_one_is_told() -> None:
    quotas: list[Mapping[str, Any]] = [
        {"spec": {"hard": {"pods": "14", "secrets": "20"}}, "status": {"used": {"pods": "10", "secrets": "1"}}},
        {"spec": {"hard": {"pods": "10"}}, "status": {"used": {"pods": "9"}}},
    ]
    cluster = FakeCluster(Namespace=[NAMESPACE], ResourceQuota=quotas)
    readers = Readers(cluster=cast("Any", cluster), postgres=cast("Any", None), objects=cast("Any", None))

    uses = read_health(quota_plan(), readers=readers).namespaces[0].quota

    assert [(use.resource, use.used, use.hard) for use in uses] == [("pods", "9", "10"), ("secrets", "1", "20")]


NAMESPACE: dict[str, Any] = {"kind": "Namespace", "metadata": {"name": "rice-apps"}, "status": {"phase": "Active"}}


def quota_plan() -> CooperativePlan:
    """A plan of one namespace."""
    return CooperativePlan(
        cooperative=CooperativeName("rice"),
        uid=CooperativeUid("0" * 16),
        cluster=ClusterId("c"),
        domain="rice.example.kr",
        resources=(KubernetesObject(key="namespace", manifest=NAMESPACE),),
    )


def quota_readers(*, used: str, hard: str) -> Readers:
    """Servers of which only the cluster is asked; its quota of pods is this."""
    quotas: list[Mapping[str, Any]] = [
        {"metadata": {"name": "tenant"}, "spec": {"hard": {"pods": hard}}, "status": {"used": {"pods": used}}}
    ]
    cluster = FakeCluster(Namespace=[NAMESPACE], ResourceQuota=quotas)
    return Readers(cluster=cast("Any", cluster), postgres=cast("Any", None), objects=cast("Any", None))


def platform_with(folder: Path, *, text: str, context: str | None = None) -> Any:
    """A platform with this kubeconfig."""
    platform = builders.platform()
    file = folder / "kubeconfig"
    file.write_text(text)
    return replace(platform, cluster=replace(platform.cluster, kubeconfig=file, context=context))


def deployment(*, ready: int, generation: int = 1, observed: int = 1) -> dict[str, Any]:
    """A Deployment that wants two pods."""
    return {
        "metadata": {"name": "portal", "generation": generation, "labels": {LABEL_SOLUTION: "portal"}},
        "spec": {"replicas": 2},
        "status": {"readyReplicas": ready, "updatedReplicas": ready, "observedGeneration": observed},
    }


def waiting_pod(reason: str, message: str) -> dict[str, Any]:
    """A pod whose container waits."""
    waiting = {"reason": reason, "message": message}
    return {"metadata": {"name": "portal-1"}, "status": {"containerStatuses": [{"state": {"waiting": waiting}}]}}


def migration(condition: str) -> dict[str, Any]:
    """A Job that has come to its end in this way."""
    return {
        "metadata": {"name": "migration", "labels": {LABEL_SOLUTION: "ledger"}},
        "spec": {},
        "status": {"conditions": [{"type": condition, "status": "True"}]},
    }


def job_pod(name: str, *, made: str) -> dict[str, Any]:
    """A pod of that Job."""
    labels = {"batch.kubernetes.io/job-name": "migration"}
    return {"metadata": {"name": name, "labels": labels, "creationTimestamp": made}}
