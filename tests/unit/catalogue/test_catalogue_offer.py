"""What a chart says about itself: its terms, what it needs, and whose its data are."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provisioner.catalogue import Solution, load_catalogue
from provisioner.catalogue.data_map import read_data_map
from provisioner.catalogue.offer import (
    Egress,
    Needs,
    Offer,
    Price,
    PricePer,
    Review,
    Size,
    parse_egress,
    parse_licence,
    parse_price,
)
from provisioner.descriptor.cooperative import MemberLayout
from provisioner.errors import InvalidDescriptor, UsageError
from tests.unit.catalogue.test_catalogue_loading import chart, problems
from tests.unit.plan.builders import CHARTS


def loaded(folder: Path) -> Solution:
    """The only solution of the catalogue ``folder``."""
    return load_catalogue(folder).solution("ledger")


def data_map(folder: Path, spec: Any) -> Path:
    """A data map with ``spec``, beside the chart `ledger`."""
    file = folder / "ledger" / "data-map.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.safe_dump({"apiVersion": "coopctl.dev/v1", "kind": "DataMap", "spec": spec}))
    return file


def refused(file: Path) -> str:
    """Why a data map is refused."""
    with pytest.raises(InvalidDescriptor) as error:
        read_data_map(file)
    return " ".join(str(diagnostic) for diagnostic in error.value.diagnostics)


def test_a_chart_that_says_nothing_is_proposed_and_needs_nothing(tmp_path: Path) -> None:
    chart(tmp_path)
    assert loaded(tmp_path).offer == Offer()
    assert loaded(tmp_path).offer.review is Review.PROPOSED
    assert loaded(tmp_path).data_map is None


def test_all_terms_are_read(tmp_path: Path) -> None:
    chart(
        tmp_path,
        sectors="plating, food-processing",
        publisher="회사 A",
        licence="GPL-3.0-or-later AND Apache-2.0",
        source="https://example.org/ledger",
        support_contact="help@example.org",
        price="3000 KRW per member and month",
        review="approved",
        needs_extensions="pgcrypto,btree_gist",
        needs_bucket="true",
        needs_egress="tax.example.kr:443",
        needs_size="medium",
        member_layout="schema",
    )
    solution = loaded(tmp_path)
    assert solution.member_layout is MemberLayout.SCHEMA
    assert solution.sectors == ("food-processing", "plating")
    assert solution.offer == Offer(
        publisher="회사 A",
        licence="GPL-3.0-or-later AND Apache-2.0",
        source="https://example.org/ledger",
        support_contact="help@example.org",
        price=Price(won=3000, per=PricePer.MEMBER),
        review=Review.APPROVED,
        needs=Needs(
            extensions=("btree_gist", "pgcrypto"),
            bucket=True,
            egress=(Egress(host="tax.example.kr", port=443),),
            size=Size.MEDIUM,
        ),
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sectors", "Food Processing"),
        ("images", "web,../web"),
        ("publisher", "a\nb"),
        ("publisher", "\u202eevil"),
        ("publisher", ""),
        ("publisher", "a" * 201),
        ("licence", "free software"),
        ("licence", ""),
        ("source", "http://example.org"),
        ("source", "https://example.org/<script>"),
        ("price", "3000"),
        ("price", "-1 KRW per member and month"),
        ("price", ""),
        ("review", "done"),
        ("needs-extensions", 'x"; DROP'),
        ("needs-bucket", "yes"),
        ("needs-egress", "tax.example.kr"),
        ("needs-egress", "tax.example.kr:70000"),
        ("needs-size", "huge"),
        ("member-layout", "table"),
        ("display-name-ko", "장부\n"),
    ],
)
def test_a_term_in_no_known_form_is_refused_by_its_name(tmp_path: Path, name: str, text: str) -> None:
    chart(tmp_path, **{name: text})
    told = problems(tmp_path)
    assert len(told) == 1
    assert name in told[0]


def test_a_layout_is_told_where_it_stands_and_what_was_meant(tmp_path: Path) -> None:
    chart(tmp_path, member_layout="shema")
    with pytest.raises(InvalidDescriptor) as refused:
        load_catalogue(tmp_path)
    [problem] = refused.value.diagnostics
    assert problem.path == "coopctl.dev/member-layout"
    assert problem.location.line > 0
    assert problem.hint == "did you mean 'schema'?"


@pytest.mark.parametrize("field", ["depends", "integrates", "extends"])
def test_solutions_that_name_each_other_keep_members_apart_alike(tmp_path: Path, field: str) -> None:
    chart(tmp_path, name="books", member_layout="column", serves="http 80:8000")
    chart(tmp_path, name="files", member_layout="schema", **{field: "books"})
    [told] = problems(tmp_path)
    assert "annotations.coopctl.dev/member-layout: is schema, and 'books', which it names, is column" in told
    assert "files/Chart.yaml:" in told


@pytest.mark.parametrize("layout", ["column", None])
def test_a_solution_without_a_layout_goes_with_every_other(tmp_path: Path, layout: str | None) -> None:
    chart(tmp_path, name="books", member_layout="column")
    chart(tmp_path, name="notice", depends="books", **({"member_layout": layout} if layout else {}))
    assert set(load_catalogue(tmp_path).solutions) == {"books", "notice"}


def test_a_control_character_is_refused_with_its_place(tmp_path: Path) -> None:
    chart(tmp_path, support_contact="\x00")
    (told,) = problems(tmp_path)
    assert re.search(r"Chart\.yaml:\d+:\d+: contains an escaped control character", told)


def test_what_helm_would_not_read_as_text_must_be_quoted(tmp_path: Path) -> None:
    file = chart(tmp_path, needs_bucket="true") / "Chart.yaml"
    file.write_text(file.read_text().replace("'true'", "true"))
    (told,) = problems(tmp_path)
    assert "coopctl.dev/needs-bucket: is not text to Helm" in told


@given(st.text(max_size=60))
def test_no_text_is_taken_for_a_term_by_mistake(text: str) -> None:
    for parse in (parse_licence, parse_price, parse_egress):
        if not (text.isascii() and text.isprintable()):
            with pytest.raises(UsageError):
                parse(text)
        else:
            with suppress(UsageError):
                assert parse(text)


def test_the_shipped_solutions_state_their_terms_and_whose_their_data_are() -> None:
    for solution in load_catalogue(CHARTS).solutions.values():
        assert solution.data_map is not None
        assert None not in (solution.offer.publisher, solution.offer.licence, solution.offer.price)
        assert solution.offer.review is Review.APPROVED


def test_a_data_map_tells_members_tables_by_their_paths(tmp_path: Path) -> None:
    chart(tmp_path)
    tables = {"members": {"move_line": ["move", "company"], "move": ["company"]}, "shared": ["country"]}
    data_map(tmp_path, {"tables": tables, "objects": {"members": ["m/{member}/"], "shared": ["logos/"]}})
    found = loaded(tmp_path).data_map
    assert found is not None
    assert dict(found.members) == {"move": ("company",), "move_line": ("move", "company")}
    assert found.shared == frozenset({"country"})
    assert (found.member_objects, found.shared_objects) == (("m/{member}/",), ("logos/",))
    assert found.unmapped(frozenset({"move", "country", "zone", "area"})) == ("area", "zone")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"tables": {"members": {"move": ["company"]}, "shared": ["move"]}}, "both"),
        ({"tables": {"members": {"move": []}}}, "move"),
        ({"tables": {"members": {"move; --": ["company"]}}}, "move"),
        ({"tables": {"members": {"move": ['company"']}}}, "move"),
        ({"tables": {"shared": ["Country"]}}, "shared"),
        ({"objects": {"members": ["all/"]}}, "whose"),
        ({"objects": {"members": ["m/{member}"]}}, "members"),
        ({"objects": {"shared": ["m/{member}/"]}}, "names a member"),
        ({"objects": {"shared": ["/m/"]}}, "shared"),
        ({"tabels": {}}, "tabels"),
        ([], "spec"),
    ],
)
def test_a_data_map_that_leaves_open_whose_data_are_is_refused(tmp_path: Path, spec: Any, told: str) -> None:
    assert told in refused(data_map(tmp_path, spec))


def test_every_problem_of_a_data_map_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "data-map.yaml"
    objects = "  objects:\n    members:\n      - all/\n    shared: ['{member}/']\n"
    file.write_text(f"apiVersion: coopctl.dev/v1\nkind: DataMap\nspec:\n{objects}")
    with pytest.raises(InvalidDescriptor) as error:
        read_data_map(file)
    assert [one.location.line for one in error.value.diagnostics] == [6, 7]


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff", b"a: [", b"[]", b"spec: &a [*a]"])
def test_a_file_that_is_no_data_map_is_refused_without_a_traceback(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "data-map.yaml"
    file.write_bytes(content)
    assert refused(file)


def test_a_bad_data_map_is_a_problem_of_the_catalogue(tmp_path: Path) -> None:
    chart(tmp_path)
    data_map(tmp_path, {"tabels": {}})
    assert "tabels" in problems(tmp_path)[0]
