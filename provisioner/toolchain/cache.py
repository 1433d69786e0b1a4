"""The per-user cache of built tools: one folder a build, named by what it was made from, there whole or not at all.

<root>/etcd-2f6c…/bin/etcd       a finished build
<root>/.etcd-2f6c….x7f3/         one being made; whoever holds its lock next removes it
<root>/locks/etcd-2f6c….lock     held (flock) by the process that makes it, and by the compiler it started
<root>/logs/etcd.log             what the last build said
"""

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import DiskFull, disk_full, refused_by_system

_POLL_SECONDS = 0.3
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOENT}


def default_cache(environment: Mapping[str, str]) -> Path:
    """The user's own cache: $XDG_CACHE_HOME/coopctl/toolchain (XDG Base Directory: relative values are ignored)."""
    configured = Path(environment.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    return base / "coopctl" / "toolchain"


@dataclass(frozen=True, kw_only=True)
class Cache:
    """The cache at ``root``; a key names one build."""

    root: Path

    def folder(self, key: str) -> Path:
        """Where the finished build ``key`` is, or would be."""
        return self.root / key

    def log(self, name: str) -> Path:
        """The file for what a build of ``name`` says; its folder is made."""
        with translated(self.root):
            (self.root / "logs").mkdir(parents=True, exist_ok=True)
        return self.root / "logs" / f"{name}.log"

    @contextlib.contextmanager
    def lock(self, key: str, *, waiting: Callable[[], None]) -> Iterator[int]:
        """Hold the lock of ``key``; ``waiting`` is called once if somebody else holds it.

        Gives the lock's file descriptor: a child that inherits it keeps the lock for as long as it lives.
        """
        with translated(self.root):
            locks = self.root / "locks"
            locks.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(locks / f"{key}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _taken(descriptor):
                waiting()
                while not _taken(descriptor):
                    time.sleep(_POLL_SECONDS)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def staging(self, key: str) -> Iterator[Path]:
        """An empty folder on the cache's own disk, gone at the end; only for the holder of the lock of ``key``."""
        for leftover in self.root.glob(f".{key}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with translated(self.root):
            folder = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=self.root))
            folder.chmod(0o755)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, made: Path, *, key: str, staging: Path) -> None:
        """Move the finished folder ``made`` to its place; what was there (a damaged build) makes way."""
        with translated(self.root):
            _write_through(made)
            place = self.folder(key)
            if place.exists():
                place.replace(staging / "replaced")
            made.replace(place)


@contextlib.contextmanager
def translated(root: Path) -> Iterator[None]:
    """Turn failures of the file system below ``root`` into CoopctlErrors with a remedy."""
    try:
        yield
    except OSError as error:
        if disk_full(error):
            hint = "free some space, or set XDG_CACHE_HOME to a folder on another disk"
            raise DiskFull(f"the disk is full: {root}", hint=hint) from error
        if error.errno in _NOT_WRITABLE:
            hint = "set XDG_CACHE_HOME to a folder of your own that can be written"
            raise refused_by_system(error, f"the tools' cache {root} cannot be written", hint=hint) from error
        raise


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_through(folder: Path) -> None:
    # After a power cut a name must not stand for an empty file.
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
