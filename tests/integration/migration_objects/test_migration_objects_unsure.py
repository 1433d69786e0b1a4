"""A ledger that is older than what was copied, as a machine finds it that goes on for a dead one."""

import shutil

import pytest

from provisioner.errors import NotOurs
from provisioner.migration.objects_transfer import PART_BYTES_LEAST
from provisioner.migration.shared_files import UNSURE, is_unsure
from tests.integration.migration_objects.worlds import Move

pytestmark = pytest.mark.servers


def unsure(move: Move) -> None:
    """Say of the ledger that it came from a machine that died."""
    move.ledger.with_name(f"{move.ledger.name}{UNSURE}").touch()


def test_without_any_ledger_what_was_copied_is_there_once_and_what_the_source_deleted_goes(move: Move) -> None:
    for number in range(3):
        move.source.put(f"scans/{number}", b"scan %d" % number)
    move.source.put("history", b"old")
    move.source.put("history", b"new")
    move.source.put("gone", b"soon")
    move.copy()
    move.ledger.unlink()
    move.source.delete("gone", VersionId=_only_version(move, "gone"))
    with pytest.raises(NotOurs, match="is not empty"):
        move.copy()
    unsure(move)

    move.copy()

    assert move.target.bodies() == move.source.bodies()
    assert "gone" not in move.target.bodies()
    assert not is_unsure(move.ledger)
    assert move.verify().passed


def test_an_older_ledger_is_brought_to_what_is_there_and_nothing_is_doubled(move: Move) -> None:
    move.source.put("first", b"1")
    move.copy()
    older = move.ledger.with_name("older")
    shutil.copyfile(move.ledger, older)
    move.source.put("first", b"2")
    move.source.put("second", b"3")
    move.copy()
    shutil.copyfile(older, move.ledger)
    with pytest.raises(NotOurs, match="otherwise than it was copied"):
        move.copy()
    unsure(move)

    move.copy()

    assert move.target.bodies() == {"first": [b"1", b"2"], "second": [b"3"]}
    assert move.verify().passed


def test_uploads_that_the_dead_machine_had_begun_are_given_up(move: Move) -> None:
    move.source.put("large", b"x" * (PART_BYTES_LEAST + 1))
    unsure(move)
    begun = move.target.admin.s3.create_multipart_upload(Bucket=move.target.name, Key="large")["UploadId"]
    assert [upload for _, upload in move.target.admin.uploads()] == [begun]

    move.copy()

    assert move.target.admin.uploads() == ()
    assert move.target.bodies() == move.source.bodies()


def _only_version(move: Move, key: str) -> str:
    found = move.source.admin.s3.list_object_versions(Bucket=move.source.name, Prefix=key)
    return str(found["Versions"][0]["VersionId"])
