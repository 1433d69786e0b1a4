"""`coopctl prove` from the command line to the evidence; the cluster is played, the plan is really looked at."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from cli.site import open_site
from provisioner.errors import ExitCode
from provisioner.operations import proving
from provisioner.operations.proof_state import proof_state
from provisioner.plan.limit_range import limit_range
from provisioner.plan.resources import CooperativePlan
from provisioner.proof.attempts import About, Area, Guard, GuardKind
from provisioner.proof.cluster_facts import ClusterFacts
from provisioner.proof.delivered import Delivered
from provisioner.proof.flows import Network
from provisioner.proof.proving import Means, Target, prove_plan
from provisioner.proof.tenant import Terms, proven_tenant
from provisioner.proof.verdicts import Finding, allowed
from tests.unit.cli.without_servers import PlayedEstate, cooperative, played_estate

ATTACK = About(
    id="rights/somebody", area=Area.RIGHTS, who="somebody", what="has more rights", guard=Guard(kind=GuardKind.RBAC)
)


def cluster(_: object, **known: Any) -> ClusterFacts:
    """A cluster without a node."""
    return ClusterFacts(
        **known,
        api=SimpleNamespace(),  # type: ignore[arg-type]  # nobody asks it
        uid="uid",
        resources=(),
        askables=(),
        rules_are_complete=True,
        namespaces=(),
        nodes=(),
        network=Network(namespaces={}, policies={}),
        servers={},
    )


def target(plan: CooperativePlan, *, terms: Terms, cluster: ClusterFacts) -> Target:
    """A tenant without neighbours."""
    del cluster
    return Target(tenant=proven_tenant(plan, terms=terms), neighbours=(), delivered=Delivered())


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """Two cooperatives, of which one is applied; of a proof's attempts only those on the plan are made."""
    monkeypatch.setattr(proving, "open_cluster", lambda _: SimpleNamespace(api=None))
    monkeypatch.setattr(proving, "read_cluster", cluster)
    monkeypatch.setattr(proving, "read_target", target)
    monkeypatch.setattr(proving, "prove_without_pods", lambda one, *, means: tuple(prove_plan(one, means=means)))
    texts = {name: cooperative(name) for name in ("tea", "gas")}
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=texts) as made:
        assert made.run("apply", "tea", "--yes") is ExitCode.DONE
        yield made


@pytest.fixture
def weakened(estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch) -> PlayedEstate:
    """A builder of limits that forgets the most, and an attack that gets through."""

    def forgetful(of: Any) -> Any:
        made = deepcopy(limit_range(of))
        del made["spec"]["limits"][0]["max"]
        return made

    def attacked(one: Target, *, means: Means) -> tuple[Finding, ...]:
        return (*prove_plan(one, means=means), means.found(ATTACK, allowed(ATTACK, "create pods/exec")))

    monkeypatch.setattr("provisioner.plan.cooperative.limit_range", forgetful)
    monkeypatch.setattr(proving, "prove_without_pods", attacked)
    return estate


def evidence(estate: PlayedEstate) -> dict[str, Any]:
    """The proof beside the state."""
    found: dict[str, Any] = json.loads((estate.root / ".coopctl/state/coopctl/proofs/tea.json").read_text())
    return found


def test_a_sound_plan_is_proved_and_the_evidence_is_kept(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert estate.run("prove", "tea", "--output", "json") is ExitCode.DONE
    answer = json.loads(capsys.readouterr().out)
    (proof,) = answer["proofs"]
    assert (answer["kind"], proof["cooperative"], proof["isolated"]) == ("Proofs", "tea", True)
    assert proof["summary"]["works"] > 100
    kept = evidence(estate)
    assert {key: kept[key] for key in proof} == proof


def test_a_proof_that_somebody_wrote_without_the_passphrase_is_in_doubt(estate: PlayedEstate) -> None:
    assert estate.run("prove", "tea") is ExitCode.DONE
    assert doubts(estate) == ()
    record = estate.root / ".coopctl/state/coopctl/proofs/tea.json"
    honest = record.read_text()

    record.write_text(honest.replace('"seconds":', '"seconds": '))
    assert doubts(estate) == ("not the one that the audit trail knows",)

    record.write_text(honest)
    assert doubts(estate) == ()


def doubts(estate: PlayedEstate) -> tuple[str, ...]:
    """What makes the newest proof doubtful, as `status` reads it."""
    site = open_site(estate.root, names=("tea",))
    applied = site.engine.checkpoint("tea")
    assert applied is not None
    state = proof_state(site, site.target("tea"), applied=applied)
    assert state is not None
    return state.doubts


def test_a_guard_that_is_planned_too_weak_ends_with_11_and_is_kept(
    weakened: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert weakened.run("prove", "tea", "--output", "json") is ExitCode.PROBLEMS
    (proof,) = json.loads(capsys.readouterr().out)["proofs"]
    problems = {one["id"]: one for one in proof["attempts"] if one["verdict"] in {"got through", "failed control"}}
    assert set(problems) == {"plan/LimitRange tenant of tea-apps", "plan/LimitRange tenant of tea-data", ATTACK.id}
    assert problems["plan/LimitRange tenant of tea-apps"]["said"] == "there is no max cpu of a Container"
    assert evidence(weakened)["isolated"] is False


def test_a_weakened_cooperative_fails_its_junit_suite_and_is_told_of_in_words(
    weakened: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert weakened.run("prove", "tea", "--output", "junit") is ExitCode.PROBLEMS
    (suite,) = Xml.fromstring(capsys.readouterr().out)  # noqa: S314 - coopctl's own answer
    failures = [one.get("message") or "" for one in suite.findall("testcase/failure")]
    assert (suite.get("name"), suite.get("failures"), len(failures)) == ("tea", "3", 3)
    assert "GOT THROUGH  somebody has more rights: create pods/exec" in failures
    assert weakened.run("prove", "tea") is ExitCode.PROBLEMS
    told = " ".join(capsys.readouterr().out.split())
    assert "tea: 3 problems" in told
    assert "GOT THROUGH somebody has more rights: create pods/exec" in told
    assert "FAILED CONTROL coopctl finds LimitRange tenant of tea-apps planned as promised" in told


def test_what_cannot_be_proved_is_refused_with_its_code(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert estate.run("prove", "tae") is ExitCode.NOT_FOUND
    assert "tea" in capsys.readouterr().err
    assert estate.run("prove", "gas") is ExitCode.NOT_FOUND
    assert "hint:" in capsys.readouterr().err
    assert estate.run("prove") is ExitCode.USAGE
    assert not (estate.root / ".coopctl/state/coopctl/proofs").exists()
