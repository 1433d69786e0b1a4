"""Pure: the amounts that a descriptor gives a tenant, as quotas and limit ranges must hold them.

Written a second time on purpose, beside the builders of quotas and limit ranges: a line that one of them left out or
raised is attacked, and missed in the plan, all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from provisioner.descriptor.cooperative import ContainerLimits, NamespaceBudget
from provisioner.naming import PRIORITY_PROBE
from provisioner.plan.manifest import Manifest
from provisioner.plan.resource_quota import PROBE_CPU_MILLIS, PROBE_MEMORY_BYTES, PROBE_PODS, PROBE_SCRATCH_BYTES
from provisioner.rules.quantities import parse_quantity

_MILLI = Decimal("0.001")
COMPUTE = ("cpu", "memory", "ephemeral-storage")
# A pod has helpers beside its container; a Service has several slices; sets keep revisions; leaders are elected.
_CONTAINERS_PER_POD, _SLICES_PER_SERVICE, _REVISIONS_PER_SET, _LEASES = 2, 4, 12, 20
_LEAST_CLAIM_BYTES = 1024**2
# Kinds that the quota counts under their own names, and those that it counts as count/<kind>, by the budget's fields.
_BY_NAME = ("services", "secrets", "configmaps", "persistentvolumeclaims", "replicationcontrollers")
_COUNTED = {
    "serviceaccounts": "serviceaccounts",
    "endpoints": "services",
    "deployments.apps": "deployments",
    "replicasets.apps": "replicasets",
    "statefulsets.apps": "statefulsets",
    "daemonsets.apps": "daemonsets",
    "jobs.batch": "jobs",
    "cronjobs.batch": "cronjobs",
    "ingresses.networking.k8s.io": "ingresses",
    "networkpolicies.networking.k8s.io": "networkpolicies",
    "roles.rbac.authorization.k8s.io": "roles",
    "rolebindings.rbac.authorization.k8s.io": "rolebindings",
    "horizontalpodautoscalers.autoscaling": "horizontalpodautoscalers",
    "poddisruptionbudgets.policy": "poddisruptionbudgets",
}
_FIXED = {
    "limitranges": 1,
    "podtemplates": 0,
    "leases.coordination.k8s.io": _LEASES,
    "resourceclaims.resource.k8s.io": 0,
    "resourceclaimtemplates.resource.k8s.io": 0,
    "csistoragecapacities.storage.k8s.io": 0,
}


@dataclass(frozen=True, kw_only=True, order=True)
class Bound:
    """One bound of a limit range (core/v1 LimitRangeItem): of a container, pod or claim; which; and of what."""

    of: str
    field: str
    kind: str

    def __str__(self) -> str:
        return f"{self.field} {self.kind} of a {self.of}"


def quota_lines(budget: NamespaceBudget) -> Mapping[str, Decimal]:
    """The most that each line of a namespace's complete quota may say; every one of them must be there."""
    services = budget.services
    revisions = (budget.statefulsets + budget.daemonsets) * _REVISIONS_PER_SET
    lines = {
        **solutions_lines(budget, probes=PROBE_PODS),
        "requests.ephemeral-storage": budget.requests_ephemeral_storage_bytes,
        "limits.ephemeral-storage": budget.limits_ephemeral_storage_bytes + PROBE_PODS * PROBE_SCRATCH_BYTES,
        "requests.storage": budget.requests_storage_bytes,
        "services.nodeports": 0,
        "services.loadbalancers": 0,
        "resourcequotas": max(budget.resourcequotas, 2),
        **{name: getattr(budget, name) for name in _BY_NAME},
        **{f"count/{kind}": getattr(budget, name) for kind, name in _COUNTED.items()},
        **{f"count/{kind}": number for kind, number in _FIXED.items()},
        "count/endpointslices.discovery.k8s.io": services * _SLICES_PER_SERVICE,
        "count/controllerrevisions.apps": revisions,
    }
    return {key: Decimal(amount) for key, amount in lines.items()}


def solutions_lines(budget: NamespaceBudget, *, probes: int = 0) -> Mapping[str, Decimal]:
    """The most that pods may use: all but the ``probes`` of a proof, or these too."""
    more_cpu, more_memory = probes * PROBE_CPU_MILLIS, probes * PROBE_MEMORY_BYTES
    return {
        "pods": Decimal(budget.pods + probes),
        "requests.cpu": (budget.requests_cpu_millis + more_cpu) * _MILLI,
        "limits.cpu": (budget.limits_cpu_millis + more_cpu) * _MILLI,
        "requests.memory": Decimal(budget.requests_memory_bytes + more_memory),
        "limits.memory": Decimal(budget.limits_memory_bytes + more_memory),
    }


def limit_bounds(limits: ContainerLimits) -> Mapping[Bound, Decimal]:
    """The bounds of a namespace's limit range; every one of them must be there."""
    most = (limits.max_cpu_millis * _MILLI, limits.max_memory_bytes, limits.max_ephemeral_storage_bytes)
    default = (limits.default_cpu_millis * _MILLI, limits.default_memory_bytes, limits.default_ephemeral_storage_bytes)
    asked = (
        limits.default_request_cpu_millis * _MILLI,
        limits.default_request_memory_bytes,
        limits.default_request_ephemeral_storage_bytes,
    )
    ratio = (limits.max_limit_request_ratio_cpu, limits.max_limit_request_ratio_memory)
    claim = min(_LEAST_CLAIM_BYTES, limits.max_claim_storage_bytes)
    return {
        **_bounds("Container", "max", most),
        **_bounds("Container", "min", (limits.min_cpu_millis * _MILLI, limits.min_memory_bytes)),
        **_bounds("Container", "maxLimitRequestRatio", ratio),
        **_bounds("Container", "default", default),
        **_bounds("Container", "defaultRequest", asked),
        **_bounds("Pod", "max", tuple(_CONTAINERS_PER_POD * amount for amount in most)),
        Bound(of="PersistentVolumeClaim", field="max", kind="storage"): Decimal(limits.max_claim_storage_bytes),
        Bound(of="PersistentVolumeClaim", field="min", kind="storage"): Decimal(claim),
    }


def quota_lacks(quota: Manifest | None, *, lines: Mapping[str, Decimal], scope: Manifest | None) -> Iterator[str]:
    """What a planned quota lacks: a line, or strictness in one; with ``scope`` it must have exactly that one."""
    if quota is None:
        yield "it is missing"
        return
    spec = quota["spec"]
    for key, most in lines.items():
        found = spec["hard"].get(key)
        if found is None:
            yield f"{key} has no limit"
        elif parse_quantity(found) > most:
            yield f"{key} is {found}, more than {most}"
    if spec.get("scopes") or spec.get("scopeSelector") != scope:
        yield "it counts other objects than it must"


def solutions_scope() -> Manifest:
    """All pods but those of a proof (core/v1, ResourceQuotaScopePriorityClass)."""
    return {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "NotIn", "values": [PRIORITY_PROBE]}]}


def limits_lack(limits: Manifest | None, *, bounds: Mapping[Bound, Decimal]) -> Iterator[str]:
    """What a planned limit range lacks: a bound, or strictness in one."""
    if limits is None:
        yield "it is missing"
        return
    items = {item["type"]: item for item in limits["spec"]["limits"]}
    for bound, amount in bounds.items():
        found = items.get(bound.of, {}).get(bound.field, {}).get(bound.kind)
        if found is None:
            yield f"there is no {bound}"
        elif (parse_quantity(found) < amount) if bound.field == "min" else (parse_quantity(found) > amount):
            yield f"the {bound} is {found}, not {amount}"


def _bounds(of: str, field: str, amounts: tuple[Decimal | int, ...]) -> Mapping[Bound, Decimal]:
    named = zip(COMPUTE, amounts, strict=False)
    return {Bound(of=of, field=field, kind=kind): Decimal(amount) for kind, amount in named}
