"""What is to do for a key: what is there stays as long as nothing is missing below it, all else is done anew."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.datastore.objects_policies import FENCE
from provisioner.migration.objects_planning import KeyWork, key_work
from provisioner.migration.objects_policies import fenced, is_fenced, unfenced
from provisioner.migration.objects_transfer import PART_BYTES, PARTS_MOST, part_size
from provisioner.migration.objects_values import NO_VERSION, Attributes, Content, Copied, Listed

START = datetime(2026, 12, 5, tzinfo=UTC)
CONTENT = Content(sha256="0" * 64, size=1, attributes=Attributes(content_type="text/plain"))


def version(name: str, *, etag: str = "e", after: int = 0) -> Listed:
    return Listed(key="k", version=name, modified=START + timedelta(seconds=after), latest=False, etag=etag, size=1)


def copied(listed: Listed) -> Copied:
    return Copied(source=listed, target_version=f"t-{listed.version}", content=CONTENT)


def work(source: str, recorded: str, *, intended: bool = False, compare: bool = False) -> KeyWork:
    """Versions are letters, the oldest first."""
    return key_work(
        "k",
        source=[version(name) for name in source],
        recorded=[copied(version(name)) for name in recorded],
        intended=intended,
        compare=compare,
    )


def names(found: KeyWork) -> tuple[str, str, str]:
    """Kept, removed and added versions."""
    removed = "".join(one.source.version for one in found.removals)
    return "".join(one.source.version for one in found.kept), removed, "".join(one.version for one in found.additions)


def test_what_is_new_goes_on_top() -> None:
    assert names(work("abc", "ab")) == ("ab", "", "c")
    assert names(work("abc", "")) == ("", "", "abc")


def test_what_is_gone_is_removed_and_what_lies_on_it_stays() -> None:
    assert names(work("ac", "abc")) == ("ac", "b", "")
    assert names(work("bc", "ac")) == ("", "ac", "bc")
    assert names(work("", "abc")) == ("", "abc", "")


def test_what_is_missing_below_others_takes_them_along() -> None:
    assert names(work("abc", "ac")) == ("a", "c", "bc")


def test_where_nothing_differs_nothing_is_done() -> None:
    assert work("abc", "abc").idle
    assert not work("abc", "abc", compare=True).idle
    assert work("", "", compare=True).idle


def test_a_key_that_was_cut_off_is_looked_at_in_any_case() -> None:
    found = work("abc", "abc", intended=True)
    assert (found.idle, found.reconcile) == (False, True)


def test_a_version_that_is_no_longer_the_latest_is_the_same() -> None:
    before = replace(version("a"), latest=True)
    assert key_work("k", source=[version("a"), version("b")], recorded=[copied(before)]).kept == (copied(before),)


def test_what_was_written_over_is_done_anew() -> None:
    before, now = version(NO_VERSION), version(NO_VERSION, etag="f", after=1)
    found = key_work("k", source=[now], recorded=[copied(before)])
    assert (found.removals, found.additions) == ((copied(before),), (now,))


@settings(deadline=None)
@given(
    source=st.permutations("abcdef"), recorded=st.permutations("abcdef"), cut=st.integers(0, 6), end=st.integers(0, 6)
)
def test_afterwards_the_target_has_the_source_s_versions_in_their_order(
    source: list[str], recorded: list[str], cut: int, end: int
) -> None:
    found = work("".join(source[:cut]), "".join(recorded[:end]))
    target = [one.source.version for one in map(copied, (version(name) for name in recorded[:end]))]
    for one in found.removals:
        target.remove(one.source.version)
    target += [one.version for one in found.additions]
    assert target == source[:cut]


@settings(deadline=None)
@given(size=st.integers(min_value=1, max_value=5 * 2**40))
def test_no_object_has_more_parts_than_a_server_takes(size: int) -> None:
    assert -(-size // part_size(size)) <= PARTS_MOST
    assert part_size(size) >= PART_BYTES


def test_the_fence_is_one_statement_beside_the_others() -> None:
    own = {"Version": "2012-10-17", "Statement": {"Sid": "TenantAlone", "Effect": "Deny"}}
    once = fenced(own, bucket="b", identities=("rice",))
    assert fenced(once, bucket="b", identities=("rice",)) == once
    assert [one["Sid"] for one in once["Statement"]] == ["TenantAlone", FENCE]
    assert once["Statement"][1]["Condition"] == {"StringEquals": {"aws:username": ["rice"]}}
    assert (is_fenced(own), is_fenced(once), is_fenced(None)) == (False, True, False)
    assert unfenced(once) == {"Version": "2012-10-17", "Statement": [own["Statement"]]}
    assert unfenced(fenced(None, bucket="b", identities=("rice",))) is None
