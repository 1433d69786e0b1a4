"""All versions of a bucket, key by key, each key's oldest first.

Servers list the newest first. Versions and delete markers come in one sequence (Amazon S3 API reference,
ListObjectVersions), which the client library takes apart into two lists; the order of the two is read from the answer's
own text. A server that does not mix them (SeaweedFS) tells their order by time alone, to the second; within a second
its version ids do, which it makes from the time.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_values import NO_VERSION, Listed

PAGE_ENTRIES = 1000
Chain = tuple[str, tuple[Listed, ...]]
"""A key and all its versions, oldest first."""
ORDER = "coopctlOrder"
_ENTRY = re.compile(rb"<(Version|DeleteMarker)>")
_EVENT = "before-parse.s3.ListObjectVersions"


def chains(bucket: Bucket, *, prefix: str = "") -> Iterator[Chain]:
    """The keys of ``bucket`` that begin with ``prefix``, each once, with all versions; memory holds a page."""
    for each in bucket.prefixes if not prefix else (prefix,):
        yield from chains_of(_pages(bucket, prefix=each))


def chains_of(pages: Iterable[Mapping[str, Any]]) -> Iterator[Chain]:
    """Pure: the chains of a listing's ``pages``, which say under ORDER whether each entry of the text is a marker."""
    waiting: dict[str, list[Listed]] = {}
    mixed = False
    for page in pages:
        mixed = mixed or _is_mixed(page[ORDER])
        for listed in _entries(page):
            waiting.setdefault(listed.key, []).append(listed)
        # The last key may go on in the next page.
        last = page.get("NextKeyMarker") if page.get("IsTruncated") else None
        for key in [key for key in waiting if key != last]:
            yield key, _oldest_first(waiting.pop(key), mixed=mixed)
    for key, found in waiting.items():
        yield key, _oldest_first(found, mixed=mixed)


def chain_of(bucket: Bucket, key: str) -> tuple[Listed, ...]:
    """The versions of ``key``, oldest first; empty if there are none."""
    return next((found for name, found in chains(bucket, prefix=key) if name == key), ())


def _pages(bucket: Bucket, *, prefix: str) -> Iterator[Mapping[str, Any]]:
    events = bucket.s3.meta.events
    events.register(_EVENT, _keep_order, unique_id=ORDER)
    paginator = bucket.s3.get_paginator("list_object_versions")
    with bucket.translating():
        yield from paginator.paginate(Bucket=bucket.name, Prefix=prefix, PaginationConfig={"PageSize": PAGE_ENTRIES})


def _keep_order(*, response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """Whether each entry of the answer is a marker, in its order; the library drops that."""
    found = _ENTRY.findall(response_dict["body"])
    customized_response_dict[ORDER] = [name == b"DeleteMarker" for name in found]


def _is_mixed(order: Sequence[bool]) -> bool:
    """Whether a version comes after a marker: the server mixes the two."""
    return order != sorted(order)


def _entries(page: Mapping[str, Any]) -> Iterator[Listed]:
    """The page's entries in the order of the server's text."""
    versions, markers = iter(page.get("Versions", ())), iter(page.get("DeleteMarkers", ()))
    for is_marker in page[ORDER]:
        found = next(markers if is_marker else versions)
        yield Listed(
            key=found["Key"],
            version=found.get("VersionId") or NO_VERSION,
            modified=found["LastModified"],
            latest=bool(found["IsLatest"]),
            marker=is_marker,
            etag="" if is_marker else found["ETag"],
            size=0 if is_marker else found["Size"],
        )


def _oldest_first(listed: Sequence[Listed], *, mixed: bool) -> tuple[Listed, ...]:
    """``listed`` as the server gave it, the newest first, turned around."""
    found = list(reversed(listed))
    if mixed or len({one.marker for one in found}) == 1:
        return tuple(sorted(_with_null_by_time(found), key=lambda one: one.latest))
    return tuple(sorted(_by_id(found), key=lambda one: (one.latest, one.modified)))


def _with_null_by_time(found: Sequence[Listed]) -> list[Listed]:
    """Written while versioning was suspended, ``null`` may be newer than what it is listed behind."""
    placed = [one for one in found if one.version != NO_VERSION]
    for null in (one for one in found if one.version == NO_VERSION):
        placed.insert(sum(one.modified <= null.modified for one in placed), null)
    return placed


def _by_id(found: Sequence[Listed]) -> list[Listed]:
    """Ordered by id if ids tell the order of those that are known to be in order; sorting by time keeps it in a second.

    ``found`` is the oldest first within versions and within markers.
    """
    kinds = [
        [one.version for one in found if one.marker is kind and one.version != NO_VERSION] for kind in (False, True)
    ]
    for descending in (True, False):
        if all(ids == sorted(ids, reverse=descending) for ids in kinds):
            return sorted(found, key=lambda one: one.version, reverse=descending)
    return list(found)
