"""Finds and ends what a killed coopctl left running: pulumi CLIs and providers that bear a stack's mark.

The mark is an environment variable with the stack's working directory, set only for operations that hold the stack's
lease. Whoever holds the lease may end all that bears it: its owner is gone. A process id alone would not tell, ids are
used again.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping

import psutil

GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.1


def marked_processes(mark: Mapping[str, str]) -> list[psutil.Process]:
    """All living processes of this user whose environment holds ``mark``; never this process itself."""
    return [process for process in _others() if _bears(process, mark)]


def end_session(session: int) -> None:
    """Kill at once all processes of a session: the CLI puts its providers into process groups of their own."""
    for process in _others():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session:
                process.kill()


def end_leftovers(mark: Mapping[str, str], *, grace_seconds: float = GRACE_SECONDS) -> tuple[int, ...]:
    """End what a killed coopctl left: first let CLIs finish what is in flight, then kill. Returns their process ids."""
    found = marked_processes(mark)
    leaders = [process for process in found if _is_leader(process)]
    for process in leaders:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGINT)
    _wait(leaders, seconds=grace_seconds)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _wait(found, seconds=5.0)
    return tuple(process.pid for process in found)


def _others() -> Iterator[psutil.Process]:
    user = os.getuid()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.uids().real == user:
                yield process


def _bears(process: psutil.Process, mark: Mapping[str, str]) -> bool:
    try:
        environment = process.environ()
        return process.status() != psutil.STATUS_ZOMBIE and mark.items() <= environment.items()
    except psutil.Error:
        return False


def _is_leader(process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def _wait(processes: list[psutil.Process], *, seconds: float) -> None:
    """Wait until none of ``processes`` runs; they are not our children, so they can only be polled."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and any(_runs(process) for process in processes):
        time.sleep(_POLL_SECONDS)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
