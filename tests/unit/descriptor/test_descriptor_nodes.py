"""YAML becomes nodes with their places; syntax errors and broken limits become diagnostics."""

import time
from pathlib import Path

import pytest

from provisioner.descriptor.nodes import DEPTH_MAX, MappingNode, ScalarNode, compose, find, leaves

FILE = Path("rice.yaml")


def _messages(text: str) -> list[str]:
    return [str(problem) for problem in compose(text, file=FILE).problems]


def test_every_value_knows_its_line_column_and_how_it_was_written() -> None:
    root = compose("a:\n  - b: 'NO'\n    c: NO\n", file=FILE).root
    assert root is not None
    quoted, _ = find(root, ("a", 0, "b"))
    plain, _ = find(root, ("a", 0, "c"))
    assert isinstance(quoted, ScalarNode)
    assert isinstance(plain, ScalarNode)
    assert (quoted.text, quoted.plain, quoted.line, quoted.column) == ("NO", False, 2, 8)
    assert (plain.text, plain.plain, plain.line, plain.column) == ("NO", True, 3, 8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "rice.yaml:3:1: repeats the field 'a' of line 1"),
        ("a:\n\tb: 1\n", "rice.yaml:2:1: is not YAML: a tab stands where YAML wants spaces"),
        ("a: 1\n---\nb: 2\n", "rice.yaml:2:1: holds more than one document"),
        (
            "a: !!python/object/apply:os.system [x]\n",
            "rice.yaml:1:4: has the tag !!python/object/apply:os.system; tags are not used here",
        ),
        ("? [x]\n: y\n", "rice.yaml:1:3: has a list or mapping as a key; a key is text"),
        ("a: &x [*x]\n", "rice.yaml:1:8: uses the alias *x inside itself or before its anchor"),
        ("b: &x {c: 1}\na:\n  <<: *x\n", "rice.yaml:3:3: uses a merge key (<<), which is not supported"),
        ('a: "\\0"\n', "rice.yaml:1:4: contains an escaped control character"),
        ("", "rice.yaml: is empty"),
        ("# nothing but a comment\n", "rice.yaml: is empty"),
        ("a: [1\n", "rice.yaml:2:1: is not YAML: while parsing a flow sequence did not find expected ',' or ']'"),
        ("a: \udc80", "rice.yaml: contains half a character, U+DC80"),
    ],
)
def test_a_problem_is_told_with_its_place(text: str, said: str) -> None:
    assert said in _messages(text)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_without_end_is_refused(opening: str) -> None:
    assert (
        f"nested more than {DEPTH_MAX} levels deep" in _messages(opening * 100_000)[-1]
        or "as a key" in _messages(opening * 100_000)[-1]
    )


def test_an_alias_bomb_is_refused_quickly() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 10)]
    start = time.perf_counter()
    assert "values, aliases expanded" in _messages("\n".join(lines))[-1]
    assert time.perf_counter() - start < 5


def test_aliases_within_bounds_are_expanded() -> None:
    composed = compose("a: &x {b: 1}\nc: *x\n", file=FILE)
    assert composed.problems == ()
    assert composed.root is not None
    node, found = find(composed.root, ("c", "b"))
    assert found
    assert isinstance(node, ScalarNode)
    assert node.text == "1"


def test_a_hundred_aliases_are_the_most() -> None:
    assert "uses more than 100 aliases" in _messages("a: &x 1\nb: [" + ", ".join(["*x"] * 101) + "]\n")[-1]


def test_leaves_are_what_was_decided_as_a_whole() -> None:
    root = compose("a: {b: 1, c: [2, 3], d: {}}\n", file=FILE).root
    assert isinstance(root, MappingNode)
    assert [path for path, _ in leaves(root)] == ["a.b", "a.c", "a.d"]


def test_a_document_full_of_problems_is_given_up() -> None:
    said = _messages("a: 1\n" * 10_000)
    assert len(said) == 101
    assert said[-1].endswith("has further problems; the rest was not read")
