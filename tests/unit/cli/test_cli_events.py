"""With --events every line of stderr is one JSON object: progress, plans, questions, signals and failures alike."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from provisioner.catalogue.images import estate_images
from provisioner.embedded import platform
from provisioner.errors import ExitCode, TimedOut
from tests.unit.cli.without_servers import (
    PlayedEngine,
    PlayedEstate,
    cooperative,
    failing,
    played_estate,
    type_at_terminal,
)


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """Two cooperatives without solutions."""
    texts = {name: cooperative(name) for name in ("tea", "gas")}
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=texts) as made:
        yield made


def events_of(text: str) -> list[dict[str, Any]]:
    """The events that ``text`` consists of, line by line."""
    found: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    return found


def test_a_failing_apply_with_events_is_nothing_but_events(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    estate.engine.at_up["tea"] = failing("no room")

    code = estate.run("apply", "gas", "tea", "--yes", "--events", "--output", "json")

    shown = capsys.readouterr()
    assert code is ExitCode.PARTLY_FAILED
    assert json.loads(shown.out)["failed"] == 1
    (failure,) = [event for event in events_of(shown.err) if event["event"] == "Failure"]
    assert (failure["stack"], failure["error"]["message"]) == ("tea", "no room")


@pytest.mark.parametrize("output", ["text", "json"])
def test_an_unconfirmed_apply_with_events_is_nothing_but_events(
    estate: PlayedEstate, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    code = estate.run("apply", "tea", "--events", "--output", output)

    shown = capsys.readouterr()
    events = events_of(shown.err)
    assert code is ExitCode.USAGE
    assert [event["event"] for event in events if event["event"] in {"Plan", "Question", "Failure"}] == [
        "Plan",
        "Failure",
    ]
    assert (events[-1]["error"]["why"], events[-1]["error"]["hint"]) == ("Apply these changes?", "add --yes")
    assert (json.loads(shown.out)["exitCode"] if output == "json" else shown.out) == (2 if output == "json" else "")


def test_what_would_be_destroyed_is_named_also_where_nobody_can_be_asked(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run("apply", "tea", "--yes") is ExitCode.DONE
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    capsys.readouterr()
    assert estate.run("destroy", "tea") is ExitCode.USAGE
    assert "why: This takes away tea: its namespaces, solutions and access; its database and its bucket are kept." in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(("typed", "code"), [("y", ExitCode.DONE), ("", ExitCode.CANCELLED)])
def test_with_events_the_question_is_an_event_that_is_answered_at_the_terminal(
    estate: PlayedEstate,
    typed: str,
    code: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    type_at_terminal(typed, monkeypatch)

    assert estate.run("apply", "tea", "--events") is code

    asked = [event for event in events_of(capsys.readouterr().err) if event["event"] == "Question"]
    assert asked == [{"event": "Question", "text": "Apply these changes?"}]
    assert (("up", "tea") in estate.engine.called) is (code is ExitCode.DONE)


@pytest.mark.parametrize(
    ("arguments", "module", "function"),
    [
        ("dev up", platform, "up"),
        ("dev down", platform, "down"),
        ("images build", estate_images, "build_images"),
        ("images push", estate_images, "push_images"),
    ],
)
def test_long_runs_without_stacks_tell_progress_and_failure_as_events(
    estate: PlayedEstate,
    arguments: str,
    module: ModuleType,
    function: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def work(*_: object, report: Callable[[str], None], **__: object) -> None:
        report("starting [etcd]")
        raise TimedOut("etcd is not ready after 60 s")

    monkeypatch.setattr(module, function, work)

    code = estate.run(*arguments.split(), "--events")

    said = events_of(capsys.readouterr().err)
    assert code is ExitCode.TIMED_OUT
    assert [event["event"] for event in said] == ["Message", "Failure"]
    assert (said[0]["text"], said[0]["severity"]) == ("starting [etcd]", "info")
    assert said[1]["error"]["message"] == "etcd is not ready after 60 s"


def test_signals_are_told_as_events_too(estate: PlayedEstate, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupt(engine: PlayedEngine) -> None:
        engine.interruption.interrupt()
        engine.interruption.check()

    estate.engine.at_up["tea"] = interrupt
    assert estate.run("platform", "apply", "--yes") is ExitCode.DONE
    capfd.readouterr()

    assert estate.run("apply", "tea", "--yes", "--events") is ExitCode.INTERRUPTED

    events = events_of(capfd.readouterr().err)
    assert any(event.get("text", "").startswith("interrupted: finishing") for event in events)
