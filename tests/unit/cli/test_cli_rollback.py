"""`coopctl apply --rollback`: a cooperative goes back to the solutions that it had, with their charts as they were."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.descriptor.templates import shipped_templates
from provisioner.errors import CoopctlError, ExitCode
from provisioner.plan.resources import SolutionChart
from tests.unit.cli.without_servers import (
    Behaviour,
    PlayedEngine,
    PlayedEstate,
    cooperative,
    failing,
    played_estate,
)

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
class Rice:
    """The cooperative `rice`, which chose `tea` from its estate's own catalogue."""

    estate: PlayedEstate
    engine: PlayedEngine

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
    text = {"rice": cooperative("rice", solutions="[{name: tea}]")}
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives=text) as played:
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


def test_a_new_version_that_cannot_be_made_is_taken_back_by_itself(
    rice: Rice, capsys: pytest.CaptureFixture[str]
) -> None:
    rice.apply()
    rice.offer("2.0.0")
    rice.engine.at_up["rice"] = refusing("2.0.0")
    capsys.readouterr()
    assert rice.apply() is ExitCode.PARTLY_FAILED
    assert rice.made() == [("1.0.0", "1.0.0", {})]
    said = capsys.readouterr().err
    assert "the upgrade tea 1.0.0 -> 2.0.0 failed; tea 1.0.0 serves again" in said
    assert "no room for 2.0.0" in said
    rice.offer("3.0.0")
    assert rice.apply() is ExitCode.DONE
    assert rice.made()[0][0] == "3.0.0"


def test_going_back_that_was_cut_off_is_gone_on_with_and_the_failure_told(
    rice: Rice, capsys: pytest.CaptureFixture[str]
) -> None:
    rice.apply()
    rice.offer("2.0.0")
    rice.engine.at_up["rice"] = failing("no room")
    assert rice.apply() is ExitCode.FAILED
    del rice.engine.at_up["rice"]
    capsys.readouterr()
    assert rice.apply() is ExitCode.PARTLY_FAILED
    assert rice.made()[0][0] == "1.0.0"
    assert "an upgrade was cut off: tea 1.0.0 -> 2.0.0 (returning)" in capsys.readouterr().err
    assert rice.apply() is ExitCode.DONE
    assert rice.made()[0][0] == "2.0.0"


def test_a_plan_names_the_upgrade_and_what_another_template_changes(
    rice: Rice, capsys: pytest.CaptureFixture[str]
) -> None:
    rice.apply()
    capsys.readouterr()
    rice.offer("2.0.0")
    shipped = shipped_templates() / "manufacturing" / "template.yaml"
    text = (
        shipped.read_text().replace("version: 1.0.0", "version: 1.1.0").replace("versioning: true", "versioning: false")
    )
    rice.estate.world.write("tenant_templates/manufacturing/template.yaml", text)
    rice.estate.run("plan", "rice")
    said = " ".join(capsys.readouterr().out.split())
    assert "upgrades tea 1.0.0 -> 2.0.0: its tables stay as they are" in said
    changed = "the template manufacturing 1.0.0 -> 1.1.0 changes spec.dataStore.objects.versioning: true -> false"
    assert changed in said
    rice.estate.run("plan", "rice", "-o", "json")
    stacks = {one["stack"]: one for one in json.loads(capsys.readouterr().out)["stacks"]}
    assert stacks["rice"]["notes"][1] == changed
    rice.apply()
    capsys.readouterr()
    rice.estate.run("plan", "rice", "--refresh", "-o", "json")
    stacks = {one["stack"]: one for one in json.loads(capsys.readouterr().out)["stacks"]}
    assert "notes" not in stacks["rice"]


def refusing(version: str) -> Behaviour:
    """What an engine does that cannot make this version of a chart."""

    def refuse(engine: PlayedEngine) -> None:
        charts = [one for one in engine.plans["rice"].resources if isinstance(one, SolutionChart)]
        if any(chart.version == version for chart in charts):
            raise CoopctlError(f"no room for {version}")

    return refuse


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
