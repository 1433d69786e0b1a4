"""The page docs/reference/guards.md: the guards that are objects of their own, in the words of their builders."""

import inspect
from dataclasses import dataclass
from types import ModuleType

from cli.policies_reference import CSAP
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
defend: [threat model](../explanation/threat-model.md). CSAP names the item of Korea's Cloud Security Assurance
Programme (클라우드 보안인증) that a guard contributes to: our reading, not a certificate.
"""
_BENCHMARK_INTRODUCTION = """## The multi-tenancy benchmark

What stands for each check of the Kubernetes multi-tenancy benchmark (kubectl-mtb), those that it left pending
included. Each is tried in a strict reading, from an object that is accepted and with one field changed
(`tests/integration/admission/test_multi_tenancy_benchmark.py`). Two checks share one id.

| check | what it asks | what stands for it |
|---|---|---|
"""


@dataclass(frozen=True, kw_only=True)
class GuardKind:
    """Guards of one kind: who builds them, what a proof tries against them, and where they come from.

    ``csap`` is the item of Korea's Cloud Security Assurance Programme that they contribute to.
    """

    kind: str
    csap: str
    builder: ModuleType
    attacked: str
    sources: tuple[str, ...]


_MULTI_TENANCY = "multi-tenancy guide"
GUARDS = (
    GuardKind(
        kind="Namespace",
        csap="9.1",
        builder=namespace,
        attacked="pods that break one control of Pod Security each; facts that admission policies judge by",
        sources=("Pod Security Standards", f"{_MULTI_TENANCY}, Namespaces", "CIS 5.2"),
    ),
    GuardKind(
        kind="ResourceQuota",
        csap="6.2",
        builder=resource_quota,
        attacked="kinds of which there may be none; one pod or claim that asks for more than the namespace has",
        sources=(f"{_MULTI_TENANCY}, Quotas", "kubectl-mtb MTB-PL1-CC-FNS-1, FNS-2"),
    ),
    GuardKind(
        kind="LimitRange",
        csap="6.2",
        builder=limit_range,
        attacked="containers, pods and claims past each bound; a pod that says nothing",
        sources=("Kubernetes documentation, Limit Ranges", "NSA/CISA, Resource policies"),
    ),
    GuardKind(
        kind="NetworkPolicy",
        csap="11.1",
        builder=network_policy,
        attacked="flows and gates by analysis, whatever labels pods bear; connections of probe pods",
        sources=(f"{_MULTI_TENANCY}, Network isolation", "CIS 5.3.2", "NSA/CISA, Network separation"),
    ),
    GuardKind(
        kind="Role",
        csap="10.2",
        builder=role,
        attacked="every right on every kind and subresource, beyond what any plan may give",
        sources=(f"{_MULTI_TENANCY}, Access controls", "RBAC Good Practices"),
    ),
    GuardKind(
        kind="RoleBinding",
        csap="10.2",
        builder=role_binding,
        attacked="the rights of other tenants' operators and accounts",
        sources=(f"{_MULTI_TENANCY}, Access controls",),
    ),
    GuardKind(
        kind="ServiceAccount",
        csap="10.2",
        builder=service_account,
        attacked="a pod that names no account, and must get no token",
        sources=("CIS 5.1.5, 5.1.6",),
    ),
    GuardKind(
        kind="Service",
        csap="11.1",
        builder=service,
        attacked="reached by probe pods of its own tenant, and by none of another's",
        sources=("Kubernetes documentation, Services without selectors",),
    ),
    GuardKind(
        kind="EndpointSlice",
        csap="11.1",
        builder=endpoint_slice,
        attacked="as its Service",
        sources=("KEP-752", "CVE-2021-25740"),
    ),
    GuardKind(
        kind="PriorityClass",
        csap="6.2",
        builder=priority_class,
        attacked="pods that take the system's own class",
        sources=("Kubernetes documentation, Pod Priority and Preemption",),
    ),
    GuardKind(
        kind="ClusterRole",
        csap="10.2",
        builder=role,
        attacked="the right to manage tenants, which nobody of a tenant has",
        sources=("RBAC Good Practices",),
    ),
    GuardKind(
        kind="ValidatingAdmissionPolicy",
        csap="9.2",
        builder=admission_policy,
        attacked="for each rule, objects that break it alone; changes of the platform's objects",
        sources=("Kubernetes documentation, Validating Admission Policy",),
    ),
    GuardKind(
        kind="ValidatingAdmissionPolicyBinding",
        csap="9.2",
        builder=protection_policy,
        attacked="as its policy",
        sources=("Kubernetes documentation, Validating Admission Policy",),
    ),
    GuardKind(
        kind=PostgresRole.__name__,
        csap="10.2",
        builder=postgres,
        attacked="other databases, catalogues, files, programs, roles, extensions, others' sessions",
        sources=("PostgreSQL manual, Database Roles",),
    ),
    GuardKind(
        kind=PostgresDatabase.__name__,
        csap="12.1",
        builder=postgres,
        attacked="its limit, its mark and its door, as the owner too",
        sources=("PostgreSQL manual, Template Databases",),
    ),
    GuardKind(
        kind=PostgresGrants.__name__,
        csap="12.1",
        builder=postgres,
        attacked="tables as each role and as another tenant's; rows of members as the reader",
        sources=("PostgreSQL manual, Privileges; Row Security Policies",),
    ),
    GuardKind(
        kind=PostgresMembers.__name__,
        csap="12.1",
        builder=postgres,
        attacked="rows of members as the reader and as a member; whether each member's part is as planned",
        sources=("PostgreSQL manual, Row Security Policies; Schemas",),
    ),
    GuardKind(
        kind=ObjectsBucket.__name__,
        csap="12.1",
        builder=objects,
        attacked="everything that can be done with a bucket, as another's identity and as nobody",
        sources=("S3 user guide, Bucket policies; Versioning",),
    ),
    GuardKind(
        kind=ObjectsIdentity.__name__,
        csap="10.2",
        builder=objects,
        attacked="other buckets, the management of its own, and identities",
        sources=("IAM user guide, Least privilege",),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check of the multi-tenancy benchmark: its id, or "pending", and the guards and rules that stand for it."""

    id: str
    title: str
    guards: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    note: str = ""


PENDING = "pending"
CHECKS = (
    Check(id="MTB-PL1-CC-CPI-1", title="Block access to cluster resources", guards=("Role",)),
    Check(
        id="MTB-PL1-BC-CPI-2",
        title="Block modification of multi-tenant resources",
        guards=("Role",),
        rules=("platform-objects", "own-target"),
    ),
    Check(id="MTB-PL1-BC-CPI-3", title="Block add capabilities", guards=("Namespace",), rules=("capabilities",)),
    Check(
        id="MTB-PL1-BC-CPI-4",
        title="Require run as non-root user",
        guards=("Namespace",),
        rules=("non-root", "root-user"),
    ),
    Check(id="MTB-PL1-BC-CPI-5", title="Block privileged containers", guards=("Namespace",), rules=("privileged",)),
    Check(
        id="MTB-PL1-BC-CPI-6",
        title="Block privilege escalation",
        guards=("Namespace",),
        rules=("privilege-escalation",),
    ),
    Check(id="MTB-PL1-CC-FNS-1", title="Configure namespace resource quotas", guards=("ResourceQuota",)),
    Check(id="MTB-PL1-CC-FNS-2", title="Configure namespace object limits", guards=("ResourceQuota",)),
    Check(id="MTB-PL1-BC-HI-1", title="Block use of host path volumes", guards=("Namespace",), rules=("volume-types",)),
    Check(
        id="MTB-PL1-BC-HI-1",
        title="Block use of NodePort services",
        guards=("ResourceQuota",),
        rules=("service-type",),
    ),
    Check(
        id="MTB-PL1-BC-HI-3",
        title="Block use of host networking and ports",
        guards=("Namespace",),
        rules=("host-namespaces", "host-ports"),
    ),
    Check(id="MTB-PL1-BC-HI-4", title="Block use of host PID", guards=("Namespace",), rules=("host-namespaces",)),
    Check(id="MTB-PL1-BC-HI-5", title="Block use of host IPC", guards=("Namespace",), rules=("host-namespaces",)),
    Check(
        id="MTB-PL1-CC-TI-1",
        title="Block modification of resource quotas",
        guards=("Role",),
        rules=("withheld-rights",),
    ),
    Check(
        id="MTB-PL1-CC-TI-2",
        title="Block access to other tenants' resources",
        guards=("RoleBinding",),
        rules=("own-subjects",),
    ),
    Check(id="MTB-PL2-CC-TI-1", title="Block role privilege escalation", guards=("Role",), rules=("own-rights",)),
    Check(id="MTB-PL2-BC-OPS-3", title="Create role bindings", guards=("Role",), note="given"),
    Check(id="MTB-PL2-BC-OPS-4", title="Create network policies", guards=("Role",), rules=("own-peers",), note="given"),
    Check(id="MTB-PL1-CC-DI-1", title="Require always imagePullPolicy", rules=("image-pull",)),
    Check(
        id="MTB-PL1-BC-NI-1",
        title="Default deny of network connections across tenants",
        guards=("NetworkPolicy",),
        rules=("own-peers",),
    ),
    Check(id=PENDING, title="Require PVC reclaim policy delete", rules=("storage-class",)),
    Check(id=PENDING, title="Require cap drop all", guards=("Namespace",), rules=("capabilities",)),
    Check(
        id=PENDING,
        title="Create namespaces",
        guards=("Role",),
        note="withheld: a namespace of the tenant's own would have no guards",
    ),
)


def text() -> str:
    """The whole page."""
    lines = [
        "| guard | what it is | what a proof tries | CSAP | sources |",
        "|---|---|---|---|---|",
        *map(_row, GUARDS),
    ]
    return "\n".join([_INTRODUCTION, *lines, "", _BENCHMARK_INTRODUCTION + "\n".join(map(_check_row, CHECKS)), ""])


def _row(guard: GuardKind) -> str:
    cells = (f"`{guard.kind}`", _words(guard.builder), guard.attacked, CSAP[guard.csap], "; ".join(guard.sources))
    return f"| {' | '.join(cells)} |"


def _check_row(check: Check) -> str:
    rules = [f"[`{rule}`](policies.md)" for rule in check.rules]
    standing = ", ".join((*(f"`{guard}`" for guard in check.guards), *rules))
    return f"| {check.id} | {check.title} | {standing}{f' ({check.note})' if check.note else ''} |"


def _words(module: ModuleType) -> str:
    """The first paragraph of a builder's own description."""
    return " ".join(inspect.cleandoc(module.__doc__ or "").partition("\n\n")[0].split())
