"""Records keep their promise as files and in S3."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import boto3
import pytest

from provisioner.datastore.records import Records, open_records
from provisioner.errors import NotPermitted, Unreachable
from tests.conftest import Servers


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.servers)])
def records(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Records:
    """Records of an empty state backend."""
    if request.param == "file":
        return open_records(f"file://{tmp_path / '상태 folder'}")
    return open_records(_bucket(request.getfixturevalue("servers"), monkeypatch=monkeypatch))


def _bucket(servers: Servers, *, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(servers.objects_credentials))
    name = f"records-{uuid4().hex[:8]}"
    boto3.Session().client("s3", endpoint_url=servers.objects_url, region_name=servers.objects_region).create_bucket(
        Bucket=name
    )
    server = servers.objects_url.removeprefix("http://")
    return f"s3://{name}/team?endpoint={server}&disableSSL=true&region={servers.objects_region}&s3ForcePathStyle=true"


def test_what_was_written_is_read_and_listed(records: Records) -> None:
    records.write("proof/rice.json", b"first")
    records.write("proof/rice.json", b"second")
    records.write("history/rice/1", b"one")

    assert records.read("proof/rice.json") == b"second"
    assert records.list("proof") == ("proof/rice.json",)
    assert records.list("history/rice") == ("history/rice/1",)


def test_nothing_is_read_where_nothing_is(records: Records) -> None:
    assert records.read("proof/rice.json") is None
    assert records.list("proof") == ()


def test_creating_never_writes_over_a_record(records: Records) -> None:
    assert records.create("history/rice/1", b"mine")
    assert not records.create("history/rice/1", b"yours")
    assert records.read("history/rice/1") == b"mine"


def test_half_written_files_are_no_records(tmp_path: Path) -> None:
    records = open_records(f"file://{tmp_path}")
    records.write("proof/rice.json", b"whole")
    (tmp_path / "coopctl" / "proof" / ".writing-abc").write_bytes(b"half")

    assert records.list("proof") == ("proof/rice.json",)


@pytest.mark.parametrize("call", [lambda records: records.list("a"), lambda records: records.read("a")])
def test_a_server_that_does_not_answer_is_told(
    call: Callable[[Records], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    records = open_records("s3://state?endpoint=127.0.0.1:9&disableSSL=true&region=us-east-1")

    with pytest.raises(Unreachable, match="s3://state"):
        call(records)


@pytest.mark.servers
def test_wrong_credentials_are_told(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    url = _bucket(servers, monkeypatch=monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "guessed")

    with pytest.raises(NotPermitted, match="credentials"):
        open_records(url).read("a")
