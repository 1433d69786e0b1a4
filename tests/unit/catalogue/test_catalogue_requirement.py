"""Versions in their order, and what a solution needs of another."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.catalogue.requirement import Requirement, is_older, oldest_versions, parse_requirement
from provisioner.errors import UsageError

# Semantic Versioning 2.0.0, section 11, and numbers of more than one digit.
ASCENDING = (
    *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1"),
    *("1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-0", "2.0.0", "10.0.0"),
)
NUMBERS = st.integers(min_value=0, max_value=10**9 - 1)


def test_versions_come_in_the_order_of_the_specification() -> None:
    for older, newer in pairwise(ASCENDING):
        assert is_older(older, than=newer)
        assert not is_older(newer, than=older)
        assert not is_older(older, than=older)


@given(one=st.tuples(NUMBERS, NUMBERS, NUMBERS), other=st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_releases_are_compared_as_numbers(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert is_older(".".join(map(str, one)), than=".".join(map(str, other))) == (one < other)


@given(text=st.text(max_size=80))
def test_any_text_is_a_requirement_or_refused(text: str) -> None:
    try:
        found = parse_requirement(text)
    except UsageError:
        return
    assert parse_requirement(str(found)) == found


@pytest.mark.parametrize("text", ["ledger>=1.0.0", "ledger >= 1.0.0", "ledger  >=1.0.0"])
def test_blanks_around_the_sign_do_not_matter(text: str) -> None:
    assert parse_requirement(text) == Requirement(name="ledger", at_least="1.0.0")


def test_of_several_oldest_versions_the_newest_holds() -> None:
    found = oldest_versions([Requirement(name="b"), *(Requirement(name="a", at_least=one) for one in ASCENDING[::-1])])
    assert found == {"a": "10.0.0"}
