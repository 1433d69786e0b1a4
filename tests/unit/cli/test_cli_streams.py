"""stdin, stdout and stderr as callers leave them: closed, full, without a reader, of any character set."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cli import failures, main
from cli.views import human, manifests
from provisioner.errors import CoopctlError, ExitCode

COOPCTL = (sys.executable, "-c", "from cli.main import main; main()")
SHELL = "exec {python} -c 'from cli.main import main; main()' \"$@\" {redirection}"
PILOT = Path(__file__).parents[3] / "examples" / "pilot"
NAME = ("explain", "publishing", "metadata.displayName", "--estate", str(PILOT))
ASCII = {"PYTHONIOENCODING": "ascii"}


def run(
    *arguments: str, environment: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Coopctl as a process of its own, with ``environment`` beside that of the tests."""
    return subprocess.run(
        [*COOPCTL, *arguments],
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=60,
    )


def redirected(redirection: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Coopctl as a shell starts it with ``redirection``."""
    script = SHELL.format(python=shlex.quote(sys.executable), redirection=redirection)
    return subprocess.run(["sh", "-c", script, "sh", *arguments], capture_output=True, check=False, timeout=60)


def test_what_a_character_set_lacks_is_escaped() -> None:
    shown = run(*NAME, environment=ASCII)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert "한국출판협동조합".encode("ascii", "backslashreplace") in shown.stdout


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\r", "\x07", "\x9b31m", "\u202etxt.exe", "\x7f"])
def test_what_a_terminal_would_obey_is_shown(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    human.stdout().print(f"table {hostile}", markup=False)
    human.stdout().print(human.table("name", rows=[(f"table {hostile}",)]))
    human.stderr().print(f"table {hostile}", style="red", markup=False)
    failures.tell(CoopctlError(f"table {hostile}", hint="회원사 [001]\tas it is"), events=False, debug=False)
    shown = capsys.readouterr()
    assert shown.out.count("table \\u") == shown.err.count("table \\u") == 2
    assert hostile not in shown.out + shown.err
    assert shown.err.endswith("hint: 회원사 [001]\tas it is\n")


def test_an_answer_in_json_is_json_in_every_character_set() -> None:
    for encoding in ("ascii", "euc-kr", "latin-1", "utf-8"):
        shown = run(*NAME, "-o", "json", environment={"PYTHONIOENCODING": encoding})
        assert json.loads(shown.stdout.decode(encoding))["values"][0]["value"] == "한국출판협동조합"


def test_a_failure_in_a_folder_whose_name_is_not_utf_8_is_json(tmp_path: Path) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xb3\xbb \xf0\x9f\x8d\x9e")
    shown = run("validate", "--estate", folder, "-o", "json", environment={"PYTHONIOENCODING": "utf-8:strict"})
    assert shown.returncode == ExitCode.NOT_FOUND
    assert json.loads(shown.stdout)["hint"] == f"run `coopctl init {folder}`"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_manifests_say_the_same_in_every_character_set(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = {"kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"title": "쌀 🍞", "page": "두\n줄\n"}}
    with (tmp_path / "answer").open("w", encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        manifests.show("rice", [manifest], output="yaml")
    assert yaml.safe_load((tmp_path / "answer").read_text(encoding=encoding)) == manifest


def test_a_stdout_that_the_caller_closed_is_no_failure() -> None:
    shown = redirected(">&-", *NAME)
    assert (shown.returncode, shown.stderr) == (0, b"")


def test_a_stdin_that_the_caller_closed_is_no_terminal() -> None:
    shown = redirected("<&-", "new", "bakers", "--template", "services", "--estate", str(PILOT))
    assert shown.returncode == ExitCode.USAGE
    assert b"where there is no terminal to ask on" in shown.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("output", ["text", "json"])
def test_a_conversation_that_nobody_hears_changes_no_exit_code(redirection: str, output: str) -> None:
    shown = redirected(redirection, "explain", "nobody", "--estate", str(PILOT), "-o", output)
    assert shown.returncode == ExitCode.NOT_FOUND
    assert bool(shown.stdout) is (output == "json")


def test_a_json_answer_that_a_full_disk_does_not_take_is_told_to_people() -> None:
    shown = redirected(">/dev/full", *NAME, "-o", "json")
    assert (shown.returncode, shown.stdout) == (ExitCode.FAILED, b"")
    assert shown.stderr.startswith(b"error: no room is left on the disk\n")
    assert b"Traceback" not in shown.stderr


def test_a_current_folder_that_was_removed_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    start = SHELL.format(python=shlex.quote(sys.executable), redirection="")
    script = f"cd {shlex.quote(str(gone))} && rmdir {shlex.quote(str(gone))} && {start}"
    environment = {**os.environ, "PYTHONPATH": str(Path(main.__file__).parents[1]), "COOPCTL_ESTATE": ""}
    shown = subprocess.run(
        ["sh", "-c", script, "sh", "validate"], env=environment, capture_output=True, check=False, timeout=60
    )
    assert shown.returncode == ExitCode.NOT_FOUND
    assert b"error: the current folder does not exist any more\n" in shown.stderr


def test_an_empty_variable_names_no_estate() -> None:
    shown = run("validate", environment={"COOPCTL_ESTATE": ""}, cwd=PILOT / "members")
    assert (shown.returncode, shown.stdout) == (0, b"valid: the platform and 7 cooperatives\n")
