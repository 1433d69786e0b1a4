"""Exceptions are documents like all others: strict, every problem at once, and only from rules that allow one."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.json_schema import schema
from provisioner.descriptor.loading import check_estate, load_exceptions
from provisioner.descriptor.policy_exception import KnownRules, ObjectReference
from provisioner.errors import InvalidDescriptor
from tests.unit.descriptor.worlds import World, world

RULES = KnownRules(
    exceptable=frozenset({"image-pull", "image-digest"}),
    fixed={"privileged": "Pod Security enforces it, which knows no exceptions"},
)
EXCEPTION = """\
apiVersion: coopctl.dev/v1
kind: PolicyException
metadata: {name: rice-pull}
spec:
  rule: image-pull
  cooperative: rice
  who: 플랫폼 운영팀
  why: the registry is being moved
  until: 2027-01-31
"""
FILE = "exceptions/rice-pull.yaml"


def problems(of: World, *, names: tuple[str, ...] | None = None) -> list[str]:
    """Every problem of the estate with its hint, files relative to it."""
    found = check_estate(of.estate, endpoints=EmbeddedEndpoints(), rules=RULES, names=names).problems
    return [f"{one}".replace(f"{of.estate.root}/", "") + (f" ({one.hint})" if one.hint else "") for one in found]


def test_an_exception_becomes_a_value_that_knows_its_place(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, EXCEPTION.replace("  who:", "  object: {kind: Deployment, name: ledger}\n  who:"))
    [exception] = load_exceptions(made.estate, rules=RULES)
    assert (exception.rule, exception.cooperative, exception.who) == ("image-pull", "rice", "플랫폼 운영팀")
    assert exception.object == ObjectReference(kind="Deployment", name="ledger")
    assert exception.until == date(2027, 1, 31)
    assert (exception.source.file.name, exception.source.line) == ("rice-pull.yaml", 10)


def test_an_estate_without_exceptions_has_none(tmp_path: Path) -> None:
    assert load_exceptions(world(tmp_path).estate, rules=RULES) == ()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "rule: image-pull",
            "rule: image-pul",
            "5:9: spec.rule: 'image-pul' is not a rule (did you mean 'image-pull'?)",
        ),
        (
            "rule: image-pull",
            "rule: quantum",
            "5:9: spec.rule: 'quantum' is not a rule (`coopctl policy list` shows all rules)",
        ),
        (
            "rule: image-pull",
            "rule: privileged",
            (
                "5:9: spec.rule: privileged cannot be excepted: Pod Security enforces it, which knows no exceptions"
                " (remove this document)"
            ),
        ),
        (
            "cooperative: rice",
            "cooperative: rise",
            "6:16: spec.cooperative: 'rise' is not a cooperative of this estate (did you mean 'rice'?)",
        ),
        (
            "name: rice-pull",
            "name: other",
            "3:18: metadata.name: is 'other', but the file is called 'rice-pull.yaml' (rename it to other.yaml)",
        ),
        ("  who: 플랫폼 운영팀\n", "", "5:3: spec.who: is missing"),
        (
            "who: 플랫폼 운영팀",
            "who: ''",
            "7:8: spec.who: is empty (give a value, in quotes if the word null is meant)",
        ),
        ("until: 2027-01-31", "until: soon", "9:10: spec.until: must be a date such as 2014-06-01, not 'soon'"),
        ("until:", "untill:", "9:3: spec.untill: is not a known field (did you mean 'until'?)"),
        (
            "  who:",
            "  object: {kind: deployment, name: x}\n  who:",
            "7:18: spec.object.kind: 'deployment' is not a kind such as StatefulSet",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, old: str, new: str, expected: str) -> None:
    made = world(tmp_path)
    made.write(FILE, EXCEPTION.replace(old, new))
    assert f"{FILE}:{expected}" in problems(made)
    with pytest.raises(InvalidDescriptor):
        load_exceptions(made.estate, rules=RULES)


def test_saying_the_same_twice_is_a_problem(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write(FILE, EXCEPTION)
    made.write("exceptions/rice-pull-2.yaml", EXCEPTION.replace("name: rice-pull", "name: rice-pull-2"))
    assert problems(made) == [
        (
            "exceptions/rice-pull.yaml:9:10: spec: excepts rice from image-pull again, as rice-pull-2 does"
            " (keep one of the two)"
        )
    ]


def test_a_document_under_another_ending_is_not_silently_left_out(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.write("exceptions/rice-pull.yml", EXCEPTION)
    assert problems(made) == [
        "exceptions/rice-pull.yml: is not read: documents end in .yaml (rename it to rice-pull.yaml)"
    ]


def test_another_cooperative_s_mistake_does_not_matter_to_those_that_are_named(tmp_path: Path) -> None:
    made = world(tmp_path)
    cooperative = (made.estate.cooperatives / "rice.yaml").read_text()
    made.write(
        "cooperatives/bread.yaml",
        cooperative.replace("name: rice", "name: bread").replace("rice.example.kr", "bread.example.kr"),
    )
    made.write(FILE, EXCEPTION.replace("until: 2027-01-31", "until: soon"))
    assert problems(made, names=("bread",)) == []
    assert len(problems(made, names=("rice",))) == 1
    made.write(FILE, EXCEPTION.replace("cooperative: rice", "cooperative: brea"))
    assert len(problems(made, names=("bread",))) == 1, "a misspelt name may mean any"


def test_the_schema_requires_who_why_and_until() -> None:
    spec = schema("PolicyException")["$defs"]["PolicyExceptionSpec"]
    assert {"rule", "cooperative", "who", "why", "until"} == set(spec["required"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda content: content.decode("latin-1")))
def test_any_text_is_a_problem_and_never_a_traceback(tmp_path: Path, text: str) -> None:
    made = world(tmp_path)
    made.write(FILE, text.encode("utf-8", "surrogatepass"))
    assert problems(made)
