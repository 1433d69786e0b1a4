"""How members are kept apart: what a cooperative's solutions need is what its descriptor says, or it is refused."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from provisioner.catalogue import Catalogue, load_catalogue
from provisioner.descriptor.cooperative import Cooperative, MemberLayout, Origin, OriginKind, SolutionChoice
from provisioner.descriptor.nodes import ScalarNode, find
from provisioner.descriptor.templates import TemplateShelf, shipped_templates
from provisioner.errors import InvalidDescriptor, Location
from provisioner.plan.solution_choice import choice_problems, refuse_problems
from provisioner.plan.solution_layouts import PATH, needed_layout
from tests.unit.plan import builders
from tests.unit.plan.test_plan_solutions import solution

COLUMN, SCHEMA = MemberLayout.COLUMN, MemberLayout.SCHEMA
CATALOGUE = Catalogue(
    sources=(Path("charts"),),
    solutions=MappingProxyType(
        {
            "books": replace(solution("books"), member_layout=COLUMN),
            "files": replace(solution("files"), member_layout=SCHEMA),
            "notice": solution("notice"),
            "stock": replace(solution("stock"), member_layout=COLUMN),
        }
    ),
)
WRITTEN = Location(file=Path("cooperatives/rice.yaml"), line=9, column=40)


def choosing(*names: str, layout: MemberLayout, origins: dict[str, Origin] | None = None) -> Cooperative:
    """A cooperative with these solutions and this layout."""
    made = builders.cooperative(
        solutions=tuple(
            SolutionChoice(name=name, location=Location(file=Path("cooperatives/rice.yaml"), line=20 + place, column=7))
            for place, name in enumerate(names)
        )
    )
    return replace(made, postgres=replace(made.postgres, member_layout=layout), origins=origins or {})


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("notice",), COLUMN),
        (("notice",), SCHEMA),
        (("books", "notice", "stock"), COLUMN),
        (("files", "notice"), SCHEMA),
        ((), SCHEMA),
    ],
)
def test_what_fits_is_not_spoken_of(names: tuple[str, ...], layout: MemberLayout) -> None:
    assert choice_problems(choosing(*names, layout=layout), catalogue=CATALOGUE) == []


def test_a_layout_that_does_not_fit_is_refused_with_both_places_and_what_to_write() -> None:
    origin = Origin(kind=OriginKind.TEMPLATE, location=WRITTEN)
    cooperative = choosing("notice", "files", layout=COLUMN, origins={PATH: origin})
    with pytest.raises(InvalidDescriptor) as refused:
        refuse_problems(cooperative, catalogue=CATALOGUE)
    [problem] = refused.value.diagnostics
    assert str(problem) == (
        "cooperatives/rice.yaml:21:7: spec.solutions.files: keeps members apart by memberLayout schema, and"
        " spec.dataStore.postgres.memberLayout is column (template: cooperatives/rice.yaml:9:40)"
    )
    assert "write `memberLayout: schema`" in (problem.hint or "")


def test_solutions_that_keep_members_apart_in_two_ways_are_told_to_choose() -> None:
    found = choice_problems(choosing("books", "files", "stock", layout=COLUMN), catalogue=CATALOGUE)
    assert [(one.path, one.hint) for one in found] == [
        ("spec.solutions.files", "choose either files or books, stock: one cooperative has one layout")
    ]
    found = choice_problems(choosing("books", "files", "stock", layout=SCHEMA), catalogue=CATALOGUE)
    assert [one.path for one in found] == ["spec.solutions.books", "spec.solutions.stock"]


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (("notice",), None),
        (("books", "notice"), COLUMN),
        (("files", "unknown"), SCHEMA),
        (("books", "files"), None),
        ((), None),
    ],
)
def test_what_solutions_need_together(names: tuple[str, ...], layout: MemberLayout | None) -> None:
    assert needed_layout(names, catalogue=CATALOGUE) is layout


def test_every_template_keeps_members_apart_as_the_solutions_that_it_proposes_need() -> None:
    shelf, catalogue = TemplateShelf(folders=(shipped_templates(),)), load_catalogue(builders.CHARTS)
    for name in shelf.names():
        read = shelf.template(name)
        assert read is not None
        assert read.template is not None
        needed = needed_layout(read.template.solutions, catalogue=catalogue)
        for size in read.template.sizes.values():
            node, found = find(size.settings, ("dataStore", "postgres", "memberLayout"))
            assert found
            assert isinstance(node, ScalarNode)
            assert needed in {None, node.text}, name


def test_every_shipped_solution_with_tables_says_how_it_keeps_members_apart() -> None:
    found = {one.name: one.member_layout for one in load_catalogue(builders.CHARTS).solutions.values()}
    assert found == {
        "gas-delivery": COLUMN,
        "ledger": COLUMN,
        "lot-tracing": COLUMN,
        "member-files": SCHEMA,
        "plating-orders": COLUMN,
        "portal": None,
        "trade": COLUMN,
    }
