"""From the fence on the application writes nothing more, and only a write that was refused proves it."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from provisioner.errors import TimedOut
from provisioner.migration import objects_fence
from provisioner.migration.objects_policies import fenced
from tests.data_stores import new_tenant
from tests.integration.migration_objects.worlds import Move

pytestmark = pytest.mark.servers


def code(call: Callable[..., Any], **arguments: Any) -> str:
    """The code with which a call is refused, or ``done``."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "done"


def test_the_application_only_reads_and_the_migrator_works_on(move: Move) -> None:
    version = move.source.put("k", b"1")
    fence = move.fencing().put()
    s3, name = move.source.s3, move.source.name
    refused = {
        code(s3.put_object, Bucket=name, Key="x", Body=b"x"),
        code(s3.delete_object, Bucket=name, Key="k"),
        code(s3.delete_object, Bucket=name, Key="k", VersionId=version),
        code(s3.create_multipart_upload, Bucket=name, Key="x"),
        code(s3.copy_object, Bucket=name, Key="x", CopySource=f"{name}/k"),
        code(s3.put_object_tagging, Bucket=name, Key="k", Tagging={"TagSet": []}),
    }
    assert refused == {"AccessDenied"}
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"1"
    assert move.source.admin.s3.put_object(Bucket=name, Key="migrator", Body=b"x")
    assert fence.identities == (move.source.identity,)
    assert fence.trials >= objects_fence.REFUSALS_IN_A_ROW
    assert set(move.source.bodies()) == {"k", "migrator"}, "no trial is left"


def test_open_uploads_are_aborted_and_cannot_be_completed(move: Move) -> None:
    s3, name = move.source.s3, move.source.name
    upload = s3.create_multipart_upload(Bucket=name, Key="half")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="half", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    fence = move.fencing().put()
    assert fence.aborted == ("half",)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    assert code(s3.complete_multipart_upload, Bucket=name, Key="half", UploadId=upload, MultipartUpload=parts) != "done"
    assert (move.source.admin.uploads(), move.source.bodies()) == ((), {})


def test_nothing_that_was_acknowledged_after_the_fence_is_missing(move: Move) -> None:
    acknowledged: list[str] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            if code(move.source.s3.put_object, Bucket=move.source.name, Key=f"{number:05}", Body=b"x") == "done":
                acknowledged.append(f"{number:05}")
            number += 1

    writers = [threading.Thread(target=write)]
    for writer in writers:
        writer.start()
    try:
        with move.copying() as copying:
            copying.one_pass()
            move.fencing().put()
            count = len(acknowledged)
            assert not copying.passes()[-1].differed
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert 0 < len(acknowledged) <= count + 1, "one may have been under way"
    assert set(move.target.bodies()) >= set(acknowledged[:count])
    assert move.verify().passed


def test_lifted_it_leaves_the_bucket_as_it_was(move: Move) -> None:
    s3, name = move.source.admin.s3, move.source.name
    before = s3.get_bucket_policy(Bucket=name)["Policy"]
    fencing = move.fencing()
    fencing.put()
    assert fencing.stands()
    assert fencing.lift() is True
    assert fencing.lift() is False
    assert not fencing.stands()
    assert _canonical(s3.get_bucket_policy(Bucket=name)["Policy"]) == _canonical(before)
    move.source.put("k", b"1")
    assert move.source.bodies() == {"k": [b"1"]}


def test_fenced_twice_there_is_one_fence(move: Move) -> None:
    move.fencing().put()
    move.fencing().put()
    policy = move.source.admin.s3.get_bucket_policy(Bucket=move.source.name)["Policy"]
    assert policy.count("MigrationFence") == 1


def test_a_policy_that_does_not_bind_is_no_fence(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """The statement names somebody else: the server takes it, and the application goes on writing."""

    def of_somebody_else(policy: Any, *, bucket: str, identities: Any) -> Any:
        return fenced(policy, bucket=bucket, identities=(new_tenant().names.objects_identity,))

    monkeypatch.setattr(objects_fence, "fenced", of_somebody_else)
    with pytest.raises(TimedOut, match="may still write"):
        move.fencing(wait_seconds=0.5).put()
    assert not move.fencing().stands(), "lifted by itself"
    move.source.put("k", b"1")


def _canonical(policy: str) -> str:
    return "".join(sorted(policy.replace(" ", "")))
