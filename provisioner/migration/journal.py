"""The journal of a migration: one SQLite file that only grows, which one process writes and anybody reads meanwhile.

1. ``writing`` takes the journal's lock, which the kernel gives back however its holder dies, and opens the file in WAL
   mode with synchronous=FULL: what was recorded is on the disk before the next step begins.
2. ``begin`` opens a run with the fingerprint of its plan. While a run is open only the same kind of run with the same
   plan goes on with it; another one is refused.
3. Each step is recorded when it begins and when it is done or failed. A kill in between leaves a step that has begun;
   the step itself looks at the world before it does anything again.
4. ``end`` closes the run. Nothing is ever changed or deleted: the database itself refuses that.

A transaction that a kill cuts off is rolled back by the next reader, so a journal is whole at any time. It holds no
credential: what is written goes through provisioner.migration.redaction. Its schema is a contract:
docs/reference/migration-journal.md.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from provisioner.datastore.credentials import Secret
from provisioner.datastore.stopping import NeverStopped, Stopping
from provisioner.errors import CoopctlError, DiskFull, MigrationLocked, PlanRefused
from provisioner.migration.journal_entries import Entry, EntryKind, Phase, Run, RunEnding, RunKind, runs_of
from provisioner.migration.redaction import Json, mapping_without_credentials

SCHEMA_VERSION = 1
BUSY_TIMEOUT_SECONDS = 10.0
Clock = Callable[[], datetime]
"""Says the time, with a time zone."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
    version INTEGER NOT NULL,
    migration TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL CHECK (run > 0),
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    phase TEXT,
    step TEXT,
    content TEXT NOT NULL CHECK (json_valid(content))
);
CREATE TRIGGER IF NOT EXISTS entries_are_not_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries of a journal are not changed'); END;
CREATE TRIGGER IF NOT EXISTS entries_are_not_deleted BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries of a journal are not deleted'); END;
"""
_COLUMNS = "sequence, run, at, kind, phase, step, content"


@dataclass(frozen=True, kw_only=True)
class JournalRecord:
    """A journal as it was when it was read."""

    migration: str
    entries: tuple[Entry, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, in the order of their beginning."""
        return runs_of(self.entries)


class Keeper(Protocol):
    """Keeps the journal, and what belongs to it, somewhere else, too. All methods raise CoopctlError."""

    @property
    def stopping(self) -> Stopping:
        """Whether long work must end, since another process may write the journal by now."""

    def require_own(self) -> None:
        """Raise MigrationLocked if another process writes the journal by now."""

    def recorded(self, entries: int) -> None:
        """The journal has so many entries now. Raises MigrationLocked as `require_own` does."""


class _NoKeeper:
    """The journal is here alone."""

    stopping: Stopping = NeverStopped()

    def require_own(self) -> None:
        """The lock of the file is enough."""

    def recorded(self, entries: int) -> None:
        """It is on the disk."""


def here_alone() -> AbstractContextManager[Keeper]:
    """No keeper: what is done with a journal that this machine alone knows."""
    return contextlib.nullcontext(_NoKeeper())


class Journal:
    """The one writer of a journal; `writing` gives it. All methods raise DiskFull or CoopctlError."""

    def __init__(
        self, connection: sqlite3.Connection, *, file: Path, clock: Clock, secrets: Iterable[Secret], keeper: Keeper
    ) -> None:
        self._connection = connection
        self._file = file
        self._clock = clock
        self._secrets = tuple(secrets)
        self._keeper = keeper
        self._open_run = current.number if (current := self.current) else None

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs so far."""
        with _translating(self._file):
            return runs_of(_entries(self._connection))

    @property
    def current(self) -> Run | None:
        """The run that is open, or None."""
        return next((run for run in reversed(self.runs) if run.open), None)

    @property
    def stopping(self) -> Stopping:
        """Whether long work must end, since another process may go on with the migration by now."""
        return self._keeper.stopping

    def require_own(self) -> None:
        """Raise MigrationLocked if another process goes on with the migration by now: nothing more may be changed."""
        self._keeper.require_own()

    def begin(self, kind: RunKind, *, fingerprint: str, content: Mapping[str, Json] | None = None) -> Run:
        """Open a run of ``kind`` for the plan with ``fingerprint``, or go on with the one that is open.

        Raises PlanRefused, and records nothing, if another plan's run or one of another kind is open.
        """
        if (current := self.current) is not None:
            _require_same(current, kind=kind, fingerprint=fingerprint)
            return current
        number = len(self.runs) + 1
        head: dict[str, Json] = {"kind": str(kind), "fingerprint": fingerprint}
        self._open_run = number
        self._append(EntryKind.RUN_BEGUN, content={**(content or {}), **head})
        return self.runs[-1]

    def step_begun(self, phase: Phase, step: str) -> None:
        """A step of the open run begins, or begins again."""
        self._append(EntryKind.STEP_BEGUN, phase=phase, step=step)

    def step_done(self, phase: Phase, step: str, result: Mapping[str, Json]) -> None:
        """A step of the open run is done; ``result`` is what later steps and reports need of it."""
        self._append(EntryKind.STEP_DONE, phase=phase, step=step, content=result)

    def step_failed(self, phase: Phase, step: str, *, why: str) -> None:
        """A step of the open run failed; the run stays open."""
        self._append(EntryKind.STEP_FAILED, phase=phase, step=step, content={"why": why})

    def note(self, content: Mapping[str, Json], *, phase: Phase | None = None, step: str | None = None) -> None:
        """What else is worth knowing later: progress, a decision, a verification in between."""
        self._append(EntryKind.NOTE, phase=phase, step=step, content=content)

    def end(self, ending: RunEnding, result: Mapping[str, Json] | None = None) -> None:
        """Close the open run."""
        self._append(EntryKind.RUN_ENDED, content={**(result or {}), "ending": str(ending)})
        self._open_run = None

    def _append(
        self,
        kind: EntryKind,
        *,
        phase: Phase | None = None,
        step: str | None = None,
        content: Mapping[str, Json] | None = None,
    ) -> None:
        if self._open_run is None:
            raise CoopctlError(f"no run is open in {self._file}", hint="begin one first")
        cleaned = mapping_without_credentials(content or {}, secrets=self._secrets)
        text = json.dumps(cleaned, ensure_ascii=False, sort_keys=True)
        at = self._clock().astimezone(UTC).isoformat()
        row = (self._open_run, at, str(kind), phase and str(phase), step, text)
        self._keeper.require_own()
        with _translating(self._file):
            self._connection.execute(
                "INSERT INTO entries (run, at, kind, phase, step, content) VALUES (?, ?, ?, ?, ?, ?)", row
            )
            entries = self._connection.execute("SELECT count(*) FROM entries").fetchone()[0]
        self._keeper.recorded(int(entries))


@contextlib.contextmanager
def writing(
    file: Path,
    *,
    migration: str,
    clock: Clock,
    secrets: Iterable[Secret] = (),
    held: Callable[[], AbstractContextManager[Keeper]] = here_alone,
) -> Iterator[Journal]:
    """The journal of ``migration`` in ``file``, made if there is none; ``secrets`` are hidden wherever they stand.

    ``held`` brings the file to what is kept elsewhere before it is opened, and keeps what is recorded there, too.
    Raises MigrationLocked if another process writes it, CoopctlError if it is another migration's or cannot be used.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file, migration=migration), held() as keeper:
        # SQLite gives its companions (-wal, -shm) the file's mode.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
        with contextlib.closing(_connect(file, mode="rw")) as connection:
            with _translating(file):
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                _prepare(connection, file=file, migration=migration, created=clock())
            yield Journal(connection, file=file, clock=clock, secrets=secrets, keeper=keeper)


def read(file: Path, *, after: int = 0) -> JournalRecord | None:
    """The journal in ``file`` with its entries past the sequence number ``after``; None if there is none.

    It waits for nobody and keeps nobody waiting. Raises CoopctlError if it cannot be read.
    """
    if not file.is_file():
        return None
    with _translating(file), contextlib.closing(_connect(file, mode="ro")) as connection:
        head = _head(connection)
        if head is None:
            return None
        _require_known(head, file=file)
        return JournalRecord(migration=head[1], entries=_entries(connection, after=after))


def journal_file(folder: Path, migration: str) -> Path:
    """Where the journal of ``migration`` is, in the estate's local ``folder``."""
    return folder / "migrations" / f"{migration}.journal"


def _require_same(current: Run, *, kind: RunKind, fingerprint: str) -> None:
    if current.kind is not kind:
        raise PlanRefused(
            f"a {current.kind} is open since {current.begun:%Y-%m-%d %H:%M} UTC, and this would be a {kind}",
            why="one run at a time: what the open one made must not be forgotten",
        )
    if current.fingerprint != fingerprint:
        raise PlanRefused(
            f"the open {current.kind} follows another plan than the one that was made now",
            why=f"it was begun with {current.fingerprint[:12] or 'none'}, now it is {fingerprint[:12] or 'none'}:"
            " the request, a server or a table has changed since",
        )


@contextlib.contextmanager
def _locked(file: Path, *, migration: str) -> Iterator[None]:
    """Beside the journal, not on it: closing any handle of a file drops SQLite's own locks (POSIX)."""
    with file.with_name(f"{file.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "?"
            raise MigrationLocked(f"the migration {migration} is being worked on by process {holder}") from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _connect(file: Path, *, mode: str) -> sqlite3.Connection:
    # Without a transaction of Python's own: each entry is one of SQLite's.
    uri = f"{file.absolute().as_uri()}?mode={mode}"
    with _translating(file):
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)


def _prepare(connection: sqlite3.Connection, *, file: Path, migration: str, created: datetime) -> None:
    if (head := _head(connection)) is None:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _statements():
            connection.execute(statement)
        row = (SCHEMA_VERSION, migration, created.astimezone(UTC).isoformat())
        connection.execute("INSERT INTO journal (version, migration, created) VALUES (?, ?, ?)", row)
        connection.execute("COMMIT")
        return
    _require_known(head, file=file)
    if head[1] != migration:
        raise CoopctlError(f"{file} is the journal of the migration {head[1]}, not of {migration}")


def _statements() -> Iterator[str]:
    """The schema's statements: executescript would commit each by itself, and a kill leave half of them."""
    text = ""
    for line in _SCHEMA.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            yield text
            text = ""


def _head(connection: sqlite3.Connection) -> tuple[int, str] | None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'journal'").fetchone():
        return None
    row = connection.execute("SELECT version, migration FROM journal").fetchone()
    return (int(row[0]), str(row[1])) if row else None


def _require_known(head: tuple[int, str], *, file: Path) -> None:
    if head[0] > SCHEMA_VERSION:
        raise CoopctlError(
            f"{file} was written by a newer coopctl (schema {head[0]}, this one knows {SCHEMA_VERSION})",
            hint="use the coopctl that wrote it",
        )


def _entries(connection: sqlite3.Connection, *, after: int = 0) -> tuple[Entry, ...]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE sequence > ? ORDER BY sequence", (after,))  # noqa: S608 - constants
    return tuple(
        Entry(
            sequence=sequence,
            run=run,
            at=datetime.fromisoformat(at),
            kind=EntryKind(kind),
            phase=Phase(phase) if phase else None,
            step=step,
            content=json.loads(content),
        )
        for sequence, run, at, kind, phase, step, content in rows
    )


@contextlib.contextmanager
def _translating(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise DiskFull(f"no room is left on the disk with {file}", why=str(error)) from error
        raise CoopctlError(
            f"the journal {file} cannot be used", why=str(error), hint="bring it back from a copy if it is damaged"
        ) from error
