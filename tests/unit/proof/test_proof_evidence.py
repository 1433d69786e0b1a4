"""A proof is kept whole, read back as it was, and shown so that nothing is missed."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from cli.views import proof as view
from provisioner.datastore.records import FileRecords
from provisioner.engine.fleet import Outcome
from provisioner.errors import CoopctlError, ExitCode, Unreachable
from provisioner.proof.attempts import About, Area, Guard, GuardKind
from provisioner.proof.evidence import Proof, as_document, keep, newest
from provisioner.proof.verdicts import Ending, Finding, Verdict

RBAC = Guard(kind=GuardKind.RBAC)
POLICY = Guard(kind=GuardKind.ADMISSION_POLICY, rule="image-digest")


def finding(ending: Ending, *, guard: Guard | None = RBAC, name: str = "", said: str = "") -> Finding:
    about = About(
        id=name or str(ending), area=Area.OBJECTS, who="operator kim", what=f"tries {name or ending}", guard=guard
    )
    return Finding(about=about, verdict=Verdict(ending=ending, by=guard, said=said))


def proof(*findings: Finding) -> Proof:
    return Proof(
        cooperative="rice-processing",
        at=datetime(2026, 11, 29, 2, 0, 0, tzinfo=UTC),
        seconds=3.21,
        coopctl="0.1.0",
        cluster="uid",
        plan="fingerprint",
        state="digest",
        findings=findings,
    )


WELL = proof(
    finding(Ending.BLOCKED, guard=POLICY, said="no"),
    finding(Ending.WORKS, guard=None),
    finding(Ending.NOT_ATTEMPTED, name="a", said="the nodes are simulated: one"),
    finding(Ending.NOT_ATTEMPTED, name="b", said="the nodes are simulated: two"),
)
BROKEN = proof(
    finding(Ending.GOT_THROUGH, guard=POLICY, said="accepted <&"),
    finding(Ending.FAILED_CONTROL, guard=None),
    finding(Ending.UNPROVEN, said="404"),
    finding(Ending.NO_ROOM, said="Insufficient cpu"),
)


def outcomes(*proofs: Proof) -> Sequence[Outcome[Proof]]:
    return [Outcome(stack=one.cooperative, value=one) for one in proofs]


def test_a_proof_is_read_back_as_it_was(tmp_path: Path) -> None:
    records = FileRecords(root=tmp_path)
    digest = keep(BROKEN, records=records)
    found = newest("rice-processing", records=records)
    assert found is not None
    assert as_document(found.proof) == as_document(BROKEN)
    assert (found.digest, len(digest)) == (digest, 64)
    assert newest("plastics", records=records) is None


@pytest.mark.parametrize("content", [b'{"cooperative": 1}', b"[]", b"null", b"[" * 100_000, b"\xff", b""])
def test_a_damaged_proof_says_how_to_get_a_new_one(tmp_path: Path, content: bytes) -> None:
    records = FileRecords(root=tmp_path)
    records.write("proofs/rice-processing.json", content)
    with pytest.raises(CoopctlError) as raised:
        newest("rice-processing", records=records)
    assert "coopctl prove rice-processing" in (raised.value.hint or "")


def test_only_blocked_and_working_attempts_are_no_problems() -> None:
    assert WELL.problems == ()
    assert len(BROKEN.problems) == 4
    assert as_document(WELL)["isolated"] is True
    assert as_document(BROKEN)["summary"] == {
        "blocked": 0,
        "works": 0,
        "got through": 1,
        "failed control": 1,
        "proves nothing": 1,
        "no room": 1,
        "not attempted": 0,
    }


@pytest.mark.parametrize(
    ("proofs", "before", "code"),
    [
        ([WELL], ExitCode.DONE, ExitCode.DONE),
        ([WELL, BROKEN], ExitCode.DONE, ExitCode.PROBLEMS),
        ([BROKEN], ExitCode.PARTLY_FAILED, ExitCode.PARTLY_FAILED),
    ],
)
def test_the_exit_code_is_11_for_problems_unless_something_failed(
    proofs: list[Proof], before: ExitCode, code: ExitCode
) -> None:
    assert view.exit_code(before, outcomes=outcomes(*proofs)) is code


def test_people_see_counts_reasons_and_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    view.show(outcomes(WELL, BROKEN), output="text", verbose=False)
    shown = capsys.readouterr().out
    assert "rice-processing: isolated: 1 of 3 attacks were blocked (3 s)" in shown
    assert "not attempted: 2 x the nodes are simulated" in shown
    assert "GOT THROUGH  operator kim tries got through by admission policy [image-digest]: accepted <&" in shown
    assert "FAILED CONTROL  operator kim tries failed control" in shown
    assert "PROVES NOTHING  operator kim tries proves nothing by RBAC; RBAC must refuse it: 404" in shown
    assert "NO ROOM  operator kim tries no room by RBAC; RBAC must refuse it: Insufficient cpu" in shown
    assert "tries blocked" not in shown


def test_verbose_shows_every_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    view.show(outcomes(WELL), output="text", verbose=True)
    assert "tries blocked" in capsys.readouterr().out


def test_json_has_every_attempt_and_failures_to_prove(capsys: pytest.CaptureFixture[str]) -> None:
    failed: Outcome[Proof] = Outcome(stack="plastics", failure=Unreachable("the S3 server does not answer"))
    view.show([*outcomes(WELL), failed], output="json", verbose=False)
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "Proofs"
    assert [len(one["attempts"]) for one in document["proofs"] if "attempts" in one] == [4]
    assert document["proofs"][1]["error"]["message"] == "the S3 server does not answer"


def test_junit_tells_failures_and_skipped_cases_apart(capsys: pytest.CaptureFixture[str]) -> None:
    view.show(outcomes(WELL, BROKEN), output="junit", verbose=False)
    suites = Xml.fromstring(capsys.readouterr().out)  # noqa: S314 - what we have just written
    well, broken = suites.findall("testsuite")
    assert (well.get("tests"), well.get("failures"), well.get("skipped")) == ("4", "0", "2")
    assert (broken.get("tests"), broken.get("failures"), broken.get("skipped")) == ("4", "4", "0")
    messages = [case.get("message", "") for case in broken.iter("failure")]
    assert "accepted <&" in messages[0]
