"""Ownership marks survive the way into comments and tags, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.datastore.marks import Mark, from_comment, from_tags, require_own, to_comment, to_tags
from provisioner.errors import NotOurs
from provisioner.naming import ClusterId, CooperativeUid

OWN = Mark(cluster=ClusterId("kr1"), cooperative=CooperativeUid("0123456789abcdef"))
KEPT = Mark(cluster=OWN.cluster, cooperative=OWN.cooperative, retained=True)
OTHER = Mark(cluster=ClusterId("kr2"), cooperative=OWN.cooperative)


@pytest.mark.parametrize("mark", [OWN, KEPT, OTHER])
def test_a_mark_comes_back_from_comment_and_tags(mark: Mark) -> None:
    assert from_comment(to_comment(mark)) == mark
    assert from_tags(to_tags(mark)) == mark


@given(text=st.text() | st.sampled_from(["null", "[]", "{}", '{"coopctl.dev":1}', '{"coopctl.dev":{"cluster":1}}']))
def test_no_other_comment_is_a_mark(text: str) -> None:
    assert from_comment(text) is None


@pytest.mark.parametrize("tags", [{}, {"coopctl.dev/owner": ""}, {"coopctl.dev/owner": "kr1"}, {"owner": "kr1/0"}])
def test_no_other_tags_are_a_mark(tags: dict[str, str]) -> None:
    assert from_tags(tags) is None


def test_own_is_own_also_when_it_was_kept() -> None:
    require_own(OWN, own=OWN, what="it")
    require_own(KEPT, own=OWN, what="it")


@pytest.mark.parametrize("found", [None, OTHER])
def test_what_is_not_own_is_refused_by_name(found: Mark | None) -> None:
    with pytest.raises(NotOurs, match="the database rice"):
        require_own(found, own=OWN, what="the database rice")
