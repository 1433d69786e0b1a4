"""Hostile text in every field of a catalogue: it is refused with its place, or it is text that people can read."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.views import catalogue as view
from provisioner.catalogue import Solution, load_catalogue
from provisioner.catalogue.data_map import read_data_map
from provisioner.catalogue.images.definition import read_definition
from provisioner.errors import InvalidDescriptor

MEBIBYTE = 1024 * 1024
FIELDS = (
    *("category", "display-name-ko", "display-name-en", "sectors", "images", "depends", "integrates", "host"),
    *("extends", "modules", "page", "first-user", "serves"),
    *("publisher", "licence", "source", "support-contact", "price", "review"),
    *("needs-extensions", "needs-bucket", "needs-egress", "needs-size"),
)
HOSTILE = {
    "line break": "a\nb: c",
    "carriage return": "a\rb",
    "escape sequence": "\x1b[31mred",
    "C1 control": "a\x9bb",
    "right-to-left mark": "a\u200fb",
    "right-to-left override": "\u202eb.gpj",
    "Arabic letter mark": "\u061cx",
    "zero-width space": "a\u200bb",
    "line separator": "a\u2028b",
    "a mebibyte": "a" * MEBIBYTE,
    "half a mebibyte": "가" * (MEBIBYTE // 6),
}
READABLE = (
    "\"quoted\" 'twice'",
    "{{ .Values.images }} ${HOME} `id` %s",
    "<b>&amp;</b> # not a comment",
    "'; DROP TABLE x; --",
    "[bold]not markup[/bold]",
)
SHOWN = ("display-name-ko", "display-name-en", "publisher", "support-contact")


def written(folder: Path, *, version: str = "1.0.0", description: str = "", **annotations: str) -> Path:
    """A catalogue with one chart, whose annotations are those that it needs and ``annotations``."""
    given = {"category": "basic", "display-name-ko": "장부", "display-name-en": "Ledger", **annotations}
    document = {
        "apiVersion": "v2",
        "name": "ledger",
        "version": version,
        **({"description": description} if description else {}),
        "annotations": {f"coopctl.dev/{key}": value for key, value in given.items()},
    }
    chart = folder / "ledger"
    chart.mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text(
        json.dumps(document, ensure_ascii=False), encoding="utf-8", errors="surrogatepass"
    )
    return folder


def loaded(folder: Path) -> Solution | None:
    """The solution, or None if it is refused; then every problem has a short message and a file."""
    try:
        return load_catalogue(folder).solution("ledger")
    except InvalidDescriptor as refused:
        problems = refused.diagnostics
    assert problems
    assert {one.location.file for one in problems} == {folder / "ledger" / "Chart.yaml"}
    assert all(len(one.message) < 500 for one in problems)
    return None


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_text_that_deceives_its_reader_is_refused_in_every_field(tmp_path: Path, name: str, text: str) -> None:
    assert loaded(written(tmp_path, **{name: text})) is None


@pytest.mark.parametrize("name", SHOWN)
def test_a_name_of_nothing_but_space_is_refused(tmp_path: Path, name: str) -> None:
    assert loaded(written(tmp_path, **{name: "   "})) is None


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"line break", "carriage return", "line separator"}))
def test_a_description_is_visible_text(tmp_path: Path, name: str) -> None:
    assert loaded(written(tmp_path, description=HOSTILE[name])) is None


def test_a_description_over_several_lines_is_read_as_one(tmp_path: Path) -> None:
    solution = loaded(written(tmp_path, description="Books\n  and more\n"))
    assert solution is not None
    assert solution.description == "Books and more"


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("text", READABLE)
def test_quotes_and_templates_are_text(
    tmp_path: Path, name: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    solution = loaded(written(tmp_path, **{name: text}))
    assert solution is not None
    view.show_solution(solution, contents=(), output="text")
    assert text in capsys.readouterr().out
    view.show_list([solution], output="json")
    (shown,) = json.loads(capsys.readouterr().out)["solutions"]
    assert text in {*shown["displayName"].values(), shown["publisher"], shown["supportContact"]}


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0\n", "١.٢.٣", "1.0.0-" + "a" * 100, "9" * 30 + ".0.0"])
def test_a_version_is_three_numbers(tmp_path: Path, version: str) -> None:
    assert loaded(written(tmp_path, version=version)) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80)
@given(name=st.sampled_from(FIELDS), text=st.text(max_size=40))
def test_no_text_in_any_field_leads_to_a_traceback_or_to_an_unreadable_line(
    tmp_path: Path, name: str, text: str
) -> None:
    solution = loaded(written(tmp_path, **{name: text}))
    if solution is not None:
        said = [solution.display_name_ko, solution.display_name_en, solution.offer.publisher or ""]
        assert all(line.isprintable() for line in said)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(content=st.binary(max_size=300))
def test_no_content_of_a_chart_file_leads_to_a_traceback(tmp_path: Path, content: bytes) -> None:
    written(tmp_path)
    (tmp_path / "ledger" / "Chart.yaml").write_bytes(content)
    assert loaded(tmp_path) is None


IMAGE = {
    "apiVersion": "coopctl.dev/v1",
    "kind": "Image",
    "metadata": {"name": "tea"},
    "spec": {
        "repository": "own/tea",
        "description": "Tea",
        "packages": ["nginx"],
        "without": ["perl"],
        "files": [{"source": "x", "target": "/x"}],
        "prune": ["var"],
        "entrypoint": ["/tea"],
        "user": {"id": "@65532", "name": "tea"},
    },
}


def image(folder: Path, *, field: str, text: str) -> Path:
    """An image definition whose ``field`` is ``text``."""
    spec = json.loads(json.dumps(IMAGE["spec"]))
    if field == "name":
        spec["user"]["name"] = text
    elif field == "target":
        spec["files"][0]["target"] = text
    else:
        spec[field] = [text] if isinstance(spec[field], list) else text
    (folder / "x").touch()
    file = folder / "image.yaml"
    written_as = json.dumps({**IMAGE, "spec": spec}, ensure_ascii=False).replace('"@65532"', "65532")
    file.write_text(written_as, encoding="utf-8")
    return file


def test_the_image_that_hostile_text_is_put_into_is_a_good_one(tmp_path: Path) -> None:
    assert read_definition(image(tmp_path, field="description", text=READABLE[0])).description == READABLE[0]


@pytest.mark.parametrize("field", ["repository", "description", "packages", "without", "target", "name"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_in_an_image_is_refused_with_its_place(tmp_path: Path, field: str, text: str) -> None:
    file = image(tmp_path, field=field, text=text)
    with pytest.raises(InvalidDescriptor) as refused:
        read_definition(file)
    assert all(one.location.file == file and len(one.message) < 500 for one in refused.value.diagnostics)


@pytest.mark.parametrize("place", ["table", "column", "shared", "prefix"])
@pytest.mark.parametrize("text", [*HOSTILE.values(), *READABLE], ids=[*HOSTILE, *map(repr, READABLE)])
def test_hostile_text_in_a_data_map_is_refused_with_its_place(tmp_path: Path, place: str, text: str) -> None:
    tables = {"members": {text if place == "table" else "move": [text if place == "column" else "company"]}}
    spec = {
        "tables": {**tables, "shared": [text] if place == "shared" else []},
        "objects": {"shared": [f"{text}/"] if place == "prefix" else []},
    }
    file = tmp_path / "data-map.yaml"
    document = {"apiVersion": "coopctl.dev/v1", "kind": "DataMap", "spec": spec}
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(InvalidDescriptor) as refused:
        read_data_map(file)
    assert all(one.location.file == file and len(one.message) < 500 for one in refused.value.diagnostics)
