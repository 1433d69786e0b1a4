"""A bucket is copied to another server: every version, what belongs to it, and what changes meanwhile."""

import hashlib
import multiprocessing
import os
import signal
import threading
import time
from typing import Any

import pytest

from provisioner.errors import CoopctlError, Interrupted, NotOurs
from provisioner.migration import objects_listing
from provisioner.migration.objects_copying import Progress, finish_versions
from provisioner.migration.objects_listing import chain_of
from provisioner.migration.objects_transfer import PART_BYTES_LEAST
from tests.integration.migration_objects.worlds import Move

pytestmark = pytest.mark.servers

AWKWARD_KEYS = ("a", "a/b", "a-b", "한글/쌀 & <가공>", " begins with a space", "%41+?=#", "x" * 200)


def test_every_key_and_version_comes_in_its_order(move: Move) -> None:
    for key in AWKWARD_KEYS:
        move.source.put(key, key.encode())
    for number in range(3):
        move.source.put("history", b"version %d" % number)
        move.source.delete("history")
    move.source.put("history", b"the last")
    move.source.put("deleted", b"once")
    move.source.delete("deleted")
    move.copy()
    assert move.target.bodies() == move.source.bodies()
    assert move.source.bodies()["history"] == [b"version 0", None, b"version 1", None, b"version 2", None, b"the last"]
    assert move.verify().passed


def test_what_belongs_to_an_object_comes_along(move: Move) -> None:
    arguments = {
        "ContentType": "text/csv; charset=utf-8",
        "CacheControl": "no-cache",
        "ContentDisposition": 'attachment; filename="a.csv"',
        "ContentLanguage": "ko",
        "Metadata": {"origin": "lot 7", "unit": "kg"},
        "Tagging": "kind=report&year=2026",
    }
    move.source.put("report", b"1,2", **arguments)
    move.copy()
    [listed] = chain_of(move.target.admin, "report")
    found = move.target.admin.attributes(listed)
    assert found.content_type == "text/csv; charset=utf-8"
    assert dict(found.headers) == {
        "CacheControl": "no-cache",
        "ContentDisposition": 'attachment; filename="a.csv"',
        "ContentLanguage": "ko",
    }
    assert dict(found.metadata) == {"origin": "lot 7", "unit": "kg"}
    assert dict(found.tags) == {"kind": "report", "year": "2026"}


def test_a_large_object_goes_in_parts_and_the_manifest_has_its_own_digest(move: Move) -> None:
    body = os.urandom(2 * PART_BYTES_LEAST + 77)
    move.source.put("large", body, ContentType="application/x-large", Metadata={"m": "1"}, Tagging="t=1")
    move.source.put("empty", b"")
    with move.copying() as copying:
        copying.passes()
        manifest = {one.source.key: one for one in copying.ledger.manifest()}
    assert move.target.bodies()["large"] == [body]
    assert manifest["large"].content is not None
    assert manifest["large"].content.sha256 == hashlib.sha256(body).hexdigest()
    assert manifest["large"].content.attributes.tags == (("t", "1"),)
    assert manifest["empty"].content is not None
    assert manifest["empty"].content.sha256 == hashlib.sha256().hexdigest()
    assert move.verify().passed


def test_further_passes_bring_what_changed_until_nothing_differs(move: Move) -> None:
    for number in range(5):
        move.source.put(f"k{number}", b"first")
    with move.copying() as copying:
        first = copying.one_pass()
        assert (first.listed, first.copied, first.copied_bytes) == (5, 5, 25)
        move.source.put("k0", b"second")
        move.source.delete("k1")
        move.source.put("new", b"new")
        second = copying.one_pass()
        assert (second.copied, second.removed) == (3, 0)
        assert not copying.one_pass().differed
    assert move.target.bodies() == move.source.bodies()


def test_a_version_that_was_deleted_for_good_goes_at_the_target_too(move: Move) -> None:
    first = move.source.put("k", b"first")
    move.source.put("k", b"second")
    gone = move.source.put("gone", b"x")
    move.copy()
    move.source.delete("k", VersionId=first)
    move.source.delete("gone", VersionId=gone)
    with move.copying() as copying:
        reports = copying.passes()
    assert sum(one.removed for one in reports) == 2, "what lay on the first version stays"
    assert move.target.bodies() == {"k": [b"second"]}


def test_tags_that_nobody_lists_are_found_by_the_last_pass(move: Move) -> None:
    move.source.put("k", b"1", Tagging="a=1")
    move.copy()
    move.source.tag("k", a="2", b="3")
    with move.copying() as copying:
        assert not copying.one_pass().differed, "a listing does not show tags"
        reports = copying.passes()
    assert [one.retagged for one in reports] == [0, 1, 0]
    assert move.verify().passed


def test_a_bucket_without_versions_stays_one(plain: Move) -> None:
    plain.source.put("k", b"first")
    plain.source.put("gone", b"x")
    plain.copy()
    plain.source.put("k", b"second", ContentType="text/x")
    plain.source.delete("gone")
    plain.copy()
    assert plain.target.bodies() == {"k": [b"second"]}
    assert plain.target.admin.versioning() == ""
    assert plain.verify().passed


def test_other_metadata_under_the_same_bytes_is_copied_anew(plain: Move) -> None:
    plain.source.put("k", b"same", Metadata={"a": "1"})
    plain.copy()
    plain.source.put("k", b"same", Metadata={"a": "2"})
    plain.copy()
    assert plain.verify().passed


def test_a_suspended_bucket_moves_with_its_versions_and_stays_suspended(move: Move) -> None:
    move.source.put("k", b"first")
    move.source.put("k", b"second")
    move.source.admin.set_versioning("Suspended")
    time.sleep(1.1)
    move.source.put("k", b"without version")
    move.copy()
    assert move.source.bodies()["k"] == [b"first", b"second", b"without version"]
    assert move.target.bodies() == move.source.bodies()
    finish_versions(move.source.admin, move.target.admin)
    assert move.target.admin.versioning() == "Suspended"
    assert move.verify().passed


def test_nothing_of_others_is_touched(move: Move) -> None:
    move.target.put("theirs", b"keep")
    move.source.put("k", b"1")
    with pytest.raises(NotOurs, match="not empty") as caught, move.copying():
        pass
    assert "'theirs'" in str(caught.value.why)
    assert move.target.bodies() == {"theirs": [b"keep"]}
    assert not move.ledger.exists()


@pytest.mark.parametrize("key", ["k", "new"])
def test_what_an_application_has_begun_to_write_at_the_target_is_never_copied_over(move: Move, key: str) -> None:
    move.source.put("k", b"1")
    move.copy()
    move.target.put(key, b"written after the switch")
    move.source.put("k", b"2")
    with pytest.raises(NotOurs, match=f"'{key}' otherwise"), move.copying():
        pass
    assert move.target.bodies()[key][-1] == b"written after the switch"


def test_a_ledger_serves_one_pair_of_buckets(move: Move, plain: Move) -> None:
    move.copy()
    plain.ledger = move.ledger
    with pytest.raises(CoopctlError, match="is the ledger of copying"), plain.copying():
        pass


def test_a_signal_ends_a_pass_in_order_and_the_next_goes_on(move: Move) -> None:
    for number in range(40):
        move.source.put(f"k{number:02}", b"%d" % number)

    class Stopping:
        signals = 0

        def forwarded_to(self, pid: int) -> Any:
            raise AssertionError(pid)

    stopping = Stopping()

    def stop(progress: Progress) -> None:
        stopping.signals = int(progress.copied >= 10)

    with move.copying(stopping=stopping, report=stop, workers=2) as copying, pytest.raises(Interrupted):
        copying.one_pass()
    with move.copying() as copying:
        rest = copying.one_pass()
    assert 0 < rest.copied <= 30
    assert move.target.bodies() == move.source.bodies()


def _copy_in_a_process(move: Move) -> None:
    move.source.open()
    move.target.open()
    with move.copying(workers=3) as copying:
        copying.passes()


def _killed_after(move: Move, *, seconds: float) -> bool:
    """Copy in a process that is killed after ``seconds``; whether it was still at it."""
    process = multiprocessing.get_context("fork").Process(target=_copy_in_a_process, args=(move,))
    process.start()
    process.join(seconds)
    alive = process.is_alive()
    if alive and process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


@pytest.mark.long(seconds=20)
def test_killed_again_and_again_it_ends_with_every_version_once(move: Move) -> None:
    for number in range(60):
        move.source.put(f"k{number % 30:02}", b"%d" % number)
        if number % 7 == 0:
            move.source.delete(f"k{number % 30:02}")
    move.source.put("large", os.urandom(3 * PART_BYTES_LEAST))
    killed = sum(_killed_after(move, seconds=0.15 * attempt) for attempt in range(1, 9))
    assert killed > 0, "at least one process was killed in the middle"
    move.copy()
    assert move.target.bodies() == move.source.bodies()
    assert move.verify().passed
    assert move.target.admin.uploads() == ()


def test_what_a_killed_process_removed_and_did_not_record_is_copied_again(move: Move) -> None:
    for number in range(3):
        move.source.put("k", b"%d" % number)
    move.copy()
    first, _, last = chain_of(move.target.admin, "k")
    with move.copying() as copying:
        copying.ledger.intend(["k", "never copied"])
        move.target.admin.remove("k", version=first.version)
        move.target.admin.remove("k", version=last.version)
        move.target.put("k", b"unrecorded")
        move.target.put("never copied", b"unrecorded")
    move.copy()
    assert move.target.bodies() == {"k": [b"0", b"1", b"2"]}
    assert move.verify().passed


def test_versions_that_lie_on_several_pages_stay_together(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(17):
        move.source.put(f"k{number % 3}", b"%d" % number)
        if number % 5 == 0:
            move.source.delete(f"k{number % 3}")
    whole = move.source.bodies()
    monkeypatch.setattr(objects_listing, "PAGE_ENTRIES", 4)
    assert move.source.bodies() == whole
    move.copy()
    assert move.target.bodies() == whole


def test_parts_that_were_sent_are_not_sent_again(move: Move) -> None:
    body = os.urandom(4 * PART_BYTES_LEAST)
    move.source.put("large", body)
    sent: list[int] = []
    with move.copying(workers=1) as copying:
        put_part = copying.target.put_part
        breaking = _Breaking(put_part, after=2)
        object.__setattr__(copying.target, "put_part", breaking)
        try:
            report = copying.one_pass()
        finally:
            object.__delattr__(copying.target, "put_part")
        assert [one.key for one in report.failures] == ["large"]
        assert len(move.target.admin.uploads()) == 1
    with move.copying() as copying:
        report = copying.one_pass()
        sent.append(report.copied_bytes)
        digest = next(copying.ledger.manifest()).content
    assert sent == [2 * PART_BYTES_LEAST], "the two parts that were missing"
    assert move.target.bodies() == {"large": [body]}
    assert digest is not None
    assert digest.sha256 == hashlib.sha256(body).hexdigest()


def test_an_upload_that_is_given_up_leaves_nothing(move: Move) -> None:
    move.source.put("large", os.urandom(3 * PART_BYTES_LEAST))
    with move.copying() as copying:
        object.__setattr__(copying.target, "put_part", _Breaking(copying.target.put_part, after=1))
        copying.one_pass()
        object.__delattr__(copying.target, "put_part")
        assert copying.abandon() == 1
    assert (move.target.admin.uploads(), move.target.bodies()) == ((), {})


def test_while_the_application_writes_passes_come_ever_closer(move: Move) -> None:
    done = threading.Event()
    written: list[str] = []

    def write() -> None:
        number = 0
        while not done.is_set():
            move.source.put(f"k{number % 10}", b"%d" % number)
            written.append(f"k{number % 10}")
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with move.copying() as copying:
            assert copying.passes(most=3)[-1].failures == ()
    finally:
        done.set()
        writer.join()
    move.copy()
    assert sum(map(len, move.target.bodies().values())) == len(written)
    assert move.verify().passed


class _Breaking:
    """A call that fails once it was made ``after`` times."""

    def __init__(self, call: Any, *, after: int) -> None:
        self._call = call
        self._left = after

    def __call__(self, *args: Any, **arguments: Any) -> Any:
        if self._left == 0:
            raise CoopctlError("the target broke off")
        self._left -= 1
        return self._call(*args, **arguments)
