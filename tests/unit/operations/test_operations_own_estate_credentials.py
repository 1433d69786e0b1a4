"""Whether the platform's own change of credentials is still to be made, as the state of the stack has it."""

from typing import Any

import pytest

from provisioner.engine.state import parse_checkpoint
from provisioner.operations.own_estate.credentials import IDENTITY, ROLE, is_owed
from stacks.provider.provider import kinds

Inputs = dict[str, Any]
OWNER: Inputs = {"kind": "owner", "name": "rice_owner"}
APPLICATION: Inputs = {"kind": "application", "name": "rice_app", "rotation": 1}
BUCKET: Inputs = {"name": "test-rice", "bucket": "test-rice", "rotation": 1}


def owed(*resources: tuple[str, Inputs], rotation: int = 1) -> bool:
    found = [
        {"urn": f"urn:pulumi:rice::coopctl::{kind}::{index}", "type": kind, "inputs": inputs}
        for index, (kind, inputs) in enumerate(resources)
    ]
    return is_owed(parse_checkpoint({"resources": found}), rotation=rotation)


def test_its_types_are_the_provider_s() -> None:
    assert {ROLE, IDENTITY} <= set(kinds())


def test_a_stack_that_is_not_there_owes_nothing() -> None:
    assert not is_owed(None, rotation=1)


def test_it_is_made_once_all_that_log_in_have_it() -> None:
    assert not owed((ROLE, OWNER), (ROLE, APPLICATION), (IDENTITY, BUCKET), ("kubernetes:core/v1:Secret", {}))


@pytest.mark.parametrize("missing", ["application", "identity"])
def test_a_part_that_was_cut_off_is_owed(missing: str) -> None:
    before = {name: value for name, value in APPLICATION.items() if name != "rotation"}
    role = before if missing == "application" else APPLICATION
    bucket = {"name": "test-rice"} if missing == "identity" else BUCKET
    assert owed((ROLE, OWNER), (ROLE, role), (IDENTITY, bucket))


def test_what_a_state_has_as_a_float_is_the_same_number() -> None:
    assert not owed((ROLE, {**APPLICATION, "rotation": 1.0}))
