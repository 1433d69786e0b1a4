"""What a bucket's objects are made of, as values: a version as it is listed, what belongs to it, and its copy."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

NO_VERSION = "null"
"""The id of the only version where a bucket has none (Amazon S3 user guide, "How S3 Versioning works")."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One version of an object, or a delete marker, as the server lists it.

    ``size`` is in bytes. ``etag`` tells whether something changed since it was listed last, and proves nothing: of an
    object that was uploaded in parts it is no digest of the bytes.
    """

    key: str
    version: str
    modified: datetime
    latest: bool
    marker: bool = False
    etag: str = ""
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """What belongs to a version besides its bytes; ``headers`` are the system metadata that S3 keeps, but the type."""

    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Content:
    """The whole of a version: its bytes' own SHA-256 (hexadecimal), their number, and what belongs to it."""

    sha256: str
    size: int
    attributes: Attributes


@dataclass(frozen=True, kw_only=True)
class Copied:
    """A version of the source that is at the target as ``target_version``; ``content`` is None for a delete marker."""

    source: Listed
    target_version: str
    content: Content | None


@dataclass(frozen=True, kw_only=True)
class ObjectFailure:
    """A key that could not be copied, and why."""

    key: str
    why: str


def pairs(mapping: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The items of ``mapping``, sorted: two servers may give them in any order."""
    return tuple(sorted(mapping.items()))
