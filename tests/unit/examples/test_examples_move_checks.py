"""The demo of a move notices each promise that is broken, and nothing where all are kept."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from examples.move_checks import Finding, Row, Way, judge
from examples.writing_client import Told

OLD, NEW = 150000, 180000
FENCED = 12.0
# Five commits at the old side before its fence, five at the new one from half a second later on.
TOLD: Mapping[int, Told] = {
    **{number: Told(11.5 + number / 10, OLD) for number in range(1, 5)},
    **{number: Told(12.0 + number / 10, NEW) for number in range(5, 10)},
}
ROWS = tuple(Row(number=number, server=told.server, at=told.moment - 0.01) for number, told in TOLD.items())
KEPT = Way(
    old=15,
    new=18,
    begun=11.0,
    fenced=FENCED,
    told=TOLD,
    rows=ROWS,
    left=ROWS[:4],
    differences=(),
    compared="9 rows",
)


def broken(way: Way) -> list[str]:
    """The claims that are not kept."""
    return [one.claim for one in judge(way) if not one.kept]


def found(way: Way, claim: str) -> Finding:
    """The one finding whose claim has these words."""
    [one] = (one for one in judge(way) if claim in one.claim)
    return one


def test_kept_promises_are_found_kept_with_what_was_seen() -> None:
    assert broken(KEPT) == []
    assert found(KEPT, "longest gap").seen.startswith("0.600 s, 0.9 s after")
    assert found(KEPT, "exactly once").seen == "9 acknowledged, 5 of them by it since, 0 missing, 0 doubled"
    assert found(KEPT, "after its fence").seen == "its last one 110 ms before, 0 after, 0 left behind"
    assert found(KEPT, "verification").seen == "9 rows"


@pytest.mark.parametrize(
    ("way", "claim"),
    [
        pytest.param(
            replace(KEPT, told={**TOLD, 10: Told(14.0, NEW)}, rows=(*ROWS, Row(number=10, server=NEW, at=13.9))),
            "the longest gap between acknowledged commits is below 1 s",
            id="long gap",
        ),
        pytest.param(
            replace(KEPT, rows=ROWS[1:], left=ROWS[1:4]),
            "every acknowledged commit is in PostgreSQL 18 exactly once",
            id="missing",
        ),
        pytest.param(
            replace(KEPT, rows=(*ROWS, ROWS[0])),
            "every acknowledged commit is in PostgreSQL 18 exactly once",
            id="doubled",
        ),
        pytest.param(
            replace(KEPT, left=(*ROWS[:4], Row(number=4, server=OLD, at=FENCED + 0.1))),
            "none was acknowledged by PostgreSQL 15 after its fence",
            id="a row after the fence",
        ),
        pytest.param(
            replace(KEPT, told={**TOLD, 4: Told(12.55, OLD)}),
            "none was acknowledged by PostgreSQL 15 after its fence",
            id="told by the old side after the new one",
        ),
        pytest.param(
            replace(KEPT, left=(*ROWS[:4], Row(number=77, server=OLD, at=11.9))),
            "none was acknowledged by PostgreSQL 15 after its fence",
            id="left behind",
        ),
        pytest.param(replace(KEPT, differences=("lots (7)",)), "the verification is clean", id="difference"),
    ],
)
def test_a_broken_promise_is_found_alone(way: Way, claim: str) -> None:
    assert broken(way) == [claim]


def test_an_application_that_never_got_to_the_new_side_is_not_a_success() -> None:
    silent = replace(KEPT, told=dict(list(TOLD.items())[:4]), rows=ROWS[:4])

    assert broken(silent) == ["every acknowledged commit is in PostgreSQL 18 exactly once"]
