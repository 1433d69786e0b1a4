"""One coopctl works on a stack at a time: the lease, a file lock that ends with its holder.

1. Take the lease, or say who holds it. The kernel gives it back when its holder dies, however it dies.
2. Whoever holds it finds what a killed holder left running (by the stack's mark) and ends it.

Pulumi's own lock (in the state, so that it also holds between machines) stays in force beside it, see
provisioner.engine.locks.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from provisioner.engine.leftovers import end_leftovers
from provisioner.errors import StackLocked

MARK = "COOPCTL_STACK_FOLDER"
# It stays when the lease is given back: a folder without it was never worked on.
LEASE_FILE = "lease"


def mark_of(folder: Path) -> Mapping[str, str]:
    """The environment variable that tells processes of the lease's holder."""
    return {MARK: str(folder)}


@contextlib.contextmanager
def leased(folder: Path, *, stack: str, say: Callable[[str], None]) -> Iterator[Mapping[str, str]]:
    """Hold the lease of ``stack`` while the block runs; gives the mark for what is started in it.

    ``say`` is told of leftovers that were ended. Raises StackLocked if a living process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LEASE_FILE).open("a+") as lease:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lease.seek(0)
            holder = lease.read().strip() or "?"
            raise StackLocked(f"{stack} is being worked on by process {holder}") from error
        _sign(lease)
        mark = mark_of(folder)
        if ended := end_leftovers(mark):
            say(f"ended what an earlier coopctl left running on {stack}: process {', '.join(map(str, ended))}")
        yield mark


def _sign(lease: IO[str]) -> None:
    lease.truncate(0)
    lease.write(f"{os.getpid()}\n")
    lease.flush()
