"""Versions come oldest first, whether a server mixes versions and delete markers or lists them apart."""

from datetime import UTC, datetime, timedelta
from typing import Any

from provisioner.migration.objects_listing import ORDER, chains_of

START = datetime(2026, 12, 5, tzinfo=UTC)


def entry(version: str, *, key: str = "k", second: int = 0, latest: bool = False) -> dict[str, Any]:
    """An entry of a listing as the client library gives it."""
    modified = START + timedelta(seconds=second)
    return {"Key": key, "VersionId": version, "LastModified": modified, "IsLatest": latest, "ETag": '"e"', "Size": 1}


def page(*entries: tuple[str, dict[str, Any]], **rest: Any) -> dict[str, Any]:
    """A page whose text has ``entries`` in this order; each is a version (``v``) or a delete marker (``m``)."""
    return {
        "Versions": [one for kind, one in entries if kind == "v"],
        "DeleteMarkers": [one for kind, one in entries if kind == "m"],
        ORDER: [kind == "m" for kind, _ in entries],
        **rest,
    }


def listed(*pages: dict[str, Any]) -> dict[str, list[str]]:
    """The ids of each key, oldest first."""
    return {key: [one.version for one in chain] for key, chain in chains_of(pages)}


def test_where_the_text_mixes_them_its_order_holds_whatever_the_times_are() -> None:
    """The time of an object that came in parts is that of its beginning."""
    found = page(
        ("v", entry("late", second=1, latest=True)), ("m", entry("marker", second=5)), ("v", entry("first", second=0))
    )
    assert listed(found) == {"k": ["first", "marker", "late"]}


def test_once_a_page_has_mixed_them_the_next_ones_are_believed_too() -> None:
    mixed = page(("m", entry("m0", key="a", latest=True)), ("v", entry("v0", key="a")))
    apart = page(("v", entry("v1", second=1, latest=True)), ("m", entry("m1", second=9)))
    assert listed(mixed, apart) == {"a": ["v0", "m0"], "k": ["m1", "v1"]}


def test_where_they_are_listed_apart_the_time_tells() -> None:
    found = page(
        ("v", entry("v3", second=3, latest=True)),
        ("v", entry("v1", second=1)),
        ("m", entry("m2", second=2)),
        ("m", entry("m0", second=0)),
    )
    assert listed(found) == {"k": ["m0", "v1", "m2", "v3"]}


def test_within_a_second_ids_that_are_made_from_the_time_tell() -> None:
    """SeaweedFS counts down: of two ids the greater one is the older."""
    newest_first = page(
        ("v", entry("02", latest=True)),
        ("v", entry("04")),
        ("v", entry("06")),
        ("m", entry("03")),
        ("m", entry("05")),
    )
    assert listed(newest_first) == {"k": ["06", "05", "04", "03", "02"]}
    told_by_nothing = page(("v", entry("04", latest=True)), ("v", entry("07")), ("v", entry("05")), ("m", entry("06")))
    assert listed(told_by_nothing)["k"][-1] == "04"
    counting_up = page(("v", entry("06", latest=True)), ("v", entry("04")), ("m", entry("05")))
    assert listed(counting_up) == {"k": ["04", "05", "06"]}


def test_null_stands_where_its_time_puts_it_and_the_latest_is_the_latest() -> None:
    older = page(
        ("v", entry("v2", second=2, latest=True)), ("v", entry("v1", second=1)), ("v", entry("null", second=0))
    )
    assert listed(older) == {"k": ["null", "v1", "v2"]}
    newest = page(
        ("v", entry("v2", second=2)), ("v", entry("v1", second=1)), ("v", entry("null", second=3, latest=True))
    )
    assert listed(newest) == {"k": ["v1", "v2", "null"]}
    between = page(("v", entry("v2", second=4, latest=True)), ("v", entry("v1")), ("v", entry("null", second=3)))
    assert listed(between) == {"k": ["v1", "null", "v2"]}


def test_a_key_that_goes_on_in_the_next_page_is_one() -> None:
    first = page(
        ("v", entry("a1", key="a", latest=True)),
        ("v", entry("v3", second=3, latest=True)),
        IsTruncated=True,
        NextKeyMarker="k",
    )
    second = page(("v", entry("v1", second=1)), ("v", entry("z1", key="z", latest=True)), IsTruncated=False)
    assert listed(first, second) == {"a": ["a1"], "k": ["v1", "v3"], "z": ["z1"]}


def test_an_empty_bucket_has_no_chains() -> None:
    assert listed({ORDER: []}) == {}
