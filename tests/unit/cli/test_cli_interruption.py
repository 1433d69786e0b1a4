"""A signal ends every command in an orderly way: exit code 12, one message, no traceback, nothing left running."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from provisioner.errors import ExitCode

PILOT = Path(__file__).parents[3] / "examples" / "pilot"
COOPCTL = (sys.executable, "-c", "from cli.main import main; main()")
SAID = "error: interrupted\nhint: run the same command to go on"


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """The pilot estate, whose platform's ports are read from a pipe: whoever reads them waits for the test."""
    root = tmp_path / "estate"
    shutil.copytree(PILOT, root, ignore=shutil.ignore_patterns(".coopctl"))
    folder = root / ".coopctl" / "embedded"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "endpoints.json")
    return root


def start(*arguments: str, estate: Path, **environment: str) -> subprocess.Popen[str]:
    """Start coopctl as a process."""
    return subprocess.Popen(
        [*COOPCTL, *arguments, "--estate", str(estate)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        encoding="utf-8",
        # A test run in the background has SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
    )


def ends(pid: int) -> None:
    """Whoever has the id ``pid`` was told to end: raises TimeoutExpired if it goes on."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "arguments",
    [("validate",), ("render", "plastics"), ("apply", "plastics", "--yes")],
    ids=["validate", "render", "apply before it works"],
)
def test_a_signal_ends_a_command_that_reads_documents(
    estate: Path, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    process = start(*arguments, estate=estate)
    # Opening it succeeds when coopctl has opened it to read.
    with (estate / ".coopctl" / "embedded" / "endpoints.json").open("w"):
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == ExitCode.INTERRUPTED
    assert stdout == ""
    assert stderr.strip() == SAID


def test_sigterm_ends_the_building_of_images_and_what_it_started(tmp_path: Path, estate: Path) -> None:
    programs, cache, started = tmp_path / "bin", tmp_path / "cache", tmp_path / "started"
    programs.mkdir()
    os.mkfifo(started)
    # dpkg is what is asked first; this one tells its process id, then never answers.
    (programs / "dpkg").write_text(f'#!/bin/sh\necho $$ > "{started}"\nexec sleep 600\n')
    (programs / "dpkg").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"

    process = start("images", "build", estate=estate, PATH=path, XDG_CACHE_HOME=str(cache))
    child = psutil.Process(int(started.read_text()))
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == ExitCode.INTERRUPTED
    assert stderr.strip() == SAID
    ends(child.pid)
    assert [path for path in cache.rglob("*") if path.name == "scratch"] == []


# A program that interrupts coopctl before coopctl knows that it has started it: Popen reads what went wrong from a pipe
# that the new program closes by being one, and here the signal is sent from where that is read.
INTERRUPTED_STARTING = """
import os, signal, subprocess, sys
from cli.interruption import terminating_as_interrupting
original = os.read
def read(*arguments):
    os.kill(os.getpid(), {number})
    return original(*arguments)
with terminating_as_interrupting():
    os.read = read
    try:
        subprocess.run(["sh", "-c", "echo $$; exec sleep 600"])
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_was_just_being_started_is_ended_too(number: signal.Signals) -> None:
    script = INTERRUPTED_STARTING.format(number=int(number))
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    lines = done.stdout.split()
    assert lines[-1] == "interrupted"
    for pid in lines[:-1]:
        ends(int(pid))
