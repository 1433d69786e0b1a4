"""Verification finds every difference between two buckets, names it, and believes no server's word."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.migration.objects_listing import chain_of
from provisioner.migration.objects_report import Aspect, as_document
from provisioner.migration.objects_transfer import PART_BYTES_LEAST
from provisioner.migration.objects_verification import Verifying
from tests.integration.migration_objects.worlds import Move, Store, now

pytestmark = pytest.mark.servers


def filled(move: Move) -> None:
    """A few objects, copied."""
    move.source.put("plain", b"12345", ContentType="text/csv", Metadata={"lot": "7"}, Tagging="kind=a")
    move.source.put("history", b"one")
    move.source.put("history", b"two")
    move.source.put("deleted", b"once")
    move.source.delete("deleted")
    move.copy()


def again(move: Move, body: bytes = b"12345", **changes: object) -> None:
    """Put ``plain`` at the target anew, in place of the copy, as it was but for the changes."""
    arguments: dict[str, Any] = {"ContentType": "text/csv", "Metadata": {"lot": "7"}, "Tagging": "kind=a", **changes}
    for listed in chain_of(move.target.admin, "plain"):
        move.target.admin.remove("plain", version=listed.version)
    move.target.put("plain", body, **arguments)


def _put(store: Store, key: str) -> None:
    store.put(key, b"x")


DIFFERENCES: dict[str, tuple[Callable[[Move], None], str, Aspect]] = {
    "other bytes of equal size": (lambda move: again(move, b"12346"), "plain", Aspect.BYTES),
    "another size": (lambda move: again(move, b"1234"), "plain", Aspect.SIZE),
    "another type": (lambda move: again(move, ContentType="text/x"), "plain", Aspect.CONTENT_TYPE),
    "a header too many": (lambda move: again(move, CacheControl="no-cache"), "plain", Aspect.HEADERS),
    "lost metadata": (lambda move: again(move, Metadata={}), "plain", Aspect.METADATA),
    "lost tags": (lambda move: again(move, Tagging=""), "plain", Aspect.TAGS),
    "a changed tag": (lambda move: move.target.tag("plain", kind="b"), "plain", Aspect.TAGS),
    "an object too many": (lambda move: _put(move.target, "strange"), "strange", Aspect.UNEXPECTED),
    "a version too many": (lambda move: _put(move.target, "history"), "history", Aspect.UNEXPECTED),
    "a delete marker too many": (lambda move: move.target.delete("plain"), "plain", Aspect.UNEXPECTED),
    "an object too few": (lambda move: _put(move.source, "late"), "late", Aspect.MISSING),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_found_and_named(move: Move, name: str) -> None:
    filled(move)
    assert move.verify().passed
    change, key, aspect = DIFFERENCES[name]
    change(move)
    report = move.verify()
    assert not report.passed
    assert [(one.key, one.aspect) for one in report.differences] == [(key, aspect)]


def test_a_version_that_is_missing_in_the_middle_is_named_by_its_place(move: Move) -> None:
    for number in range(4):
        move.source.put("history", b"%d" % number)
    move.copy()
    lost = chain_of(move.target.admin, "history")[1]
    move.target.admin.remove("history", version=lost.version)
    [found] = move.verify().differences
    assert (found.key, found.place, found.aspect) == ("history", 2, Aspect.MISSING)


def test_the_same_bytes_in_other_parts_are_the_same(move: Move) -> None:
    body = os.urandom(2 * PART_BYTES_LEAST)
    move.source.put("large", body)
    move.copy()
    report = move.verify()
    assert report.passed
    assert (report.keys, report.versions, report.size_bytes) == (1, 1, len(body))
    buckets = (move.source.admin, move.target.admin)
    etags = {bucket.s3.head_object(Bucket=bucket.name, Key="large")["ETag"] for bucket in buckets}
    assert len(etags) == 2, "which is why an ETag proves nothing"


def test_only_some_keys_can_be_compared(move: Move) -> None:
    filled(move)
    again(move, b"12346")
    assert move.verify(only=("history", "deleted")).passed
    report = move.verify(only=("plain", "nowhere"))
    assert (report.partial, [one.key for one in report.differences]) == (True, ["plain"])


def test_it_may_be_asked_in_the_other_direction(move: Move) -> None:
    filled(move)
    move.target.put("new", b"written at the target")
    report = Verifying(source=move.target.admin, target=move.source.admin, clock=now).verify()
    assert [(one.key, one.aspect) for one in report.differences] == [("new", Aspect.MISSING)]


def test_the_report_says_what_was_compared_how_when_and_by_whom(move: Move) -> None:
    filled(move)
    again(move, b"12346")
    document = json.loads(json.dumps(as_document(move.verify())))
    assert (document["keys"], document["versions"], document["deleteMarkers"]) == (3, 4, 1)
    assert document["passed"] is False
    assert "SHA-256" in document["method"]
    assert document["differences"][0]["key"] == "plain"
    assert document["begun"] <= document["ended"]
    assert move.source.key.secret.reveal() not in json.dumps(document)
