"""SIGINT and SIGTERM while stacks are being worked on: once is a request to stop, twice is an order.

1. The first signal goes to every running pulumi CLI: it finishes the operations in flight, saves the state and releases
   its lock. No further stack is begun.
2. The second one ends the CLIs and their providers at once. Operations in flight stay pending in the state; the
   next apply looks at them again.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType

from provisioner.engine.leftovers import end_session
from provisioner.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(kw_only=True)
class Interruption:
    """What was asked of this process by signals so far, and the CLIs that have to know; shared between threads."""

    signals: int = 0
    on_first: Callable[[], None] = lambda: None
    _running: set[int] = field(default_factory=set)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def check(self) -> None:
        """Raise Interrupted if a signal has come: nothing new is begun after it."""
        if self.signals:
            raise Interrupted("interrupted before this was begun")

    @contextlib.contextmanager
    def forwarded_to(self, pid: int) -> Iterator[None]:
        """Pass signals on to the CLI ``pid`` for as long as the block runs."""
        with self._lock:
            self._running.add(pid)
            if self.signals:
                _interrupt(pid)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(pid)

    @contextlib.contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Take over SIGINT and SIGTERM (main thread only) while the block runs."""
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal's signature
        self.interrupt()

    def interrupt(self) -> None:
        """Do what the first, or any later, signal asks for."""
        with self._lock:
            self.signals += 1
            running = tuple(self._running)
        if self.signals == 1:
            self.on_first()
        for pid in running:
            if self.signals == 1:
                _interrupt(pid)
            else:
                end_session(pid)


def _interrupt(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
