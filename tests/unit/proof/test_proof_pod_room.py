"""Probe pods that the scheduler finds no room for: waited for, then told as what they are, and taken away."""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

from provisioner.plan.platform import platform_plan
from provisioner.proof import running_pods
from provisioner.proof.cluster_facts import ClusterFacts
from provisioner.proof.flows import Network
from provisioner.proof.running_pods import PodSession
from provisioner.proof.verdicts import Ending
from tests.unit.plan import builders
from tests.unit.proof.world import proven

if TYPE_CHECKING:
    from provisioner.cluster.api import ApiServer

TENANT = proven()
CROWDED = {
    "phase": "Pending",
    "conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu."}],
}
RUNNING = {"phase": "Running", "podIP": "10.244.0.9"}
Status = Callable[[str, int, str], Mapping[str, Any]]


class FullCluster:
    """An API server that keeps pods; ``status`` says how one is, by its mode, the number of the look, and namespace."""

    def __init__(self, status: Status) -> None:
        self.pods: list[dict[str, Any]] = []
        self.taken_away: list[str] = []
        self.looks = 0
        self._status = status

    def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep an object."""
        made = copy.deepcopy(dict(body))
        made["metadata"]["uid"] = path
        if path.endswith("/pods"):
            self.pods.append(made)
        return made

    def get(self, path: str) -> Mapping[str, Any]:
        """The pods as they are now; nothing else is there."""
        if not path.startswith("/api/v1/pods"):
            return {"items": []}
        self.looks += 1
        return {"items": [{**pod, "status": self._seen(pod["metadata"])} for pod in self.pods]}

    def _seen(self, about: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._status(about["name"].rpartition("-")[2], self.looks, about["namespace"])

    def attempt(self, method: str, path: str, **_: object) -> None:
        """Take something away."""
        assert method == "DELETE"
        self.taken_away.append(path)


def session(api: FullCluster) -> PodSession:
    """A run for one tenant on a real node."""
    facts = ClusterFacts(
        api=cast("ApiServer", api),
        uid="u",
        platform=builders.platform(),
        plan=platform_plan(builders.platform()),
        resources=(),
        askables=(),
        rules_are_complete=True,
        namespaces=(),
        nodes=({"metadata": {"name": "node"}},),
        network=Network(namespaces={}, policies={}),
        servers={},
    )
    return PodSession(cluster=facts, tenants=[TENANT], image="probe", check=lambda: None)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long."""
    monkeypatch.setattr(running_pods, "_ROOM_SECONDS", 0.05)
    monkeypatch.setattr(running_pods, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(running_pods, "_TRY_SECONDS", 0.1)


def endings(api: FullCluster) -> list[Ending]:
    """How the attempts of the tenant's pods ended."""
    return [one.verdict.ending for one in session(api).prove()[str(TENANT.names.cooperative)]]


def test_pods_that_never_find_room_end_as_no_room_with_the_scheduler_s_words_and_a_remedy() -> None:
    api = FullCluster(lambda _mode, _look, _namespace: CROWDED)
    found = session(api).prove()[str(TENANT.names.cooperative)]
    assert [one.verdict.ending for one in found] == [Ending.NO_ROOM] * 2
    assert all("Insufficient cpu" in one.verdict.said and "another node" in one.verdict.said for one in found)
    assert len(api.taken_away) == 2 * len(TENANT.namespaces)


def test_room_that_comes_free_in_time_is_taken() -> None:
    api = FullCluster(lambda mode, look, _: CROWDED if mode == "serve" and look < 3 else RUNNING)
    assert Ending.NO_ROOM not in endings(api)
    assert {pod["metadata"]["name"].rpartition("-")[2] for pod in api.pods} == {"serve", "try"}


def test_pods_that_get_room_one_after_the_other_are_all_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_pods, "_ROOM_SECONDS", 0.2)
    monkeypatch.setattr(running_pods, "_TRY_SECONDS", 0.2)
    ended = {"phase": "Succeeded", "containerStatuses": [{"state": {"terminated": {"message": "no report"}}}]}

    def status(mode: str, look: int, namespace: str) -> Mapping[str, Any]:
        if mode == "serve":
            return RUNNING
        # One of the two has ended soon; the other gets room a good while later.
        return ended if look > (3 if namespace == TENANT.apps else 18) else CROWDED

    api = FullCluster(status)
    assert Ending.NO_ROOM not in endings(api)


def test_pods_that_try_and_find_no_room_are_no_work_of_the_policies() -> None:
    api = FullCluster(lambda mode, _look, _namespace: RUNNING if mode == "serve" else CROWDED)
    assert endings(api) == [Ending.NO_ROOM] * 2
