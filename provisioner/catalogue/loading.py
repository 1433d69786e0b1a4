"""Reads a folder of charts into the catalogue.

A chart is a solution if its Chart.yaml bears the annotations ``coopctl.dev/category``, ``display-name-ko`` and
``display-name-en``; what it may say besides is in `annotations`. Where a member's data are, ``data-map.yaml`` says.
Chart.yaml: Helm documentation, "The Chart.yaml File" (apiVersion v2).
"""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

import provisioner
from provisioner.catalogue.annotations import LABEL, Annotations, annotation, one_line
from provisioner.catalogue.data_map import DATA_MAP_FILE, read_data_map
from provisioner.catalogue.own_module import read_own_module
from provisioner.catalogue.reading import place_in, read_document
from provisioner.catalogue.requirement import VERSION, Requirement, oldest_versions
from provisioner.catalogue.solution import Catalogue, Solution, installation_order
from provisioner.descriptor.checking import check
from provisioner.descriptor.fields import Plain, free_value, problem, trap
from provisioner.descriptor.nodes import MappingNode, Node, find
from provisioner.errors import Diagnostic, InvalidDescriptor, NotFound
from provisioner.naming import API_GROUP

FOLDER = "charts"
CHART_FILE = "Chart.yaml"
SEMANTIC_VERSION = rf"^{VERSION}$"
DESCRIPTION_MAX = 500


def _text_for_helm(value: object) -> object:
    """Helm reads YAML's types: where it wants text, ``true`` and ``1`` without quotes end every rendering."""
    if isinstance(value, Plain) and (trap(value) or not isinstance(free_value(value), str)):
        raise problem("is not text to Helm", hint="put it in quotes")
    return value


def _described(value: object) -> object:
    """A description may be written over several lines; what people read is one."""
    return one_line(DESCRIPTION_MAX)(" ".join(value.split()) if isinstance(value, str) else value)


_Text = Annotated[str, BeforeValidator(_text_for_helm)]


class _Chart(BaseModel):
    """The fields of Chart.yaml that coopctl reads; Helm checks the others."""

    model_config = ConfigDict(strict=True, extra="ignore")

    name: Annotated[_Text, Field(pattern=LABEL)]
    version: Annotated[_Text, Field(pattern=SEMANTIC_VERSION)]
    description: Annotated[str, BeforeValidator(_described), BeforeValidator(_text_for_helm)] = ""
    annotations: dict[str, _Text]


def shipped_charts() -> Path:
    """The folder of the charts that come with coopctl: beside the package in a checkout, inside it if installed."""
    package = Path(provisioner.__file__).parent
    installed = package / "assets" / FOLDER
    return installed if installed.is_dir() else package.parent / FOLDER


def load_catalogue(*folders: Path) -> Catalogue:
    """Read every chart of ``folders``; one takes the place of a chart of the same name in a folder before it.

    Raises NotFound if a folder is missing and InvalidDescriptor with every problem of every chart.
    """
    for folder in folders:
        if not folder.is_dir():
            raise NotFound(f"the catalogue's folder {folder} does not exist")
    found, problems = read_solutions(*folders)
    problems += [] if problems else reference_problems(found)
    if problems:
        shown = " with ".join(map(str, folders))
        raise InvalidDescriptor(f"the catalogue {shown} has problems", diagnostics=problems)
    return Catalogue(sources=folders, solutions=MappingProxyType(found))


def chart_places(*folders: Path) -> dict[str, Path]:
    """The chart folders in ``folders``, by name in alphabetical order; the last folder that has a name wins."""
    found = {file.parent.name: file.parent for folder in folders for file in folder.glob(f"*/{CHART_FILE}")}
    return dict(sorted(found.items()))


def read_solutions(*folders: Path) -> tuple[dict[str, Solution], list[Diagnostic]]:
    """Read every chart of ``folders``: the solutions that can be read, by name, and the problems of the others."""
    problems: list[Diagnostic] = []
    found: dict[str, Solution] = {}
    for chart in chart_places(*folders).values():
        try:
            solution = read_solution(chart)
        except InvalidDescriptor as error:
            problems += error.diagnostics
        else:
            found[solution.name] = solution
    return found, problems


def read_solution(chart: Path) -> Solution:
    """Read one chart folder; raises InvalidDescriptor with every problem of its Chart.yaml, or of its data map."""
    read = read_document(chart / CHART_FILE, model=_Chart, what="solution's chart")
    document = read.content
    checked = check(_own_annotations(read.source.root), model=Annotations)
    problems = list(checked.problems)
    if document.name != chart.name:
        problems.append(read.source.diagnostic(("name",), f"is {document.name!r}, but its folder is {chart.name!r}"))
    if checked.document is None or problems:
        raise read.source.invalid(problems)
    return _solution(document, annotations=checked.document, chart=chart)


def _solution(document: _Chart, *, annotations: Annotations, chart: Path) -> Solution:
    return Solution(
        name=document.name,
        version=document.version,
        category=annotations.category,
        display_name_ko=annotations.display_name_ko,
        display_name_en=annotations.display_name_en,
        description=document.description,
        images=annotations.images,
        depends=_with_extended(annotations),
        integrates=_names(annotations.integrates),
        oldest=oldest_versions((*annotations.depends, *annotations.integrates)),
        host=annotations.host,
        chart=chart,
        extends=annotations.extends,
        modules=annotations.modules,
        own_module=read_own_module(chart),
        page=annotations.page,
        first_user=annotations.first_user,
        sectors=annotations.sectors,
        offer=annotations.offer(),
        data_map=read_data_map(chart / DATA_MAP_FILE) if (chart / DATA_MAP_FILE).is_file() else None,
        serves=annotations.serves,
        member_layout=annotations.member_layout,
    )


def _with_extended(annotations: Annotations) -> tuple[str, ...]:
    """Who runs in another solution's server needs that solution."""
    extended = {annotations.extends} if annotations.extends else set()
    return tuple(sorted({*_names(annotations.depends), *extended}))


def _names(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    return tuple(sorted({one.name for one in requirements}))


def _own_annotations(root: Node) -> Node:
    """The annotations that are coopctl's own, where they stand."""
    node, _ = find(root, ("annotations",))
    if not isinstance(node, MappingNode):
        return node
    return node._replace(
        fields={name: child for name, child in node.fields.items() if name.startswith(f"{API_GROUP}/")}
    )


def reference_problems(found: Mapping[str, Solution]) -> list[Diagnostic]:
    """Every solution that one of ``found`` names and that is not there; else circles, and what cannot be reached."""
    unknown = [
        _problem(solution, field, f"names {other!r}, which the catalogue does not have")
        for solution in found.values()
        for field, others in (("depends", solution.depends), ("integrates", solution.integrates))
        for other in sorted(set(others) - set(found))
    ]
    return unknown or [*_circles(found), *_unserved(found), *_kept_apart_otherwise(found)]


def _kept_apart_otherwise(found: Mapping[str, Solution]) -> Iterator[Diagnostic]:
    """Every solution that one cannot do without, or works with, and whose members are kept apart otherwise."""
    for solution in found.values():
        for other in (found[name] for name in sorted({*solution.depends, *solution.integrates})):
            if len({solution.member_layout, other.member_layout} - {None}) > 1:
                message = f"is {solution.member_layout}, and {other.name!r}, which it names, is {other.member_layout}"
                hint = "a cooperative has one memberLayout: the two can never be chosen together"
                yield _problem(solution, "member_layout", message, hint=hint)


def _unserved(found: Mapping[str, Solution]) -> Iterator[Diagnostic]:
    """Every integration of two servers of which one has not said how it is reached: nothing could be opened for it."""
    for solution in found.values():
        if solution.serves and solution.extends:
            yield _problem(solution, "serves", f"is served by {solution.extends}, whose server it extends")
        for other in (found[name] for name in solution.integrates):
            if other.server != solution.server and other.server in found and not found[other.server].serves:
                message = f"names {other.name!r}, and {other.server} does not say how it is reached"
                yield _problem(
                    solution, "integrates", message, hint=f"write {annotation('serves')} into its Chart.yaml"
                )


def _circles(found: Mapping[str, Solution]) -> Iterator[Diagnostic]:
    try:
        TopologicalSorter(installation_order(found.values())).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        for name in dict.fromkeys(circle):
            field = "depends" if set(found[name].depends) & set(circle) else "integrates"
            yield _problem(found[name], field, f"would be installed before itself, in a circle: {' > '.join(circle)}")


def _problem(solution: Solution, field: str, message: str, *, hint: str | None = None) -> Diagnostic:
    path = ("annotations", annotation(field))
    where = place_in(solution.chart / CHART_FILE, path)
    return Diagnostic(message=message, location=where, path=".".join(path), hint=hint)
