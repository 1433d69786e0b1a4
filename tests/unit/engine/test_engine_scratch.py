"""What a killed plan left is taken away; what a living one works in stays."""

import subprocess
import sys
from pathlib import Path

from provisioner.engine.scratch import scratch_folder, sweep

# A plan that says where it works, and waits.
PLAN = """
import sys, time
from pathlib import Path
from provisioner.engine.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "state").mkdir()
    (folder / "state" / "file").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


def test_a_scratch_folder_is_gone_after_its_plan(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "work") as folder:
        (folder / "inner").mkdir()

    assert list((tmp_path / "work").glob(".plan-*")) == []


def test_what_a_killed_plan_left_is_swept_and_a_living_ones_folder_is_not(tmp_path: Path) -> None:
    killed, living = (planning(tmp_path) for _ in range(2))
    try:
        folders = [folder_of(process) for process in (killed, living)]
        killed.kill()
        killed.wait()
        assert all(folder.is_dir() for folder in folders)

        sweep(tmp_path)

        assert [folder.is_dir() for folder in folders] == [False, True]
        assert (folders[1] / "state" / "file").read_text() == "x"
    finally:
        for process in (killed, living):
            process.kill()
            process.communicate()


def test_the_next_plan_sweeps_too_also_a_folder_that_was_never_locked(tmp_path: Path) -> None:
    (tmp_path / ".plan-cut-off").mkdir()

    with scratch_folder(tmp_path) as folder:
        assert list(tmp_path.glob(".plan-*")) == [folder]


def test_sweeping_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    sweep(tmp_path / "missing")

    assert not (tmp_path / "missing").exists()


def planning(work: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", PLAN, str(work)], stdout=subprocess.PIPE, encoding="utf-8")


def folder_of(process: "subprocess.Popen[str]") -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())
