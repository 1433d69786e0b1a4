"""`status` tells of the newest proof: its verdict, its age, and what makes it doubtful."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cli.views import status as view
from provisioner.engine.changes import Changes
from provisioner.engine.fleet import Outcome
from provisioner.operations.health import Health
from provisioner.operations.looking import Status
from provisioner.operations.proof_state import ProofState

NOTHING = Health(namespaces=(), database=None, bucket=None, workloads=(), problems=())
FRESH = ProofState(at=datetime(2026, 11, 29, tzinfo=UTC), age=timedelta(minutes=5), problems=0, doubts=())


def status(proof: ProofState | None) -> Status:
    nothing = Changes(stack="rice", resources=(), same=0)
    return Status(stack="rice", applied=True, health=NOTHING, drift=nothing, interrupted=0, proof=proof)


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (None, "never proved"),
        (FRESH, "isolated, 5 minutes ago"),
        (replace(FRESH, doubts=("applied since",)), "isolated, 5 minutes ago; in doubt: applied since"),
        (replace(FRESH, problems=2, age=timedelta(hours=5)), "2 problem(s), 5 hours ago"),
    ],
)
def test_the_table_has_the_proof(proof: ProofState | None, said: str) -> None:
    assert view._proof(proof) == said


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=-3), "0 minutes"),
        (timedelta(seconds=61), "1 minute"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=71), "71 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_says_enough(age: timedelta, said: str) -> None:
    assert view.human_age(age) == said


def test_what_a_proof_found_is_a_problem_of_the_cooperative() -> None:
    assert status(FRESH).is_well
    assert status(None).is_well
    assert status(replace(FRESH, problems=1)).problems == ("the last proof found 1 problem(s); `coopctl prove rice`",)


def test_json_says_when_and_whether_it_may_no_longer_hold() -> None:
    document = view.document([Outcome(stack="rice", value=status(replace(FRESH, doubts=("applied since",))))])
    assert document["stacks"][0]["proof"] == {
        "at": "2026-11-29T00:00:00+00:00",
        "isolated": True,
        "problems": 0,
        "doubts": ["applied since"],
    }
