"""Compares two buckets by reading every version at both sides, and hashing it here: nothing a server says is believed.

Versions are paired by their place among those of their key, since a server gives each version an id of its own. The two
listings are joined in a temporary database, so that memory stays the same whatever the buckets hold and in whatever
order the servers list them. It may be repeated at any time, and in either direction; while somebody writes, what
changed meanwhile is reported as a difference.
"""

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version

from provisioner.datastore.stopping import NeverStopped, Stopping
from provisioner.errors import ChangedMeanwhile, Interrupted
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_listing import Chain, chain_of, chains
from provisioner.migration.objects_report import Aspect, ObjectDifference, ObjectsReport, Read, differences_of
from provisioner.migration.objects_transfer import PART_BYTES
from provisioner.migration.objects_values import Content, Listed

WORKERS = 8
BATCH_KEYS = 64


@dataclass(frozen=True, kw_only=True)
class Verifying:
    """Compares ``target`` with ``source``, ``workers`` keys at a time; ``report`` is told the bytes that were read."""

    source: Bucket
    target: Bucket
    clock: Callable[[], datetime]
    workers: int = WORKERS
    report: Callable[[int], None] = lambda _: None
    stopping: Stopping = field(default_factory=NeverStopped)

    def verify(self, *, only: Collection[str] | None = None) -> ObjectsReport:
        """Compare everything, or the keys ``only``.

        Raises Unreachable, NotPermitted, CoopctlError or Interrupted; a difference is part of the report.
        """
        begun, counts = self.clock(), _Counts()
        differences: list[ObjectDifference] = []
        with _joined(self._chains(only)) as joined, ThreadPoolExecutor(self.workers) as pool:
            for batch in joined.batches():
                if self.stopping.signals:
                    raise Interrupted("interrupted while objects were verified", why="nothing was changed")
                for compared in pool.map(self._compare, batch):
                    counts.add(compared)
                    differences += compared.differences
                    self.report(counts.size)
        return ObjectsReport(
            source=str(self.source),
            target=str(self.target),
            coopctl=version("coopctl"),
            begun=begun,
            ended=self.clock(),
            partial=only is not None,
            keys=counts.keys,
            versions=counts.versions,
            delete_markers=counts.markers,
            size_bytes=counts.size,
            differences=tuple(differences),
        )

    def _chains(self, only: Collection[str] | None) -> Iterator[tuple[int, Chain]]:
        for side, bucket in enumerate((self.source, self.target)):
            if only is None:
                yield from ((side, chain) for chain in chains(bucket))
            else:
                yield from ((side, (key, chain_of(bucket, key))) for key in sorted(set(only)))

    def _compare(self, pair: "_Pair") -> "_Compared":
        try:
            source = tuple(_read(self.source, one) for one in pair.source)
            target = tuple(_read(self.target, one) for one in pair.target)
        except ChangedMeanwhile:
            return _Compared(source=(), differences=(_changed(pair.key),))
        found = differences_of(pair.key, source=source, target=target)
        return _Compared(source=source, differences=found)


@dataclass(frozen=True, kw_only=True)
class _Pair:
    key: str
    source: tuple[Listed, ...]
    target: tuple[Listed, ...]


@dataclass(frozen=True, kw_only=True)
class _Compared:
    source: tuple[Read, ...]
    differences: tuple[ObjectDifference, ...]


@dataclass(kw_only=True)
class _Counts:
    keys: int = 0
    versions: int = 0
    markers: int = 0
    size: int = 0

    def add(self, compared: _Compared) -> None:
        """Count what the source has."""
        contents = [one.content for one in compared.source if one.content is not None]
        self.keys += 1
        self.versions += len(contents)
        self.markers += len(compared.source) - len(contents)
        self.size += sum(content.size for content in contents)


class _Joined:
    """Both listings in a database that SQLite keeps in a file of its own and removes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def batches(self) -> Iterator[list[_Pair]]:
        """The keys of either side in their order, some at a time."""
        last = None
        while keys := self._keys(last):
            yield [_Pair(key=key, source=self._chain(key, 0), target=self._chain(key, 1)) for key in keys]
            last = keys[-1]

    def _keys(self, last: str | None) -> list[str]:
        # The key itself is never empty (Amazon S3 user guide, "Naming Amazon S3 objects").
        query = "SELECT DISTINCT key FROM listed WHERE key > ? ORDER BY key LIMIT ?"
        return [key for (key,) in self._connection.execute(query, (last or "", BATCH_KEYS))]

    def _chain(self, key: str, side: int) -> tuple[Listed, ...]:
        query = (
            "SELECT version, modified, latest, marker, etag, size FROM listed WHERE key = ? AND side = ? ORDER BY place"
        )
        return tuple(
            Listed(
                key=key,
                version=row[0],
                modified=datetime.fromisoformat(row[1]),
                latest=bool(row[2]),
                marker=bool(row[3]),
                etag=row[4],
                size=row[5],
            )
            for row in self._connection.execute(query, (key, side))
        )


@contextlib.contextmanager
def _joined(found: Iterator[tuple[int, Chain]]) -> Iterator[_Joined]:
    # An empty name is a temporary file (SQLite documentation, "In-Memory Databases", Temporary Databases).
    with contextlib.closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute(
            "CREATE TABLE listed (key TEXT, side INTEGER, place INTEGER, version TEXT, modified TEXT, latest INTEGER,"
            " marker INTEGER, etag TEXT, size INTEGER, PRIMARY KEY (key, side, place)) WITHOUT ROWID"
        )
        connection.execute("BEGIN")
        rows = (_row(side, place, one) for side, (_, chain) in found for place, one in enumerate(chain))
        connection.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
        yield _Joined(connection)


def _row(side: int, place: int, one: Listed) -> tuple[object, ...]:
    modified = one.modified.isoformat()
    return (one.key, side, place, one.version, modified, one.latest, one.marker, one.etag, one.size)


def _changed(key: str) -> ObjectDifference:
    return ObjectDifference(
        key=key, place=0, aspect=Aspect.CHANGED, expected="what was listed", found="something else when it was read"
    )


def _read(bucket: Bucket, listed: Listed) -> Read:
    """Read a version whole, a piece at a time."""
    if listed.marker:
        return Read(listed=listed, content=None)
    attributes, digest = bucket.attributes(listed), hashlib.sha256()
    for start in range(0, listed.size, PART_BYTES):
        digest.update(bucket.read(listed, start=start, size=min(PART_BYTES, listed.size - start)))
    return Read(listed=listed, content=Content(sha256=digest.hexdigest(), size=listed.size, attributes=attributes))
