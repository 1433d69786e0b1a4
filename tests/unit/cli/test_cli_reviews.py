"""What a solution's review means to those who chose it: proposed ones are refused, withdrawn ones warn."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import wiring
from provisioner.catalogue import load_catalogue
from provisioner.errors import ExitCode
from tests.unit.cli.without_servers import PlayedEstate, cooperative, played_estate
from tests.unit.plan import builders

Review = Callable[[str], None]
WARNING = "cooperatives/rice.yaml:11:15: warning: spec.solutions.portal: is withdrawn from the catalogue"


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """The cooperative `rice`, which chose the portal."""
    rice = {"rice": cooperative("rice", solutions="[{name: portal}]")}
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=rice) as played:
        yield played


@pytest.fixture
def review(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Review:
    """Sets the review of the portal in a catalogue of the test's own."""
    charts = tmp_path / "charts"
    shutil.copytree(builders.CHARTS, charts)
    monkeypatch.setattr(wiring, "open_catalogue", lambda **_: load_catalogue(charts))

    def write(state: str) -> None:
        file = charts / "portal" / "Chart.yaml"
        file.write_text(file.read_text().replace("review: approved", f"review: {state}"))

    return write


def test_a_proposed_solution_is_refused_by_validate_and_plan(
    estate: PlayedEstate, review: Review, capsys: pytest.CaptureFixture[str]
) -> None:
    review("proposed")
    for command in ("validate", "plan", "apply"):
        assert estate.run(command, "rice") is ExitCode.USAGE
        shown = capsys.readouterr().err
        assert "spec.solutions.portal: is proposed, and only approved solutions are installed (version 1.0.0)" in shown
        assert "hint: look at it (`coopctl catalogue lint`)" in shown
    assert estate.engine.called == []


def test_new_writes_no_descriptor_that_chooses_a_proposed_solution(
    estate: PlayedEstate, review: Review, capsys: pytest.CaptureFixture[str]
) -> None:
    review("proposed")
    arguments = ("new", "tea", "--template", "services", "--display-name", "차조합")
    assert estate.run(*arguments) is ExitCode.USAGE
    assert "only approved solutions are installed" in capsys.readouterr().err
    assert not (estate.root / "cooperatives" / "tea.yaml").exists()
    assert not (estate.root / "members").exists()


def test_a_withdrawn_solution_is_installed_with_a_warning(
    estate: PlayedEstate, review: Review, capsys: pytest.CaptureFixture[str]
) -> None:
    review("withdrawn")
    assert estate.run("validate") is ExitCode.DONE
    assert WARNING in capsys.readouterr().err
    assert estate.run("plan", "rice") is ExitCode.DONE
    shown = capsys.readouterr().err
    assert "warning: " in shown
    assert "spec.solutions.portal: is withdrawn from the catalogue" in shown
    assert ("preview", "rice") in estate.engine.called


def test_an_approved_solution_is_installed_in_silence(
    estate: PlayedEstate, review: Review, capsys: pytest.CaptureFixture[str]
) -> None:
    review("approved")
    assert estate.run("validate") is ExitCode.DONE
    assert estate.run("plan", "rice") is ExitCode.DONE
    assert "warning" not in capsys.readouterr().err
