"""`coopctl prove` as a process: what it says of a sound and of a weakened tenant, and what a kill leaves: nothing."""

import json
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from provisioner.catalogue import images_lock
from provisioner.catalogue.images_lock import LockedImage
from provisioner.naming import LABEL_COOPERATIVE
from provisioner.proof.planning_pods import KEPT_SECONDS, LABEL_RUN
from provisioner.proof.probe_image import PROBE
from provisioner.proof.verdicts import PROBLEMS
from tests.integration.engine.conftest import CliEstate
from tests.integration.proof.traces import sessions, traces
from tests.unit.plan import builders

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
NAME = "attacked"
APPS = f"{NAME}-apps"
# The first of all neighbours, whom a proof has the most attempts for.
HALF = "aaa-half-apps"
DYING = (sys.executable, "-m", "tests.integration.engine.dying")
# How long Kubernetes may take to clear away what a Job's time to live is over for, and PostgreSQL to miss a client.
_CLEARING_SECONDS = 90.0
_SESSIONS_SECONDS = 30.0
# Places in a proof where it is cut off: in the middle of requests, within a transaction that made a table, between
# calls to the S3 server, and before and after the evidence is written.
MOMENTS = {
    "in the middle of dry runs": ("provisioner.proof.running_requests:RequestRunner._sent", "after:40"),
    "within a transaction": ("provisioner.proof.running_database:DatabaseRunner._run_all", "after:100"),
    "between calls to the S3 server": ("provisioner.proof.running_bucket:_answered", "after:6"),
    "before the evidence is written": ("provisioner.operations.proving:keep", "before"),
    "after the evidence is written": ("provisioner.operations.proving:keep", "after"),
}
SAMPLE = "within a transaction"


@dataclass(frozen=True, kw_only=True)
class Proving:
    """An estate with one cooperative that was applied."""

    estate: CliEstate

    def document(self, *arguments: str, code: int) -> dict[str, Any]:
        """The JSON that a command answers with, and with this exit code."""
        done = self.estate.run(*arguments, "--output", "json")
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def evidence(self) -> dict[str, Any]:
        """The proof that lies beside the state."""
        path = self.estate.root / ".coopctl" / "state" / "coopctl" / "proofs" / f"{NAME}.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def status(self) -> dict[str, Any]:
        """What `status` says of the proof."""
        (stack,) = self.document("status", NAME, code=0)["stacks"]
        found: dict[str, Any] = stack["proof"]
        return found

    def traces(self) -> Mapping[str, list[str]]:
        """All that a proof could leave."""
        platform = self.estate.maker.platform()
        return traces(self.estate.maker.cluster().api, platform=platform, databases=[NAME])

    def kill(self, place: str, when: str) -> None:
        """Prove, and be killed there."""
        dying = self.estate.start(place, when, "prove", NAME, "--no-probe-pods", program=DYING)
        output, errors = dying.communicate(timeout=300)
        assert dying.returncode == -signal.SIGKILL, f"{output}\n{errors}"


@pytest.fixture(scope="module")
def half_a_neighbour(walked: CliEstate) -> Iterator[None]:
    """Another tenant on its way in or out: one of its two namespaces is there, and no database."""
    kubectl = walked.maker.world.kubectl
    kubectl("create", "namespace", HALF)
    kubectl("label", "namespace", HALF, f"{LABEL_COOPERATIVE}=aaa-half")
    yield
    kubectl("delete", "namespace", HALF)


@pytest.fixture(scope="module")
def proving(walked: CliEstate, half_a_neighbour: None) -> Proving:
    """The estate, applied, beside half a neighbour; its lock has an image for probe pods."""
    walked.write(NAME)
    lock = builders.fake_lock()
    probe = LockedImage(repository="coopctl/probe", digest=builders.FAKE_DIGEST)
    images_lock.write(replace(lock, images={**lock.images, PROBE: probe}, source=walked.root / "images.lock"))
    walked.done("apply", NAME, "--yes")
    return Proving(estate=walked)


@pytest.fixture
def weakened(proving: Proving) -> Iterator[Proving]:
    """The cooperative, without the limits of its pods, and with one right too many."""
    kubectl = proving.estate.maker.world.kubectl
    kubectl("-n", APPS, "delete", "limitrange", "tenant")
    right = '[{"op": "add", "path": "/rules/0/resources/-", "value": "secrets"}]'
    kubectl("-n", f"{NAME}-data", "patch", "role", "operators", "--type=json", "-p", right)
    yield proving
    proving.estate.done("apply", NAME, "--yes")


def test_a_sound_cooperative_is_proved_and_the_evidence_is_kept(proving: Proving) -> None:
    answer = proving.document("prove", NAME, code=0)
    (proof,) = answer["proofs"]
    assert (answer["kind"], proof["cooperative"], proof["isolated"]) == ("Proofs", NAME, True)
    assert {one["verdict"] for one in proof["attempts"]} <= {"blocked", "works", "not attempted"}
    assert len(proof["attempts"]) == sum(proof["summary"].values()) > 300
    kept = proving.evidence()
    assert {key: kept[key] for key in proof} == proof
    assert kept["kind"] == "Proof"
    told = proving.status()
    assert (told["at"], told["isolated"], told["problems"], told["doubts"]) == (proof["at"], True, 0, [])
    assert re.search(r"proof +isolated, \d+ minutes? ago", proving.estate.done("status", NAME))


@pytest.mark.long(seconds=30)
def test_a_weakened_cooperative_is_told_of_in_every_form(weakened: Proving) -> None:
    (proof,) = weakened.document("prove", NAME, code=11)["proofs"]
    problems = [one for one in proof["attempts"] if one["verdict"] in PROBLEMS]
    assert proof["isolated"] is False
    assert {one["verdict"] for one in problems} >= {"got through", "failed control"}
    assert weakened.evidence()["isolated"] is False
    told = weakened.status()
    assert (told["isolated"], told["problems"]) == (False, len(problems))
    (stack,) = weakened.document("status", NAME, "--detailed-exitcode", code=11)["stacks"]
    assert f"the last proof found {len(problems)} problem(s); `coopctl prove {NAME}`" in stack["problems"]


@pytest.mark.long(seconds=30)
def test_a_weakened_cooperative_fails_its_junit_suite_and_is_told_of_in_words(weakened: Proving) -> None:
    done = weakened.estate.run("prove", NAME, "--output", "junit")
    assert done.returncode == 11
    (suite,) = Xml.fromstring(done.stdout)  # noqa: S314 - coopctl's own answer
    failures = suite.findall("testcase/failure")
    assert (suite.get("name"), suite.get("failures")) == (NAME, str(len(failures)))
    assert any("GOT THROUGH" in (one.get("message") or "") for one in failures)
    told = weakened.estate.run("prove", NAME, "--no-probe-pods")
    assert told.returncode == 11
    assert f"GOT THROUGH operator somebody has more rights in {NAME}-data" in " ".join(told.stdout.split())


def test_what_cannot_be_proved_is_refused_with_its_code(proving: Proving) -> None:
    proving.estate.write(NAME, "never-applied")
    runs = [proving.estate.run("prove", *names) for names in (["attakced"], ["never-applied"], [])]
    assert [run.returncode for run in runs] == [6, 6, 2]
    assert NAME in runs[0].stderr
    assert "hint:" in runs[1].stderr
    (proving.estate.root / "cooperatives" / "never-applied.yaml").unlink()


@pytest.mark.parametrize(
    "moment", [pytest.param(one, marks=() if one == SAMPLE else pytest.mark.long(seconds=30)) for one in MOMENTS]
)
def test_a_proof_that_is_killed_leaves_nothing_and_can_be_made_again(proving: Proving, moment: str) -> None:
    before = proving.traces()
    proving.kill(*MOMENTS[moment])
    assert proving.traces() == before
    until = time.monotonic() + _SESSIONS_SECONDS
    while sessions(proving.estate.maker.platform()):
        assert time.monotonic() < until, "sessions of a killed proof are still there"
        time.sleep(0.1)
    (proof,) = proving.document("prove", NAME, "--no-probe-pods", code=0)["proofs"]
    assert proving.evidence()["at"] == proof["at"]
    assert proving.traces() == before


@pytest.mark.long(seconds=240)
def test_probe_pods_of_a_killed_proof_are_taken_away_by_kubernetes(proving: Proving) -> None:
    kubectl = proving.estate.maker.world.kubectl
    # Nobody runs it: probe pods are made for it, and wait.
    kubectl("create", "-f", "-", stdin='{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "nobody"}}')
    try:
        place = "provisioner.proof.running_pods:PodSession._wait"
        dying = proving.estate.start(place, "before", "prove", NAME, program=DYING)
        dying.communicate(timeout=300)
        assert dying.returncode == -signal.SIGKILL
    finally:
        kubectl("delete", "node", "nobody")
    assert _probes(proving) >= {"Job", "Pod"}
    assert proving.document("prove", NAME, code=0)["proofs"][0]["isolated"] is True
    until = time.monotonic() + KEPT_SECONDS + _CLEARING_SECONDS
    while _probes(proving):
        assert time.monotonic() < until, "probe pods of a killed proof are still there"
        time.sleep(2)


def _probes(proving: Proving) -> set[str]:
    """The kinds of what probe runs left in the cluster."""
    listed = proving.estate.maker.world.kubectl("get", "pods,jobs", "-A", "-l", LABEL_RUN, "-o", "json")
    return {item["kind"] for item in json.loads(listed)["items"]}
