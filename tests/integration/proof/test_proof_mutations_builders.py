"""A builder with a mistake plans a guard too weak, and its plan is applied: a proof of that very plan shows it."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest

from provisioner.plan import cooperative, network_policy, platform
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import Area
from provisioner.proof.verdicts import Ending, Finding, problems
from tests.integration.proof.conftest import ProvedWorld
from tests.manifest_changes import Weakening, added, removed, replaced
from tests.proof_mutations import place, platform_guards, tenant_guards

pytestmark = [pytest.mark.cluster, pytest.mark.servers, pytest.mark.long(seconds=10)]
_TRIES = 3
EVERYBODY = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A builder of ``module``, and what its result becomes; ``shows`` is how the proof must end at least once."""

    module: Any
    builder: str
    change: Callable[[Any], Any]
    shows: Ending = Ending.GOT_THROUGH


def manifest(weakening: Weakening) -> Callable[[Manifest], Manifest]:
    """A manifest that is weakened."""
    return lambda made: weakening[1](deepcopy(made))


def without_rule(rule: str) -> Callable[[list[Manifest]], list[Manifest]]:
    """Policies that say nothing of a rule."""

    def change(made: list[Manifest]) -> list[Manifest]:
        return [_without_rule(one, rule=rule) if "validations" in one["spec"] else one for one in made]

    return change


def _without_rule(policy: Manifest, *, rule: str) -> Manifest:
    kept = [one for one in policy["spec"]["validations"] if not one["message"].startswith(f"[{rule}]")]
    return {**policy, "spec": {**policy["spec"], "validations": kept}}


def parts(**changes: Any) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A data store whose parts have these attributes, as far as they have them at all."""

    def change(made: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            replace(part, **{name: value for name, value in changes.items() if hasattr(part, name)}) for part in made
        )

    return change


RIGHT = {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}
OPEN = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
MISTAKES = {
    "a limit range without a most": Mistake(
        module=cooperative, builder="limit_range", change=manifest(removed("spec", "limits", 0, "max"))
    ),
    "a namespace under a milder standard": Mistake(
        module=cooperative,
        builder="namespace",
        change=manifest(replaced("metadata", "labels", "pod-security.kubernetes.io/enforce", value="privileged")),
    ),
    "a namespace that lets every registry in": Mistake(
        module=cooperative,
        builder="namespace",
        change=manifest(replaced("metadata", "annotations", "coopctl.dev/registries", value="coopctl-proof.invalid/")),
    ),
    "a quota without a line": Mistake(
        module=cooperative,
        builder="resource_quota",
        change=manifest(removed("spec", "hard", "count/daemonsets.apps")),
    ),
    "a policy that opens a namespace": Mistake(
        module=network_policy, builder="same_namespace", change=manifest(replaced("spec", value=OPEN))
    ),
    "a policy that lets solutions meet the tenant's own applications": Mistake(
        module=network_policy, builder="own_applications", change=manifest(replaced("spec", "podSelector", value={}))
    ),
    "a policy that opens nothing": Mistake(
        module=network_policy,
        builder="dns",
        change=manifest(removed("spec", "egress")),
        shows=Ending.FAILED_CONTROL,
    ),
    "a role that runs programs in pods": Mistake(
        module=cooperative, builder="operators_role", change=manifest(added("rules", value=RIGHT))
    ),
    "a binding of everybody": Mistake(
        module=cooperative, builder="operators_binding", change=manifest(added("subjects", value=EVERYBODY))
    ),
    "policies without a rule": Mistake(module=platform, builder="rule_policies", change=without_rule("image-registry")),
    "no policy that protects the platform's objects": Mistake(
        module=platform, builder="protection_policies", change=lambda _: []
    ),
    "a data store whose members see all rows": Mistake(
        module=cooperative,
        builder="postgres_store",
        change=parts(member_column=""),
        # What was secured once stays so.
        shows=Ending.FAILED_CONTROL,
    ),
    "a data store without limits": Mistake(
        module=cooperative,
        builder="postgres_store",
        change=parts(connection_limit=-1),
        shows=Ending.FAILED_CONTROL,
    ),
    "a bucket without versions": Mistake(
        module=cooperative,
        builder="objects_store",
        change=parts(versioning=False),
        shows=Ending.FAILED_CONTROL,
    ),
}
# As they are planned before anybody makes a mistake.
SOUND = {**tenant_guards(), **platform_guards()}


@pytest.fixture
def mended(proved: ProvedWorld) -> Iterator[ProvedWorld]:
    """The world, applied as it must be afterwards."""
    yield proved
    apply_exactly(proved)


def apply_exactly(world: ProvedWorld) -> None:
    """Apply both plans as they are made now, and take away the guards that they do not hold."""
    world.apply_platform()
    world.apply(world.plan())
    guards = [*(item.manifest for item in world.tenant().guards.values())]
    guards += [item.manifest for item in world.platform_plan.resources]
    made = {place(one) for one in guards}
    for where, one in SOUND.items():
        if where not in made:
            world.api.delete(world.path(one))


def problems_of(world: ProvedWorld, *, until: Ending) -> list[Finding]:
    """What a proof finds; another one where the API server has not yet learned of all that was applied."""
    found: list[Finding] = []
    for _ in range(_TRIES):
        found = list(problems(world.prove()))
        if until in {one.verdict.ending for one in found}:
            break
    return found


@pytest.mark.parametrize("name", MISTAKES)
def test_what_a_builder_plans_too_weak_shows_in_a_proof_of_its_own_plan(
    mended: ProvedWorld, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = MISTAKES[name]
    sound = getattr(mistake.module, mistake.builder)
    with monkeypatch.context() as patch:
        patch.setattr(mistake.module, mistake.builder, lambda *args, **named: mistake.change(sound(*args, **named)))
        apply_exactly(mended)
        found = problems_of(mended, until=mistake.shows)
    assert mistake.shows in {one.verdict.ending for one in found}
    assert {Area.PLAN, Area.FLOWS} & {one.about.area for one in found}, "the plan looks as promised"
