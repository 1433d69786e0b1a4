"""The pulumi CLI is tied to the coopctl that started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from provisioner.engine import leash
from provisioner.engine.cli import PulumiCli
from provisioner.engine.interruption import Interruption
from provisioner.engine.scratch import sweep
from provisioner.errors import Interrupted

OWNER = """
import os, subprocess, sys
command = [sys.executable, "-I", "-S", sys.argv[1], str(os.getpid()), *sys.argv[2:]]
process = subprocess.Popen(command, start_new_session=True)
process.wait()
"""
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda number, frame: (print("asked to stop", flush=True), sys.exit(0)))
print("runs", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_a_killed_owner_makes_the_program_stop_in_its_own_way() -> None:
    command = [sys.executable, "-c", OWNER, leash.__file__, sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "runs\n"

        os.kill(owner.pid, signal.SIGKILL)

        assert owner.stdout.readline() == "asked to stop\n"


def test_a_program_whose_owner_is_already_gone_is_not_started() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", leash.__file__, "1", "/bin/echo", "ran"], capture_output=True, check=False
    )

    assert (done.returncode, done.stdout) == (130, b"")


def test_nothing_is_started_after_a_signal(tmp_path: Path) -> None:
    interruption = Interruption()
    interruption.interrupt()

    with pytest.raises(Interrupted):
        PulumiCli(executable=Path("/bin/false"), interruption=interruption).run([], str(tmp_path), {})


def test_the_callers_pulumi_settings_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "file:///elsewhere")
    program = tmp_path / "show"
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)

    result = PulumiCli(executable=program, interruption=Interruption()).run([], str(tmp_path), {"PULUMI_HOME": "/h"})

    assert "PULUMI_HOME=/h" in result.stdout
    assert "elsewhere" not in result.stdout


def test_what_the_program_leaves_among_temporary_files_goes_with_it(tmp_path: Path) -> None:
    program = tmp_path / "leaving"
    program.write_text('#!/bin/sh\ntouch "$TMPDIR/kubeconfig1"\nls -a "$TMPDIR"\n')
    program.chmod(0o755)

    result = PulumiCli(executable=program, interruption=Interruption()).run([], str(tmp_path), {})

    assert "kubeconfig1" in result.stdout
    assert list(tmp_path.rglob("kubeconfig1")) == []


def test_a_killed_coopctls_temporary_files_stay_while_its_program_lives_and_go_with_the_next(tmp_path: Path) -> None:
    program = tmp_path / "working"
    program.write_text('#!/bin/sh\ntrap "" INT\ntouch "$TMPDIR/kubeconfig1"\necho $$ > pid\nexec sleep 60\n')
    program.chmod(0o755)
    code = (
        "import sys; from pathlib import Path; from provisioner.engine.cli import PulumiCli;"
        "from provisioner.engine.interruption import Interruption;"
        "PulumiCli(executable=Path(sys.argv[1]), interruption=Interruption()).run([], sys.argv[2], {})"
    )
    coopctl = subprocess.Popen([sys.executable, "-c", code, str(program), str(tmp_path)])
    pid = _written(tmp_path / "pid")
    coopctl.kill()
    coopctl.wait()

    sweep(tmp_path)
    kept = list(tmp_path.rglob("kubeconfig1"))
    os.kill(pid, signal.SIGKILL)
    while _runs(pid):
        time.sleep(0.02)
    sweep(tmp_path)

    assert len(kept) == 1
    assert list(tmp_path.rglob("kubeconfig1")) == []


def _written(file: Path) -> int:
    deadline = time.monotonic() + 20
    while not (file.exists() and file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(file.read_text())


def test_a_second_signal_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    interruption = Interruption()
    program = tmp_path / "stubborn"
    program.write_text("#!/bin/sh\ntrap '' INT\nsleep 60 &\necho $! > child\nwait\nsleep 60\n")
    program.chmod(0o755)
    cli = PulumiCli(executable=program, interruption=interruption)

    with _twice_interrupted(interruption, when=tmp_path / "child"), pytest.raises(Interrupted):
        cli.run([], str(tmp_path), {})

    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    # A kill is carried out when the kernel next runs the process.
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


class _twice_interrupted:  # noqa: N801 - reads as a sentence where it is used
    def __init__(self, interruption: Interruption, *, when: Path) -> None:
        import threading

        self._thread = threading.Thread(target=self._run, args=(interruption, when))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    @staticmethod
    def _run(interruption: Interruption, when: Path) -> None:
        import time

        while not when.exists() or not when.read_text().strip():
            time.sleep(0.02)
        interruption.interrupt()
        time.sleep(0.2)
        interruption.interrupt()
