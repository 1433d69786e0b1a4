"""Judging charts: a good one is told nothing, and each bad one by its fault, file and line."""

from datetime import date
from pathlib import Path

import pytest

from provisioner.catalogue.loading import read_solutions
from provisioner.operations.example_tenants import example_tenants
from provisioner.operations.linting import Linted, Linter, known_images
from tests.bad_charts.changing import BadChart, good_chart
from tests.bad_charts.table import BAD_CHARTS
from tests.unit.plan import builders


@pytest.fixture(scope="module")
def linter() -> Linter:
    """Judges beside the shipped charts, without an estate."""
    return Linter(
        solutions=read_solutions(builders.CHARTS)[0],
        images=known_images(builders.CHARTS),
        tenants=example_tenants(None),
        render=builders.rendered,
        today=date(2026, 11, 1),
    )


def told(found: Linted) -> list[str]:
    """Every violation in a line."""
    return [
        f"{one.location}: {one.rule.id}: {one.object}: {one.path}: {one.message}" for one in found.verdict.violations
    ]


def test_every_shipped_chart_passes(linter: Linter) -> None:
    for file in sorted(builders.CHARTS.glob("*/Chart.yaml")):
        found = linter.lint(file.parent)
        assert told(found) == []
        assert found.verdict.objects > 0


def test_a_copy_of_a_good_chart_passes(linter: Linter, tmp_path: Path) -> None:
    assert told(linter.lint(good_chart(tmp_path))) == []


@pytest.mark.parametrize("bad", BAD_CHARTS, ids=lambda bad: f"{bad.rule}: {bad.name}")
def test_each_bad_chart_is_refused_by_its_fault_file_and_line(linter: Linter, tmp_path: Path, bad: BadChart) -> None:
    chart = bad.make(tmp_path)
    found = linter.lint(chart)
    assert {one.rule.id for one in found.verdict.violations} == {bad.rule, *bad.also}, told(found)
    own = [one for one in found.verdict.violations if one.rule.id == bad.rule]
    places = {(one.location.file, one.location.line) for one in own}
    assert places == {(chart / (bad.told_in or bad.file), bad.line(chart))}, told(found)
    assert any(bad.told in one.message for one in own), told(found)


@pytest.mark.parametrize(
    "file", ["templates/configmap.yaml", "templates/_names.tpl", "files/portal.css", "values.yaml"]
)
def test_bytes_that_are_no_text_are_a_finding_or_none_and_never_a_traceback(
    linter: Linter, tmp_path: Path, file: str
) -> None:
    chart = good_chart(tmp_path)
    content = (chart / file).read_bytes()
    (chart / file).write_bytes(content + b"\n# \x9a\xff\n")
    rules = {one.rule.id for one in linter.lint(chart).verdict.violations}
    assert rules <= {"chart-renders"}, rules


def test_a_chart_whose_error_is_no_text_is_told_all_the_same(linter: Linter, tmp_path: Path) -> None:
    chart = good_chart(tmp_path)
    (chart / "templates" / "new.yaml").write_bytes(b'{{ fail "\x9a" }}\n')
    (violation,) = linter.lint(chart).verdict.violations
    assert violation.rule.id == "chart-renders"
    assert violation.location.file == chart / "templates" / "new.yaml"
