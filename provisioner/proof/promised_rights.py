"""Pure: the most that a tenant's operators may ever do, whatever role a plan gives them.

Written a second time on purpose, beside the builder of roles: a right that slips into one is GOT THROUGH in a proof,
though the plan gives it. What stands here was weighed for what it opens (see `WITHHELD` in provisioner.plan.role).
"""

from collections.abc import Iterable, Iterator

from provisioner.naming import API_GROUP, RESOURCE_TENANTS, VERB_MANAGE
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import Right
from provisioner.proof.rights import EVERYBODY, rights
from provisioner.proof.tenant import ProvenTenant

_RBAC = "rbac.authorization.k8s.io"
_READS = frozenset({"get", "list", "watch"})
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# What an application consists of.
_APPLICATION = frozenset(
    {
        *(("", name) for name in ("configmaps", "persistentvolumeclaims", "pods", "secrets")),
        *(("", name) for name in ("serviceaccounts", "services")),
        *(("apps", name) for name in ("deployments", "statefulsets")),
        ("autoscaling", "horizontalpodautoscalers"),
        *(("batch", name) for name in ("cronjobs", "jobs")),
        *(("networking.k8s.io", name) for name in ("ingresses", "networkpolicies")),
        *((_RBAC, name) for name in ("rolebindings", "roles")),
    }
)
# What explains a fault: all that, what controllers make of it, and what bounds it; but Secrets only where they are
# the tenant's own to write.
_EXPLAINING = (_APPLICATION - {("", "secrets")}) | frozenset(
    {
        *(("", name) for name in ("endpoints", "events", "limitranges", "resourcequotas", "replicationcontrollers")),
        *(("", f"pods/{name}") for name in ("log", "status")),
        *(("apps", name) for name in ("controllerrevisions", "daemonsets", "replicasets")),
        ("discovery.k8s.io", "endpointslices"),
        ("events.k8s.io", "events"),
        ("policy", "poddisruptionbudgets"),
    }
)
_VIEW = frozenset(
    Right(group=group, resource=resource, verb=verb) for group, resource in _EXPLAINING for verb in _READS
)
_EDIT = frozenset(
    Right(group=group, resource=resource, verb=verb) for group, resource in _APPLICATION for verb in _READS | _WRITES
)
MANAGING = Right(group=API_GROUP, resource=RESOURCE_TENANTS, verb=VERB_MANAGE)


def promised(found: Iterable[Right], *, tenant: ProvenTenant, namespace: str) -> frozenset[Right]:
    """Those of the rights ``found`` in a plan that operators may ever have in ``namespace``."""
    return (EVERYBODY | _of_operators(tenant, namespace=namespace)).intersection(found)


def role_lacks(role: Manifest | None, *, tenant: ProvenTenant, namespace: str) -> Iterator[str]:
    """What is wrong with the operators' planned Role: it gives too much, or not what running applications needs."""
    yield from _unlike(role, _of_operators(tenant, namespace=namespace))


def view_lacks(role: Manifest | None) -> Iterator[str]:
    """What is wrong with the planned ClusterRole of the help desk, who may look at what explains a fault."""
    yield from _unlike(role, _VIEW)


def managing_lacks(role: Manifest | None) -> Iterator[str]:
    """What is wrong with the planned ClusterRole by which policies know who manages tenants: nothing else is in it."""
    yield from _unlike(role, frozenset({MANAGING}))


def _of_operators(tenant: ProvenTenant, *, namespace: str) -> frozenset[Right]:
    if namespace not in tenant.namespaces:
        return frozenset()
    itself = frozenset({Right(group="", resource="namespaces", verb="get", name=namespace)})
    return itself | _VIEW | (_EDIT if namespace == tenant.apps else frozenset())


def _unlike(role: Manifest | None, wanted: frozenset[Right]) -> Iterator[str]:
    if role is None:
        yield "it is missing"
        return
    found = rights(role["rules"], of=())
    yield from (f"it gives {right}" for right in sorted(found - wanted, key=str))
    yield from (f"it does not give {right}" for right in sorted(wanted - found, key=str))
