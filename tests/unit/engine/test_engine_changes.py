"""Changes name exactly the fields that change, and never a secret's value."""

from typing import Any

import pytest

from provisioner.engine.changes import (
    HIDDEN,
    UNKNOWN,
    Changes,
    FieldChange,
    ResourceChange,
    differing_paths,
    field_changes,
)
from provisioner.engine.events import Operation

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}


def test_a_changed_field_has_its_value_before_and_after() -> None:
    changes = field_changes(["spec.hard.pods"], before=quota("24"), after=quota("30"))

    assert changes == (FieldChange(path="spec.hard.pods", before="24", after="30"),)


def test_fields_that_are_the_same_on_both_sides_are_left_out() -> None:
    assert field_changes(["spec.hard.pods"], before=quota("24"), after=quota("24")) == ()


def test_a_missing_side_is_none() -> None:
    changes = field_changes(["spec.egress"], before={"spec": {}}, after={"spec": {"egress": [{}]}})

    assert changes == (FieldChange(path="spec.egress", before=None, after="[{}]"),)


def test_values_that_are_known_later_say_so() -> None:
    later = {"uid": "04da6b54-80e4-46f7-96ec-b56ff0331ba9"}

    assert field_changes(["uid"], before={"uid": "a"}, after=later)[0].after == UNKNOWN


def test_secrets_are_hidden_where_pulumi_marks_them_and_in_a_secrets_data() -> None:
    marked = field_changes(["password"], before={"password": SECRET}, after={"password": SECRET})
    data = {"kind": "Secret", "data": {"p": "aGVsbG8="}}
    plain = field_changes(['data["p"]'], before={"kind": "Secret", "data": {"p": "eA=="}}, after=data)

    assert {marked[0].before, marked[0].after, plain[0].before, plain[0].after} == {HIDDEN}


@pytest.mark.parametrize("value", ["x" * 999, ["x" * 999]], ids=["text", "list"])
def test_long_values_are_cut_but_still_compared_in_full(value: Any) -> None:
    (change,) = field_changes(["text"], before={"text": "short"}, after={"text": value})
    (other,) = field_changes(["text"], before={"text": "short"}, after={"text": [*value, "y"]})
    (same,) = field_changes(["text"], before={"text": "short"}, after={"text": value})

    assert len(change.after or "") == 200
    assert change != other
    assert change == same


def test_no_digest_of_a_secret_is_given_that_would_let_it_be_guessed() -> None:
    long = {"kind": "Secret", "data": {"p": "x" * 999}, "marked": {**SECRET, "more": "x" * 999}}

    found = field_changes(['data["p"]', "marked"], before=None, after=long)

    assert [(change.after, change.digest) for change in found] == [(HIDDEN, ""), (HIDDEN, "")]


def test_differing_paths_are_the_smallest_that_differ() -> None:
    before = {"spec": {"hard": {"pods": "1", "requests.cpu": "1"}, "list": [1]}}
    after = {"spec": {"hard": {"pods": "2", "requests.cpu": "1"}, "list": [1, 2]}}

    assert differing_paths(before, after) == ["spec.hard.pods", "spec.list"]


def test_deleted_and_replaced_resources_count_as_destroyed() -> None:
    changes = Changes(
        stack="rice",
        resources=tuple(ResourceChange(resource=str(op), type="t", operation=op) for op in Operation),
        same=0,
    )

    assert changes.destroyed == 2


def quota(pods: str) -> dict[str, object]:
    return {"kind": "ResourceQuota", "spec": {"hard": {"pods": pods}}}
