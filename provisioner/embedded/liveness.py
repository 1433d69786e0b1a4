"""Which process is ours: the record written at its start, and how a pid is told from a later one with its number.

A pid alone proves nothing: numbers are used again. A record therefore holds the start time as the kernel counts
it (ticks since boot, with the boot's id), which no clock change moves. Every process also carries two marks in
its environment, so that one that was started just before coopctl was killed, and never recorded, is found again.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

MARK_ROOT = "COOPCTL_EMBEDDED_ROOT"
MARK_PROCESS = "COOPCTL_EMBEDDED_PROCESS"
MARK_PROGRAM = "COOPCTL_EMBEDDED_PROGRAM"

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DEAD_STATES = {"Z", "X"}


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is kept of a started process, enough to find and to stop it without knowing its specification."""

    name: str
    pid: int
    birth: str
    digest: str
    argv: tuple[str, ...]
    log: str
    depends_on: tuple[str, ...]
    stop_signal: int
    stop_timeout_seconds: float


def birth(pid: int) -> str | None:
    """When the process ``pid`` was started, as a text that no other process shares; None if it does not run."""
    stat = Path("/proc") / str(pid) / "stat"
    if not _BOOT_ID.exists():
        return _birth_elsewhere(pid)
    try:
        # proc(5): the command in parentheses may hold spaces and parentheses; what follows the last one is fixed.
        fields = stat.read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The first thread may be dead while others still hold the process's ports.
    if fields[0] in _DEAD_STATES and int(fields[17]) <= 1:
        return None
    return f"{_BOOT_ID.read_text().strip()}:{fields[19]}"


def _birth_elsewhere(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.Error:
        return None


def lives(record: Record) -> bool:
    """Whether the very process of ``record`` still runs."""
    return birth(record.pid) == record.birth


def mark_of(pid: int) -> tuple[Path, str] | None:
    """The embedded platform's folder and the process name that ``pid`` carries, if it is one of a coopctl.

    Marks are inherited. A helper that is another program (containerd's shims, which must outlive it) is not the
    process; only the program that was started counts.
    """
    try:
        process = psutil.Process(pid)
        environment = process.environ()
        if MARK_ROOT not in environment or process.exe() != environment.get(MARK_PROGRAM):
            return None
    except (psutil.Error, OSError):
        return None
    return Path(environment[MARK_ROOT]), environment.get(MARK_PROCESS, "")


def marks(*, root: Path, name: str, program: str) -> dict[str, str]:
    """The environment variables that mark the process ``name`` of the embedded platform in ``root``."""
    return {MARK_ROOT: str(root), MARK_PROCESS: name, MARK_PROGRAM: os.path.realpath(program)}


def marked(root: Path) -> Iterator[tuple[str, int]]:
    """Name and pid of the processes that bear the marks of ``root``, without those that such a process started."""
    found = {pid: mark[1] for pid in psutil.pids() if (mark := mark_of(pid)) and mark[0] == root}
    for pid, name in found.items():
        if pid != os.getpid() and _parent(pid) not in found and birth(pid):
            yield name, pid


def _parent(pid: int) -> int | None:
    try:
        return psutil.Process(pid).ppid()
    except psutil.Error:
        return None


class Records:
    """The records of one embedded platform, one file a process, replaced whole so that none is ever half written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> dict[str, Record]:
        """Every record by name; a damaged file counts as absent: the marks find its process."""
        found = (self._read(path) for path in sorted(self._folder.glob("*.json")))
        return {record.name: record for record in found if record}

    def write(self, record: Record) -> None:
        """Keep ``record``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._path(record.name).with_suffix(".new")
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n")
        temporary.replace(self._path(record.name))

    def remove(self, name: str) -> None:
        """Forget the record of ``name``."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    @staticmethod
    def _read(path: Path) -> Record | None:
        try:
            content = json.loads(path.read_text())
            lists = {name: tuple(content[name]) for name in ("argv", "depends_on")}
            return Record(**{**content, **lists})
        except (OSError, ValueError, TypeError, KeyError):
            return None
