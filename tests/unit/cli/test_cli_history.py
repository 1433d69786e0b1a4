"""`coopctl history`: an auditor reads the trail where nothing else of coopctl can run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import site
from provisioner.errors import ExitCode
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
