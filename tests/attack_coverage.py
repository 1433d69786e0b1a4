"""Which attempts at the API server are aimed at which part of which guard, as far as plans alone tell."""

from functools import lru_cache

from provisioner.plan.manifest import Manifest
from provisioner.proof.accepted import KINDS
from provisioner.proof.attempts import DryRun, GuardKind, RequestAttempt
from provisioner.proof.planning_amounts import amount_attempts
from provisioner.proof.planning_objects import object_attempts
from provisioner.proof.rights import rights
from provisioner.proof.tenant import proven_tenant
from tests.proof_mutations import Mutation, planned, platform_guards, proved_terms

_RESOURCES = {(version.rpartition("/")[0], resource): kind for kind, (version, resource) in KINDS.items()}


def kind_of(attempt: RequestAttempt) -> str:
    """The kind of object that an attempt makes (objects/<who>/<namespace>/<kind>/<case>)."""
    parts = attempt.about.id.split("/")
    return parts[-2] if parts[0] == "objects" else ""


def judged_kinds(policy: Manifest, *, rule: int | None = None) -> frozenset[str]:
    """The kinds of objects that a policy judges, by one of its resource rules or all, of those that attempts make."""
    every = policy["spec"]["matchConstraints"]["resourceRules"]
    rules = every if rule is None else [every[rule]]
    named = {(group, name) for rule in rules for group in rule["apiGroups"] for name in rule["resources"]}
    everything = {("*", "*"), ("*", "*/*")} & named
    return frozenset(kind for place, kind in _RESOURCES.items() if everything or place in named)


def rules_of(policy: Manifest) -> list[str]:
    """The ids of the rules that a policy enforces, in the order of its validations."""
    return [validation["message"][1:].partition("]")[0] for validation in policy["spec"]["validations"]]


def aimed_at(*rules: str, kinds: frozenset[str]) -> list[RequestAttempt]:
    """The planned attempts that break one of ``rules`` with one of ``kinds``, as far as every API server takes them."""
    taken = [one for one in planned_attempts() if not (isinstance(one, DryRun) and one.gated)]
    return [one for one in taken if breaks(one, rules=rules) and kind_of(one) in kinds]


def breaks(attempt: RequestAttempt, *, rules: tuple[str, ...]) -> bool:
    """Whether an attempt breaks one of the admission policies' ``rules``."""
    guard = attempt.about.guard
    return guard is not None and guard.kind is GuardKind.ADMISSION_POLICY and guard.rule in rules


def policy_of(mutation: Mutation) -> Manifest:
    """The policy that a mutation weakens."""
    return platform_guards()[mutation.place]


@lru_cache
def planned_attempts() -> tuple[RequestAttempt, ...]:
    """The attempts on admission and amounts, of a tenant without neighbours."""
    terms = proved_terms()
    tenant = proven_tenant(planned(terms), terms=terms)
    role = tenant.guard("Role", namespace=tenant.apps, name="operators")
    assert role is not None
    made = object_attempts(tenant, rights=rights(role["rules"], of=()), neighbours=[])
    return (*made, *(one for name in tenant.namespaces for one in amount_attempts(tenant, namespace=name)))
