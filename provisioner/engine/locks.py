"""Pulumi's lock in the state: who holds it, and whether that process is gone.

The lock names a host and a process id and is never given back by a process that was killed. It may be released when its
holder ran on this machine and is gone: no such process, or one that started after the lock was made.
"""

import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime

import psutil

# As the self-managed backends of pulumi 3 print it: "...: created by user@host (pid 123) at 2026-01-31T12:00:00Z".
_HOLDER = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<time>\S+)")
_CLOCK_SLACK_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class LockHolder:
    """Who made a lock, and when."""

    user: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host} since {self.since:%Y-%m-%d %H:%M:%S} UTC"

    @property
    def is_gone(self) -> bool:
        """True only if this machine can tell that the process no longer runs."""
        if self.host != socket.gethostname():
            return False
        try:
            started = psutil.Process(self.pid).create_time()
        except psutil.NoSuchProcess:
            return True
        return started > self.since.timestamp() + _CLOCK_SLACK_SECONDS or _is_zombie(self.pid)


def lock_holders(message: str) -> tuple[LockHolder, ...]:
    """Read the holders out of the CLI's message about a locked stack."""
    return tuple(
        LockHolder(
            user=found["user"],
            host=found["host"],
            pid=int(found["pid"]),
            since=datetime.fromisoformat(found["time"]).astimezone(UTC),
        )
        for found in _HOLDER.finditer(message)
    )


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
