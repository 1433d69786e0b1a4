"""`coopctl history`: an auditor reads the trail where nothing else of coopctl can run."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli import site
from cli.views import trail
from provisioner.errors import ExitCode
from provisioner.operations.history import Action, Author, Ending, Entry, Event, Trail
from provisioner.toolchain import Toolchain
from tests.unit.cli.without_servers import PlayedEstate, cooperative, played_estate


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """One cooperative; the platform's own stack is applied."""
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives={"rice": cooperative("rice")}) as made:
        assert made.run("platform", "apply", "--yes") is ExitCode.DONE
        yield made


def test_the_trail_is_read_without_any_tool_and_with_a_broken_descriptor(
    estate: PlayedEstate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_: object, **__: object) -> None:
        raise AssertionError("a tool was asked for")

    monkeypatch.setattr(Toolchain, "ensure", build)
    monkeypatch.setattr(site, "_engine", build)
    (estate.root / "cooperatives" / "rice.yaml").write_text("kind: [")
    capsys.readouterr()
    assert estate.run("history", "platform") is ExitCode.DONE
    assert "apply" in capsys.readouterr().out
    assert estate.run("history", "rice") is ExitCode.NOT_FOUND


def test_people_see_which_plan_and_what_a_proof_found_and_no_text_rules_their_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    digest = "ab" * 32
    event = Event(
        action=Action.PROVE,
        ending=Ending.DONE,
        at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        author=Author(user="kim\x1b[2J", host="console", commit="c" * 40),
        coopctl="0.1.0",
        plan="0123456789abcdef",
        details={"proof": digest, "verdict": "2 problems"},
    )
    shown_as_text(event)
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split() == [
        *("2026-01-02", "03:04:05", "prove", "done;", "proof:", "ababababab;", "verdict:", "2", "problems"),
        *("kim\\u001b[2J@console", "cccccccccc", "0123456789", "none"),
    ]


def test_what_failed_is_told_in_one_line_that_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    resources = ", ".join(f"apps-networkpolicy-{number}" for number in range(50))
    event = Event(
        action=Action.DESTROY,
        ending=Ending.FAILED,
        at=datetime(2026, 1, 2, tzinfo=UTC),
        author=Author(user="kim", host="console"),
        coopctl="0.1.0",
        why=f"rice: failed:\n{resources}",
    )
    shown_as_text(event)
    _, line = capsys.readouterr().out.splitlines()
    assert "failed: rice: failed: apps-networkpolicy-0, " in line
    assert len(line) < 260
    assert "…" in line


def shown_as_text(event: Event) -> None:
    """Show a trail of this one event to people."""
    entry = Entry(number=1, event=event, previous="", digest="ab" * 32)
    trail.show(Trail(stack="rice", entries=(entry,), problems=()), limit=None, output="text")
