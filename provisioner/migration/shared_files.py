"""A migration's files where every machine of the team finds them: beside the state, below ``coopctl/migrations/NAME/``.

1. Who has the lease looks first whether the files there or those here are further. A journal only grows, so that of two
   the one goes on with the other if it begins with all its entries. If neither does, the shared one counts: what is
   here was written by a process that had lost its lease; it is kept aside.
2. What was recorded is uploaded at once, and the other files that have changed since with it: consistent copies, each
   under the name of its content. Then the head is exchanged. Cut off before that, nothing has happened.
3. Files that the head names no more are deleted now and then.

What lies there is what lies in the estate: no credential.
"""

import contextlib
import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.datastore.shared_records import SharedRecords
from provisioner.datastore.stopping import Stopping
from provisioner.errors import CoopctlError
from provisioner.migration.journal import JournalRecord, read
from provisioner.migration.journal_entries import Entry, StepState, runs_of
from provisioner.migration.shared_head import Head, SharedFile, read_head
from provisioner.migration.shared_lease import TERM_SECONDS, Lease, taken

FOLDER = "migrations"
ASIDE = ".aside"
# Beside a ledger that was fetched after a copy was cut off: its bucket holds what was copied since it was uploaded.
UNSURE = ".unsure"
PRIVATE_FILE = 0o600
_TAG_DIGITS = 16
TIDIED_AFTER = 20
Signature = tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class SharedMigration:
    """The migration ``name`` beside the state, and its files here: databases, and ``others``."""

    records: SharedRecords
    name: str
    journal: Path
    ledger: Path
    ledger_back: Path
    others: tuple[Path, ...]
    term_seconds: float = TERM_SECONDS

    @property
    def head_path(self) -> str:
        """The record that says who works on it and which files count."""
        return f"{FOLDER}/{self.name}/lease.json"

    @contextlib.contextmanager
    def held(self) -> Iterator["Keeping"]:
        """Hold the lease while the block runs, with the files as they are now in their places.

        Raises MigrationLocked while another process has it, and what records raise.
        """
        with taken(self.records, path=self.head_path, migration=self.name, term_seconds=self.term_seconds) as lease:
            self._fetch(lease.head)
            keeping = Keeping(shared=self, lease=lease)
            keeping.tidy()
            try:
                yield keeping
            finally:
                with contextlib.suppress(CoopctlError):
                    keeping.tidy()

    def head(self) -> tuple[Head, float] | None:
        """What is there now, without a lease, and how many seconds ago it was written."""
        seen = self.records.look(self.head_path)
        return (read_head(seen.content, where=self.head_path), seen.age_seconds) if seen else None

    def read(self) -> JournalRecord | None:
        """The journal, there or here, whichever is further; nothing here is changed and nobody is kept waiting."""
        local, found = read(self.journal), self.head()
        if found is None or self.journal.name not in found[0].files:
            return local
        with tempfile.TemporaryDirectory() as folder:
            try:
                shared = self._read_shared(found[0], folder=Path(folder))
            except _Replaced:
                # Its writer went on meanwhile: the next head names another one.
                return self.read()
        return local if local is not None and _goes_on(local, shared) else shared

    def _read_shared(self, head: Head, *, folder: Path) -> JournalRecord | None:
        copy = folder / self.journal.name
        self._download(head.files[self.journal.name], copy)
        return read(copy)

    def _fetch(self, head: Head) -> None:
        if self.journal.name not in head.files:
            return
        with tempfile.TemporaryDirectory(dir=self.journal.parent, prefix=".fetching-") as folder:
            shared, local = self._read_shared(head, folder=Path(folder)), read(self.journal)
            if local is not None and _goes_on(local, shared):
                return
            for one in (self.ledger, self.ledger_back, *self.others):
                if one.name in head.files:
                    self._download(head.files[one.name], Path(folder) / one.name)
            self._replace(Path(folder), head, unsure=shared is not None and _cut_off(shared.entries))

    def _replace(self, folder: Path, head: Head, *, unsure: bool) -> None:
        """The journal last: cut off before it, all is fetched again."""
        if self.journal.exists():
            self.journal.replace(self.journal.with_name(f"{self.journal.name}{ASIDE}"))
        for one in (self.ledger, self.ledger_back, *self.others, self.journal):
            _remove(one)
            if unsure and (one == self.ledger or (one == self.ledger_back and one.name in head.files)):
                one.with_name(f"{one.name}{UNSURE}").touch()
            if one.name in head.files:
                (folder / one.name).replace(one)

    def _download(self, file: SharedFile, to: Path) -> None:
        to.touch(mode=PRIVATE_FILE)
        if not self.records.download(file.record, to):
            raise _Replaced(f"{file.record}, which {self.head_path} names, is gone")
        if (digest := _digest(to)) != file.sha256:
            raise CoopctlError(f"{file.record} is damaged", why=f"its SHA-256 is {digest}, not {file.sha256}")


class _Replaced(CoopctlError):
    """A file went while it was looked for."""


@dataclass(kw_only=True)
class Keeping:
    """Keeps what is recorded here in the state, too, under the lease (provisioner.migration.journal.Keeper)."""

    shared: SharedMigration
    lease: Lease
    _uploaded: dict[str, Signature] = field(default_factory=dict, init=False)
    _since: int = field(default=0, init=False)

    @property
    def stopping(self) -> Stopping:
        """Whether long work must end."""
        return self.lease

    def require_own(self) -> None:
        """Raise MigrationLocked if another process works on the migration by now."""
        self.lease.require_held()

    def recorded(self, entries: int) -> None:
        """Upload what has changed. Raises MigrationLocked if another process has taken over, and what records raise."""
        before, named = self.lease.head.files, dict[str, SharedFile]()
        shared = self.shared
        places = (shared.journal, shared.ledger, shared.ledger_back, *shared.others)
        for place in (one for one in places if one.is_file()):
            named[place.name] = self._current(place, before.get(place.name))
        self.lease.commit(named, entries=entries)
        self._since += 1
        if self._since == TIDIED_AFTER:
            self.tidy()

    def tidy(self) -> None:
        """Delete what the head names no more: copies of before, and what a process that was killed has uploaded last.

        Now and then only: applications may be waiting while an entry is recorded.
        """
        self._since = 0
        self.require_own()
        kept = {self.shared.head_path, *(one.record for one in self.lease.head.files.values())}
        for record in self.shared.records.list(f"{FOLDER}/{self.shared.name}"):
            if record not in kept:
                self.shared.records.delete(record)

    def _current(self, place: Path, before: SharedFile | None) -> SharedFile:
        """The file as it is in the state now, uploaded if it is another one there."""
        signature = _signature(place)
        if before is not None and self._uploaded.get(place.name) == signature:
            return before
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".keeping-") as folder:
            copy = Path(folder) / place.name
            copy.touch(mode=PRIVATE_FILE)
            if place in self.shared.others:
                copy.write_bytes(place.read_bytes())
            else:
                _consistent_copy(place, copy)
            sha256 = _digest(copy)
            record = f"{FOLDER}/{self.shared.name}/{place.name}.{sha256[:_TAG_DIGITS]}"
            if before is None or before.sha256 != sha256:
                self.shared.records.upload(record, copy)
            found = SharedFile(record=record, sha256=sha256, size=copy.stat().st_size)
        self._uploaded[place.name] = signature
        return found


def is_unsure(ledger: Path) -> bool:
    """Whether the ledger's bucket may hold what the ledger does not know."""
    return ledger.with_name(f"{ledger.name}{UNSURE}").exists()


def settle(ledger: Path) -> None:
    """The ledger knows all that its bucket holds."""
    ledger.with_name(f"{ledger.name}{UNSURE}").unlink(missing_ok=True)


def _goes_on(local: JournalRecord, shared: JournalRecord | None) -> bool:
    """Whether ``local`` begins with all that ``shared`` says."""
    return shared is None or local.entries[: len(shared.entries)] == shared.entries


def _cut_off(entries: tuple[Entry, ...]) -> bool:
    """Whether a step of the open run has begun and not ended."""
    return any(step.state is StepState.BEGUN for run in runs_of(entries) if run.open for step in run.steps)


def _signature(place: Path) -> Signature:
    found = [one.stat() for one in (place, place.with_name(f"{place.name}-wal")) if one.exists()]
    return tuple((one.st_size, one.st_mtime_ns) for one in found)


def _consistent_copy(place: Path, to: Path) -> None:
    """A copy as it is between two transactions, whoever writes meanwhile (SQLite, "Using the Online Backup API").

    The file is opened by SQLite alone: to close any other handle of it would drop SQLite's locks (POSIX).
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(place)) as source,
            contextlib.closing(sqlite3.connect(to)) as target,
        ):
            source.backup(target)
            # A copy has no companions: all of it is in the one file.
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise CoopctlError(f"{place} cannot be copied", why=str(error)) from error


def _remove(place: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        place.with_name(f"{place.name}{suffix}").unlink(missing_ok=True)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
