"""A bucket's dump: a tar stream with every version of every object, and a manifest with the SHA-256 of each.

Entries are numbered (a key may be anything, a file name may not); ``manifest.json``, the last entry, gives each
number its key, version, size, SHA-256, type, metadata and tags, and lists delete markers.
"""

import hashlib
import json
import tarfile
from collections.abc import Generator, Iterator
from typing import Any

from provisioner.datastore.objects_buckets import versions
from provisioner.datastore.objects_clients import ABSENT, Clients, unless
from provisioner.errors import CoopctlError

CHUNK_BYTES = 1 << 20
MANIFEST = "manifest.json"
ENTRY_MODE = 0o600


def dump_objects(clients: Clients, *, bucket: str, counted: list[int]) -> Generator[bytes, None, None]:
    """The tar stream, chunk by chunk; ``counted`` gets the size of each object version in bytes.

    Raises CoopctlError if an object ends early.
    """
    entries: list[dict[str, Any]] = []
    for number, (key, version, size) in enumerate(versions(clients, bucket)):
        if size is None:
            entries.append({"key": key, "version": version, "deleteMarker": True})
            continue
        entry: dict[str, Any] = {"entry": _entry_name(number), "key": key, "version": version}
        yield from _object(clients, bucket=bucket, entry=entry)
        counted.append(entry["size"])
        entries.append(entry)
    text = json.dumps({"bucket": bucket, "objects": entries}, ensure_ascii=False, indent=1, sort_keys=True).encode()
    yield _header(MANIFEST, size=len(text)) + text + _padding(len(text))
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _object(clients: Clients, *, bucket: str, entry: dict[str, Any]) -> Iterator[bytes]:
    """One object's header and content; the entry is completed on the way."""
    found = clients.s3.get_object(Bucket=bucket, Key=entry["key"], VersionId=entry["version"])
    size = found["ContentLength"]
    yield _header(entry["entry"], size=size)
    digest, read = hashlib.sha256(), 0
    for chunk in found["Body"].iter_chunks(CHUNK_BYTES):
        digest.update(chunk)
        read += len(chunk)
        yield chunk
    if read != size:
        raise CoopctlError(f"the object {entry['key']!r} ended after {read} of {size} bytes")
    yield _padding(size)
    tags = unless(ABSENT, clients.s3.get_object_tagging, Bucket=bucket, Key=entry["key"], VersionId=entry["version"])
    entry |= {
        "size": size,
        "sha256": digest.hexdigest(),
        "contentType": found.get("ContentType", ""),
        "metadata": dict(found.get("Metadata", {})),
        "lastModified": found["LastModified"].isoformat(),
        "tags": {tag["Key"]: tag["Value"] for tag in (tags or {"TagSet": []})["TagSet"]},
    }


def _entry_name(number: int) -> str:
    return f"objects/{number:09d}"


def _header(name: str, *, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, ENTRY_MODE
    return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)
