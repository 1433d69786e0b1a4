"""One side of a move: a bucket, and the S3 calls that a migration makes in it.

All methods raise Unreachable, NotPermitted or CoopctlError. They may be called by several threads.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from provisioner.datastore.credentials import AccessKey, resolve_access_key
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_clients import ABSENT, code_of, open_s3_as, translating, unless
from provisioner.errors import ChangedMeanwhile, Unreachable
from provisioner.migration.objects_values import NO_VERSION, Attributes, Listed, pairs

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

READ_TRIES = 4
# The headers that S3 keeps as system metadata besides Content-Type (Amazon S3 user guide, "Working with object
# metadata"); boto3's name of each in requests and answers.
_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "WebsiteRedirectLocation")
_EXPIRES = "ExpiresString"
_GONE = ABSENT | {"NoSuchKey", "NoSuchVersion", "NoSuchUpload"}
_CHANGED = frozenset({"PreconditionFailed", "412"})


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of an upload that the server has: its number from 1, its bytes' SHA-256, and what the server calls it."""

    number: int
    sha256: str
    etag: str


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket as somebody with an access key sees it. ``repr`` shows no key.

    What makes a version is asked for by ``once``, which does not ask again by itself: an answer that was lost is not
    a version that was not made, and asked twice a server makes two.

    Of its keys only those are listed that begin with one of ``prefixes``, no two of which have a key in common.
    """

    name: str
    access: ObjectsAccess
    s3: "S3Client" = field(repr=False)
    once: "S3Client" = field(repr=False)
    prefixes: tuple[str, ...] = ("",)

    def __str__(self) -> str:
        return f"{self.access.url}/{self.name}"

    def attributes(self, listed: Listed) -> Attributes:
        """What belongs to a version besides its bytes. Raises ChangedMeanwhile if it is not the one listed."""
        with self.translating(listed):
            found = self.s3.head_object(Bucket=self.name, Key=listed.key, VersionId=listed.version)
            _require_same(listed, found["ETag"])
            return Attributes(
                content_type=found.get("ContentType", ""),
                headers=pairs(_headers(found)),
                metadata=pairs(found.get("Metadata", {})),
                tags=pairs(self._tags(listed)),
            )

    def read(self, listed: Listed, *, start: int, size: int) -> bytes:
        """``size`` bytes of a version from ``start`` on; a connection that breaks is opened again.

        Raises ChangedMeanwhile if it is not the version listed.
        """
        if size == 0:
            return b""
        for _ in range(READ_TRIES - 1):
            with contextlib.suppress(Unreachable):
                return self._read(listed, start=start, size=size)
        return self._read(listed, start=start, size=size)

    def put(self, key: str, content: bytes, *, attributes: Attributes) -> str:
        """Put an object whole; gives the id of the new version."""
        with self.translating():
            answer = self.once.put_object(Bucket=self.name, Key=key, Body=content, **_arguments(attributes))
            return str(answer.get("VersionId", NO_VERSION))

    def begin_upload(self, key: str, *, attributes: Attributes) -> str:
        """Begin an upload in parts; gives its id."""
        with self.translating():
            return self.s3.create_multipart_upload(Bucket=self.name, Key=key, **_arguments(attributes))["UploadId"]

    def put_part(self, key: str, content: bytes, *, upload: str, number: int) -> str:
        """Put a part of an upload; gives what the server calls it."""
        with self.translating():
            return self.s3.upload_part(Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=content)[
                "ETag"
            ]

    def parts(self, key: str, *, upload: str) -> dict[int, str] | None:
        """The parts that an upload has, number -> what the server calls it; None if there is no such upload."""
        with self.translating():
            try:
                pages = self.s3.get_paginator("list_parts").paginate(Bucket=self.name, Key=key, UploadId=upload)
                return {part["PartNumber"]: part["ETag"] for page in pages for part in page.get("Parts", ())}
            except ClientError as error:
                if code_of(error) in _GONE:
                    return None
                raise

    def complete_upload(self, key: str, *, upload: str, parts: Mapping[int, str]) -> str:
        """Make an object of an upload's parts; gives the id of the new version."""
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(parts.items())]
        with self.translating():
            answer = self.once.complete_multipart_upload(
                Bucket=self.name,
                Key=key,
                UploadId=upload,
                MultipartUpload={"Parts": listed},  # type: ignore[typeddict-item]
            )
            return str(answer.get("VersionId", NO_VERSION))

    def abort_upload(self, key: str, *, upload: str) -> None:
        """Give an upload up; one that is gone already is no error."""
        with self.translating():
            unless(_GONE, self.s3.abort_multipart_upload, Bucket=self.name, Key=key, UploadId=upload)

    def uploads(self) -> tuple[tuple[str, str], ...]:
        """The open uploads: key and id."""
        with self.translating():
            pages = self.s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.name)
            return tuple((one["Key"], one["UploadId"]) for page in pages for one in page.get("Uploads", ()))

    def mark_deleted(self, key: str) -> str:
        """Put a delete marker; gives its version id."""
        with self.translating():
            return str(self.once.delete_object(Bucket=self.name, Key=key).get("VersionId", NO_VERSION))

    def remove(self, key: str, *, version: str) -> None:
        """Delete a version for good; one that is gone already is no error."""
        with self.translating():
            unless(_GONE, self.s3.delete_object, Bucket=self.name, Key=key, VersionId=version)

    def retag(self, key: str, *, version: str, tags: tuple[tuple[str, str], ...]) -> None:
        """Give a version these tags and no others."""
        with self.translating():
            self.s3.put_object_tagging(
                Bucket=self.name,
                Key=key,
                Tagging={"TagSet": [{"Key": name, "Value": value} for name, value in tags]},
                VersionId=version,
            )

    def versioning(self) -> str:
        """``Enabled``, ``Suspended``, or "" where there never was more than one version of a key."""
        with self.translating():
            return self.s3.get_bucket_versioning(Bucket=self.name).get("Status", "")

    def set_versioning(self, status: Literal["Enabled", "Suspended"]) -> None:
        """Let the bucket keep versions, or no more."""
        with self.translating():
            self.s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": status})

    @contextlib.contextmanager
    def translating(self, listed: Listed | None = None) -> Iterator[None]:
        """Turn the library's errors into ours; what is gone or differs from how it was ``listed`` changed meanwhile."""
        with translating(self.access):
            try:
                yield
            except ClientError as error:
                if listed is not None and code_of(error) in _GONE | _CHANGED:
                    raise ChangedMeanwhile(f"{listed.key!r} changed while it was copied") from error
                raise

    def _tags(self, listed: Listed) -> dict[str, str]:
        found = unless(ABSENT, self.s3.get_object_tagging, Bucket=self.name, Key=listed.key, VersionId=listed.version)
        return {tag["Key"]: tag["Value"] for tag in found["TagSet"]} if found else {}

    def _read(self, listed: Listed, *, start: int, size: int) -> bytes:
        span = f"bytes={start}-{start + size - 1}"
        with self.translating(listed):
            found = self.s3.get_object(Bucket=self.name, Key=listed.key, Range=span, VersionId=listed.version)
            _require_same(listed, found["ETag"])
            try:
                content = found["Body"].read()
            except (HTTPClientError, IncompleteReadError) as error:
                raise Unreachable(f"{self} broke off {listed.key!r}") from error
        if len(content) != size:
            raise Unreachable(f"{self} gave {len(content)} of {size} bytes of {listed.key!r}")
        return content


def open_bucket(name: str, access: ObjectsAccess, *, environment: Mapping[str, str], what: str) -> Bucket:
    """The bucket ``name`` as the owner of the referenced access key sees it; ``what`` names the key in messages.

    Raises NotFound if there is no key where the reference points to.
    """
    return open_bucket_as(name, access, key=resolve_access_key(access.credentials, environment=environment, what=what))


def open_bucket_as(name: str, access: ObjectsAccess, *, key: AccessKey) -> Bucket:
    """The bucket ``name`` as the owner of ``key`` sees it, whatever reference ``access`` has."""
    return Bucket(
        name=name, access=access, s3=open_s3_as(key, access=access), once=open_s3_as(key, access=access, attempts=1)
    )


def _require_same(listed: Listed, etag: str) -> None:
    if listed.etag and etag != listed.etag:
        raise ChangedMeanwhile(f"{listed.key!r} changed while it was copied")


def _headers(found: Mapping[str, Any]) -> dict[str, str]:
    headers = {name: str(found[name]) for name in _HEADERS if found.get(name)}
    if encoding := _without_transfer(headers.pop("ContentEncoding", "")):
        headers["ContentEncoding"] = encoding
    return headers | ({"Expires": str(found[_EXPIRES])} if found.get(_EXPIRES) else {})


def _without_transfer(encoding: str) -> str:
    """``aws-chunked`` is how the bytes travelled, not what they are; some servers keep it all the same."""
    return ",".join(one for one in (part.strip() for part in encoding.split(",")) if one and one != "aws-chunked")


def _arguments(attributes: Attributes) -> dict[str, Any]:
    """The arguments with which an object gets its attributes."""
    arguments: dict[str, Any] = dict(attributes.headers)
    if attributes.content_type:
        arguments["ContentType"] = attributes.content_type
    if attributes.metadata:
        arguments["Metadata"] = dict(attributes.metadata)
    if attributes.tags:
        arguments["Tagging"] = urlencode(attributes.tags, quote_via=quote)
    return arguments
