"""What was copied of a bucket: the manifest with every version's own SHA-256, and what a resume needs.

A SQLite file beside the migration's journal, written by one process. It holds keys, versions, digests and attributes
of objects, never a credential.

Before anything is done for a key the ledger says so (``intend``); when it is done, what is at the target then
(``complete``). A key whose intent is left over was cut off: the target may hold versions that nobody recorded.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from provisioner.errors import CoopctlError, DiskFull
from provisioner.migration.objects_bucket import Part
from provisioner.migration.objects_values import Attributes, Content, Copied, Listed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (source TEXT NOT NULL, target TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS copies (
    key TEXT NOT NULL, place INTEGER NOT NULL, version TEXT NOT NULL, modified TEXT NOT NULL, latest INTEGER NOT NULL,
    marker INTEGER NOT NULL, etag TEXT NOT NULL, size INTEGER NOT NULL, target_version TEXT NOT NULL,
    sha256 TEXT, attributes TEXT, PRIMARY KEY (key, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    key TEXT NOT NULL, version TEXT NOT NULL, etag TEXT NOT NULL, upload TEXT NOT NULL, part_size INTEGER NOT NULL,
    PRIMARY KEY (key, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, sha256 TEXT NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE TEMP TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_COLUMNS = "key, version, modified, latest, marker, etag, size, target_version, sha256, attributes"


@dataclass(frozen=True, kw_only=True)
class Upload:
    """An upload in parts that was begun for a version."""

    id: str
    etag: str
    part_size: int


class Ledger:
    """The ledger in ``file``, for one pair of buckets. Its methods may be called by several threads.

    All raise DiskFull or CoopctlError.
    """

    def __init__(self, connection: sqlite3.Connection, *, file: Path) -> None:
        self._connection = connection
        self._file = file
        self._lock = threading.Lock()

    def recorded(self, key: str) -> tuple[Copied, ...]:
        """The copies of ``key``, oldest first."""
        return tuple(map(_copied, self._all(f"SELECT {_COLUMNS} FROM copies WHERE key = ? ORDER BY place", (key,))))  # noqa: S608 - constants

    def manifest(self) -> Iterator[Copied]:
        """All copies, by key, each key's oldest first; read in pieces."""
        last = ""
        while keys := self._all("SELECT DISTINCT key FROM copies WHERE key > ? ORDER BY key LIMIT 500", (last,)):
            for (key,) in keys:
                yield from self.recorded(key)
            last = keys[-1][0]

    def is_intended(self, key: str) -> bool:
        """Whether something was begun for ``key`` and not completed."""
        return bool(self._all("SELECT 1 FROM intents WHERE key = ?", (key,)))

    def intend(self, keys: Iterable[str]) -> None:
        """Something will be done for ``keys``: on the disk before it is done."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO intents VALUES (?)", [(key,) for key in keys])

    def complete(self, done: Iterable[tuple[str, Sequence[Copied]]], *, whole: bool = True) -> None:
        """What is at the target now for each key; unless ``whole`` there may be more, and the intent stays."""
        with self._transaction() as connection:
            for key, copies in done:
                connection.execute("DELETE FROM copies WHERE key = ?", (key,))
                rows = [_row(place, one) for place, one in enumerate(copies)]
                connection.executemany("INSERT INTO copies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                if whole:
                    connection.execute("DELETE FROM intents WHERE key = ?", (key,))

    def forget_seen(self) -> None:
        """A pass begins."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM temp.seen")

    def see(self, keys: Iterable[str]) -> None:
        """The source has ``keys``."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO temp.seen VALUES (?)", [(key,) for key in keys])

    def unseen(self) -> tuple[str, ...]:
        """The keys that were copied, or begun, and that the source has no more."""
        known = "SELECT key FROM copies UNION SELECT key FROM intents"
        return tuple(key for (key,) in self._all(f"{known} EXCEPT SELECT key FROM temp.seen ORDER BY key"))  # noqa: S608 - constants

    def upload(self, listed: Listed) -> Upload | None:
        """The upload that was begun for a version and not completed."""
        found = self._all(
            "SELECT upload, etag, part_size FROM uploads WHERE key = ? AND version = ?", (listed.key, listed.version)
        )
        return Upload(id=found[0][0], etag=found[0][1], part_size=found[0][2]) if found else None

    def begin_upload(self, listed: Listed, upload: Upload) -> None:
        """An upload was begun for a version."""
        row = (listed.key, listed.version, upload.etag, upload.id, upload.part_size)
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", row)

    def parts(self, upload: Upload) -> dict[int, Part]:
        """The parts of an upload by their numbers."""
        found = self._all("SELECT number, sha256, etag FROM parts WHERE upload = ?", (upload.id,))
        return {number: Part(number=number, sha256=sha256, etag=etag) for number, sha256, etag in found}

    def add_part(self, upload: Upload, part: Part) -> None:
        """The server has a part of an upload."""
        row = (upload.id, part.number, part.sha256, part.etag)
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", row)

    def end_upload(self, upload: Upload) -> None:
        """An upload was completed or given up."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM parts WHERE upload = ?", (upload.id,))
            connection.execute("DELETE FROM uploads WHERE upload = ?", (upload.id,))

    def open_uploads(self) -> tuple[tuple[str, Upload], ...]:
        """Every upload that was begun and not completed, with its key."""
        found = self._all("SELECT key, upload, etag, part_size FROM uploads ORDER BY key")
        return tuple((key, Upload(id=upload, etag=etag, part_size=size)) for key, upload, etag, size in found)

    def _all(self, query: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock, _translating(self._file):
            return self._connection.execute(query, parameters).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translating(self._file):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


@contextlib.contextmanager
def open_ledger(file: Path, *, source: str, target: str) -> Iterator[Ledger]:
    """The ledger in ``file``, made if there is none, of copying ``source`` to ``target`` (as text).

    Raises CoopctlError if it is that of other buckets, or cannot be used.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _translating(file):
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    with contextlib.closing(connection):
        with _translating(file):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            _require_pair(connection, file=file, source=source, target=target)
        yield Ledger(connection, file=file)


def ledger_file(folder: Path, migration: str) -> Path:
    """Where the ledger of ``migration`` is, in the estate's local ``folder``."""
    return folder / "migrations" / f"{migration}.objects"


def _require_pair(connection: sqlite3.Connection, *, file: Path, source: str, target: str) -> None:
    found = connection.execute("SELECT source, target FROM ledger").fetchone()
    if found is None:
        connection.execute("INSERT INTO ledger VALUES (?, ?)", (source, target))
    elif found != (source, target):
        raise CoopctlError(f"{file} is the ledger of copying {found[0]} to {found[1]}, not {source} to {target}")


def _row(place: int, one: Copied) -> tuple[object, ...]:
    listed, content = one.source, one.content
    return (
        listed.key,
        place,
        listed.version,
        listed.modified.isoformat(),
        listed.latest,
        listed.marker,
        listed.etag,
        listed.size,
        one.target_version,
        content.sha256 if content else None,
        json.dumps(asdict(content.attributes), ensure_ascii=False) if content else None,
    )


def _copied(row: Sequence[str]) -> Copied:
    key, version, modified, latest, marker, etag, size, target_version, sha256, attributes = row
    listed = Listed(
        key=key,
        version=version,
        modified=datetime.fromisoformat(modified),
        latest=bool(latest),
        marker=bool(marker),
        etag=etag,
        size=int(size),
    )
    content = Content(sha256=sha256, size=int(size), attributes=_attributes(attributes)) if sha256 else None
    return Copied(source=listed, target_version=target_version, content=content)


def _attributes(text: str) -> Attributes:
    found = json.loads(text)
    content_type = found.pop("content_type")
    lists = {name: tuple((one[0], one[1]) for one in value) for name, value in found.items()}
    return Attributes(content_type=content_type, **lists)


@contextlib.contextmanager
def _translating(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise DiskFull(f"no room is left on the disk with {file}", why=str(error)) from error
        raise CoopctlError(f"the ledger {file} cannot be used", why=str(error)) from error
