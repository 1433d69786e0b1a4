"""Starts, watches and stops the embedded platform's processes.

1. ``start`` takes specifications in any order. A process that already runs as specified is left alone; one that runs
   otherwise is stopped first; the others are started as soon as what they depend on is ready.
2. Each is recorded at once. Cut off in between, the marks in its environment still identify it.
3. ``stop`` works from the records alone: dependents first, the specified signal, then SIGKILL after its time.

Nothing is ever signalled whose pid and start time do not match a record, or whose marks are not this platform's.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.embedded import ports
from provisioner.embedded.launching import digest, launch
from provisioner.embedded.liveness import Record, Records, birth, lives, marked
from provisioner.embedded.process import ProcessSpec, Report
from provisioner.errors import CoopctlError, TimedOut

_POLL_SECONDS = 0.05
_TAIL_LINES = 12
_UNRECORDED_STOP_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class ProcessState:
    """One process as it is now: ``ready`` means that its probe succeeded."""

    name: str
    pid: int | None
    ready: bool
    log: Path


class Supervisor:
    """The processes of one embedded platform, whose folder is ``root`` (absolute)."""

    def __init__(self, root: Path, *, report: Report) -> None:
        self._root = root
        self._records = Records(root / "processes")
        self._report = report

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the platform's lock; waits for another coopctl that holds it, and says so."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._report("waiting for another `coopctl dev` on this estate")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def running(self) -> dict[str, Record]:
        """What runs now, by name: recorded processes that live, and unrecorded ones found by their marks."""
        living = {name: record for name, record in self._records.all().items() if lives(record)}
        known = {record.pid for record in living.values()}
        for name, pid in marked(self._root):
            born = birth(pid)
            if pid not in known and born:
                free_name = f"{name} ({pid})" if name in living else name
                living[free_name] = self._adopted(free_name, pid=pid, born=born)
        return living

    def states(self, specs: Iterable[ProcessSpec]) -> tuple[ProcessState, ...]:
        """How each of ``specs`` is now."""
        running = self.running()
        return tuple(
            ProcessState(
                name=spec.name,
                pid=running[spec.name].pid if spec.name in running else None,
                ready=spec.name in running and spec.ready.check(),
                log=spec.log,
            )
            for spec in specs
        )

    def start(self, specs: Sequence[ProcessSpec]) -> tuple[str, ...]:
        """Bring all of ``specs`` to readiness; returns the names of those that had to be started.

        Raises CoopctlError if one ends or cannot start, TimedOut if one is not ready in its time; the others stay.
        """
        ordered = in_order(specs)
        running = self._without_outdated(ordered)
        started: list[str] = []
        deadlines: dict[str, float] = {}
        ready: set[str] = set()
        while len(ready) < len(ordered):
            for spec in ordered:
                if spec.name in ready or not ready.issuperset(spec.depends_on):
                    continue
                if spec.name not in running or _ended_meanwhile(spec, running=running, started=started):
                    running[spec.name] = self._launch(spec)
                    started.append(spec.name)
                deadline = deadlines.setdefault(spec.name, time.monotonic() + spec.start_timeout_seconds)
                if _is_ready(spec, record=running[spec.name], deadline=deadline):
                    ready.add(spec.name)
                    if spec.name in started:
                        self._report(f"{spec.name} is ready")
            if len(ready) < len(ordered):
                time.sleep(_POLL_SECONDS)
        return tuple(started)

    def stop(self, *, keep: Iterable[str] = ()) -> tuple[str, ...]:
        """Stop what runs but is not in ``keep``, dependents first; returns their names."""
        kept = set(keep)
        leaving = {name: record for name, record in self.running().items() if name not in kept}
        stopped = tuple(leaving)
        deadlines: dict[str, float] = {}
        while leaving:
            for record in _free_to_stop(leaving):
                if not lives(record):
                    self._records.remove(leaving.pop(record.name).name)
                    continue
                self._signal(record, deadlines=deadlines)
            if leaving:
                time.sleep(_POLL_SECONDS)
        for name in self._records.all().keys() - kept:
            self._records.remove(name)
        return stopped

    def _signal(self, record: Record, *, deadlines: dict[str, float]) -> None:
        if record.name not in deadlines:
            self._report(f"stopping {record.name}")
            deadlines[record.name] = time.monotonic() + record.stop_timeout_seconds
            _send(record, signal.Signals(record.stop_signal))
        elif time.monotonic() > deadlines[record.name]:
            self._report(f"{record.name} does not stop: killing it")
            deadlines[record.name] = time.monotonic() + record.stop_timeout_seconds
            _send(record, signal.SIGKILL)

    def _without_outdated(self, specs: Sequence[ProcessSpec]) -> dict[str, Record]:
        """What runs as specified; what runs otherwise (an older version, other settings) is stopped first."""
        running = self.running()
        wanted = {spec.name: digest(spec) for spec in specs}
        current = {name: record for name, record in running.items() if record.digest == wanted.get(name)}
        if len(current) < len(running):
            self._report(
                f"stopping what runs with other settings: {', '.join(sorted(running.keys() - current.keys()))}"
            )
            self.stop(keep=current)
        return current

    def _launch(self, spec: ProcessSpec) -> Record:
        ports.require_free(spec.ports, process=spec.name)
        if spec.before_start:
            spec.before_start()
        self._report(f"starting {spec.name}")
        record = launch(spec, root=self._root)
        self._records.write(record)
        return record

    def _adopted(self, name: str, *, pid: int, born: str) -> Record:
        return Record(
            name=name,
            pid=pid,
            birth=born,
            digest="",
            argv=(),
            log="",
            depends_on=(),
            stop_signal=int(signal.SIGTERM),
            stop_timeout_seconds=_UNRECORDED_STOP_SECONDS,
        )


def in_order(specs: Sequence[ProcessSpec]) -> tuple[ProcessSpec, ...]:
    """``specs`` with every process after what it depends on; a missing or circular dependency is a ValueError."""
    left = {spec.name: spec for spec in specs}
    ordered: list[ProcessSpec] = []
    while left:
        names = {spec.name for spec in ordered}
        free = [spec for spec in left.values() if names.issuperset(spec.depends_on)]
        if not free:
            raise ValueError(f"unknown or circular dependencies among {sorted(left)}")
        ordered += free
        left = {name: spec for name, spec in left.items() if spec not in free}
    return tuple(ordered)


def log_tail(path: Path, *, lines: int = _TAIL_LINES) -> str:
    """The last ``lines`` of a log, or a word about its absence."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 64 * 1024))
            text = log.read().decode(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(its log is empty)"


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Wait until ``condition`` holds, at most ``seconds``; whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _ended_meanwhile(spec: ProcessSpec, *, running: dict[str, Record], started: list[str]) -> bool:
    """Whether a process that ran before has ended by now, as one does that was being killed when we looked."""
    return spec.name not in started and not lives(running[spec.name])


def _is_ready(spec: ProcessSpec, *, record: Record, deadline: float) -> bool:
    # Alive before and after the probe: another program may answer where ours has just ended.
    answered = lives(record) and spec.ready.check()
    if not lives(record):
        raise CoopctlError(f"{spec.name} ended while starting", why=_quote(spec), hint=f"its log is {spec.log}")
    if not answered and time.monotonic() > deadline:
        raise TimedOut(
            f"{spec.name} is not ready after {spec.start_timeout_seconds:.0f} seconds (waiting for"
            f" {spec.ready.description})",
            why=_quote(spec),
            hint=f"its log is {spec.log}; run `coopctl dev up` again to wait longer",
        )
    return answered


def _quote(spec: ProcessSpec) -> str:
    return f"the last lines of its log:\n{log_tail(spec.log)}"


def _free_to_stop(leaving: dict[str, Record]) -> list[Record]:
    needed = {name for record in leaving.values() for name in record.depends_on}
    # A circle cannot be stopped in order; it cannot be started either, but records may be of different versions.
    return [record for name, record in leaving.items() if name not in needed] or list(leaving.values())


def _send(record: Record, number: signal.Signals) -> None:
    if lives(record):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, number)
