"""Every rule refuses what breaks it, names it, and refuses nothing else."""

import re
from collections import Counter
from dataclasses import replace

import pytest

from provisioner.rules.judging import judge
from provisioner.rules.registry import RULES, rule
from provisioner.rules.rule import Enforcement
from tests.unit.rules.table import CASES, FACTS, Case


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_object_breaks_exactly_the_rule_that_it_was_changed_for(case: Case) -> None:
    found = judge(case.manifest, facts=FACTS)
    assert {one.rule.id for one in found} == case.rules
    assert all(one.fault.path for one in found)


def test_the_table_tries_every_rule_on_more_than_one_object() -> None:
    counts = Counter(case.rule for case in CASES)
    assert {one.id: counts[one.id] for one in RULES if counts[one.id] < 2} == {}


@pytest.mark.parametrize("name", [one.id for one in RULES if one.binds_tenants_only])
def test_what_binds_tenants_alone_the_platform_may_do(name: str) -> None:
    for case in CASES:
        if case.rule == name:
            assert judge(case.manifest, facts=FACTS, made_by_platform=True) == ()


def test_ids_are_unique_and_can_stand_in_a_message() -> None:
    assert len({one.id for one in RULES}) == len(RULES)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", one.id) for one in RULES)


def test_every_rule_has_cel_exactly_where_an_admission_policy_enforces_it() -> None:
    for one in RULES:
        assert bool(one.cel) == (one.enforcement is Enforcement.ADMISSION_POLICY), one.id


def test_an_excepted_rule_finds_nothing() -> None:
    broken = next(case for case in CASES if case.rule == "image-digest")
    assert judge(broken.manifest, facts=replace(FACTS, exceptions=("image-digest",))) == ()
    assert judge(broken.manifest, facts=replace(FACTS, exceptions=("image-pull",))) != ()


def test_a_solution_may_bring_an_autoscaler_of_its_own() -> None:
    broken = next(case for case in CASES if case.rule == "own-target").manifest
    labels = {"coopctl.dev/cooperative": "rice-processing"}
    assert judge({**broken, "metadata": {**broken["metadata"], "labels": labels}}, facts=FACTS) == ()


def test_a_rule_is_found_by_its_id() -> None:
    assert rule("own-peers").binds_tenants_only
    with pytest.raises(KeyError):
        rule("unknown")
