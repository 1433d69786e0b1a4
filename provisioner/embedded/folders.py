"""The embedded platform's folders on this machine: whose they are, who may pass through, and whether there is room."""

import hashlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path

from provisioner.descriptor.endpoints import EmbeddedFiles
from provisioner.embedded.private_files import private_folder
from provisioner.errors import CoopctlError, NotPermitted, refused_by_system

# Below the first figure nothing is started: a database that cannot write stops in the middle of its work.
LEAST_FREE_BYTES = 1024**3
_PASSABLE = 0o011
_HASH_DIGITS = 10


def run_folder(root: Path) -> Path:
    """Where the sockets of the embedded platform in ``root`` are: a short path that a reboot empties.

    A socket's path holds at most 107 bytes (unix(7)), fewer than many an estate's own path.
    """
    short = hashlib.sha256(str(root).encode()).hexdigest()[:_HASH_DIGITS]
    if os.geteuid() == 0:
        return Path("/run/coopctl") / short
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir():
        return Path(base) / "coopctl" / short
    return Path(tempfile.gettempdir()) / f"coopctl-{os.geteuid()}" / short


def make_run_folder(run: Path) -> None:
    """Make the folder that run_folder names; as root it can be passed by the servers' accounts."""
    private_folder(run.parent, mode=0o755)
    private_folder(run, mode=0o755)
    for folder in (run.parent, run):
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise NotPermitted(f"{folder} belongs to somebody else", hint="set XDG_RUNTIME_DIR to a folder of your own")


def make_root(files: EmbeddedFiles) -> None:
    """Make the platform's folder; as root, let the servers' accounts pass through it (never read it)."""
    require_own(files.root)
    (files.root / "data").mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for folder in (files.root.parent, files.root, files.root / "data"):
            folder.chmod(folder.stat().st_mode | _PASSABLE)


def require_own(root: Path) -> None:
    """Raise NotPermitted if ``root`` exists and another user's coopctl made it: its processes would be out of reach."""
    if root.exists() and root.stat().st_uid != os.geteuid():
        owner = _name(root.stat().st_uid)
        raise NotPermitted(
            f"the embedded platform in {root} belongs to {owner}",
            why="its processes and files can only be managed by that user",
            hint=f"run this as {owner}",
        )


def require_room(folder: Path, *, free: int | None = None) -> None:
    """Raise CoopctlError if less than LEAST_FREE_BYTES are free at ``folder`` (``free`` is asked of the system)."""
    available = shutil.disk_usage(folder).free if free is None else free
    if available < LEAST_FREE_BYTES:
        raise CoopctlError(
            f"the disk is nearly full: {in_words(available)} are free at {folder}",
            why=f"the embedded platform starts only with {in_words(LEAST_FREE_BYTES)}: a full disk stops databases",
            hint="free some space, or move the estate to another disk",
        )


def size(folder: Path) -> int:
    """The bytes on disk of all files below ``folder``."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(path) / name).lstat().st_blocks * 512
            except OSError:
                continue  # a file that has just been removed takes no room
    return total


def in_words(amount: int) -> str:
    """Bytes for people: 3.4 GiB."""
    number = float(amount)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def delete(folder: Path) -> None:
    """Delete ``folder`` with all that is in it; raises CoopctlError that names what could not be deleted."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused_by_system(error, f"{error.filename or folder} cannot be deleted") from error


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
