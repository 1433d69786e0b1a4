"""Pure: what the planned namespaces, accounts, bindings and Services of a tenant must say.

Written a second time on purpose, beside the builders: policies judge a tenant by labels and annotations that one of
them writes, and protect what another one labels.
"""

from collections.abc import Iterator
from ipaddress import ip_address

from provisioner.naming import ANNOTATION_UID, MANAGED_BY, PART_APPS, PART_DATA, platform_labels, tenant_labels
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import PlatformPlan
from provisioner.proof.tenant import ProvenTenant
from provisioner.rules.facts import as_annotations
from provisioner.rules.pod_security import VERSION

_POD_SECURITY = "pod-security.kubernetes.io"
_MODES = ("enforce", "audit", "warn")
_LEVEL = "restricted"
# Name: value and preemption; far below the system's own (2 000 000 000).
PRIORITY_CLASSES = {
    "coopctl-solutions": (1000, "PreemptLowerPriority"),
    "coopctl-batch": (100, "Never"),
    "coopctl-probe": (2000, "Never"),
}
# Keeps the cluster's own controllers away from a slice (KEP-752).
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_RBAC = "rbac.authorization.k8s.io"


def namespace_lacks(namespace: Manifest | None, *, tenant: ProvenTenant) -> Iterator[str]:
    """What is wrong with a planned Namespace: how strictly pods are judged, and by which facts of the tenant."""
    yield from security_lacks(namespace)
    if namespace is not None:
        facts = {**as_annotations(tenant.facts), ANNOTATION_UID: tenant.names.uid}
        yield from _unlike(namespace["metadata"]["annotations"], facts)


def security_lacks(namespace: Manifest | None) -> Iterator[str]:
    """What is wrong with how strictly a planned Namespace has pods judged."""
    if namespace is None:
        yield "it is missing"
        return
    security = {f"{_POD_SECURITY}/{mode}": _LEVEL for mode in _MODES}
    security |= {f"{_POD_SECURITY}/{mode}-version": VERSION for mode in _MODES}
    yield from _unlike(namespace["metadata"]["labels"], security)


def labels_lack(guard: Manifest, *, tenant: ProvenTenant) -> Iterator[str]:
    """The platform's labels that a planned guard lacks: nothing would protect it from the tenant."""
    name = guard["metadata"].get("namespace") or guard["metadata"]["name"]
    part = PART_APPS if name == tenant.apps else PART_DATA
    wanted = tenant_labels(tenant.names.cooperative, cluster=tenant.terms.platform.cluster.id, part=part)
    yield from _unlike(guard["metadata"].get("labels") or {}, wanted)


def platform_labels_lack(guard: Manifest, *, plan: PlatformPlan) -> Iterator[str]:
    """The labels that a planned object of the platform's lacks."""
    yield from _unlike(guard["metadata"].get("labels") or {}, platform_labels(cluster=plan.cluster))


def account_lacks(account: Manifest | None) -> Iterator[str]:
    """What is wrong with the planned account that pods run as which name none."""
    if account is None:
        yield "it is missing"
    elif account.get("automountServiceAccountToken") is not False:
        yield "its pods get a token"


def binding_lacks(binding: Manifest | None, *, tenant: ProvenTenant) -> Iterator[str]:
    """What is wrong with the planned binding of the operators: other subjects than the descriptor's, another role."""
    if binding is None:
        yield "it is missing"
        return
    wanted = {(str(one.kind), one.name) for one in tenant.terms.cooperative.operators}
    found = {(one["kind"], one["name"]) for one in binding.get("subjects", ())}
    yield from (f"it binds {kind} {name}" for kind, name in sorted(found - wanted))
    yield from (f"it does not bind {kind} {name}" for kind, name in sorted(wanted - found))
    if binding["roleRef"] != {"apiGroup": _RBAC, "kind": "Role", "name": "operators"}:
        yield f"it gives {binding['roleRef']}"


def service_lacks(service: Manifest | None, *, host: str, port: int, slices: list[Manifest]) -> Iterator[str]:
    """What is wrong with a planned Service of the data store: it leads to the platform's server and nowhere else."""
    if service is None:
        yield "it is missing"
        return
    spec = service["spec"]
    if spec.keys() - {"type", "ports"} or spec["type"] != "ClusterIP":
        yield f"it is more than an address within the cluster: {spec}"
    targets = [item["targetPort"] for item in spec["ports"]]
    addresses = [address for one in slices for place in one["endpoints"] for address in place["addresses"]]
    kinds = {(one["addressType"], one["metadata"]["labels"].get(_MANAGED_BY)) for one in slices}
    ports = [item["port"] for one in slices for item in one["ports"]]
    if (targets, addresses, ports) != ([port], [host], [port]):
        yield f"it leads to {', '.join(addresses) or 'nobody'}, ports {ports} by {targets}, not to {host}:{port}"
    if kinds != {(f"IPv{ip_address(host).version}", MANAGED_BY)}:
        yield f"its slices are {sorted(map(str, kinds))}: controllers of the cluster would change them"


def priority_lacks(manifest: Manifest | None, *, name: str) -> Iterator[str]:
    """What is wrong with a planned PriorityClass."""
    found = (manifest.get("value"), manifest.get("preemptionPolicy")) if manifest else None
    if found != PRIORITY_CLASSES[name] or (manifest or {}).get("globalDefault"):
        yield f"it is {found}"


def _unlike(found: Manifest, wanted: Manifest) -> Iterator[str]:
    for key, value in wanted.items():
        if found.get(key) != value:
            yield f"{key} is {found.get(key)!r}, not {value!r}"
