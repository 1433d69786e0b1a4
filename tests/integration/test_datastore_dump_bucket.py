"""Final dumps in a bucket of a real S3 server: whole or not there, read back, and cleaned up after a kill."""

import json
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyrage
import pytest
from pyrage import x25519

from provisioner.datastore import dump_bucket
from provisioner.datastore.dump_bucket import BucketPlace
from provisioner.datastore.dump_encryption import EncryptedFile, encrypt
from provisioner.datastore.dump_layout import MANIFEST_FILE, OBJECTS_FILE
from provisioner.datastore.dump_places import open_dump_place
from provisioner.datastore.dump_postgres import DumpWork
from provisioner.datastore.final_dump import DataStore, final_dump, is_intact
from provisioner.datastore.stopping import NeverStopped
from provisioner.descriptor.platform import Dumps, DumpServer, ObjectsServer, SecretReference
from provisioner.errors import CoopctlError, NotFound, NotPermitted, UsageError
from tests.conftest import Servers
from tests.data_stores import (
    client,
    make_data_store,
    new_tenant,
    objects_access_of,
    objects_of,
    postgres_access_of,
    postgres_of,
)
from tests.unit.plan import builders

pytestmark = pytest.mark.servers
NAME, LATER = "rice-20170531T120000Z", "rice-20170601T120000Z"


def server_of(servers: Servers) -> ObjectsServer:
    return replace(
        builders.platform().objects,
        url=servers.objects_url,
        iam_url=servers.objects_url,
        region=servers.objects_region,
        admin_credentials=SecretReference(file=servers.objects_credentials),
    )


def open_place(servers: Servers, location: str, *, server: DumpServer | None = None) -> BucketPlace:
    dumps = Dumps(location=location, recipient="age1x", server=server)
    found = open_dump_place(
        dumps, estate=servers.objects_credentials.parent, objects=server_of(servers), environment=os.environ
    )
    assert isinstance(found, BucketPlace)
    return found


@pytest.fixture
def bucket(servers: Servers) -> Iterator[str]:
    """A bucket for dumps."""
    name = f"vault-{uuid4().hex[:8]}"
    client(servers, "s3").create_bucket(Bucket=name)
    yield name
    for item in client(servers, "s3").list_objects_v2(Bucket=name).get("Contents", ()):
        client(servers, "s3").delete_object(Bucket=name, Key=item["Key"])
    client(servers, "s3").delete_bucket(Bucket=name)


@pytest.fixture
def s3(servers: Servers) -> Any:
    return client(servers, "s3")


def chunks(*parts: bytes) -> Generator[bytes, None, None]:
    yield from parts


def failing(size: int) -> Generator[bytes, None, None]:
    yield b"x" * size
    raise CoopctlError("the source broke")


def written(
    place: BucketPlace, source: Generator[bytes, None, None], *, identity: x25519.Identity | None = None
) -> EncryptedFile:
    recipient = (identity or x25519.Identity.generate()).to_public()
    files = place.begin(NAME, database="rice")
    made = encrypt(source, name="file.age", files=files, recipient=recipient, stopping=NeverStopped())
    files.complete("{}")
    return made


def keys(s3: Any, bucket: str) -> set[str]:
    return {item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", ())}


def test_a_dump_of_many_parts_comes_back_whole(
    servers: Servers, bucket: str, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_bucket, "PART_BYTES", 5 << 20)
    monkeypatch.setattr(dump_bucket, "PARTS_OF_A_SIZE", 2)
    place, identity = open_place(servers, f"s3://{bucket}/rice/dumps"), x25519.Identity.generate()
    content = os.urandom(33 << 20)

    made = written(place, chunks(content, b"the end"), identity=identity)

    key = f"rice/dumps/{NAME}/file.age"
    stored = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert pyrage.decrypt(stored, [identity]) == content + b"the end"
    assert len(stored) == made.size_bytes
    assert keys(s3, bucket) == {key, f"rice/dumps/{NAME}/{MANIFEST_FILE}"}
    assert is_intact(place, name=NAME, files=[made])
    s3.put_object(Bucket=bucket, Key=key, Body=stored[:-1] + bytes([stored[-1] ^ 1]))
    assert not is_intact(place, name=NAME, files=[made])
    s3.delete_object(Bucket=bucket, Key=key)
    assert not is_intact(place, name=NAME, files=[made])


def test_a_source_that_fails_leaves_nothing(servers: Servers, bucket: str, s3: Any) -> None:
    place = open_place(servers, f"s3://{bucket}")
    for size in (10, 20 << 20):
        with pytest.raises(CoopctlError, match="the source broke"):
            written(place, failing(size))
    assert keys(s3, bucket) == set()
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_what_a_kill_left_is_taken_away_and_what_is_complete_or_another_s_is_kept(
    servers: Servers, bucket: str, s3: Any
) -> None:
    place = open_place(servers, f"s3://{bucket}/dumps")
    written(place, chunks(b"complete"))
    left = f"dumps/{LATER}/file.age"
    other = "dumps/rice-bran-20170601T120000Z/file.age"
    for key in (left, other):
        s3.put_object(Bucket=bucket, Key=key, Body=b"half")
        s3.create_multipart_upload(Bucket=bucket, Key=f"{key}.2")

    place.begin("rice-20170602T120000Z", database="rice")

    complete = {f"dumps/{NAME}/file.age", f"dumps/{NAME}/{MANIFEST_FILE}"}
    assert keys(s3, bucket) == {*complete, other}
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [f"{other}.2"]


def test_a_bucket_that_is_missing_or_a_cooperative_s_own_is_refused(servers: Servers, bucket: str) -> None:
    with pytest.raises(NotFound, match="there is no bucket"):
        open_place(servers, f"s3://{bucket}-missing").begin(NAME, database="rice")
    tenant = new_tenant()
    objects_of(servers).ensure_bucket(tenant.bucket(), mark=tenant.mark)
    with pytest.raises(UsageError, match="a cooperative's own bucket"):
        open_place(servers, f"s3://{tenant.names.bucket}/dumps").begin(NAME, database="rice")
    objects_of(servers).retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=True)


def test_credentials_of_its_own_are_used(servers: Servers, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_KEY", "AKIANOBODY:open-sesame")
    own = DumpServer(
        url=servers.objects_url,
        region=servers.objects_region,
        credentials=SecretReference(env="VAULT_KEY"),
        ca_file=None,
    )
    with pytest.raises(NotPermitted, match="does not permit HeadBucket") as caught:
        open_place(servers, f"s3://{bucket}", server=own).begin(NAME, database="rice")
    assert "open-sesame" not in f"{caught.value} {caught.value.why} {caught.value.hint}"


def test_a_whole_data_store_is_dumped_into_a_bucket_and_read_back(
    servers: Servers, bucket: str, s3: Any, tmp_path: Path
) -> None:
    tenant, identity = new_tenant(), x25519.Identity.generate()
    make_data_store(postgres_of(servers), tenant)
    objects_of(servers).ensure_bucket(tenant.bucket(), mark=tenant.mark)
    s3.put_object(Bucket=tenant.names.bucket, Key="page", Body=b"hello")
    place = open_place(servers, f"s3://{bucket}/dumps")
    store = DataStore(
        mark=tenant.mark,
        postgres=postgres_access_of(servers),
        database=tenant.names.database,
        objects=objects_access_of(servers),
        bucket=tenant.names.bucket,
    )

    report = final_dump(
        store,
        place=place,
        recipient=str(identity.to_public()),
        now=datetime(2017, 5, 31, tzinfo=UTC),
        work=DumpWork(folder=tmp_path / "secrets", environment=os.environ, stopping=NeverStopped()),
    )

    assert report.location == f"s3://{bucket}/dumps/{report.name}"
    assert is_intact(place, name=report.name, files=report.files)
    stored = s3.get_object(Bucket=bucket, Key=f"dumps/{report.name}/{OBJECTS_FILE}")["Body"].read()
    assert b"hello" in pyrage.decrypt(stored, [identity])
    assert json.loads(s3.get_object(Bucket=bucket, Key=f"dumps/{report.name}/{MANIFEST_FILE}")["Body"].read())[
        "database"
    ]
    objects_of(servers).retire_bucket(tenant.names.bucket, mark=tenant.mark, delete_data=True)
    postgres_of(servers).retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)
