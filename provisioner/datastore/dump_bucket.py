"""Final dumps in a bucket: objects below ``PREFIX/NAME/``, uploaded in parts while they are made.

An upload becomes an object only when all of it is there. What a kill left (open uploads, objects of a dump without
manifest) is taken away when the next dump of the same database begins.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from provisioner.datastore.dump_layout import MANIFEST_FILE, is_dump_of
from provisioner.datastore.marks import from_tags
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_clients import ABSENT, UNSUPPORTED, translating, unless
from provisioner.errors import CoopctlError, NotFound, UsageError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

READ_BYTES = 1 << 20
# S3 API reference, "Multipart upload limits": 10,000 parts of at least 5 MiB. Parts grow: these suffice for 880 GiB.
PART_BYTES = 16 << 20
PARTS_OF_A_SIZE = 1000
_NO_OBJECT = ABSENT | {"NoSuchKey"}
_NO_TAGS = ABSENT | UNSUPPORTED | {"AccessDenied"}


@dataclass(frozen=True, kw_only=True)
class BucketPlace:
    """Fulfils DumpPlace. ``prefix`` is empty or ends with a slash; ``repr`` shows no key."""

    access: ObjectsAccess
    s3: "S3Client" = field(repr=False)
    bucket: str
    prefix: str

    def begin(self, name: str, *, database: str) -> "BucketFiles":
        """A new dump. Raises NotFound if there is no such bucket, UsageError if it is a cooperative's own."""
        self._require_fit()
        self._sweep(database)
        return self._files(name)

    def _require_fit(self) -> None:
        with translating(self.access):
            if unless(ABSENT, self.s3.head_bucket, Bucket=self.bucket) is None:
                raise NotFound(
                    f"there is no bucket {self.bucket} at {self.access.url}",
                    hint="make it, or change spec.dumps.location",
                )
            found = unless(_NO_TAGS, self.s3.get_bucket_tagging, Bucket=self.bucket)
        tags = {tag["Key"]: tag["Value"] for tag in found["TagSet"]} if found else {}
        if from_tags(tags) is not None:
            raise UsageError(
                f"final dumps cannot be kept in {self.bucket}: it is a cooperative's own bucket",
                hint="name another bucket in spec.dumps.location",
            )

    def find(self, name: str) -> "BucketFiles | None":
        """The complete dump of this name, or None."""
        files = self._files(name)
        with translating(self.access):
            there = unless(ABSENT, self.s3.head_object, Bucket=self.bucket, Key=files.key(MANIFEST_FILE))
        return files if there else None

    def _sweep(self, database: str) -> None:
        start = f"{self.prefix}{database}-"
        with translating(self.access):
            for page in self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=start):
                for upload in page.get("Uploads", ()):
                    if is_dump_of(database, self._name_in(upload["Key"])):
                        self.s3.abort_multipart_upload(
                            Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start)
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        for name in {self._name_in(key) for key in keys}:
            files = self._files(name)
            if is_dump_of(database, name) and files.key(MANIFEST_FILE) not in keys:
                files.discard()

    def _files(self, name: str) -> "BucketFiles":
        return BucketFiles(access=self.access, s3=self.s3, bucket=self.bucket, prefix=f"{self.prefix}{name}/")

    def _name_in(self, key: str) -> str:
        return key.removeprefix(self.prefix).partition("/")[0]


@dataclass(frozen=True, kw_only=True)
class BucketFiles:
    """Fulfils DumpFiles: the objects of one dump, below ``prefix``."""

    access: ObjectsAccess
    s3: "S3Client" = field(repr=False)
    bucket: str
    prefix: str

    @property
    def location(self) -> str:
        """Where the dump is."""
        return f"s3://{self.bucket}/{self.prefix}".removesuffix("/")

    def key(self, name: str) -> str:
        """The key of a file."""
        return self.prefix + name

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator["Upload"]:
        """A new object, there when the block ends; after a failure nothing of it is left."""
        with translating(self.access):
            upload = Upload(s3=self.s3, bucket=self.bucket, key=self.key(name))
            try:
                yield upload
                upload.complete()
            except BaseException:
                upload.abort()
                raise

    def read(self, name: str) -> Iterator[bytes]:
        """The object's content. Raises NotFound, and CoopctlError if it ends early."""
        with translating(self.access):
            found = unless(_NO_OBJECT, self.s3.get_object, Bucket=self.bucket, Key=self.key(name))
            if found is None:
                raise NotFound(f"{self.location}/{name} is not there")
            read = 0
            for chunk in found["Body"].iter_chunks(READ_BYTES):
                read += len(chunk)
                yield chunk
            if read != found["ContentLength"]:
                raise CoopctlError(f"{self.location}/{name} ended after {read} of {found['ContentLength']} bytes")

    def complete(self, manifest: str) -> None:
        """Write the manifest: the dump is complete."""
        with translating(self.access):
            self.s3.put_object(
                Bucket=self.bucket,
                Key=self.key(MANIFEST_FILE),
                Body=manifest.encode(),
                ContentType="application/json",
            )

    def discard(self) -> None:
        """Take away what was written."""
        with translating(self.access):
            found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix)
            for item in found.get("Contents", ()):
                self.s3.delete_object(Bucket=self.bucket, Key=item["Key"])


class Upload:
    """A multipart upload that is written to like a file; holds one part in memory."""

    def __init__(self, *, s3: "S3Client", bucket: str, key: str) -> None:
        self._s3, self._bucket, self._key = s3, bucket, key
        self._id = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        self._parts: list[CompletedPartTypeDef] = []
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        """Take ``data``; whole parts are sent."""
        self._buffer += data
        while len(self._buffer) >= (size := self._part_bytes()):
            self._send(bytes(self._buffer[:size]))
            del self._buffer[:size]
        return len(data)

    def flush(self) -> None:
        """A part is sent when it is full, not before."""

    def complete(self) -> None:
        """Send the rest and make it an object."""
        if self._buffer or not self._parts:
            self._send(bytes(self._buffer))
        self._s3.complete_multipart_upload(
            Bucket=self._bucket, Key=self._key, UploadId=self._id, MultipartUpload={"Parts": self._parts}
        )

    def abort(self) -> None:
        """Let the server forget what was sent. Where it refuses, `sweep` comes by again."""
        with contextlib.suppress(ClientError):
            self._s3.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._id)

    def _part_bytes(self) -> int:
        return PART_BYTES * (1 + len(self._parts) // PARTS_OF_A_SIZE)

    def _send(self, body: bytes) -> None:
        number = len(self._parts) + 1
        sent = self._s3.upload_part(Bucket=self._bucket, Key=self._key, UploadId=self._id, PartNumber=number, Body=body)
        self._parts.append({"ETag": sent["ETag"], "PartNumber": number})
