"""Whatever stands in an estate's files, validate answers with exit code 0 or 2 and never with a traceback."""

import contextlib
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli import main
from provisioner.errors import ExitCode
from tests.unit.descriptor.worlds import COOPERATIVE, PILOT, PLATFORM, TEMPLATE, World, world

NASTY = [
    *[
        "\t",
        "\x00",
        "\x1b",
        "\ufeff",
        "\u202e",
        "\u2028",
        "\r",
        "&a ",
        "*a",
        "<<: *a",
        "!!python/none ",
        "? ",
        "- ",
        "---\n",
    ],
    *[
        "{{ members }}",
        "{{",
        "%YAML 1.2\n",
        "'",
        '"',
        '"\\0"',
        "|",
        ">",
        "[" * 50,
        "{a: " * 50,
        ": ",
        "#",
        "9" * 400,
        ".inf",
    ],
    *[
        "null",
        "~",
        "NO",
        "010",
        "12:30",
        "1e999",
        "0x7f",
        "2014-02-30",
        "../../../etc/passwd",
        "/dev/zero",
        "{}",
        "[]",
        "",
    ],
]
PILOTS = [file.read_text(encoding="utf-8") for file in sorted(PILOT.glob("cooperatives/*.yaml"))]
QUICK = settings(max_examples=120, deadline=None)


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """One estate for all examples: each overwrites the file it is about."""
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder) / "estate")
        for file in PILOT.glob("members/*.csv"):
            made.write(f"members/{file.name}", file.read_bytes())
        yield made


def _validate(made: World, *options: str) -> tuple[ExitCode, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run(["validate", "--estate", str(made.estate.root), *options])
    return code, out.getvalue(), err.getvalue()


def _holds(made: World, path: str, content: str | bytes, restore: str) -> ExitCode:
    """Validate with ``content`` in ``path``; the answer is 0 or 2, and names the file if it is 2."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    file = made.write(path, data)
    try:
        code, out, err = _validate(made)
    finally:
        file.write_text(restore, encoding="utf-8")
    assert code in {ExitCode.DONE, ExitCode.USAGE}
    assert "Traceback" not in err
    assert (code is ExitCode.DONE) == (out != "")
    if code is ExitCode.USAGE:
        assert f"{made.estate.root}/" in err
        assert "error: " in err
    return code


_place = st.integers(0, 1200)
_edit = st.tuples(_place, st.integers(0, 30), st.one_of(st.sampled_from(NASTY), st.text(max_size=8)))


def _edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for place, length, inserted in edits:
        start = place % (len(text) + 1)
        text = text[:start] + inserted + text[start + length :]
    return text


@QUICK
@given(content=st.binary(max_size=300))
def test_any_bytes(shared: World, content: bytes) -> None:
    assert _holds(shared, "cooperatives/rice.yaml", content, COOPERATIVE) is ExitCode.USAGE


@QUICK
@given(text=st.text(max_size=300))
def test_any_text(shared: World, text: str) -> None:
    assert _holds(shared, "cooperatives/rice.yaml", text, COOPERATIVE) is ExitCode.USAGE


@QUICK
@given(pilot=st.sampled_from(PILOTS), edits=st.lists(_edit, min_size=1, max_size=4))
def test_a_mutated_pilot(shared: World, pilot: str, edits: list[tuple[int, int, str]]) -> None:
    _holds(shared, "cooperatives/rice.yaml", _edited(pilot, edits), COOPERATIVE)


_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.sampled_from(NASTY)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = ["sector", "template", "size", "support", "contact", "members", "access", "network", "dataStore", "resources"]


@QUICK
@given(values=st.dictionaries(st.sampled_from([*_FIELDS, "solutions", "x"]), _value, min_size=1, max_size=3))
def test_any_value_in_any_field(shared: World, values: dict[str, object]) -> None:
    kept = [line for line in COOPERATIVE.splitlines() if line.strip().split(":")[0] not in values]
    added = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items()]
    _holds(shared, "cooperatives/rice.yaml", "\n".join([*kept, *added]) + "\n", COOPERATIVE)


@QUICK
@given(edits=st.lists(_edit, min_size=1, max_size=4))
def test_a_mutated_platform(shared: World, edits: list[tuple[int, int, str]]) -> None:
    _holds(shared, "platform.yaml", _edited(PLATFORM, edits), PLATFORM)


@QUICK
@given(edits=st.lists(_edit, min_size=1, max_size=4))
def test_a_mutated_template(shared: World, edits: list[tuple[int, int, str]]) -> None:
    shared.write("cooperatives/own.yaml", COOPERATIVE.replace("template: manufacturing", "template: own"))
    try:
        _holds(shared, "tenant_templates/own/template.yaml", _edited(TEMPLATE, edits), TEMPLATE)
    finally:
        (shared.estate.cooperatives / "own.yaml").unlink()


@QUICK
@given(
    content=st.one_of(st.binary(max_size=200), st.lists(st.sampled_from([*NASTY, ",", "\n", "m-1", "8"])).map("".join))
)
def test_any_members(shared: World, content: str | bytes) -> None:
    text = COOPERATIVE.replace("[{id: m-1, name: 회원사 001, employees: 8}]", "{file: ../members/rice.csv}")
    shared.write("cooperatives/rice.yaml", text)
    _holds(shared, "members/rice.csv", content, "id,name,employees\n")
    shared.write("cooperatives/rice.yaml", COOPERATIVE)


@pytest.mark.parametrize(
    "content",
    [
        COOPERATIVE.encode("utf-16"),
        COOPERATIVE.encode("utf-32"),
        COOPERATIVE.encode("cp949"),
        "name: Müller\n".encode("latin-1"),
        COOPERATIVE.replace("spec:", "spec:\t").replace("  sector", "\tsector"),
        COOPERATIVE + COOPERATIVE,
        COOPERATIVE.replace("food", "fo\x00od"),
        COOPERATIVE + "#" * 10_000_000,
        b"a" * 10_000_000,
        "[" * 1_000_000,
        "{a: " * 250_000,
        "- " * 500_000,
        "&a [" * 100_000,
        "!" * 100_000,
        "'" * 100_001,
        "a: |\n" + "  x\n" * 100_000 + "b",
        "\n" * 1_000_000,
        "? " * 100_000,
        "---\n" * 100_000,
        COOPERATIVE + "".join(f"  k{index}: 1\n" for index in range(20_000)),
        COOPERATIVE.replace("sector: food", "sector: &a [" + ", ".join(["*a"] * 50) + "]"),
        "a: &a x\n" + "".join(f"b{index}: *a\n" for index in range(50_000)),
    ],
    ids=range(22),
)
def test_what_is_huge_deep_or_foreign_is_refused(tmp_path: Path, content: str | bytes) -> None:
    made = world(tmp_path)
    assert _holds(made, "cooperatives/rice.yaml", content, COOPERATIVE) is ExitCode.USAGE


def test_a_byte_order_mark_is_no_problem(shared: World) -> None:
    assert _holds(shared, "cooperatives/rice.yaml", "\ufeff" + COOPERATIVE, COOPERATIVE) is ExitCode.DONE


@QUICK
@given(edits=st.lists(_edit, min_size=1, max_size=3))
def test_the_answer_as_json_is_one_document(shared: World, edits: list[tuple[int, int, str]]) -> None:
    file = shared.write("cooperatives/rice.yaml", _edited(COOPERATIVE, edits).encode("utf-8", "surrogatepass"))
    try:
        code, out, err = _validate(shared, "--output", "json")
    finally:
        file.write_text(COOPERATIVE, encoding="utf-8")
    document = json.loads(out)
    assert err == ""
    assert document["kind"] == ("Validation" if code is ExitCode.DONE else "Error")
    assert all(problem["file"] for problem in document["diagnostics"])
