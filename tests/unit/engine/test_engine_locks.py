"""Whether the process that made a lock is gone can only be told on the machine that it ran on."""

import os
import socket
import subprocess
from datetime import UTC, datetime, timedelta

import psutil

from provisioner.engine.locks import LockHolder, lock_holders

MESSAGE = (
    "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete\n"
    "  file:///s/.pulumi/locks/organization/coopctl/k1/67.json?no_tmp_dir=true: "
    "created by root@vm (pid 10389) at 2026-11-24T03:55:08Z"
)


def test_holders_are_read_from_the_message() -> None:
    assert lock_holders(MESSAGE) == (
        LockHolder(user="root", host="vm", pid=10389, since=datetime(2026, 11, 24, 3, 55, 8, tzinfo=UTC)),
    )


def test_a_message_without_holders_names_none() -> None:
    assert lock_holders("error: something else") == ()


def test_a_living_process_is_not_gone() -> None:
    since = datetime.fromtimestamp(psutil.Process().create_time(), tz=UTC) + timedelta(seconds=1)

    assert not holder(pid=os.getpid(), since=since).is_gone


def test_an_ended_process_is_gone() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert holder(pid=ended.pid, since=datetime.now(UTC)).is_gone


def test_a_process_that_began_after_the_lock_was_made_is_another_one() -> None:
    since = datetime.fromtimestamp(psutil.Process().create_time(), tz=UTC) - timedelta(hours=1)

    assert holder(pid=os.getpid(), since=since).is_gone


def test_a_process_on_another_machine_is_never_taken_for_gone() -> None:
    assert not holder(pid=1, since=datetime.now(UTC), host="elsewhere").is_gone


def holder(*, pid: int, since: datetime, host: str | None = None) -> LockHolder:
    return LockHolder(user="root", host=host or socket.gethostname(), pid=pid, since=since)
