"""Copies one version of an object, in pieces that fit memory, and says what was copied by its own SHA-256.

1. Read type, headers, metadata and tags of exactly the version that was listed.
2. A small object is read and put whole. A large one goes in parts: each is read, hashed, put and recorded.
3. Cut off, the upload stays. The next time its parts are read again at the source and hashed, and those that the
   target has and that have the recorded SHA-256 are not sent again.
4. The upload is completed; only then the target shows the object.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from provisioner.migration.objects_bucket import Bucket, Part
from provisioner.migration.objects_ledger import Ledger, Upload
from provisioner.migration.objects_values import Attributes, Content, Copied, Listed

MEBIBYTE = 1 << 20
PART_BYTES = 16 * MEBIBYTE
# Amazon S3 user guide, "Multipart upload limits": at most 10,000 parts, none but the last below 5 MiB.
PARTS_MOST = 10_000
PART_BYTES_LEAST = 5 * MEBIBYTE


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """How versions are copied from ``source`` to ``target``; ``moved`` is told bytes as they are sent."""

    source: Bucket
    target: Bucket
    ledger: Ledger
    moved: Callable[[int], None] = lambda _: None
    part_bytes: int = PART_BYTES

    def copy(self, listed: Listed) -> Copied:
        """Put ``listed`` on top of the versions of its key at the target.

        Raises ChangedMeanwhile, Unreachable, NotPermitted or CoopctlError; nothing is shown at the target then.
        """
        if listed.marker:
            return Copied(source=listed, target_version=self.target.mark_deleted(listed.key), content=None)
        attributes = self.source.attributes(listed)
        if listed.size <= self.part_bytes:
            sha256, version = self._whole(listed, attributes)
        else:
            sha256, version = self._in_parts(listed, attributes)
        content = Content(sha256=sha256, size=listed.size, attributes=attributes)
        return Copied(source=listed, target_version=version, content=content)

    def _whole(self, listed: Listed, attributes: Attributes) -> tuple[str, str]:
        content = self.source.read(listed, start=0, size=listed.size)
        version = self.target.put(listed.key, content, attributes=attributes)
        self.moved(len(content))
        return hashlib.sha256(content).hexdigest(), version

    def _in_parts(self, listed: Listed, attributes: Attributes) -> tuple[str, str]:
        upload, known = self._upload(listed, attributes)
        digest, etags = hashlib.sha256(), dict[int, str]()
        for number, start in enumerate(range(0, listed.size, upload.part_size), start=1):
            content = self.source.read(listed, start=start, size=min(upload.part_size, listed.size - start))
            digest.update(content)
            etags[number] = self._part(listed, content, upload=upload, number=number, known=known.get(number))
        version = self.target.complete_upload(listed.key, upload=upload.id, parts=etags)
        self.ledger.end_upload(upload)
        return digest.hexdigest(), version

    def _part(self, listed: Listed, content: bytes, *, upload: Upload, number: int, known: Part | None) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        if known is not None and known.sha256 == sha256:
            return known.etag
        etag = self.target.put_part(listed.key, content, upload=upload.id, number=number)
        self.ledger.add_part(upload, Part(number=number, sha256=sha256, etag=etag))
        self.moved(len(content))
        return etag

    def _upload(self, listed: Listed, attributes: Attributes) -> tuple[Upload, dict[int, Part]]:
        """The upload that was cut off, with the parts of it that the target still has; or a new one."""
        if (before := self.ledger.upload(listed)) is not None:
            there = (
                self.target.parts(listed.key, upload=before.id) if before.etag == _state(listed, attributes) else None
            )
            if there is not None:
                recorded = self.ledger.parts(before)
                return before, {number: part for number, part in recorded.items() if there.get(number) == part.etag}
            self.target.abort_upload(listed.key, upload=before.id)
            self.ledger.end_upload(before)
        upload = Upload(
            id=self.target.begin_upload(listed.key, attributes=attributes),
            etag=_state(listed, attributes),
            part_size=part_size(listed.size, least=self.part_bytes),
        )
        self.ledger.begin_upload(listed, upload)
        return upload, {}


def part_size(size: int, *, least: int = PART_BYTES) -> int:
    """Bytes of each part of an object of ``size`` bytes, so that there are not too many."""
    return max(least, PART_BYTES_LEAST, -(-size // PARTS_MOST))


def _state(listed: Listed, attributes: Attributes) -> str:
    """What an upload was begun with: its attributes are given at the beginning and cannot be changed later."""
    return hashlib.sha256(repr((listed.etag, listed.size, attributes)).encode()).hexdigest()
