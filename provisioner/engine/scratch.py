"""Folders that live as long as what works in them: an empty state to preview in, the CLI's temporary files.

Each is held by a file lock, which the kernel gives back when its holder dies, however it dies. So what a killed plan
left is told from what a living one works in, and the next plan or apply takes it away.
"""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".plan-"
_OWNER = "owner"
_LOCK = ".plans"


@contextlib.contextmanager
def scratch_folder(work: Path) -> Iterator[Path]:
    """A new folder below ``work``, gone when the block ends."""
    with held_folder(work) as (folder, _):
        yield folder


@contextlib.contextmanager
def held_folder(work: Path) -> Iterator[tuple[Path, int]]:
    """As `scratch_folder`, and the descriptor by which it is held: a process that inherits it holds the folder too."""
    with contextlib.ExitStack() as held:
        # Looking for leftovers must not come between making a folder and locking it.
        with _alone(work):
            _sweep(work)
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=work))
            owner = held.enter_context((folder / _OWNER).open("w"))
            fcntl.flock(owner, fcntl.LOCK_EX)
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder, owner.fileno()


def sweep(work: Path) -> None:
    """Take away the folders below ``work`` that killed plans left."""
    if any(work.glob(f"{_PREFIX}*")):
        with _alone(work):
            _sweep(work)


def _sweep(work: Path) -> None:
    for folder in work.glob(f"{_PREFIX}*"):
        if _is_left_over(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_left_over(folder: Path) -> bool:
    try:
        with (folder / _OWNER).open("r+") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        # Cut off before it was locked; nobody else is between the two now.
        return True
    return True


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    work.mkdir(parents=True, exist_ok=True)
    with (work / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
