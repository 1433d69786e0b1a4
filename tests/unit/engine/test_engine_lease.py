"""One coopctl works on a stack at a time, and ends what a killed one left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from provisioner.engine.lease import leased, mark_of
from provisioner.engine.leftovers import end_leftovers, marked_processes
from provisioner.errors import StackLocked

HOLD = """
import sys, time
from pathlib import Path
from provisioner.engine.lease import leased
with leased(Path(sys.argv[1]), stack="rice", say=print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_coopctl_is_told_who_holds_the_lease(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        with pytest.raises(StackLocked, match=f"process {holder.pid}"), leased(tmp_path, stack="rice", say=print):
            pass

        holder.kill()
    with leased(tmp_path, stack="rice", say=print) as mark:
        assert mark == mark_of(tmp_path)


def test_what_a_killed_coopctl_left_running_is_ended_with_a_message(tmp_path: Path) -> None:
    leftover = subprocess.Popen(["sleep", "60"], env={**os.environ, **mark_of(tmp_path)}, start_new_session=True)
    said: list[str] = []

    with leased(tmp_path, stack="rice", say=said.append):
        assert leftover.wait(timeout=5) != 0

    assert said == [f"ended what an earlier coopctl left running on rice: process {leftover.pid}"]


def test_processes_of_another_stack_are_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, **mark_of(tmp_path / "other")}, start_new_session=True)
    try:
        with leased(tmp_path, stack="rice", say=print):
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_leftover_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    stubborn = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(2, 1 and signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
        ],
        env={**os.environ, **mark_of(tmp_path)},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    began = time.monotonic()

    assert end_leftovers(mark_of(tmp_path), grace_seconds=0.3) == (stubborn.pid,)

    assert stubborn.wait(timeout=5) == -9
    assert time.monotonic() - began < 5
    stubborn.stdout.close()


def test_this_process_is_never_taken_for_a_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in mark_of(tmp_path).items():
        monkeypatch.setenv(name, value)

    assert psutil.Process() not in marked_processes(mark_of(tmp_path))
