"""Guards weakened at one place get attacked there: something gets through, whatever a look at the guard says."""

from collections.abc import Callable, Iterator

import pytest

from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import GuardKind, RequestAttempt
from provisioner.proof.promised_amounts import solutions_lines
from provisioner.proof.verdicts import Ending
from tests.attack_coverage import aimed_at, breaks, judged_kinds, kind_of, planned_attempts, policy_of, rules_of
from tests.integration.proof.attacking import Attacks
from tests.integration.proof.conftest import ProvedWorld
from tests.manifest_changes import replaced
from tests.proof_mutations import (
    Mutation,
    is_for_attacks,
    mutations,
    platform_guards,
    proved_terms,
    sampled,
    tenant_guards,
)

pytestmark = [pytest.mark.cluster, pytest.mark.servers, pytest.mark.long(seconds=2)]
POLICY = "ValidatingAdmissionPolicy"
FIRST_OPERATION = "spec.matchConstraints.resourceRules.0.operations.0"
TWICE = frozenset(solutions_lines(proved_terms().cooperative.apps_budget))
TENANT, PLATFORM = mutations(tenant_guards()), mutations(platform_guards())


def validations() -> Iterator[Mutation]:
    """Each validation of each policy made true, as far as an attempt breaks its rule there."""
    for where, policy in platform_guards().items():
        for number, rule in enumerate(rules_of(policy) if where[0] == POLICY else ()):
            if aimed_at(rule, kinds=judged_kinds(policy)) or rule == "platform-objects":
                what, change = replaced("spec", "validations", number, "expression", value="true")
                yield Mutation(place=where, what=what, change=change)


def finding() -> list[Mutation]:
    """Policies that find nothing to judge."""
    return [one for one in PLATFORM if is_for_attacks(one) and _is_attacked(one)]


def _is_attacked(mutation: Mutation) -> bool:
    return bool(aimed_at(*_by_variable(mutation), kinds=judged_kinds(policy_of(mutation))))


def _by_variable(mutation: Mutation) -> tuple[str, ...]:
    """The rules of a policy that use the variable which a mutation makes find nothing."""
    policy, name = policy_of(mutation), mutation.what.split()[-1]
    using = {name}
    variables = policy["spec"]["variables"]
    for _ in variables:
        using |= {one["name"] for one in variables if any(f"variables.{used}" in one["expression"] for used in using)}
    said = zip(rules_of(policy), policy["spec"]["validations"], strict=True)
    return tuple(rule for rule, one in said if any(f"variables.{used}" in one["expression"] for used in using))


def out_of_force() -> list[Mutation]:
    """Policies and bindings by which nothing is refused any more."""
    words = ("gone", "spec.validationActions", FIRST_OPERATION)
    cases = [one for one in PLATFORM if one.place[0].startswith(POLICY) and one.what.startswith(words)]
    return [one for one in cases if _policy(one)["metadata"]["name"].startswith("platform-") or _aimed(one)]


def _aimed(mutation: Mutation) -> list[RequestAttempt]:
    policy = _policy(mutation)
    first = 0 if mutation.what.startswith(FIRST_OPERATION) else None
    return aimed_at(*rules_of(policy), kinds=judged_kinds(policy, rule=first))


def _policy(mutation: Mutation) -> Manifest:
    """The policy that a mutation weakens, itself or by its binding."""
    return platform_guards()[POLICY, "", mutation.place[2]]


def amounts() -> list[Mutation]:
    """Lines of quotas and bounds of limit ranges, raised or gone, as far as one object is enough to go past them.

    What pods ask for is counted by two quotas: where one is weakened, the other refuses still.
    """
    cases = [one for one in TENANT if one.place[0] in {"ResourceQuota", "LimitRange"} and _rule(one) not in TWICE]
    return [one for one in cases if one.place[2] == "tenant" and any(past(one)(other) for other in planned_attempts())]


def past(mutation: Mutation) -> Callable[[RequestAttempt], bool]:
    """The attempts that go past the line or bound of a mutation."""
    kind, namespace, _ = mutation.place
    words = GuardKind.QUOTA if kind == "ResourceQuota" else GuardKind.LIMIT_RANGE
    rule = _rule(mutation)

    def aimed(attempt: RequestAttempt) -> bool:
        guard, about = attempt.about.guard, attempt.about
        return guard is not None and (guard.kind, guard.rule) == (words, rule) and f"/{namespace}/" in about.id

    return aimed


def _rule(mutation: Mutation) -> str:
    """What a refusal names, of the line or bound that a mutation weakens; - where it is none."""
    parts = mutation.what.rpartition(" is ")[0].split(".")
    if parts[:2] == ["spec", "hard"]:
        return ".".join(parts[2:])
    if parts[:2] != ["spec", "limits"] or len(parts) != len(("spec", "limits", "0", "max", "cpu")):
        return "-"
    of = ("Container", "Pod", "PersistentVolumeClaim")[int(parts[2])]
    side = {"max": "maximum", "min": "minimum"}.get(parts[3], "")
    usage = f"{side} {parts[4]} usage per {of}"
    return f"{parts[4]} max limit to request ratio per {of}" if parts[3] == "maxLimitRequestRatio" else usage


def rights() -> list[Mutation]:
    """Roles that give more, and bindings that give it to more."""
    cases = [one for one in TENANT if one.place[0] in {"Role", "RoleBinding"}]
    more = ("has", "['*']", "cluster-admin")
    return [one for one in cases if any(word in one.what for word in more)]


def security() -> list[Mutation]:
    """Namespaces in which Pod Security refuses less."""
    return [one for one in TENANT if one.what == "metadata.labels.pod-security.kubernetes.io/enforce is baseline"]


@pytest.fixture(scope="module")
def attacks(proved: ProvedWorld) -> Attacks:
    """The attempts, planned while all is sound."""
    return Attacks(proved)


@pytest.mark.parametrize("mutation", sampled(list(validations()), every=20, seconds=4))
def test_a_rule_that_is_always_true_lets_its_attackers_through(attacks: Attacks, mutation: Mutation) -> None:
    policy = policy_of(mutation)
    rule = rules_of(policy)[int(mutation.what.split(".")[2])]
    kinds = judged_kinds(policy)
    assert attacks.through(mutation, aimed=lambda one: breaks(one, rules=(rule,)) and kind_of(one) in {*kinds, ""})


@pytest.mark.parametrize("mutation", sampled(finding(), every=8, seconds=4))
def test_a_policy_that_finds_nothing_to_judge_is_noticed(attacks: Attacks, mutation: Mutation) -> None:
    """It lets attackers through; or it fails where it misses what it needs, and refuses what must be accepted."""
    kinds, rules = judged_kinds(policy_of(mutation)), _by_variable(mutation)

    def aimed(one: RequestAttempt) -> bool:
        return breaks(one, rules=rules) and kind_of(one) in kinds

    assert attacks.through(mutation, aimed=aimed, noticing=frozenset({Ending.GOT_THROUGH, Ending.FAILED_CONTROL}))


@pytest.mark.parametrize("mutation", sampled(out_of_force(), every=12, seconds=4))
def test_a_policy_that_is_not_in_force_lets_attackers_through(attacks: Attacks, mutation: Mutation) -> None:
    policy = _policy(mutation)
    rules, kinds = tuple(rules_of(policy)), judged_kinds(policy)
    assert attacks.through(mutation, aimed=lambda one: breaks(one, rules=rules) and kind_of(one) in {*kinds, ""})


@pytest.mark.parametrize("mutation", sampled(amounts(), every=12, seconds=3))
def test_an_amount_that_is_raised_or_gone_lets_attackers_through(attacks: Attacks, mutation: Mutation) -> None:
    assert attacks.through(mutation, aimed=past(mutation))


@pytest.mark.parametrize("mutation", sampled(rights(), every=12, seconds=2))
def test_a_right_that_no_plan_gives_got_through(attacks: Attacks, mutation: Mutation) -> None:
    namespace = mutation.place[1]
    assert attacks.through(mutation, aimed=lambda one: one.about.id.endswith(f"/{namespace}/rules"))


@pytest.mark.parametrize("mutation", security(), ids=str)
def test_a_namespace_under_a_milder_standard_lets_attackers_through(attacks: Attacks, mutation: Mutation) -> None:
    namespace = mutation.place[2]

    def aimed(one: RequestAttempt) -> bool:
        guard = one.about.guard
        return guard is not None and guard.kind is GuardKind.POD_SECURITY and f"/{namespace}/" in one.about.id

    assert attacks.through(mutation, aimed=aimed)


@pytest.mark.parametrize("namespace", [where[1] for where in tenant_guards() if where[0] == "LimitRange"])
def test_nothing_of_a_role_is_left_where_it_is_gone(attacks: Attacks, namespace: str) -> None:
    """Rights that are missing are no hole: what an operator must be able to do fails."""
    for kind in ("Role", "RoleBinding"):
        (gone,) = (one for one in TENANT if one.what == "gone" and one.place[:2] == (kind, namespace))
        with attacks.weakened(gone):
            endings = attacks.endings(lambda one: one.about.id.endswith(f"/{namespace}/rules"))
            assert Ending.FAILED_CONTROL in endings
