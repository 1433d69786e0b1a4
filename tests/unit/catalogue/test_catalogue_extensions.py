"""Charts that bring a module to another's server differ in the module and in what they say of themselves alone.

A chart stands alone: its archive is judged, taken in and rendered without any other. So what they have in common lies
in each of them, as the same file.
"""

from pathlib import Path

import pytest

from provisioner.catalogue import Solution, load_catalogue
from provisioner.catalogue.own_module import FOLDER
from tests.unit.plan.builders import CHARTS

CATALOGUE = load_catalogue(CHARTS)
EXTENSIONS = [one for one in CATALOGUE.solutions.values() if one.own_module]
# What each says of itself.
OWN = {"Chart.yaml", "data-map.yaml"}


def common_files(solution: Solution) -> dict[str, bytes]:
    """The files of the chart that are not about this solution, by their paths."""
    files = {path.relative_to(solution.chart): path for path in solution.chart.rglob("*") if path.is_file()}
    return {str(path): file.read_bytes() for path, file in sorted(files.items()) if path.parts[0] not in {*OWN, FOLDER}}


@pytest.mark.parametrize("solution", EXTENSIONS, ids=lambda one: one.name)
def test_what_extensions_have_in_common_is_the_same_file_in_each(solution: Solution) -> None:
    assert common_files(solution) == common_files(CATALOGUE.solution("lot-tracing"))


@pytest.mark.parametrize("solution", EXTENSIONS, ids=lambda one: one.name)
def test_a_module_names_its_data_files_and_what_it_extends(solution: Solution) -> None:
    module = solution.own_module
    assert module is not None
    assert module.name in solution.modules
    configuration = (solution.chart / FOLDER / module.name / "tryton.cfg").read_text()
    listed = {line.strip() for line in configuration.splitlines() if line.endswith(".xml")}
    assert listed == {file for file in module.files if file.endswith(".xml") and Path(file).parent == Path()}


def test_specialised_solutions_are_for_the_pilots_trades() -> None:
    sectors = {one.name: one.sectors for one in EXTENSIONS}
    assert sectors == {
        "gas-delivery": ("gas-distribution",),
        "lot-tracing": ("food-processing",),
        "plating-orders": ("plating",),
    }
