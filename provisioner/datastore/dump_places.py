"""Where final dumps are kept, as a protocol: a folder of this machine, or a bucket."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from provisioner.datastore.dump_bucket import BucketPlace
from provisioner.datastore.dump_folder import FolderPlace
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_clients import open_s3
from provisioner.descriptor.platform import Dumps, ObjectsServer
from provisioner.errors import UsageError


class Sink(Protocol):
    """What a file's bytes are written to."""

    def write(self, data: bytes, /) -> int:
        """Take ``data``."""

    def flush(self) -> None:
        """Nothing need reach its place yet."""


class DumpFiles(Protocol):
    """The files of one dump. All methods raise CoopctlError or one of its kinds."""

    @property
    def location(self) -> str:
        """Where the dump is once it is complete: a path, or an s3:// URL."""

    def write(self, name: str) -> AbstractContextManager[Sink]:
        """A new file, safe in its place when the block ends."""

    def read(self, name: str) -> Iterator[bytes]:
        """A file's content."""

    def complete(self, manifest: str) -> None:
        """Write the manifest, last."""

    def discard(self) -> None:
        """Take away what was written."""


class DumpPlace(Protocol):
    """A place for dumps."""

    def begin(self, name: str, *, database: str) -> DumpFiles:
        """A new dump, when what cut-off dumps of ``database`` left has been taken away; raises if none can be kept."""

    def find(self, name: str) -> DumpFiles | None:
        """The complete dump of this name, or None."""


def open_dump_place(dumps: Dumps, *, estate: Path, objects: ObjectsServer, environment: Mapping[str, str]) -> DumpPlace:
    """The place that ``dumps.location`` names: a path (relative to the estate), a file:// or an s3:// URL.

    Without a server of its own, a bucket is at the platform's S3 server, reached as its administrator. Raises
    UsageError for another kind of location, NotFound without credentials.
    """
    parts = urlsplit(dumps.location)
    if parts.scheme == "s3" and parts.netloc:
        access = _access(dumps, objects=objects)
        prefix = parts.path.strip("/")
        return BucketPlace(
            access=access,
            s3=open_s3(access, environment=environment, what="the access key for final dumps"),
            bucket=parts.netloc,
            prefix=f"{prefix}/" if prefix else "",
        )
    if parts.scheme == "file":
        return FolderPlace(folder=Path(unquote(parts.path)))
    if "://" in dumps.location:
        raise UsageError(
            f"final dumps cannot be written to {dumps.location}", hint="name a folder, or s3://BUCKET/PREFIX"
        )
    return FolderPlace(folder=estate / Path(dumps.location).expanduser())


def _access(dumps: Dumps, *, objects: ObjectsServer) -> ObjectsAccess:
    server = dumps.server
    return ObjectsAccess(
        url=server.url if server else objects.url,
        iam_url=server.url if server else objects.iam_url,
        region=server.region if server else objects.region,
        credentials=server.credentials if server else objects.admin_credentials,
        ca_file=server.ca_file if server else objects.ca_file,
    )
