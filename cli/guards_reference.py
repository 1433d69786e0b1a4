"""The page docs/reference/guards.md: the guards that are objects of their own, in the words of their builders."""

import inspect
from dataclasses import dataclass
from types import ModuleType

from provisioner.plan import (
    admission_policy,
    endpoint_slice,
    limit_range,
    namespace,
    network_policy,
    objects,
    postgres,
    priority_class,
    protection_policy,
    resource_quota,
    role,
    role_binding,
    service,
    service_account,
)
from provisioner.plan.resources import (
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
)

_INTRODUCTION = """# Guards

What keeps a cooperative apart, beside the [rules that judge single objects](policies.md): objects of the cluster, and
parts of the data store. Each is made by one builder in `provisioner/plan`, whose own words stand here. None can be
left out by a descriptor. `coopctl prove` looks whether each is planned as promised and in force as planned, and
attacks what it bounds; `coopctl drift` finds what was changed by hand. What they are for, and what they do not
defend: [threat model](../explanation/threat-model.md).
"""


@dataclass(frozen=True, kw_only=True)
class GuardKind:
    """Guards of one kind: who builds them, what a proof tries against them, and where they come from."""

    kind: str
    builder: ModuleType
    attacked: str
    sources: tuple[str, ...]


_MULTI_TENANCY = "multi-tenancy guide"
GUARDS = (
    GuardKind(
        kind="Namespace",
        builder=namespace,
        attacked="pods that break one control of Pod Security each; facts that admission policies judge by",
        sources=("Pod Security Standards", f"{_MULTI_TENANCY}, Namespaces", "CIS 5.2"),
    ),
    GuardKind(
        kind="ResourceQuota",
        builder=resource_quota,
        attacked="kinds of which there may be none; one pod or claim that asks for more than the namespace has",
        sources=(f"{_MULTI_TENANCY}, Quotas", "kubectl-mtb MTB-PL1-CC-FNS-1, FNS-2"),
    ),
    GuardKind(
        kind="LimitRange",
        builder=limit_range,
        attacked="containers, pods and claims past each bound; a pod that says nothing",
        sources=("Kubernetes documentation, Limit Ranges", "NSA/CISA, Resource policies"),
    ),
    GuardKind(
        kind="NetworkPolicy",
        builder=network_policy,
        attacked="flows and gates by analysis, whatever labels pods bear; connections of probe pods",
        sources=(f"{_MULTI_TENANCY}, Network isolation", "CIS 5.3.2", "NSA/CISA, Network separation"),
    ),
    GuardKind(
        kind="Role",
        builder=role,
        attacked="every right on every kind and subresource, beyond what any plan may give",
        sources=(f"{_MULTI_TENANCY}, Access controls", "RBAC Good Practices"),
    ),
    GuardKind(
        kind="RoleBinding",
        builder=role_binding,
        attacked="the rights of other tenants' operators and accounts",
        sources=(f"{_MULTI_TENANCY}, Access controls",),
    ),
    GuardKind(
        kind="ServiceAccount",
        builder=service_account,
        attacked="a pod that names no account, and must get no token",
        sources=("CIS 5.1.5, 5.1.6",),
    ),
    GuardKind(
        kind="Service",
        builder=service,
        attacked="reached by probe pods of its own tenant, and by none of another's",
        sources=("Kubernetes documentation, Services without selectors",),
    ),
    GuardKind(
        kind="EndpointSlice", builder=endpoint_slice, attacked="as its Service", sources=("KEP-752", "CVE-2021-25740")
    ),
    GuardKind(
        kind="PriorityClass",
        builder=priority_class,
        attacked="pods that take the system's own class",
        sources=("Kubernetes documentation, Pod Priority and Preemption",),
    ),
    GuardKind(
        kind="ClusterRole",
        builder=role,
        attacked="the right to manage tenants, which nobody of a tenant has",
        sources=("RBAC Good Practices",),
    ),
    GuardKind(
        kind="ValidatingAdmissionPolicy",
        builder=admission_policy,
        attacked="for each rule, objects that break it alone; changes of the platform's objects",
        sources=("Kubernetes documentation, Validating Admission Policy",),
    ),
    GuardKind(
        kind="ValidatingAdmissionPolicyBinding",
        builder=protection_policy,
        attacked="as its policy",
        sources=("Kubernetes documentation, Validating Admission Policy",),
    ),
    GuardKind(
        kind=PostgresRole.__name__,
        builder=postgres,
        attacked="other databases, catalogues, files, programs, roles, extensions, others' sessions",
        sources=("PostgreSQL manual, Database Roles",),
    ),
    GuardKind(
        kind=PostgresDatabase.__name__,
        builder=postgres,
        attacked="its limit, its mark and its door, as the owner too",
        sources=("PostgreSQL manual, Template Databases",),
    ),
    GuardKind(
        kind=PostgresGrants.__name__,
        builder=postgres,
        attacked="tables as each role and as another tenant's; rows of members as the reader",
        sources=("PostgreSQL manual, Privileges; Row Security Policies",),
    ),
    GuardKind(
        kind=PostgresMembers.__name__,
        builder=postgres,
        attacked="rows of members as the reader and as a member; whether each member's part is as planned",
        sources=("PostgreSQL manual, Row Security Policies; Schemas",),
    ),
    GuardKind(
        kind=ObjectsBucket.__name__,
        builder=objects,
        attacked="everything that can be done with a bucket, as another's identity and as nobody",
        sources=("S3 user guide, Bucket policies; Versioning",),
    ),
    GuardKind(
        kind=ObjectsIdentity.__name__,
        builder=objects,
        attacked="other buckets, the management of its own, and identities",
        sources=("IAM user guide, Least privilege",),
    ),
)


def text() -> str:
    """The whole page."""
    lines = ["| guard | what it is | what a proof tries | sources |", "|---|---|---|---|", *map(_row, GUARDS)]
    return "\n".join([_INTRODUCTION, *lines, ""])


def _row(guard: GuardKind) -> str:
    cells = (f"`{guard.kind}`", _words(guard.builder), guard.attacked, "; ".join(guard.sources))
    return f"| {' | '.join(cells)} |"


def _words(module: ModuleType) -> str:
    """The first paragraph of a builder's own description."""
    return " ".join(inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0].split())
