"""Exceptions hold until their last day, for the object that they name or for the whole cooperative."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from provisioner.descriptor.policy_exception import ObjectReference, PolicyException
from provisioner.errors import Location
from provisioner.rules.excepting import excuse, expired, in_force, known_rules, tenant_wide
from provisioner.rules.pack_settings import POLICY, ExceptedObject, PackSettings, as_configuration, from_configuration
from provisioner.rules.registry import rule
from provisioner.rules.rule import Fault, Finding
from tests.unit.rules.test_rules_charts import FACTS

EXCEPTION = PolicyException(
    name="rice-pull",
    rule="image-pull",
    cooperative="rice",
    object=None,
    who="platform team",
    why="the registry is being moved",
    until=date(2027, 1, 31),
    source=Location(file=Path("exceptions/rice-pull.yaml")),
)


def finding(*, kind: str = "Deployment", name: str = "ledger") -> Finding:
    """A violation of image-pull."""
    return Finding(
        rule=rule("image-pull"), kind=kind, name=name, namespace="rice-apps", fault=Fault(path="spec", message="x")
    )


@pytest.mark.parametrize(
    ("today", "holds"), [(date(2027, 1, 30), True), (date(2027, 1, 31), True), (date(2027, 2, 1), False)]
)
def test_an_exception_holds_up_to_and_on_its_last_day(today: date, holds: bool) -> None:
    assert (in_force([EXCEPTION], cooperative="rice", today=today) == (EXCEPTION,)) is holds
    assert (expired([EXCEPTION], cooperative="rice", today=today) == (EXCEPTION,)) is not holds


def test_an_exception_is_nobody_else_s() -> None:
    assert in_force([EXCEPTION], cooperative="plastics", today=date(2026, 1, 1)) == ()
    assert expired([EXCEPTION], cooperative="plastics", today=date(2028, 1, 1)) == ()


def test_an_exception_of_one_object_excuses_no_other() -> None:
    one = replace(EXCEPTION, object=ObjectReference(kind="Deployment", name="ledger"))
    assert excuse(finding(), exceptions=[one]) == one
    assert excuse(finding(name="lots"), exceptions=[one]) is None
    assert excuse(finding(kind="StatefulSet"), exceptions=[one]) is None
    assert excuse(replace(finding(), rule=rule("image-digest")), exceptions=[one]) is None


def test_the_cluster_is_told_of_none_that_are_about_one_object() -> None:
    one = replace(EXCEPTION, rule="image-digest", object=ObjectReference(kind="Deployment", name="ledger"))
    assert tenant_wide([one, EXCEPTION, EXCEPTION]) == ("image-pull",)


def test_what_admission_policies_enforce_may_be_excepted_and_nothing_else() -> None:
    known = known_rules()
    assert {"image-pull", "own-peers", "ingress-hosts"} <= known.exceptable
    assert {"chart-scope", "chart-names", "expired-exception"} <= known.fixed.keys()
    assert known.fixed["privileged"] == "Pod Security enforces it, which knows no exceptions"
    assert known.fixed["own-rights"] == "RBAC enforces it, which knows no exceptions"
    assert known.fixed["platform-objects"] == "it protects the guards themselves"
    assert not known.exceptable & known.fixed.keys()


def test_the_policy_pack_reads_what_was_written_for_it() -> None:
    settings = PackSettings(
        facts=replace(FACTS, operators=("User:kim", "Group:rice%20operators"), exceptions=("image-pull",)),
        excepted=(ExceptedObject(rule="image-digest", kind="Deployment", name="ledger"),),
    )
    written = as_configuration(settings)[POLICY]
    assert written.pop("enforcementLevel") == "mandatory"
    assert from_configuration(json.loads(json.dumps(written))) == settings
