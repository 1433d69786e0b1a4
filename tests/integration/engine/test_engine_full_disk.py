"""A disk that is full, or fills up in the middle: said as such, and the same command finishes once there is room."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.engine.conftest import CliEstate

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root"),
]
SIZE_BYTES = 80 * 1024**2


@pytest.fixture
def small_disk(cli_estate: CliEstate) -> Iterator[Path]:
    """The estate's local folder on a file system of its own, which holds little more than what apply asks for."""
    folder = cli_estate.root / ".coopctl"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, *, leaving: int = 0) -> Path:
    """A file that takes all room but ``leaving`` bytes, also while others write there."""
    filler, size = disk / "filler", 0
    with filler.open("wb", buffering=0) as file:
        while (more := _free(disk) - leaving) > 0:
            with contextlib.suppress(OSError):  # somebody else was quicker
                os.posix_fallocate(file.fileno(), size, more)
                size += more
    return filler


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@pytest.mark.long(seconds=30)
@pytest.mark.parametrize("left", [0, 8 * 1024**2], ids=["full", "nearly full"])
def test_a_disk_without_room_is_refused_before_anything_is_begun(
    cli_estate: CliEstate, small_disk: Path, left: int
) -> None:
    name = f"roomless-{left // 1024**2}"
    cli_estate.write(name)
    filler = fill(small_disk, leaving=left)

    planned = cli_estate.run("plan", name)
    refused = cli_estate.run("apply", name, "--yes", "--output", "json")
    begun = cli_estate.maker.site().engine.stacks()
    filler.unlink()
    cli_estate.done("apply", name, "--yes")

    assert (planned.returncode, refused.returncode) == (1, 1)
    failure = json.loads(refused.stdout)
    assert failure["error"] == "DiskFull"
    assert str(small_disk) in failure["message"]
    assert "make room" in failure["hint"]
    assert begun == ()
    assert "no changes" in cli_estate.done("plan", name, "--refresh")


# Pulumi tries for half a minute to write each state before it gives up.
@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    "after",
    [pytest.param(6, marks=pytest.mark.long(seconds=200)), pytest.param(30, marks=pytest.mark.long(seconds=400))],
)
def test_a_disk_that_fills_up_in_the_middle_stops_the_work_and_no_more(
    cli_estate: CliEstate, small_disk: Path, after: int
) -> None:
    name = f"filled-{after}"
    cli_estate.write(name)
    process = cli_estate.start("apply", name, "--yes", "--events", "--output", "json")
    filler = fill_after(process, events=after, stack=name, disk=small_disk)
    stdout, stderr = process.communicate(timeout=600)
    stopped = process.returncode
    again = cli_estate.run("apply", name, "--yes")
    filler.unlink()
    cli_estate.done("apply", name, "--yes")

    assert stopped in {1, 4}, f"{stdout}\n{stderr}"
    assert "DiskFull" in stdout, f"{stdout}\n{stderr}"
    assert "Traceback" not in stderr
    assert again.returncode == 1
    assert "no changes" in cli_estate.done("plan", name, "--refresh")
    databases = [row[0] for row in cli_estate.maker.sql("SELECT datname FROM pg_database")]
    assert [database for database in databases if database.startswith("filled_")].count(f"filled_{after}") == 1
    assert not [database for database in databases if database.startswith("coopctl_new_")]


def fill_after(process: "subprocess.Popen[str]", *, events: int, stack: str, disk: Path) -> Path:
    """Fill the disk once the stack has told of so many of its resources."""
    assert process.stderr is not None
    told = 0
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        told += event.get("stack") == stack and str(event.get("event", "")).startswith("Resource")
        if told >= events:
            return fill(disk)
    raise AssertionError(f"it ended after {told} events")
