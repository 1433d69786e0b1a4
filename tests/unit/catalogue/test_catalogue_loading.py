"""Reading charts into the catalogue."""

from pathlib import Path

import pytest
import yaml

from provisioner.catalogue import Category, load_catalogue
from provisioner.catalogue.offer import Serving
from provisioner.errors import InvalidDescriptor, NotFound
from tests.unit.plan.builders import CHARTS


def chart(folder: Path, *, name: str = "ledger", **annotations: str) -> Path:
    """A chart folder with the annotations that a solution needs, and ``annotations`` besides."""
    given = {"category": "basic", "display-name-ko": "장부", "display-name-en": "Ledger"} | annotations
    (folder / name).mkdir(parents=True)
    document = {
        "apiVersion": "v2",
        "name": name,
        "version": "1.2.3",
        "annotations": {f"coopctl.dev/{key.replace('_', '-')}": value for key, value in given.items()},
    }
    (folder / name / "Chart.yaml").write_text(yaml.safe_dump(document, allow_unicode=True))
    return folder / name


def problems(folder: Path) -> list[str]:
    """The messages with which the catalogue is refused."""
    with pytest.raises(InvalidDescriptor) as refused:
        load_catalogue(folder)
    return [str(diagnostic) for diagnostic in refused.value.diagnostics]


def test_the_shipped_catalogue_offers_the_portal() -> None:
    portal = load_catalogue(CHARTS).solution("portal")
    assert portal.category is Category.BASIC
    assert portal.images == ("portal",)
    assert portal.host == "portal"


def test_lists_are_sorted_and_without_doubles(tmp_path: Path) -> None:
    chart(tmp_path, images="web, batch,web")
    assert load_catalogue(tmp_path).solution("ledger").images == ("batch", "web")


def test_an_unknown_category_is_named(tmp_path: Path) -> None:
    chart(tmp_path, category="special")
    assert "category" in problems(tmp_path)[0]


def test_an_unknown_annotation_of_ours_is_refused(tmp_path: Path) -> None:
    chart(tmp_path, categry="basic")
    assert "categry" in problems(tmp_path)[0]


def test_a_chart_in_a_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    chart(tmp_path).rename(tmp_path / "other")
    assert "'other'" in problems(tmp_path)[0]


def test_a_reference_to_a_solution_that_is_not_there_is_named(tmp_path: Path) -> None:
    chart(tmp_path, depends="payroll")
    assert "payroll" in problems(tmp_path)[0]


def test_solutions_that_depend_on_each_other_are_refused(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", depends="stock")
    chart(tmp_path, name="stock", depends="ledger")
    assert "circle" in problems(tmp_path)[0]


def test_solutions_that_integrate_with_each_other_have_no_order_and_are_refused(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", integrates="stock")
    chart(tmp_path, name="stock", integrates="ledger")
    assert "coopctl.dev/integrates" in problems(tmp_path)[0]
    assert "circle" in problems(tmp_path)[0]


def test_how_a_solution_is_reached_is_read(tmp_path: Path) -> None:
    chart(tmp_path, serves="http 80:8000 /{database}/api")
    serves = load_catalogue(tmp_path).solution("ledger").serves
    assert serves == Serving(scheme="http", port=80, pod_port=8000, path="/{database}/api")
    assert str(serves) == "http 80:8000 /{database}/api"


@pytest.mark.parametrize(
    "text",
    ["http", "80:8000", "http 80", "http 80:70000", "http 0:80", "HTTP 80:80", "http 80:80 api", "http 80:80 /{x}"],
)
def test_a_way_to_be_reached_in_another_form_is_refused_with_an_example(tmp_path: Path, text: str) -> None:
    chart(tmp_path, serves=text)
    (told,) = problems(tmp_path)
    assert "coopctl.dev/serves" in told


def test_an_integration_with_a_server_that_does_not_say_how_it_is_reached_is_refused(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger")
    chart(tmp_path, name="trade", extends="ledger", integrates="ledger")
    chart(tmp_path, name="scales", integrates="trade")
    (told,) = problems(tmp_path)
    assert "scales/Chart.yaml" in told
    assert "names 'trade', and ledger does not say how it is reached" in told


def test_who_runs_in_another_s_server_serves_nothing_itself(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", serves="http 80:8000")
    chart(tmp_path, name="trade", extends="ledger", serves="http 80:8000")
    (told,) = problems(tmp_path)
    assert "is served by ledger" in told


def test_what_a_solution_needs_of_another_s_version_is_the_newest_that_it_names(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", serves="http 80:8000")
    chart(tmp_path, name="stock")
    chart(tmp_path, name="lots", depends="ledger >= 1.2.0, stock", integrates="ledger>=1.10.0, ledger >= 1.9.0")
    lots = load_catalogue(tmp_path).solution("lots")
    assert (lots.depends, lots.integrates, lots.oldest) == (("ledger", "stock"), ("ledger",), {"ledger": "1.10.0"})


@pytest.mark.parametrize("text", ["ledger >= 1", "ledger > 1.0.0", "ledger 1.0.0", "Ledger", "ledger >= latest"])
def test_a_requirement_in_another_form_is_refused_with_an_example(tmp_path: Path, text: str) -> None:
    chart(tmp_path, integrates=text)
    (told,) = problems(tmp_path)
    assert "names no solution" in told


def test_a_chart_of_a_later_folder_takes_the_place_of_one_of_the_same_name(tmp_path: Path) -> None:
    chart(tmp_path / "shipped", host="old")
    chart(tmp_path / "shipped", name="stock", depends="ledger")
    chart(tmp_path / "own", host="new")
    found = load_catalogue(tmp_path / "shipped", tmp_path / "own")
    assert list(found.solutions) == ["ledger", "stock"]
    assert (found.solution("ledger").host, found.solution("ledger").chart) == ("new", tmp_path / "own" / "ledger")


def test_every_broken_chart_is_told(tmp_path: Path) -> None:
    chart(tmp_path, name="ledger", category="x")
    chart(tmp_path, name="stock", category="y")
    assert len(problems(tmp_path)) == 2


@pytest.mark.parametrize("text", ["", "- list\n", "a: [", "name: \x00"])
def test_a_chart_file_that_is_no_chart_is_refused_without_a_traceback(tmp_path: Path, text: str) -> None:
    (chart(tmp_path) / "Chart.yaml").write_text(text)
    assert problems(tmp_path)


def test_a_missing_folder_is_said() -> None:
    with pytest.raises(NotFound):
        load_catalogue(Path("nowhere"))


def test_a_solution_that_is_not_on_offer_is_told_with_those_that_are() -> None:
    with pytest.raises(NotFound) as refused:
        load_catalogue(CHARTS).solution("crm")
    assert "portal" in (refused.value.hint or "")
