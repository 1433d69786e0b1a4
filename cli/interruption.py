"""SIGTERM treated as Ctrl-C, in every command: whichever comes, work ends in an orderly way and the exit code is 12.

Commands that work on stacks take both signals over while they do (provisioner.engine.interruption); all else, also what
those do before and after, is plain Python that an exception ends: files are closed, scratch folders and children go.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_SECONDS = 0.02
# Where subprocess waits for a child and ends it if that is interrupted.
_WAITING = frozenset({"communicate", "wait"})


@contextmanager
def terminating_as_interrupting() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGINT raise KeyboardInterrupt in the main thread; an ignored SIGINT stays."""
    previous = {signal.SIGTERM: signal.signal(signal.SIGTERM, _interrupt)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        previous[signal.SIGINT] = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt, but not where a child was started that nobody would end: then the signal comes again."""
    if _starts_a_child(frame):
        threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()
        return
    raise KeyboardInterrupt


def _starts_a_child(frame: FrameType | None) -> bool:
    starts = False
    while frame is not None:
        if frame.f_code.co_filename == subprocess.__file__:
            if frame.f_code.co_name in _WAITING:
                return False
            starts = True
        frame = frame.f_back
    return starts
