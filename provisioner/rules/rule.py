"""What a rule is: an id, why it is there, what to do about a violation, and its two forms, Python and CEL."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from provisioner.rules.facts import Facts

Object = Mapping[str, Any]
"""A Kubernetes object as plain data."""


class Severity(StrEnum):
    """How much a violation would open: the cluster, another tenant, the tenant itself, or only good order."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Enforcement(StrEnum):
    """Who refuses a violation: in the cluster, or coopctl before anything reaches it, or before a chart is offered."""

    ADMISSION_POLICY = "admission policy"
    POD_SECURITY = "Pod Security"
    RBAC = "RBAC"
    COOPCTL = "coopctl"
    CATALOGUE = "catalogue lint"


class Subject(StrEnum):
    """What a rule judges: a kind, or every kind that makes pods."""

    PODS = "pods"
    CLAIMS = "claims"
    TEMPLATES = "templates"
    SERVICES = "services"
    INGRESSES = "ingresses"
    NETWORK_POLICIES = "networkpolicies"
    ROLE_BINDINGS = "rolebindings"
    SERVICE_ACCOUNTS = "serviceaccounts"
    SECRETS = "secrets"
    AUTOSCALERS = "horizontalpodautoscalers"
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of an object that a rule judges: a pod's spec with its metadata, a claim's spec, or a whole object.

    ``path`` is where it stands in the object, as in ``spec.template.spec``.
    """

    kind: str
    spec: Mapping[str, Any]
    metadata: Mapping[str, Any]
    path: str


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One violation: where in the object, and what is wrong there."""

    path: str
    message: str


Judge = Callable[[Part, Facts], Iterable[Fault]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that judges one object alone.

    ``judge`` gives every fault of a part. ``cel`` says the same as an expression that is true where there is none; it
    is empty where something else than an admission policy enforces the rule. It knows ``variables.spec`` and
    ``variables.metadata`` (the part), ``variables.containers`` and ``variables.annotations`` of a pod, the tenant's
    lists such as ``variables.registries``, for claims the one ``claim`` with its metadata, for templates the ``labels``
    of one; ``variables.bound`` (a pod has its node, a claim its volume, which no template has), ``relabelled`` (a pod
    or template gets, changes or loses a solution's label), ``templated`` (a controller makes what a template says) and
    ``manages`` (who asks manages tenants).
    ``binds_tenants_only``: the platform itself may do it.
    """

    id: str
    title: str
    severity: Severity
    subject: Subject
    reason: str
    sources: tuple[str, ...]
    remedy: str
    judge: Judge
    enforcement: Enforcement = Enforcement.ADMISSION_POLICY
    cel: str = ""
    binds_tenants_only: bool = False


@dataclass(frozen=True, kw_only=True)
class ClusterOnlyRule:
    """A rule that needs the user, the object before, or another object: no manifest alone can be judged by it.

    ``needs`` says which of them. An admission policy that enforces it names its ``id`` like that of any other rule.
    """

    id: str
    title: str
    severity: Severity
    reason: str
    sources: tuple[str, ...]
    needs: str
    remedy: str
    enforcement: Enforcement


@dataclass(frozen=True, kw_only=True)
class PlanRule:
    """A rule about a plan or a chart as a whole, which coopctl judges itself before anything is changed."""

    id: str
    title: str
    severity: Severity
    reason: str
    sources: tuple[str, ...]
    remedy: str
    enforcement: Enforcement = Enforcement.COOPCTL


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A violation in one object."""

    rule: Rule
    kind: str
    name: str
    namespace: str
    fault: Fault
