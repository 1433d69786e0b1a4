"""`coopctl toolchain` and `coopctl doctor` as they are called."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli import main, wiring
from provisioner.errors import ExitCode
from provisioner.toolchain import Toolchain
from provisioner.toolchain.pins import BUILDS
from tests.unit.toolchain.small_tools import HELLO, LONE, script, small_toolchain, system_path


@pytest.fixture(name="toolchain")
def _toolchain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    """A small toolchain in the place of the real one; ``lone`` is there already."""
    toolchain = small_toolchain(tmp_path, builds=(HELLO, LONE))
    script(toolchain.folder(LONE) / "bin", "lone", "echo lone")
    monkeypatch.setattr(wiring, "open_toolchain", lambda: toolchain)
    return toolchain


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: ExitCode = ExitCode.DONE) -> dict[str, Any]:
    assert main.run([*arguments, "--output", "json"]) is code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.usefixtures("toolchain")
def test_list_says_where_each_tool_is(capsys: pytest.CaptureFixture[str]) -> None:
    document = answer(capsys, "toolchain", "list")
    assert document["kind"] == "ToolList"
    origins = {tool["name"]: (tool["origin"], tool["version"]) for tool in document["tools"]}
    assert origins == {"hello-a": ("missing", None), "hello-b": ("missing", None), "lone": ("cache", "1.0.0")}
    assert main.run(["toolchain", "list"]) is ExitCode.DONE
    assert "not built yet" in capsys.readouterr().out


@pytest.mark.usefixtures("toolchain")
def test_install_builds_what_is_named_and_tells_it_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["toolchain", "install", "hello-a", "--output", "json"]) is ExitCode.DONE
    shown = capsys.readouterr()
    assert [tool["origin"] for tool in json.loads(shown.out)["tools"]] == ["cache"]
    assert "building hello" in shown.err
    document = answer(capsys, "toolchain", "install")
    assert {tool["origin"] for tool in document["tools"]} == {"cache"}


@pytest.mark.usefixtures("toolchain")
def test_install_tells_its_progress_as_events_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["toolchain", "install", "hello-a", "--events"]) is ExitCode.DONE
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {event["event"] for event in events} == {"Message"}
    assert any("building hello" in event["text"] for event in events)


@pytest.mark.usefixtures("toolchain")
def test_an_unknown_tool_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    document = answer(capsys, "toolchain", "install", "loon", code=ExitCode.NOT_FOUND)
    assert "lone" in document["hint"]


def test_export_and_import_go_together(
    tmp_path: Path, toolchain: Toolchain, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "tools.tar.gz")
    exported = answer(capsys, "toolchain", "export", file)
    assert [tool["name"] for tool in exported["manifest"]["tools"]] == ["hello", "lone"]
    assert len(exported["sha256"]) == 64
    other = small_toolchain(tmp_path / "other", builds=toolchain.builds, path=system_path())
    monkeypatch.setattr(wiring, "open_toolchain", lambda: other)
    imported = answer(capsys, "toolchain", "import", file)
    assert imported["added"] == ["hello", "lone"]
    Path(file).write_bytes(b"damaged")
    assert answer(capsys, "toolchain", "import", file, code=ExitCode.PROBLEMS)["error"] == "ProblemsFound"


def test_doctor_finds_missing_tools_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", system_path())
    monkeypatch.chdir(tmp_path)
    document = answer(capsys, "doctor", code=ExitCode.PROBLEMS)
    remedies = {finding["subject"]: finding["remedy"] for finding in document["findings"] if finding["remedy"]}
    assert {tool for build in BUILDS for tool in build.tools} <= set(remedies)
    assert main.run(["doctor"]) is ExitCode.PROBLEMS
    assert "etcd: coopctl toolchain install" in capsys.readouterr().out


def test_doctor_refuses_an_estate_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = answer(capsys, "doctor", "--estate", str(tmp_path), code=ExitCode.NOT_FOUND)
    assert "platform.yaml" in document["message"]


@pytest.mark.usefixtures("toolchain")
def test_doctor_looks_at_the_estate_that_is_near(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    estate = tmp_path / "estate"
    assert main.run(["init", str(estate)]) is ExitCode.DONE
    monkeypatch.chdir(estate / "cooperatives")
    capsys.readouterr()
    subjects = {finding["subject"] for finding in answer(capsys, "doctor", code=ExitCode.PROBLEMS)["findings"]}
    assert {"platform.yaml", "passphrase", "embedded platform"} <= subjects
    (estate / "platform.yaml").write_text("kind: Platfrom\n")
    document = answer(capsys, "doctor", "--estate", str(estate), code=ExitCode.PROBLEMS)
    assert "did you mean 'Platform'?" in {finding["remedy"] for finding in document["findings"]}
