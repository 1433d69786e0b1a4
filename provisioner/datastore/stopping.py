"""What long work needs to know of signals: whether to stop, and whom else to tell.

The engine's Interruption fulfils it. The first signal asks for an orderly end: programs get SIGINT, queries are
cancelled, what was begun is taken away. The second one kills the programs; what is taken away then is the same.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from psycopg import errors

from provisioner.datastore.postgres_connection import Connection
from provisioner.errors import Interrupted

WATCH_SECONDS = 0.1
CANCEL_TIMEOUT_SECONDS = 5.0


class Stopping(Protocol):
    """Signals that this process got so far."""

    @property
    def signals(self) -> int:
        """How many there were."""

    def forwarded_to(self, pid: int) -> AbstractContextManager[object]:
        """Pass signals on to the program ``pid``, a session's leader, while the block runs: SIGINT, then SIGKILL."""


class NeverStopped:
    """Fulfils Stopping where nobody sends signals."""

    signals = 0

    def forwarded_to(self, pid: int) -> AbstractContextManager[object]:
        """Nothing is passed on."""
        return contextlib.nullcontext(pid)


def require_going_on(stopping: Stopping) -> None:
    """Raise Interrupted if a signal has come."""
    if stopping.signals:
        raise Interrupted("interrupted while the dump was made", why="nothing is deleted; writes stay stopped")


@contextlib.contextmanager
def cancelling(connection: Connection, *, stopping: Stopping) -> Iterator[None]:
    """Cancel the connection's queries once a signal has come, and raise Interrupted.

    A query blocks this thread and a signal's handler does not end it (PEP 475), so another thread watches.
    """
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(connection, stopping, done), daemon=True)
    watcher.start()
    try:
        yield
    except errors.QueryCanceled:
        require_going_on(stopping)
        raise
    finally:
        done.set()
        watcher.join()
    require_going_on(stopping)


def _watch(connection: Connection, stopping: Stopping, done: threading.Event) -> None:
    while not done.wait(WATCH_SECONDS):
        if stopping.signals:
            with contextlib.suppress(Exception):
                connection.cancel_safe(timeout=CANCEL_TIMEOUT_SECONDS)
