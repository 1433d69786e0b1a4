"""Whose objects a bucket holds, by the data maps: the member's, other members', shared ones, and what no map knows."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from provisioner.catalogue.data_map import MEMBER
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_listing import Chain, chains
from provisioner.migration.slice_classifying import SliceRequest, member_prefixes

_ANY_MEMBER = "[^/]+"


class Share(StrEnum):
    """Whose an object is."""

    OWN = "own"
    SHARED = "shared"
    OTHERS = "others"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class ObjectShares:
    """How many keys of a bucket are whose; ``size_bytes`` is what the member's versions hold, ``unknown`` one key."""

    keys: dict[Share, int]
    size_bytes: int
    unknown: str | None


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What a bucket lists: versions and delete markers, bytes, and the SHA-256 of all of it in its order."""

    versions: int
    size_bytes: int
    digest: str


class Sharing:
    """Tells whose a key is."""

    def __init__(self, request: SliceRequest) -> None:
        maps = request.maps.values()
        self._own = member_prefixes(request)
        self._shared = tuple(prefix for one in maps for prefix in one.shared_objects)
        self._members = [_pattern(prefix) for one in maps for prefix in one.member_objects]

    def of(self, key: str) -> Share:
        """Whose ``key`` is; what is a member's is nobody else's, however long a shared prefix is."""
        if key.startswith(self._own):
            return Share.OWN
        if any(one.match(key) for one in self._members):
            return Share.OTHERS
        return Share.SHARED if key.startswith(self._shared) else Share.UNKNOWN


def survey_shares(bucket: Bucket, request: SliceRequest) -> ObjectShares:
    """Look at all keys of ``bucket``. Raises Unreachable, NotPermitted or CoopctlError."""
    sharing, keys, size, unknown = Sharing(request), dict.fromkeys(Share, 0), 0, None
    for key, chain in chains(bucket):
        share = sharing.of(key)
        keys[share] += 1
        if share is Share.OWN:
            size += sum(one.size for one in chain)
        elif share is Share.UNKNOWN and unknown is None:
            unknown = key
    return ObjectShares(keys=keys, size_bytes=size, unknown=unknown)


def inventory(found: Iterable[Chain]) -> Inventory:
    """What is listed. Raises what listing raises."""
    versions, size, digest = 0, 0, hashlib.sha256()
    for key, chain in found:
        for one in chain:
            versions, size = versions + 1, size + one.size
            digest.update(repr((key, one.version, one.etag, one.size, one.marker)).encode())
    return Inventory(versions=versions, size_bytes=size, digest=digest.hexdigest())


def _pattern(prefix: str) -> "re.Pattern[str]":
    return re.compile("/".join(_ANY_MEMBER if part == MEMBER else re.escape(part) for part in prefix.split("/")))
