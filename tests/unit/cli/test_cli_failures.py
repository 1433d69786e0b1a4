"""How failures are told: in the form that was asked for, however it is spelled; never as a traceback unless wanted."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import main, wiring
from cli.wanted import Wanted, debug_first, wanted
from provisioner.engine.events import Operation
from provisioner.errors import ExitCode
from tests.unit.cli.without_servers import (
    PlayedEstate,
    cooperative,
    created,
    played_estate,
    raising,
)

SECRET = "hunter2-never-to-be-shown"
COOPCTL = (sys.executable, "-c", "from cli.main import main; main()")
TEA_AND_GAS = {name: cooperative(name) for name in ("tea", "gas")}


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """Two cooperatives without solutions."""
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=TEA_AND_GAS) as made:
        yield made


def one_document(text: str) -> dict[str, Any]:
    """The single JSON document that ``text`` is."""
    document: dict[str, Any] = json.loads(text)
    assert document["apiVersion"] == "coopctl.dev/v1"
    return document


@pytest.mark.parametrize(
    "arguments",
    [
        "validate -o json",
        "validate -ojson",
        "validate --output json",
        "validate --output=json",
        "render tea -o json",
        "render tea -ojson",
        "render tea --output=json",
        "render tea --format json",
        "render tea --format=json",
        "explain tea -o text -o json",
        "apply tea -yojson",
        "apply tea -y -ojson",
    ],
)
def test_a_failing_descriptor_is_one_json_document_in_every_spelling(
    estate: PlayedEstate, arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    estate.world.write("cooperatives/tea.yaml", "kind: Cooperativ\n")

    code = estate.run(*arguments.split())

    shown = capsys.readouterr()
    assert code is ExitCode.USAGE
    hints = [diagnostic["hint"] for diagnostic in one_document(shown.out)["diagnostics"]]
    assert "did you mean 'Cooperative'?" in hints
    assert shown.err == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("schema Coperative -o json", ExitCode.USAGE),
        ("schema Coperative --output=json", ExitCode.USAGE),
        ("completion tcsh -ojson", ExitCode.USAGE),
        ("aply -ojson", ExitCode.USAGE),
        ("validate --colour red -o json", ExitCode.USAGE),
        ("validate -o json --estate", ExitCode.USAGE),
        ("--colour validate -o json", ExitCode.USAGE),
        ("dev upp -ojson", ExitCode.USAGE),
        ("toolchain install loon --output=json", ExitCode.NOT_FOUND),
    ],
)
def test_a_command_line_that_cannot_be_meant_is_told_as_json_too(
    arguments: str, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments.split()) is code
    shown = capsys.readouterr()
    assert one_document(shown.out)["exitCode"] == code
    assert shown.err == ""


@pytest.mark.parametrize("arguments", ["validate -- -ojson", "validate -o text", "new --domain -ojson"])
def test_what_only_looks_like_the_option_is_not_it(arguments: str) -> None:
    assert not wanted(arguments.split(), root=main.coopctl).json


def test_what_is_wanted_is_read_from_every_place() -> None:
    arguments = debug_first(["dev", "up", "--events", "--debug", "-ojson"])
    assert wanted(arguments, root=main.coopctl) == Wanted(json=True, events=True, debug=True)
    assert debug_first(["new", "--", "--debug"]) == ["new", "--", "--debug"]


def test_asking_what_is_wanted_takes_nothing_from_a_command_s_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--unheard-of", "schema"]) is ExitCode.USAGE
    capsys.readouterr()
    main.run(["schema", "--help"])
    assert "-h, --help" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "kind"), [("schema Platform", "Schema"), ("completion bash", "Completion")])
def test_schema_and_completion_answer_as_one_document_if_asked(
    arguments: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*arguments.split(), "-o", "json"]) is ExitCode.DONE
    assert one_document(capsys.readouterr().out)["kind"] == kind


def test_two_of_one_domain_are_refused_before_anything_is_created(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("earlier", "later"):
        estate.world.write(f"cooperatives/{name}.yaml", cooperative(name, domain="both.example.kr"))

    codes = [estate.run(*verb, "earlier") for verb in (("validate",), ("plan",), ("apply", "--yes"))]

    assert codes == [ExitCode.USAGE] * 3
    assert "earlier.yaml:10:21: error: spec.network.domain: both.example.kr is also" in capsys.readouterr().err
    assert estate.engine.called == []
    assert estate.run("apply", "tea", "--yes") is ExitCode.DONE


def test_a_plan_beyond_the_limit_is_one_document(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    estate.engine.changes["tea"] = created("tea", operation=Operation.DELETE)

    code = estate.run("plan", "tea", "--max-destroy", "0", "-o", "json")

    assert code is ExitCode.POLICY
    assert one_document(capsys.readouterr().out)["error"] == "PolicyViolated"


def test_people_see_the_plan_that_is_beyond_the_limit(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    estate.engine.changes["tea"] = created("tea", operation=Operation.DELETE)

    assert estate.run("plan", "tea", "--max-destroy", "0") is ExitCode.POLICY

    shown = capsys.readouterr()
    assert "  - apps-namespace  (Namespace)" in shown.out
    assert "--max-destroy allows 0" in shown.err


def test_a_plan_that_cannot_be_saved_is_one_document(
    estate: PlayedEstate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "no such folder" / "plan.json"

    code = estate.run("plan", "tea", "--out", str(file), "-o", "json")

    assert code is ExitCode.FAILED
    document = one_document(capsys.readouterr().out)
    assert (document["kind"], document["message"]) == ("Error", f"the plan cannot be written to {file}")


def test_a_plan_is_saved_before_it_is_shown(
    estate: PlayedEstate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.json"

    assert estate.run("plan", "tea", "--out", str(file), "-o", "json") is ExitCode.DONE

    assert one_document(capsys.readouterr().out)["kind"] == "Plan"
    assert json.loads(file.read_text())["kind"] == "SavedPlan"


@pytest.mark.parametrize("where", ["--debug validate", "validate --debug", "validate tea --debug"])
def test_debug_may_stand_anywhere_and_refuses_nothing(
    estate: PlayedEstate, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run(*where.split()) is ExitCode.DONE
    assert "Traceback" not in capsys.readouterr().err
    estate.world.write("cooperatives/tea.yaml", "kind: [")
    assert estate.run(*where.split()) is ExitCode.USAGE
    assert "Traceback" in capsys.readouterr().err


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coopctl with a fault: an exception whose text holds a secret."""

    def fail(**given: object) -> None:
        raise ValueError(SECRET)

    monkeypatch.setattr(wiring, "open_catalogue", fail)


@pytest.mark.usefixtures("broken")
def test_what_nothing_foresees_is_told_without_traceback_and_without_its_text(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run("validate") is ExitCode.FAILED
    shown = capsys.readouterr()
    assert "error: an unforeseen ValueError ended the work\n" in shown.err
    assert "where: " in shown.err
    assert "--debug" in shown.err
    assert "Traceback" not in shown.err
    assert SECRET not in shown.out + shown.err


@pytest.mark.usefixtures("broken")
def test_what_nothing_foresees_is_a_json_document_if_wanted(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run("validate", "-o", "json") is ExitCode.FAILED
    shown = capsys.readouterr()
    document = one_document(shown.out)
    assert (document["error"], document["exitCode"]) == ("Unforeseen", 1)
    assert SECRET not in shown.out + shown.err


@pytest.mark.usefixtures("broken")
def test_debug_shows_the_traceback_of_what_nothing_foresees(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run("validate", "--debug") is ExitCode.FAILED
    assert "Traceback (most recent call last)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("refusal", "code", "lines"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "/srv/estate"),
            ExitCode.NOT_PERMITTED,
            ["error: /srv/estate cannot be used", "why: Permission denied", "hint: run coopctl as the user whom"],
        ),
        (OSError(errno.EROFS, "Read-only file system", "/srv/estate"), ExitCode.FAILED, ["why: Read-only file system"]),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded", "/srv/x"),
            ExitCode.FAILED,
            ["error: no room is left on the disk"],
        ),
        (TimeoutError("it took too long"), ExitCode.FAILED, ["error: it took too long"]),
    ],
)
def test_what_the_system_refuses_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    refusal: OSError,
    code: ExitCode,
    lines: list[str],
) -> None:
    def refuse(path: Path | None) -> None:
        raise refusal

    monkeypatch.setattr(wiring, "open_estate", refuse)
    assert main.run(["validate"]) is code
    shown = capsys.readouterr().err
    assert "Errno" not in shown
    assert all(f"\n{line}" in f"\n{shown}" for line in lines)


def test_a_fault_in_one_cooperative_is_one_failure_of_several(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    estate.engine.at_up["tea"] = raising(KeyError(SECRET))

    assert estate.run("apply", "gas", "tea", "--yes", "--debug") is ExitCode.PARTLY_FAILED

    shown = capsys.readouterr()
    assert "gas: 1 created" in shown.out
    assert "error: an unforeseen KeyError ended the work" in shown.err
    assert "Traceback" in shown.err
    assert SECRET not in shown.out


def test_nobody_reading_the_answer_is_no_traceback() -> None:
    run = subprocess.Popen([*COOPCTL, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert run.stdout is not None
    run.stdout.close()
    _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (ExitCode.FAILED, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_an_answer_that_cannot_be_written_is_a_failure() -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run([*COOPCTL, "schema"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert run.returncode == ExitCode.FAILED
    assert run.stderr.startswith("error: ")
    assert "Exception ignored" not in run.stderr


@pytest.mark.parametrize("word", ["/", "/etc/passwd", "*", "[", "?", "**", "..", "t*a", ""])
def test_any_word_can_be_completed(estate: PlayedEstate, word: str) -> None:
    words = {"COMP_WORDS": f"coopctl explain --estate {estate.root} {word}", "COMP_CWORD": "4"}
    run = subprocess.run(
        COOPCTL,
        env={**os.environ, **words, "_COOPCTL_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == ([] if word else ["plain,gas", "plain,tea"])


def test_an_estate_that_is_named_by_its_file_is_found_by_the_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "platform.yaml").touch()
    assert main.run(["validate", "--estate", str(tmp_path / "platform.yaml")]) is ExitCode.NOT_FOUND
    shown = capsys.readouterr().err
    assert "is a file, and an estate is a folder" in shown
    assert f"hint: give its folder: {tmp_path}\n" in shown
