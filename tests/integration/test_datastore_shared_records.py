"""Shared records: the same contract for a bucket, for one whose server keeps to no conditions, and for a folder."""

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.datastore import shared_records
from provisioner.datastore.records import FileRecords, open_records
from provisioner.datastore.shared_records import FileSharedRecords, S3SharedRecords, SharedRecords, open_shared
from tests.conftest import Servers
from tests.data_stores import client

pytestmark = pytest.mark.servers
Opened = Callable[[], SharedRecords]


class Bucket:
    """A bucket for records."""

    def __init__(self, servers: Servers) -> None:
        self.name = f"shared-{secrets.token_hex(6)}"
        self.credentials = servers.objects_credentials
        self.url = f"s3://{self.name}/one?endpoint={servers.objects_url}&region={servers.objects_region}"
        self.client = client(servers, "s3")
        self.client.create_bucket(Bucket=self.name)

    def remove(self) -> None:
        for item in self.client.list_objects_v2(Bucket=self.name).get("Contents", []):
            self.client.delete_object(Bucket=self.name, Key=item["Key"])
        self.client.delete_bucket(Bucket=self.name)


class Deaf:
    """A client of a server that looks at no condition."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_object(self, **arguments: Any) -> Any:
        arguments.pop("IfMatch", None)
        arguments.pop("IfNoneMatch", None)
        return self._client.put_object(**arguments)


@pytest.fixture
def bucket(servers: Servers) -> Iterator[Bucket]:
    made = Bucket(servers)
    yield made
    made.remove()


@pytest.fixture(params=["bucket", "deaf", "folder"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the same records again and again, as several machines do."""
    if request.param == "folder":
        return lambda: FileSharedRecords(records=FileRecords(root=tmp_path / "records"))
    found: Bucket = request.getfixturevalue("bucket")

    def in_bucket() -> SharedRecords:
        made = open_shared(found.url, credentials_file=found.credentials)
        assert isinstance(made, S3SharedRecords)
        if request.param == "bucket":
            return made
        records = open_records(found.url, credentials_file=found.credentials)
        object.__setattr__(records, "client", Deaf(made.records.client))
        return S3SharedRecords(records=records)  # type: ignore[arg-type]

    return in_bucket


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_records, "SETTLE_SECONDS", 1.0)


def test_a_record_is_changed_only_by_who_has_seen_what_it_is_now(opened: Opened) -> None:
    mine, other = opened(), opened()
    assert mine.look("a/head") is None
    first = mine.swap("a/head", b"1", seen=None)
    assert first is not None
    assert other.swap("a/head", b"2", seen=None) is None
    second = other.swap("a/head", b"3", seen=first)
    assert second is not None
    assert mine.swap("a/head", b"4", seen=first) is None
    found = mine.look("a/head")
    assert found is not None
    assert (found.content, found.tag) == (b"3", second)
    assert 0 <= found.age_seconds < 30
    assert mine.list("a") == ("a/head",), "a trial leaves nothing"


def test_of_many_who_have_seen_the_same_one_changes_it(opened: Opened) -> None:
    barrier = threading.Barrier(6)
    won: list[bytes] = []

    def try_it(number: int) -> None:
        records = opened()
        content = f"machine {number}".encode()
        records.look("head")
        barrier.wait()
        if records.swap("head", content, seen=None) is not None:
            won.append(content)

    threads = [threading.Thread(target=try_it, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = opened().look("head")
    assert found is not None
    assert won == [found.content]


def test_files_are_written_read_listed_and_deleted(opened: Opened, tmp_path: Path) -> None:
    records, file, copy = opened(), tmp_path / "file", tmp_path / "copy"
    file.write_bytes(b"x" * 3_000_000)
    records.upload("a/file", file)
    assert opened().download("a/file", copy)
    assert copy.read_bytes() == file.read_bytes()
    assert records.list("a") == ("a/file",)
    records.delete("a/file")
    records.delete("a/file")
    assert not records.download("a/file", copy)
    assert records.list("a") == ()


def test_a_state_in_a_folder_is_shared_with_nobody(tmp_path: Path) -> None:
    assert open_shared(f"file://{tmp_path}") is None
