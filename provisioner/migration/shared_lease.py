"""The lease of a migration in a state that machines share: one works on it, and whoever lost it stops.

1. `taken` reads the head. Held, and younger than its term, it is refused: the holder is named. Else the head is
   exchanged for one with this process in it; of two who try, one is refused.
2. A thread renews it. What is recorded goes the same way: each commit exchanges the head for the next one. Whoever was
   taken for dead finds another head there, and has nothing committed: that is the fence, no clock is needed for it.
3. Long work looks at `signals`: once the term may be over, somebody else may have begun, and it ends.
4. At the end the head names nobody. After a kill it goes on naming who is dead, for a term.

How old a head is says the server's clock alone (provisioner.datastore.shared_records).
"""

import contextlib
import getpass
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from provisioner.datastore.shared_records import Seen, SharedRecords
from provisioner.errors import CoopctlError, MigrationLocked
from provisioner.migration.shared_head import Head, Holder, SharedFile, read_head

TERM_SECONDS = 60.0
RENEWALS = 4
# Whoever holds it must be sooner sure of having lost it than anybody else is.
MARGIN_SECONDS = 5.0


class Lease:
    """The lease that this process holds. Its methods may be called by several threads.

    All raise Unreachable, NotPermitted or CoopctlError, and MigrationLocked once another process has taken over.
    """

    def __init__(self, records: SharedRecords, *, path: str, head: Head, tag: str, sent: float) -> None:
        self._records = records
        self._path = path
        self._head = head
        self._tag = tag
        self._sent = sent
        self._lost: MigrationLocked | None = None
        self._changing = threading.Lock()

    @property
    def head(self) -> Head:
        """What was committed last."""
        return self._head

    @property
    def signals(self) -> int:
        """1 once another process may work on the migration (provisioner.datastore.stopping.Stopping)."""
        over = time.monotonic() > self._sent + self._head.seconds - MARGIN_SECONDS
        return int(self._lost is not None or over)

    def forwarded_to(self, pid: int) -> AbstractContextManager[object]:
        """Programs are ended by who started them."""
        return contextlib.nullcontext(pid)

    def require_held(self) -> None:
        """Raise MigrationLocked if another process has taken over. A term that may be over is begun anew."""
        if self._lost is not None:
            raise self._lost
        if self.signals:
            self.renew()

    def renew(self) -> None:
        """Begin the term anew."""
        self._exchange(lambda head: replace(head, expires=_expires(head.seconds)))

    def commit(self, files: Mapping[str, SharedFile], *, entries: int) -> None:
        """Make these files the migration's, and begin the term anew."""
        self._exchange(lambda head: replace(head, files=dict(files), entries=entries, expires=_expires(head.seconds)))

    def release(self) -> None:
        """Let others in."""
        self._exchange(lambda head: replace(head, holder=None, expires=None))

    def _exchange(self, change: Callable[[Head], Head]) -> None:
        with self._changing:
            if self._lost is not None:
                raise self._lost
            sent, turned = time.monotonic(), change(self._head).turned()
            tag = self._records.swap(self._path, turned.to_bytes(), seen=self._tag)
            if tag is None:
                self._lost = self._taken_over()
                raise self._lost
            self._head, self._tag, self._sent = turned, tag, sent

    def _taken_over(self) -> MigrationLocked:
        found = self._records.look(self._path)
        holder = read_head(found.content, where=self._path).holder if found else None
        return MigrationLocked(
            f"{holder or 'another process'} has taken over the migration {self._head.migration}",
            why="the lease was not renewed in time: what this process did since is not recorded",
            hint="nothing is to be mended: whoever has taken over looks at the world, and goes on",
        )


@contextlib.contextmanager
def taken(records: SharedRecords, *, path: str, migration: str, term_seconds: float = TERM_SECONDS) -> Iterator[Lease]:
    """Hold the lease whose head is the record ``path`` while the block runs.

    Raises MigrationLocked, with the holder, while another process has it, and what `SharedRecords` raise.
    """
    seen = records.look(path)
    head = read_head(seen.content, where=path) if seen else Head(migration=migration)
    _require_free(head, seen)
    own = replace(head, holder=_holder(), seconds=term_seconds, expires=_expires(term_seconds)).turned()
    sent = time.monotonic()
    tag = records.swap(path, own.to_bytes(), seen=seen.tag if seen else None)
    if tag is None:
        raise MigrationLocked(f"another process has begun to work on the migration {migration} at this moment")
    lease = Lease(records, path=path, head=own, tag=tag, sent=sent)
    try:
        with _renewed(lease, every=term_seconds / RENEWALS):
            yield lease
    finally:
        # Where that does not go it ends by itself.
        with contextlib.suppress(CoopctlError):
            lease.release()


def _require_free(head: Head, seen: Seen | None) -> None:
    if seen is None or head.holder is None or seen.age_seconds >= head.seconds:
        return
    left = head.seconds - seen.age_seconds
    raise MigrationLocked(
        f"the migration {head.migration} is being worked on by {head.holder}",
        why=f"its lease was renewed {seen.age_seconds:.0f} s ago, and holds for {head.seconds:.0f} s",
        hint=f"wait for it and try again; should it be dead, its lease ends by itself in {left:.0f} s",
    )


@contextlib.contextmanager
def _renewed(lease: Lease, *, every: float) -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=_renew, args=(lease, done), kwargs={"every": every}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _renew(lease: Lease, done: threading.Event, *, every: float) -> None:
    """A server that does not answer is asked again; who has lost the lease is told so by the next step."""
    while not done.wait(every):
        with contextlib.suppress(CoopctlError):
            lease.renew()


def _holder() -> Holder:
    return Holder(id=secrets.token_hex(16), host=socket.gethostname(), pid=os.getpid(), user=_user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _expires(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)
