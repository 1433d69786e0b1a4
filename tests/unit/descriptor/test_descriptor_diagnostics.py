"""Every problem of every document at once, each with file, line, column, path and what to do."""

from pathlib import Path

import pytest

from provisioner.descriptor.loading import load_estate
from provisioner.errors import InvalidDescriptor, NotFound
from tests.unit.descriptor.worlds import COOPERATIVE, PLATFORM, TEMPLATE, changed, with_spec, world


def _only(tmp_path: Path, text: str) -> str:
    (problem,) = world(tmp_path, {"rice": text}).problems()
    return problem.removeprefix("cooperatives/rice.yaml:")


def test_a_valid_estate_has_no_problem(tmp_path: Path) -> None:
    assert world(tmp_path).problems() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed("sector: food", "sektor: food"), "5:3: spec.sektor: is not a known field (did you mean 'sector'?)"),
        (
            changed("template: manufacturing", "template: manufactoring"),
            "6:13: spec.template: 'manufactoring' is not a template (did you mean 'manufacturing'?)",
        ),
        (
            changed("size: small", "size: smal"),
            "7:9: spec.size: the template manufacturing has no size 'smal' (did you mean 'small'?)",
        ),
        (
            changed("afterwards: leave", "afterwards: leaf"),
            "8:61: spec.support.afterwards: 'leaf' is not known here (did you mean 'leave'?)",
        ),
        (
            changed("{name: portal}", "{name: protal}"),
            "11:22: spec.solutions[0].name: 'protal' is not in the catalogue (did you mean 'portal'?)",
        ),
        (
            changed("kind: Cooperative", "kind: Cooperatve"),
            "2:7: kind: must be Cooperative (did you mean 'Cooperative'?)",
        ),
        (changed("kind: Cooperative", "kind: DataStoreMigration"), "2:7: kind: must be Cooperative"),
        (
            with_spec("resources: {apps: {cpuu: 3}}"),
            "12:22: spec.resources.apps.cpuu: is not a known field (did you mean 'cpu'?)",
        ),
        (with_spec("resources: {apps: 5}"), "12:21: spec.resources.apps: must be a mapping of fields"),
        (with_spec("dataStore:"), "12:13: spec.dataStore: must be a mapping of fields"),
        (with_spec("access: {operators: {user: x}}"), "12:23: spec.access.operators: must be a list"),
        (with_spec("contact: [a, b]"), "12:12: spec.contact: must be a mapping of fields"),
        (changed("network: {domain: rice.example.kr}", "network: {}"), "10:12: spec.network.domain: is missing"),
        ("- a\n- b\n", "1:1: must be a mapping of fields"),
        ("just text\n", "1:1: must be a mapping of fields"),
        (
            changed("metadata: {name: rice, displayName: 쌀조합}", "metadata: []"),
            "3:11: metadata: must be a mapping of fields",
        ),
    ],
)
def test_a_problem_names_its_place_and_the_nearest_word(tmp_path: Path, text: str, said: str) -> None:
    found = world(tmp_path, {"rice": text}).problems()
    assert f"cooperatives/rice.yaml:{said}" in found


def test_an_unknown_field_tells_what_is_known_where_nothing_is_near(tmp_path: Path) -> None:
    assert _only(tmp_path, with_spec("access: {xyzzy: 1}")) == (
        "12:12: spec.access.xyzzy: is not a known field (known here: operators)"
    )


def test_all_problems_of_all_documents_come_at_once(tmp_path: Path) -> None:
    broken = changed("sector: food", "sector: Food\n  colour: red").replace("start: 2014-06-01", "start: soon")
    made = world(tmp_path, {"rice": broken, "gas": "a: [\n"}, platform=f"{PLATFORM}  dns: {{}}\n  colour: red\n")
    made.write("cooperatives/late.yml", COOPERATIVE)
    assert [problem.split(" ")[0] for problem in made.problems()] == [
        "platform.yaml:9:3:",
        "cooperatives/gas.yaml:2:1:",
        "cooperatives/rice.yaml:5:11:",
        "cooperatives/rice.yaml:6:3:",
        "cooperatives/rice.yaml:9:20:",
        "cooperatives/late.yml:",
    ]


def test_a_duplicate_key_does_not_hide_other_problems(tmp_path: Path) -> None:
    found = world(tmp_path, {"rice": with_spec("size: large\n  colour: red")}).problems()
    assert [problem.split(": ", 1)[1] for problem in found] == [
        "repeats the field 'size' of line 7 (keep one of them)",
        found[1].split(": ", 1)[1],
    ]
    assert "spec.colour: is not a known field" in found[1]


def test_a_problem_in_a_template_is_told_once_at_the_template(tmp_path: Path) -> None:
    second = changed("name: rice", "name: gas").replace("rice.example", "gas.example")
    documents = {"rice": COOPERATIVE, "gas": second}
    made = world(tmp_path, {name: text.replace("manufacturing", "own") for name, text in documents.items()})
    made.write("tenant_templates/own/template.yaml", TEMPLATE.replace("connectionLimit: 20", "connectionLimit: many"))
    (problem,) = made.problems()
    assert problem.startswith(
        "tenant_templates/own/template.yaml:11:39: spec.dataStore.postgres.connectionLimit: must be a whole number"
    )


def test_a_long_or_hidden_value_is_cut_and_escaped(tmp_path: Path) -> None:
    problem = _only(tmp_path, changed("name: rice,", f"name: {'x' * 300}\u202e,"))
    assert "\u202e" not in problem
    assert len(problem) < 200


def test_an_apply_of_one_is_not_stopped_by_a_problem_of_another(tmp_path: Path) -> None:
    made = world(tmp_path, {"rice": COOPERATIVE, "gas": "a: [\n"})
    _, (cooperative,) = load_estate(made.estate, names=("rice",))
    assert cooperative.name == "rice"
    with pytest.raises(InvalidDescriptor, match="1 problem in 1 file"):
        load_estate(made.estate)


def test_a_name_without_document_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_estate(world(tmp_path).estate, names=("rise",))
    assert caught.value.hint == "did you mean 'rice'?"


def test_a_hundred_problems_of_a_document_are_enough(tmp_path: Path) -> None:
    found = world(tmp_path, {"rice": COOPERATIVE + "".join(f"  k{index}: 1\n" for index in range(20_000))}).problems()
    assert len(found) == 101
    assert any("has 19900 further problems that are not shown" in problem for problem in found)
