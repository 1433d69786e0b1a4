"""Where final dumps go, to whom, and what is told where they cannot be written."""

import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrage import x25519

from provisioner.datastore.dump_bucket import BucketPlace
from provisioner.datastore.dump_encryption import EncryptedFile, encrypt, parse_recipient
from provisioner.datastore.dump_folder import FolderFiles, FolderPlace
from provisioner.datastore.dump_layout import MANIFEST_FILE, is_dump_of
from provisioner.datastore.dump_places import DumpPlace, open_dump_place
from provisioner.datastore.stopping import NeverStopped
from provisioner.descriptor.platform import Dumps, DumpServer, SecretReference
from provisioner.errors import CoopctlError, DiskFull, Interrupted, UsageError
from tests.unit.plan import builders

NAME = "rice-20170531T120000Z"
KEY = {"KEY": "AKIAX:secret-of-the-administrator", "OWN": "AKIAY:secret-of-the-dumps"}
OBJECTS = replace(builders.platform().objects, admin_credentials=SecretReference(env="KEY"))


class Stopped(NeverStopped):
    signals = 1


def given_chunks(*chunks: bytes) -> Generator[bytes, None, None]:
    yield from chunks


def failing() -> Generator[bytes, None, None]:
    yield b"x" * 100_000
    raise CoopctlError("the source broke")


def place(location: str, *, server: DumpServer | None = None) -> DumpPlace:
    dumps = Dumps(location=location, recipient="age1x", server=server)
    return open_dump_place(dumps, estate=Path("/estate"), objects=OBJECTS, environment=KEY)


def begun(folder: Path) -> FolderFiles:
    return FolderPlace(folder=folder).begin(NAME, database="rice")


def encrypted(
    chunks: Generator[bytes, None, None], *, files: FolderFiles, identity: x25519.Identity | None = None
) -> EncryptedFile:
    recipient = (identity or x25519.Identity.generate()).to_public()
    return encrypt(chunks, name="file.age", files=files, recipient=recipient, stopping=NeverStopped())


@pytest.mark.parametrize(
    ("location", "folder"),
    [
        ("dumps", "/estate/dumps"),
        ("/mnt/dumps", "/mnt/dumps"),
        ("file:///mnt/%ED%95%9C", "/mnt/한"),
        ("~/dumps", str(Path.home() / "dumps")),
    ],
)
def test_a_location_is_a_folder(location: str, folder: str) -> None:
    assert place(location) == FolderPlace(folder=Path(folder))


@pytest.mark.parametrize(
    ("location", "prefix"),
    [("s3://vault/rice/dumps", "rice/dumps/"), ("s3://vault", ""), ("s3://vault/", ""), ("s3://vault/a/", "a/")],
)
def test_a_location_is_a_bucket_of_the_platform_s_own_server(location: str, prefix: str) -> None:
    found = place(location)
    assert isinstance(found, BucketPlace)
    assert (found.bucket, found.prefix, found.access.url) == ("vault", prefix, OBJECTS.url)
    assert "secret-of" not in repr(found)


def test_a_bucket_may_be_at_a_server_of_its_own() -> None:
    server = DumpServer(
        url="https://vault.example.kr", region="kr", credentials=SecretReference(env="OWN"), ca_file=None
    )
    found = place("s3://vault/rice", server=server)
    assert isinstance(found, BucketPlace)
    assert (found.access.url, found.access.credentials) == (server.url, server.credentials)
    assert found.s3.meta.region_name == "kr"


@pytest.mark.parametrize("location", ["ftp://server/dumps", "s3:///dumps", "https://server/dumps"])
def test_a_location_elsewhere_is_refused(location: str) -> None:
    with pytest.raises(UsageError, match="final dumps cannot be written to"):
        place(location)


@pytest.mark.parametrize(
    "name", ["rice", "rice-20170531", "rice-bran-20170531T120000Z", "xrice-20170531T120000Z", "rice-20170531T120000Z.x"]
)
def test_no_other_name_is_taken_for_a_dump_of_the_database(name: str) -> None:
    assert is_dump_of("rice", NAME)
    assert not is_dump_of("rice", name)


def test_a_recipient_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="not an age recipient"):
        parse_recipient("age1nobody")


@settings(deadline=None, max_examples=30)  # a sync to the disk takes as long as the disk likes
@given(chunks=st.lists(st.binary(max_size=20_000), max_size=8))
def test_what_is_encrypted_comes_back(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    identity = x25519.Identity.generate()
    files = begun(tmp_path_factory.mktemp("dump"))
    made = encrypted(given_chunks(*chunks), files=files, identity=identity)
    path = files.folder / "file.age"
    assert pyrage.decrypt(path.read_bytes(), [identity]) == b"".join(chunks)
    assert (made.content_bytes, made.size_bytes) == (sum(map(len, chunks)), path.stat().st_size)
    assert path.stat().st_mode & 0o077 == 0


def test_a_dump_is_there_when_its_manifest_is(tmp_path: Path) -> None:
    files = begun(tmp_path)
    assert FolderPlace(folder=tmp_path).find(NAME) is None
    files.complete("{}")
    assert FolderPlace(folder=tmp_path).find(NAME) is not None
    assert (Path(files.location) / MANIFEST_FILE).read_text() == "{}"


def test_the_source_s_own_failure_is_told(tmp_path: Path) -> None:
    with pytest.raises(CoopctlError, match="the source broke"):
        encrypted(failing(), files=begun(tmp_path))


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    files = begun(tmp_path)
    (files.folder / "file.age").write_text("in the way")
    with pytest.raises(CoopctlError, match=r"file\.age cannot be used for the final dump"):
        encrypted(given_chunks(b"x"), files=files)


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, original = begun(tmp_path), os.open
    monkeypatch.setattr(os, "open", lambda *_: original("/dev/full", os.O_WRONLY))
    with pytest.raises(DiskFull, match=r"no room for .*file\.age"):
        encrypted(given_chunks(b"x" * 100_000), files=files)


def test_a_file_that_reads_back_differently_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = begun(tmp_path)
    original = FolderFiles.read
    monkeypatch.setattr(
        FolderFiles, "read", lambda self, name: (chunk[:-1] + bytes([chunk[-1] ^ 1]) for chunk in original(self, name))
    )
    with pytest.raises(CoopctlError, match="not read back"):
        encrypted(given_chunks(b"x" * 100_000), files=files)


def test_a_signal_ends_the_writing(tmp_path: Path) -> None:
    recipient = x25519.Identity.generate().to_public()
    with pytest.raises(Interrupted):
        encrypt(given_chunks(b"x"), name="file.age", files=begun(tmp_path), recipient=recipient, stopping=Stopped())
