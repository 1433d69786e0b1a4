"""Small records beside a stack's state, in the same backend: what was applied by whom, and what was proved.

A record is written whole or not at all. ``create`` never writes over one that is there: of two writers one is refused.
Paths are relative, with ``/``; nothing of Pulumi's own lies below ``coopctl/``.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

from provisioner.datastore.credentials import resolve_access_key
from provisioner.datastore.s3_sessions import session_of
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable, disk_full

if TYPE_CHECKING:
    import boto3
    from types_boto3_s3 import S3Client

FOLDER = "coopctl"
CONNECT_TIMEOUT_SECONDS = 10
READ_TIMEOUT_SECONDS = 30
_FILE_SCHEME = "file://"
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_ABSENT = frozenset({"NoSuchKey", "404"})
_REFUSED = frozenset({"AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


class Records(Protocol):
    """Where records are kept. All methods raise Unreachable, NotPermitted, NotFound (no bucket) or CoopctlError."""

    def read(self, path: str) -> bytes | None:
        """The record at ``path``, or None if there is none."""

    def write(self, path: str, content: bytes) -> None:
        """Write a record, over an older one if there is one."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a record if there is none yet; False if there is one."""

    def list(self, folder: str) -> tuple[str, ...]:
        """The paths of all records in ``folder``, sorted."""


def open_records(backend_url: str, *, credentials_file: Path | None = None, folder: str = FOLDER) -> Records:
    """Records in ``folder`` of the state backend ``backend_url``: ``file://PATH`` or ``s3://BUCKET/PREFIX?endpoint=...``.

    S3 is reached with the credentials that the pulumi CLI uses: those of ``credentials_file`` (AWS shared credentials),
    else those of the AWS environment.
    """
    path = backend_url.removeprefix(_FILE_SCHEME)
    if path != backend_url:
        return FileRecords(root=Path(path) / folder)
    return _s3_records(backend_url, credentials_file=credentials_file, folder=folder)


@dataclass(frozen=True, kw_only=True)
class FileRecords:
    """Records as files below a folder."""

    root: Path

    def read(self, path: str) -> bytes | None:
        """The file's content, or None."""
        with _translating(self.root):
            try:
                return (self.root / path).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, path: str, content: bytes) -> None:
        """Replace the file in one step."""
        with _translating(self.root), self._written(path, content) as made:
            made.replace(self.root / path)

    def create(self, path: str, content: bytes) -> bool:
        """Link a file that is complete: a name that is taken stays as it is."""
        with _translating(self.root), self._written(path, content) as made:
            try:
                os.link(made, self.root / path)
            except FileExistsError:
                return False
        return True

    def list(self, folder: str) -> tuple[str, ...]:
        """The files directly in ``folder``, without those that a kill left half-written."""
        found = (self.root / folder).glob("[!.]*")
        return tuple(sorted(str(path.relative_to(self.root)) for path in found if path.is_file()))

    @contextlib.contextmanager
    def _written(self, path: str, content: bytes) -> Iterator[Path]:
        """A complete file under a name of its own; it is gone afterwards, unless it was moved."""
        folder = (self.root / path).parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".writing-")
        made = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield made
        finally:
            made.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True)
class S3Records:
    """Records as objects below a prefix; ``repr`` shows no key."""

    bucket: str
    prefix: str
    client: "S3Client" = field(repr=False)

    def read(self, path: str) -> bytes | None:
        """The object's content, or None."""
        from botocore.exceptions import ClientError

        with self.translating():
            try:
                return self.client.get_object(Bucket=self.bucket, Key=self.prefix + path)["Body"].read()
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise

    def write(self, path: str, content: bytes) -> None:
        """Put the object."""
        with self.translating():
            self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=content)

    def create(self, path: str, content: bytes) -> bool:
        """Put the object if its key is free (S3 API, conditional writes, ``If-None-Match: *``)."""
        from botocore.exceptions import ClientError

        with self.translating():
            try:
                self.client.put_object(Bucket=self.bucket, Key=self.prefix + path, Body=content, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) in _TAKEN:
                    return False
                raise
        return True

    def list(self, folder: str) -> tuple[str, ...]:
        """The objects below ``folder``."""
        with self.translating():
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=f"{self.prefix}{folder}/"
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return tuple(sorted(key.removeprefix(self.prefix) for key in keys))

    def translating(self) -> contextlib.AbstractContextManager[None]:
        """Turn the library's errors into ours."""
        return _translating_s3(self.bucket)


def _s3_records(url: str, *, credentials_file: Path | None, folder: str) -> S3Records:
    from botocore.config import Config

    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    path_style = query.get("s3ForcePathStyle") == "true" or "endpoint" in query
    with _translating_s3(parts.netloc):
        client = _session(credentials_file, region=query.get("region")).client(
            "s3",
            endpoint_url=_endpoint(query),
            config=Config(
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
                s3={"addressing_style": "path" if path_style else "auto"},
            ),
        )
    inner = parts.path.strip("/")
    return S3Records(bucket=parts.netloc, prefix=f"{inner}/{folder}/" if inner else f"{folder}/", client=client)


def _session(credentials_file: Path | None, *, region: str | None) -> "boto3.Session":
    """Who works on the records. Raises NotFound or CoopctlError if the file does not say."""
    import boto3

    if credentials_file is None:
        return boto3.Session(region_name=region)
    reference = SecretReference(file=credentials_file)
    return session_of(resolve_access_key(reference, environment={}, what="the access key of the state"), region=region)


def _endpoint(query: Mapping[str, str]) -> str | None:
    """The server that the pulumi CLI would use (gocloud.dev/blob/s3blob, URL parameters); None for AWS."""
    endpoint = query.get("endpoint")
    if endpoint is None or "://" in endpoint:
        return endpoint
    return f"{'http' if query.get('disableSSL') == 'true' else 'https'}://{endpoint}"


@contextlib.contextmanager
def _translating_s3(bucket: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

    where = f"the state at s3://{bucket}"
    hint = "check `state.credentials` in the Platform document; without it, the AWS environment says who works"
    try:
        yield
    except ClientError as error:
        if _code(error) in _REFUSED:
            raise NotPermitted(
                f"{where} may not be used with these credentials", why=_code(error), hint=hint
            ) from error
        if _code(error) == "NoSuchBucket":
            raise NotFound(f"{where} has no bucket", hint="make the bucket, or correct `state.backend`") from error
        raise CoopctlError(f"{where} was refused", why=_code(error)) from error
    except (NoCredentialsError, ProfileNotFound) as error:
        raise NotFound(f"there are no credentials for {where}", why=str(error), hint=hint) from error
    except BotoCoreError as error:
        hint = "check its endpoint and your network"
        raise Unreachable(f"{where} does not answer", why=type(error).__name__, hint=hint) from error


@contextlib.contextmanager
def _translating(root: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise NotPermitted(f"the records in {root} may not be used", why=str(error)) from error
    except OSError as error:
        refused = CoopctlError(f"the records in {root} cannot be used", why=str(error))
        raise (disk_full(error) or refused) from error


def _code(error: Any) -> str:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(error.response.get("Error", {}).get("Code") or status)
