"""`coopctl apply --rollback`: a cooperative goes back to the solutions that it had, with their charts as they were."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from provisioner.engine.engine import Applied
from provisioner.engine.events import Report
from provisioner.errors import ExitCode
from provisioner.plan.resources import CooperativePlan, SolutionChart
from tests.unit.cli import without_servers
from tests.unit.cli.without_servers import PlayedEngine, PlayedEstate, cooperative, failing, played_estate

CHART = """\
apiVersion: v2
name: tea
version: {version}
annotations:
  coopctl.dev/category: basic
  coopctl.dev/display-name-ko: 차
  coopctl.dev/display-name-en: Tea
  coopctl.dev/review: approved
"""


@dataclass(frozen=True, kw_only=True)
class WatchedEngine(PlayedEngine):
    """An engine that keeps the plans which it was asked to make, by stack."""

    plans: dict[str, CooperativePlan] = field(default_factory=dict)

    def up(self, stack: str, program: Callable[[], None], *, report: Report) -> Applied:
        """As played; the program of a cooperative holds its plan."""
        assert isinstance(program, partial)
        if isinstance(program.args[0], CooperativePlan):
            self.plans[stack] = program.args[0]
        return super().up(stack, program, report=report)


@dataclass(frozen=True, kw_only=True)
class Rice:
    """The cooperative `rice`, which chose `tea` from its estate's own catalogue."""

    estate: PlayedEstate
    engine: WatchedEngine

    def offer(self, version: str, *, text: str = "") -> None:
        """The catalogue has this version, whose one template holds ``text``."""
        chart = self.estate.root / "charts" / "tea"
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text(CHART.format(version=version))
        (chart / "templates" / "tea.yaml").write_text(f"# {text or version}\n")

    def describe(self, solutions: str) -> None:
        """The descriptor chooses these."""
        self.estate.world.write("cooperatives/rice.yaml", cooperative("rice", solutions=solutions))

    def apply(self, *arguments: str) -> ExitCode:
        """Apply it."""
        return self.estate.run("apply", "rice", "--yes", *arguments)

    def made(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What Pulumi was asked for last: of each solution its version, its template's text, its own values."""
        charts = [one for one in self.engine.plans["rice"].resources if isinstance(one, SolutionChart)]
        return [(one.version, _text(one), _own_values(one)) for one in charts]


def _text(chart: SolutionChart) -> str:
    return (chart.chart / "templates" / "tea.yaml").read_text().strip("# \n")


def _own_values(chart: SolutionChart) -> dict[str, Any]:
    return {name: value for name, value in chart.values.items() if name not in {"coopctl", "images"}}


@pytest.fixture
def rice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rice]:
    """Nothing is applied yet; the catalogue offers tea 1.0.0."""
    monkeypatch.setattr(without_servers, "PlayedEngine", WatchedEngine)
    text = {"rice": cooperative("rice", solutions="[{name: tea}]")}
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=text) as played:
        assert isinstance(played.engine, WatchedEngine)
        made = Rice(estate=played, engine=played.engine)
        made.offer("1.0.0")
        yield made


def test_an_upgrade_is_taken_back_with_the_chart_that_the_catalogue_no_longer_has(
    rice: Rice, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rice.apply() is ExitCode.DONE
    rice.offer("2.0.0")
    assert rice.apply() is ExitCode.DONE
    assert rice.made() == [("2.0.0", "2.0.0", {})]
    capsys.readouterr()
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.made() == [("1.0.0", "1.0.0", {})]
    said = capsys.readouterr().err
    assert "rice goes back to what was applied at 20" in said
    assert ": tea 1.0.0\n" in said


def test_the_next_apply_goes_forward_again_and_going_back_twice_does_too(rice: Rice) -> None:
    rice.apply()
    rice.offer("2.0.0")
    rice.apply()
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.made()[0][0] == "2.0.0"
    rice.apply("--rollback")
    assert rice.apply() is ExitCode.DONE
    assert rice.made()[0][0] == "2.0.0"


def test_an_upgrade_that_failed_is_taken_back_to_what_was_whole(rice: Rice) -> None:
    for version in ("1.0.0", "2.0.0"):
        rice.offer(version)
        assert rice.apply() is ExitCode.DONE
    rice.offer("3.0.0")
    rice.engine.at_up["rice"] = failing("no room")
    assert rice.apply() is not ExitCode.DONE
    del rice.engine.at_up["rice"]
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.made()[0][0] == "2.0.0"
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.made()[0][0] == "1.0.0"


def test_changed_values_and_a_chart_that_was_changed_under_its_version_come_back_too(rice: Rice) -> None:
    rice.offer("1.0.0", text="first")
    rice.describe("[{name: tea, values: {sugar: 1}}]")
    rice.apply()
    rice.offer("1.0.0", text="second")
    rice.describe("[{name: tea, values: {sugar: 2}}]")
    rice.apply()
    assert rice.made() == [("1.0.0", "second", {"sugar": 2})]
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.made() == [("1.0.0", "first", {"sugar": 1})]


def test_a_solution_that_was_taken_out_comes_back(rice: Rice) -> None:
    rice.apply()
    rice.describe("[]")
    rice.apply()
    assert rice.made() == []
    assert rice.apply("--rollback") is ExitCode.DONE
    assert rice.made() == [("1.0.0", "1.0.0", {})]


def test_what_does_not_concern_solutions_is_no_state_to_go_back_to(
    rice: Rice, capsys: pytest.CaptureFixture[str]
) -> None:
    rice.apply()
    text = cooperative("rice", solutions="[{name: tea}]")
    rice.estate.world.write(
        "cooperatives/rice.yaml", text.replace("employees: 8}", "employees: 8}, {id: m-2, name: 둘, employees: 3}")
    )
    rice.apply()
    capsys.readouterr()
    assert rice.apply("--rollback") is ExitCode.NOT_FOUND
    assert "there is no applied state that rice could go back to" in capsys.readouterr().err


def test_the_audit_trail_says_what_was_gone_back_to(rice: Rice, capsys: pytest.CaptureFixture[str]) -> None:
    rice.apply()
    rice.offer("2.0.0")
    rice.apply()
    rice.apply("--rollback")
    capsys.readouterr()
    rice.estate.run("history", "rice", "-o", "json")
    assert '"back to": "tea 1.0.0"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["--all"], ["rice", "other"], [], ["-l", "size=small"], ["platform"], ["rice", "--plan", "saved.json"]],
)
def test_going_back_takes_one_cooperative_and_no_other_choice(
    rice: Rice, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert rice.estate.run("apply", "--rollback", "--yes", *arguments) is ExitCode.USAGE
    assert "--rollback takes one cooperative" in capsys.readouterr().err
    assert rice.engine.called == []


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_a_chart_that_was_kept_and_is_damaged_is_not_applied(
    rice: Rice, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rice.apply()
    first = _archives(rice)
    rice.offer("2.0.0")
    rice.apply()
    for file in first:
        if damage == "lost":
            file.unlink()
        else:
            file.write_text(json.dumps({"../../../escaped": ""}))
    calls = len(rice.engine.called)
    assert rice.apply("--rollback") is ExitCode.FAILED
    assert "the chart of tea that was kept beside the state is lost or damaged" in capsys.readouterr().err
    assert len(rice.engine.called) == calls


def _archives(rice: Rice) -> list[Path]:
    return sorted(rice.estate.world.estate.local.rglob("solutions/charts/*.json"))
