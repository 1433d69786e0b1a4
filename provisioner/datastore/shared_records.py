"""Records that several machines write: each is changed only by who has seen what it is now (compare and swap).

S3 servers decide that themselves (Amazon S3 user guide, "Conditional writes": ``If-Match``, ``If-None-Match``). Whether
a server does is tried once. Of one that does not, a record is written, and read again when every write that was under
way at that moment has ended: the last one stands, and its writer alone finds its own.
"""

import contextlib
import fcntl
import hashlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from provisioner.datastore.records import FOLDER, FileRecords, S3Records, open_records

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SCHEME = "s3://"
SETTLE_SECONDS = 3.0
CONFLICT_TRIES = 4
_REFUSED = frozenset({"PreconditionFailed", "412"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_UNKNOWN = frozenset({"NotImplemented", "501"})
_ABSENT = frozenset({"NoSuchKey", "404"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A record as it was seen: ``tag`` tells it from any other, and it was ``age_seconds`` old by the server's clock.

    So clocks of machines that differ make no record older or younger.
    """

    content: bytes
    tag: str
    age_seconds: float


class SharedRecords(Protocol):
    """Where they are kept. All methods raise Unreachable, NotPermitted, NotFound (no bucket) or CoopctlError."""

    def look(self, path: str) -> Seen | None:
        """The record at ``path``, or None if there is none."""

    def swap(self, path: str, content: bytes, *, seen: str | None) -> str | None:
        """Write a record in the place of the one with the tag ``seen`` (None: of none); gives its tag.

        None, and nothing was written, if another one is there by now. ``content`` must never have been there before.
        """

    def upload(self, path: str, file: Path) -> None:
        """Write a record from ``file``."""

    def download(self, path: str, file: Path) -> bool:
        """Write the record at ``path`` to ``file``; False, and nothing was written, if there is none."""

    def delete(self, path: str) -> None:
        """Delete a record; one that is gone already is no error."""

    def list(self, folder: str) -> tuple[str, ...]:
        """The paths of all records in ``folder``, sorted."""


def open_shared(backend_url: str, *, credentials_file: Path | None = None) -> SharedRecords | None:
    """Shared records in the state backend ``backend_url``; None for a folder, which is one machine's alone."""
    if not backend_url.startswith(SCHEME):
        return None
    records = open_records(backend_url, credentials_file=credentials_file, folder=FOLDER)
    if not isinstance(records, S3Records):
        raise TypeError("a bucket's records are S3's")
    return S3SharedRecords(records=records)


@dataclass(frozen=True, kw_only=True)
class FileSharedRecords:
    """Shared records as files below a folder, for the processes of one machine."""

    records: FileRecords

    def look(self, path: str) -> Seen | None:
        """The file as it is."""
        content = self.records.read(path)
        if content is None:
            return None
        modified = (self.records.root / path).stat().st_mtime
        return Seen(content=content, tag=_tag(content), age_seconds=max(0.0, time.time() - modified))

    def swap(self, path: str, content: bytes, *, seen: str | None) -> str | None:
        """Replace the file, one process at a time."""
        with self._alone():
            there = self.look(path)
            if (there.tag if there else None) != seen:
                return None
            self.records.write(path, content)
        return _tag(content)

    def upload(self, path: str, file: Path) -> None:
        """Write the content of ``file``."""
        self.records.write(path, file.read_bytes())

    def download(self, path: str, file: Path) -> bool:
        """Copy the file."""
        content = self.records.read(path)
        if content is not None:
            file.write_bytes(content)
        return content is not None

    def delete(self, path: str) -> None:
        """Remove the file."""
        (self.records.root / path).unlink(missing_ok=True)

    def list(self, folder: str) -> tuple[str, ...]:
        """The files in the folder."""
        return self.records.list(folder)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.records.root.mkdir(parents=True, exist_ok=True)
        with (self.records.root / ".swapping").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass(kw_only=True)
class S3SharedRecords:
    """Shared records as objects below a prefix; ``repr`` shows no key."""

    records: S3Records
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)
    _conditional: bool | None = field(default=None, init=False)

    def look(self, path: str) -> Seen | None:
        """The object, and its age by the server's own clock."""
        from botocore.exceptions import ClientError

        with self.records.translating():
            try:
                found = self._client.get_object(Bucket=self.records.bucket, Key=self._key(path))
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
            content = found["Body"].read()
        now = found["ResponseMetadata"]["HTTPHeaders"].get("date")
        there = parsedate_to_datetime(now) if now else datetime.now(UTC)
        age = (there - found["LastModified"]).total_seconds()
        return Seen(content=content, tag=found["ETag"], age_seconds=max(0.0, age))

    def swap(self, path: str, content: bytes, *, seen: str | None) -> str | None:
        """Put the object under a condition, or as safely as goes without."""
        if not self._is_conditional(path):
            return self._swap_and_look(path, content, seen=seen)
        for attempt in range(CONFLICT_TRIES):
            code, tag = self._put(path, content, seen=seen)
            if code is None:
                return tag
            there = self.look(path)
            # An answer that was lost on its way is asked for again, and then refused by what it had written itself.
            if there is not None and there.content == content:
                return there.tag
            if code in _REFUSED or (there.tag if there else None) != seen:
                return None
            self.pause(0.1 * 2**attempt)
        return None

    def upload(self, path: str, file: Path) -> None:
        """Put the file's bytes."""
        with self.records.translating(), file.open("rb") as body:
            self._client.put_object(Bucket=self.records.bucket, Key=self._key(path), Body=body)

    def download(self, path: str, file: Path) -> bool:
        """Stream the object to the file."""
        from botocore.exceptions import ClientError

        with self.records.translating():
            try:
                found = self._client.get_object(Bucket=self.records.bucket, Key=self._key(path))
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return False
                raise
            with file.open("wb") as target:
                shutil.copyfileobj(found["Body"], target, 1024 * 1024)
        return True

    def delete(self, path: str) -> None:
        """Delete the object."""
        with self.records.translating():
            self._client.delete_object(Bucket=self.records.bucket, Key=self._key(path))

    def list(self, folder: str) -> tuple[str, ...]:
        """The objects below the folder."""
        return self.records.list(folder)

    @property
    def _client(self) -> "S3Client":
        return self.records.client

    def _key(self, path: str) -> str:
        return self.records.prefix + path

    def _put(self, path: str, content: bytes, *, seen: str | None) -> tuple[str | None, str]:
        """The code of a refusal, or None, and the tag of what was written."""
        from botocore.exceptions import ClientError

        condition: Any = {"IfMatch": seen} if seen is not None else {"IfNoneMatch": "*"}
        with self.records.translating():
            try:
                found = self._client.put_object(
                    Bucket=self.records.bucket, Key=self._key(path), Body=content, **condition
                )
            except ClientError as error:
                if (code := _code(error)) in _REFUSED | _CONFLICT | _UNKNOWN | _ABSENT:
                    # AWS answers 404 where the object that was to match is gone.
                    return ("PreconditionFailed" if code in _ABSENT else code), ""
                raise
        return None, found["ETag"]

    def _is_conditional(self, path: str) -> bool:
        """Whether the server keeps to conditions: one that cannot be fulfilled must be refused."""
        if self._conditional is None:
            trial = f"{path}.trial-{secrets.token_hex(8)}"
            code, _ = self._put(trial, b"", seen=f'"{"0" * 32}"')
            self._conditional = code in _REFUSED
            if code is None:
                self.delete(trial)
        return self._conditional

    def _swap_and_look(self, path: str, content: bytes, *, seen: str | None) -> str | None:
        there = self.look(path)
        if (there.tag if there else None) != seen:
            return None
        self.records.write(path, content)
        # Whoever had looked before this was written has written, too, by then.
        self.pause(SETTLE_SECONDS)
        there = self.look(path)
        return there.tag if there is not None and there.content == content else None


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _code(error: Any) -> str:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(error.response.get("Error", {}).get("Code") or status)
