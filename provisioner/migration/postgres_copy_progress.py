"""How far a copy is: bytes, rate and time left, for each table and in all.

Bytes are those of the source's tables on disk. Of a piece that is being copied the target tells how many bytes have
come through the pipe (pg_stat_progress_copy, since PostgreSQL 14), and pieces that are done tell how the two compare.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.errors import CoopctlError
from provisioner.migration.postgres_copy_plan import CopyPiece
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.postgres_sides import Side, session

PROGRESS_SINCE = 140000
_SESSIONS = """
    SELECT a.application_name, p.bytes_processed FROM pg_stat_progress_copy p JOIN pg_stat_activity a USING (pid)
    WHERE p.command = 'COPY FROM' AND a.datname = current_database()
"""


@dataclass(frozen=True, kw_only=True)
class Share:
    """Bytes done of a total, bytes a second so far, and seconds left (None while nothing is known)."""

    done_bytes: int
    total_bytes: int
    rate: float
    eta_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class CopyProgress:
    """An event of a copy: each table that was begun, all together, and why it waits, if it does."""

    tables: Mapping[TableName, Share]
    total: Share
    waiting: str = ""


@dataclass
class _Running:
    piece: CopyPiece
    piped_bytes: int = 0
    waiting: str = ""


@dataclass
class Meter:
    """Adds up what the streams say; they may speak from several threads."""

    pieces: Sequence[CopyPiece]
    started: float
    _running: dict[str, _Running] = field(default_factory=dict)
    _done: dict[TableName, int] = field(default_factory=dict)
    _begun: dict[TableName, float] = field(default_factory=dict)
    _piped: int = 0
    _piped_of: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begins(self, piece: CopyPiece, *, label: str, now: float) -> None:
        """A stream begins a piece, perhaps not for the first time."""
        with self._lock:
            self._running[label] = _Running(piece=piece)
            self._begun.setdefault(piece.table, now)

    def waits(self, label: str, *, why: str) -> None:
        """A stream was disturbed and will try again."""
        with self._lock:
            self._running[label].waiting = why
            self._running[label].piped_bytes = 0

    def ends(self, label: str) -> None:
        """A stream has done its piece."""
        with self._lock:
            ended = self._running.pop(label)
            self._done[ended.piece.table] = self._done.get(ended.piece.table, 0) + ended.piece.bytes
            if ended.piped_bytes:
                self._piped += ended.piped_bytes
                self._piped_of += ended.piece.bytes

    def saw(self, sessions: Iterable[tuple[str, int]]) -> None:
        """What the target says of the sessions that copy."""
        with self._lock:
            for label, piped in sessions:
                if label in self._running:
                    self._running[label].piped_bytes = piped

    def progress(self, *, now: float) -> CopyProgress:
        """The event for this moment (seconds of the monotonic clock)."""
        with self._lock:
            done = dict(self._done)
            for one in self._running.values():
                done[one.piece.table] = done.get(one.piece.table, 0) + self._estimated(one)
            waiting = next((one.waiting for one in self._running.values() if one.waiting), "")
            return CopyProgress(
                tables={
                    table: share(done.get(table, 0), self._total(table), seconds=now - begun)
                    for table, begun in self._begun.items()
                },
                total=share(sum(done.values()), self._total(None), seconds=now - self.started),
                waiting=waiting,
            )

    def _estimated(self, one: _Running) -> int:
        ratio = self._piped_of / self._piped if self._piped else 1.0
        return min(one.piece.bytes, int(one.piped_bytes * ratio))

    def _total(self, table: TableName | None) -> int:
        return sum(piece.bytes for piece in self.pieces if table in (None, piece.table))


def share(done: int, total: int, *, seconds: float) -> Share:
    """Pure: a share with its rate and the time left at that rate."""
    rate = done / seconds if seconds > 0 else 0.0
    left = max(0, total - done)
    eta = 0.0 if not left else (left / rate if rate > 0 else None)
    return Share(done_bytes=done, total_bytes=total, rate=rate, eta_seconds=eta)


class SessionReader:
    """Asks the target how far its sessions are; while it does not answer, nothing is known."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._open = ExitStack()
        self._connection: Connection | None = None

    def __enter__(self) -> "SessionReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self) -> tuple[tuple[str, int], ...]:
        """The labels of the sessions that copy into the database, and their bytes so far."""
        try:
            if self._connection is None:
                self._connection = self._open.enter_context(session(self._side))
            if self._connection.info.server_version < PROGRESS_SINCE:
                return ()
            return tuple((label, piped) for label, piped in rows(self._connection, _SESSIONS))
        except (psycopg.Error, CoopctlError):
            # The streams notice by themselves, and wait; a bar that stands still says as much.
            self._open.close()
            self._connection = None
            return ()
