"""Exceptions: which of them hold on a day, and what they excuse.

Those of a whole cooperative are facts about it (`Facts.exceptions`), and the cluster knows them too; those of one
object are known only to who judges a manifest: admission policies are told nothing but the ids of rules.
"""

from collections.abc import Iterable, Sequence
from datetime import date

from provisioner.descriptor.policy_exception import KnownRules, PolicyException
from provisioner.rules.registry import EVERY_RULE, AnyRule
from provisioner.rules.rule import ClusterOnlyRule, Enforcement, Finding

_WHY_FIXED = {
    Enforcement.POD_SECURITY: "Pod Security enforces it, which knows no exceptions",
    Enforcement.RBAC: "RBAC enforces it, which knows no exceptions",
    Enforcement.COOPCTL: "it keeps plans within their tenants",
    Enforcement.CATALOGUE: "it is about a chart, whoever chooses it",
}


def known_rules() -> KnownRules:
    """The rules that an exception may name: those that an admission policy enforces, since it asks for exceptions."""
    reasons = {rule.id: _why_fixed(rule) for rule in EVERY_RULE}
    return KnownRules(
        exceptable=frozenset(name for name, why in reasons.items() if why is None),
        fixed={name: why for name, why in reasons.items() if why is not None},
    )


def _why_fixed(rule: AnyRule) -> str | None:
    """Why there is no exception from ``rule``, or None if there may be one."""
    if isinstance(rule, ClusterOnlyRule) and rule.enforcement is Enforcement.ADMISSION_POLICY:
        return "it protects the guards themselves"
    return _WHY_FIXED.get(rule.enforcement)


def in_force(exceptions: Iterable[PolicyException], *, cooperative: str, today: date) -> tuple[PolicyException, ...]:
    """The exceptions of ``cooperative`` that hold on ``today``: their last day is still one of them."""
    return tuple(one for one in exceptions if one.cooperative == cooperative and one.until >= today)


def expired(exceptions: Iterable[PolicyException], *, cooperative: str, today: date) -> tuple[PolicyException, ...]:
    """The exceptions of ``cooperative`` that have run out by ``today``."""
    return tuple(one for one in exceptions if one.cooperative == cooperative and one.until < today)


def tenant_wide(exceptions: Iterable[PolicyException]) -> tuple[str, ...]:
    """The ids of the rules that are excepted for every object of the cooperative, sorted."""
    return tuple(sorted({one.rule for one in exceptions if one.object is None}))


def excuse(finding: Finding, *, exceptions: Sequence[PolicyException]) -> PolicyException | None:
    """The exception that ``finding`` is excused by, or None; one of the whole cooperative before one of the object."""
    fitting = [one for one in exceptions if _fits(one, finding=finding)]
    return min(fitting, key=lambda one: one.object is not None, default=None)


def _fits(exception: PolicyException, *, finding: Finding) -> bool:
    about = exception.object
    return exception.rule == finding.rule.id and (
        about is None or (about.kind == finding.kind and about.name == finding.name)
    )
