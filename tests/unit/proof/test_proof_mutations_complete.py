"""No guard without a mutation: whoever adds a guard, or a field to one, says how it could be weakened, and is tried."""

from dataclasses import fields

import pytest

from provisioner.plan.resources import KubernetesObject
from provisioner.proof.promised_amounts import limit_bounds, quota_lines
from provisioner.proof.promised_stores import STORE_PARTS
from tests.proof_mutations import (
    Place,
    mutations,
    planned,
    platform_guards,
    proved_terms,
    store_parts,
    tenant_guards,
    untouched,
    weakened_parts,
)

GUARDS = {**tenant_guards(), **platform_guards()}
MUTATIONS = mutations(GUARDS)
# What a plan holds beside guards: credentials are made of the guards' outputs, solutions are judged by the rules.
NO_GUARDS = {"CredentialsSecret", "SolutionChart"}


@pytest.mark.parametrize("guard", GUARDS, ids="/".join)
def test_every_field_of_every_guard_has_a_mutation(guard: Place) -> None:
    assert untouched(GUARDS[guard]) == []
    mutated = {one.what for one in MUTATIONS if one.place == guard}
    assert "gone" in mutated or guard[0] == "Namespace"


def test_every_part_of_a_plan_is_a_guard_with_mutations_or_known_to_be_none() -> None:
    for item in planned(proved_terms()).resources:
        known = isinstance(item, STORE_PARTS) or (isinstance(item, KubernetesObject) and item.guard)
        assert known or type(item).__name__ in NO_GUARDS, item.key


@pytest.mark.parametrize("key", store_parts())
def test_every_attribute_of_the_data_store_has_a_weaker_value(key: str) -> None:
    part = store_parts()[key]
    weaker = weakened_parts(part)
    assert {one.name for one in fields(part)} - weaker.keys() <= {"key", "depends_on", "kind", "settings"}
    assert all(getattr(changed, name) != getattr(part, name) for name, changed in weaker.items())


@pytest.mark.parametrize("namespace", ["apps", "data"])
def test_every_line_of_a_quota_and_every_bound_of_a_limit_range_is_promised(namespace: str) -> None:
    cooperative = proved_terms().cooperative
    budget = cooperative.apps_budget if namespace == "apps" else cooperative.data_budget
    hard = GUARDS["ResourceQuota", f"proved-rice-{namespace}", "tenant"]["spec"]["hard"]
    assert set(quota_lines(budget)) == set(hard)
    limits = GUARDS["LimitRange", f"proved-rice-{namespace}", "tenant"]["spec"]["limits"]
    bounds = {
        (item["type"], field, kind)
        for item in limits
        for field, amounts in item.items()
        if field != "type"
        for kind in amounts
    }
    assert {(one.of, one.field, one.kind) for one in limit_bounds(cooperative.container_limits)} == bounds


def test_a_mutation_changes_what_it_says_and_no_two_say_the_same() -> None:
    words = [str(one) for one in MUTATIONS]
    assert len(words) == len(set(words))


def test_a_guard_of_a_new_kind_or_with_a_new_field_is_not_complete() -> None:
    quota = GUARDS["ResourceQuota", "proved-rice-apps", "tenant"]
    assert untouched({**quota, "spec": {**quota["spec"], "more": "5"}}) == [("spec", "more")]
    with pytest.raises(KeyError):
        mutations({("PodDisruptionBudget", "a", "b"): {**quota, "kind": "PodDisruptionBudget"}})
