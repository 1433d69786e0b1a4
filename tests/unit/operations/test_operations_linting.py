"""What a linter judges before anything is rendered: what charts name of each other."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.loading import read_solutions
from provisioner.catalogue.rendering import RenderedManifest
from provisioner.errors import Location, NotFound, RenderingFailed, TimedOut
from provisioner.operations.example_plans import HOSTILE, example_plans
from provisioner.operations.example_tenants import example_tenants
from provisioner.operations.linting import Linted, Linter
from provisioner.plan.resources import SolutionChart
from tests.bad_charts.changing import good_chart
from tests.unit.catalogue.test_catalogue_loading import chart


def linter(folder: Path) -> Linter:
    """A linter beside the charts of ``folder``; nothing is rendered."""
    return Linter(
        solutions=read_solutions(folder)[0],
        images=frozenset({"portal"}),
        tenants=example_tenants(None),
        render=lambda _: [],
        today=date(2026, 11, 1),
    )


def messages(found: Linted, *, rule: str) -> list[str]:
    """What was found by a rule."""
    return [one.message for one in found.verdict.violations if one.rule.id == rule]


def test_a_circle_is_told_of_each_chart_in_it_and_of_what_needs_one_of_them(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", depends="stock")
    chart(tmp_path, name="stock", depends="ledger")
    chart(tmp_path, name="trade", depends="stock")
    chart(tmp_path, name="apart")
    judge = linter(tmp_path)
    for name in ("ledger", "stock", "trade"):
        told = messages(judge.lint(tmp_path / name), rule="chart-references")
        assert told
        assert all("in a circle" in one for one in told), name
    assert messages(judge.lint(tmp_path / "apart"), rule="chart-references") == []


def test_what_a_needed_chart_lacks_is_told_with_its_file(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", depends="payroll")
    chart(tmp_path, name="trade", integrates="ledger")
    found = [one for one in linter(tmp_path).lint(tmp_path / "trade").verdict.violations if "payroll" in one.message]
    assert [one.location.file for one in found] == [tmp_path / "ledger" / "Chart.yaml"]
    assert all(one.location.line for one in found)


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "ledger"},
    "spec": {"ports": [{"port": 80, "targetPort": "http"}]},
}
PODS = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "ledger"},
    "spec": {"template": {"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8000}]}]}}},
}


def with_port(**port: Any) -> dict[str, Any]:
    """The Service with another port."""
    return {**SERVICE, "spec": {"ports": [{"port": 80, **port}]}}


@pytest.mark.parametrize(
    ("rendered", "served"),
    [
        ((SERVICE, PODS), True),
        ((with_port(targetPort=8000), PODS), True),
        ((with_port(targetPort=8001), PODS), False),
        ((with_port(targetPort="web"), PODS), False),
        ((with_port(port=81, targetPort=8000), PODS), False),
        (({**SERVICE, "metadata": {"name": "other"}}, PODS), False),
        ((with_port(), PODS), False),
        ((PODS,), False),
        ((SERVICE,), False),
    ],
)
def test_what_a_chart_says_that_it_serves_must_lead_to_its_pods(
    tmp_path: Path, rendered: tuple[dict[str, Any], ...], served: bool
) -> None:
    file = chart(tmp_path, serves="http 80:8000") / "Chart.yaml"
    manifests = [RenderedManifest(manifest=one, template=file.parent / "x.yaml") for one in rendered]
    found = replace(linter(tmp_path), render=lambda _: manifests).lint(file.parent)
    told = [one for one in found.verdict.violations if one.rule.id == "chart-served"]
    assert [one.location.line > 0 for one in told] == ([] if served else [True])


def test_examples_differ_in_what_was_chosen_and_in_what_people_wrote(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", depends="stock")
    chart(tmp_path, name="stock")
    chart(tmp_path, name="trade", integrates="ledger", review="proposed", needs_size="large", needs_egress="a.kr:443")
    solutions, problems = read_solutions(tmp_path)
    assert problems == []
    made = example_plans(solutions["trade"], solutions=solutions, tenants=example_tenants(None))
    assert [one.solution for one in made.small.charts] == ["trade"]
    assert {one.solution for one in made.rich.charts} == {"ledger", "stock", "trade"}
    small, rich, hostile = (one.chart_of("trade").values["coopctl"] for one in (made.small, made.rich, made.hostile))
    assert (small["twoReplicas"], rich["twoReplicas"]) == (False, True)
    assert (small["integrates"], rich["integrates"]) == ([], ["ledger"])
    assert hostile["cooperative"]["displayName"] == hostile["helpDesk"]["name"] == HOSTILE
    assert made.small.cooperative.size == "large"
    assert {one["type"] for one in made.limits} == {"Container", "Pod", "PersistentVolumeClaim"}
    assert len(made.limits) == 3 * len(example_tenants(None).around.shelf.names()), "three of each template"


@pytest.mark.parametrize("failure", [RenderingFailed("no", why="no", where=Location(file=Path("x"))), TimedOut("no")])
def test_a_chart_that_never_ends_rendering_is_a_finding_too(tmp_path: Path, failure: Exception) -> None:
    def fail(_: SolutionChart) -> list[object]:
        raise failure

    judge = replace(linter(tmp_path), render=fail)  # type: ignore[arg-type]  # it gives nothing at all
    (violation,) = judge.lint(good_chart(tmp_path)).verdict.violations
    assert (violation.rule.id, violation.message) == ("chart-renders", "no")


def test_a_size_that_no_template_has_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenants = example_tenants(None)
    bare = replace(tenants, around=replace(tenants.around, shelf=replace(tenants.around.shelf, folders=())))
    with pytest.raises(NotFound) as refused:
        replace(linter(tmp_path), tenants=bare).lint(good_chart(tmp_path))
    assert refused.value.message == "no template has the size small"
