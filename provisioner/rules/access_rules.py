"""Rules for who may do what: bindings, service accounts, tokens, and those who act for others: autoscalers."""

from collections.abc import Iterator
from typing import Any

from provisioner.naming import LABEL_COOPERATIVE
from provisioner.rules.facts import Facts, subject
from provisioner.rules.parts import items, mapping
from provisioner.rules.rule import Fault, Part, Rule, Severity, Subject

_RBAC = "Kubernetes documentation, RBAC Good Practices"
# Long-lived tokens, and those that let a machine join the cluster.
TOKEN_TYPES = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token")


def _own_subjects(part: Part, facts: Facts) -> Iterator[Fault]:
    for index, one in enumerate(items(part.spec.get("subjects"))):
        if not _is_own(one, facts=facts):
            yield Fault(path=f"subjects[{index}]", message=f"{one.get('kind')} {one.get('name')!r} is not the tenant's")


def _is_own(one: Any, *, facts: Facts) -> bool:
    if one.get("kind") == "ServiceAccount":
        return one.get("namespace") in facts.namespaces
    return subject(str(one.get("kind")), str(one.get("name"))) in facts.operators


def _no_automount(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("automountServiceAccountToken") is not False:
        yield Fault(path="automountServiceAccountToken", message="is not false")


def _no_token(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("type") in TOKEN_TYPES:
        yield Fault(path="type", message=f"is {part.spec['type']}")


def _own_target(part: Part, facts: Facts) -> Iterator[Fault]:
    if LABEL_COOPERATIVE in mapping(part.metadata.get("labels")):
        # A solution's own: nobody but the platform can make what bears this label.
        return
    target = str(mapping(part.spec.get("scaleTargetRef")).get("name", ""))
    for solution in facts.solutions:
        if target == solution or target.startswith(f"{solution}-"):
            yield Fault(path="spec.scaleTargetRef.name", message=f"is {target}, which is the solution {solution}'s")


RULES = (
    Rule(
        id="own-subjects",
        title="roles are bound to the tenant's own accounts and operators",
        severity=Severity.HIGH,
        subject=Subject.ROLE_BINDINGS,
        reason="a binding to others, or to every account of the cluster, gives the tenant's rights away",
        sources=(_RBAC, "kubectl-mtb MTB-PL1-CC-TI-2"),
        remedy="bind ServiceAccounts of the tenant's namespaces, or the operators of its descriptor",
        judge=_own_subjects,
        cel="object.?subjects.orValue([]).all(s, s.kind == 'ServiceAccount'"
        " ? s.?namespace.orValue('') in variables.namespaces"
        " : (s.kind + ':' + s.name.replace(' ', '%20')) in variables.operators)",
        binds_tenants_only=True,
    ),
    Rule(
        id="no-automount",
        title="service accounts give pods no token",
        severity=Severity.MEDIUM,
        subject=Subject.SERVICE_ACCOUNTS,
        reason="pods of solutions do not need the API server",
        sources=("CIS Kubernetes Benchmark 5.1.6",),
        remedy="set automountServiceAccountToken: false",
        judge=_no_automount,
        cel="object.?automountServiceAccountToken.orValue(true) == false",
    ),
    Rule(
        id="no-token-secrets",
        title="no Secret asks for a token",
        severity=Severity.HIGH,
        subject=Subject.SECRETS,
        reason="such tokens never expire",
        sources=(_RBAC,),
        remedy="leave the type out",
        judge=_no_token,
        cel=f"!(object.?type.orValue('') in {list(TOKEN_TYPES)})",
    ),
    Rule(
        id="own-target",
        title="autoscalers scale the tenant's own workloads",
        severity=Severity.MEDIUM,
        subject=Subject.AUTOSCALERS,
        reason="the autoscaler has every right: it would scale a solution for somebody who has none to it",
        sources=("kubectl-mtb MTB-PL1-BC-CPI-2", "Kubernetes documentation, Horizontal Pod Autoscaling"),
        remedy="name a workload of one's own, whose name does not begin with a solution's",
        judge=_own_target,
        cel=f"variables.metadata.?labels[?'{LABEL_COOPERATIVE}'].hasValue()"
        " || !variables.solutions.exists(s, variables.spec.scaleTargetRef.name == s"
        " || variables.spec.scaleTargetRef.name.startsWith(s + '-'))",
    ),
)
