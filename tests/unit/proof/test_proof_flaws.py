"""Attacks on admission: one for every rule, each breaking that rule and no other."""

import pytest

from provisioner.proof.accepted import KINDS, accepted
from provisioner.proof.changing import Flaw
from provisioner.proof.flaws import BY_EVERY_RULE, BY_ONE_RULE, ON_RUNNING_PODS, flaws
from provisioner.rules.judging import judge
from provisioner.rules.registry import RULES
from provisioner.rules.rule import Enforcement, Rule, Subject
from tests.unit.proof.world import proven

FACTS = proven().facts
ENFORCED = [rule for rule in RULES if rule.enforcement is not Enforcement.COOPCTL]
OURS = [rule for rule in ENFORCED if rule.cel]


def broken_rules(kind: str, *, flaw: Flaw | None = None) -> set[str]:
    """The rules that an object breaks."""
    manifest = accepted(kind, namespace="rice-processing-apps", facts=FACTS, role="operators")
    made = flaw.change(manifest, FACTS) if flaw else manifest
    return {finding.rule.id for finding in judge(made, facts=FACTS)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_attacks_start_from_breaks_no_rule(kind: str) -> None:
    assert broken_rules(kind) == set()


@pytest.mark.parametrize("rule", ENFORCED, ids=lambda rule: rule.id)
def test_every_rule_is_attacked_by_objects_that_break_it_alone(rule: Rule) -> None:
    attacks = flaws(rule.id)
    assert attacks or rule.id in ON_RUNNING_PODS, f"nothing attacks the rule {rule.id}"
    for flaw in attacks:
        assert broken_rules(flaw.kind, flaw=flaw) == {rule.id, *flaw.also}, flaw.what


@pytest.mark.parametrize("rule", [rule for rule in OURS if rule.subject is Subject.PODS], ids=lambda rule: rule.id)
def test_every_rule_for_pods_is_tried_on_templates_too(rule: Rule) -> None:
    assert rule.id in ON_RUNNING_PODS or "Deployment" in {flaw.kind for flaw in flaws(rule.id)}


def test_every_kind_that_makes_pods_is_attacked() -> None:
    attacked = {flaw.kind for rule in ENFORCED for flaw in flaws(rule.id)}
    assert {*BY_EVERY_RULE, *BY_ONE_RULE} <= attacked
