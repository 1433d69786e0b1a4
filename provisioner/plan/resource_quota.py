"""ResourceQuotas (core/v1): a limit on every countable kind; a missing key would mean unlimited.

Kubernetes documentation, "Resource Quotas": compute, storage and object count quota. Each namespace has two:

- ``tenant`` is complete and unscoped, because a scoped quota does not count what lies outside its scope. For pods it
  has room for the tenant's budget and for the probe pods of a proof.
- ``solutions`` counts every pod but the probe pods, up to the tenant's budget. So a tenant that uses all it has cannot
  stop a proof. Only pods, cpu and memory can be counted by priority class (core/v1, ResourceQuotaScopePriorityClass).
"""

from provisioner.descriptor.cooperative import NamespaceBudget
from provisioner.naming import PRIORITY_PROBE
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.quantity import cpu, number, size
from provisioner.plan.tenant import TenantNamespace

NAME = "tenant"
NAME_SOLUTIONS = "solutions"
QUOTAS = (NAME_SOLUTIONS, NAME)

# Kinds that hold one object each for objects that have their own limit: room for several slices, tokens of
# leader elections and the revisions that the controllers keep (revisionHistoryLimit is 10 by default).
SLICES_PER_SERVICE = 4
REVISIONS_PER_SET = 12
LEASES = 20

# A proof's pods in one namespace, those of a proof that was killed included, and what each may ask for. Of ephemeral
# storage that is a limit alone, for a log and a hosts file: a node evicts pods that use more than their containers may
# together, also if that is nothing (Kubernetes documentation, "Local ephemeral storage"). No quota counts it by
# priority class, so that a tenant could use this room too; it is less than any pod of a solution needs.
PROBE_PODS = 4
PROBE_CPU_MILLIS = 250
PROBE_MEMORY_BYTES = 128 * 1024**2
PROBE_SCRATCH_BYTES = 1024**2


def resource_quota(namespace: TenantNamespace) -> Manifest:
    """The complete quota of one namespace."""
    budget = namespace.budget
    hard = {
        **_pods(budget, probes=PROBE_PODS),
        **_storage(budget),
        **_core_counts(budget),
        **_counts(budget),
    }
    return _quota(namespace, name=NAME, spec={"hard": hard})


def solutions_quota(namespace: TenantNamespace) -> Manifest:
    """What the tenant's own pods may use of it."""
    others = {"scopeName": "PriorityClass", "operator": "NotIn", "values": [PRIORITY_PROBE]}
    spec = {"hard": _pods(namespace.budget, probes=0), "scopeSelector": {"matchExpressions": [others]}}
    return _quota(namespace, name=NAME_SOLUTIONS, spec=spec)


def _quota(namespace: TenantNamespace, *, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(namespace, name=name),
        "spec": spec,
    }


def _pods(budget: NamespaceBudget, *, probes: int) -> dict[str, str]:
    more_cpu, more_memory = probes * PROBE_CPU_MILLIS, probes * PROBE_MEMORY_BYTES
    return {
        "pods": number(budget.pods + probes),
        "requests.cpu": cpu(budget.requests_cpu_millis + more_cpu),
        "limits.cpu": cpu(budget.limits_cpu_millis + more_cpu),
        "requests.memory": size(budget.requests_memory_bytes + more_memory),
        "limits.memory": size(budget.limits_memory_bytes + more_memory),
    }


def _storage(budget: NamespaceBudget) -> dict[str, str]:
    return {
        "requests.ephemeral-storage": size(budget.requests_ephemeral_storage_bytes),
        "limits.ephemeral-storage": size(budget.limits_ephemeral_storage_bytes + PROBE_PODS * PROBE_SCRATCH_BYTES),
        "requests.storage": size(budget.requests_storage_bytes),
    }


def _core_counts(budget: NamespaceBudget) -> dict[str, str]:
    """The kinds that the quota controller knows by their own names."""
    return {
        "services": number(budget.services),
        # Tenants are reached through the ingress alone: neither ports of nodes nor addresses of the provider.
        "services.nodeports": "0",
        "services.loadbalancers": "0",
        "secrets": number(budget.secrets),
        "configmaps": number(budget.configmaps),
        "persistentvolumeclaims": number(budget.persistentvolumeclaims),
        "replicationcontrollers": number(budget.replicationcontrollers),
        # These two need room, whatever a descriptor says.
        "resourcequotas": number(max(budget.resourcequotas, len(QUOTAS))),
    }


def _counts(budget: NamespaceBudget) -> dict[str, str]:
    """All other namespaced kinds of Kubernetes 1.35, but Events: they expire by themselves, and a full
    quota would hide why something fails."""
    counts = {
        "serviceaccounts": budget.serviceaccounts,
        "limitranges": 1,
        "podtemplates": 0,
        # Kept by the control plane, one for each Service.
        "endpoints": budget.services,
        "endpointslices.discovery.k8s.io": budget.services * SLICES_PER_SERVICE,
        "deployments.apps": budget.deployments,
        "replicasets.apps": budget.replicasets,
        "statefulsets.apps": budget.statefulsets,
        "daemonsets.apps": budget.daemonsets,
        "controllerrevisions.apps": (budget.statefulsets + budget.daemonsets) * REVISIONS_PER_SET,
        "jobs.batch": budget.jobs,
        "cronjobs.batch": budget.cronjobs,
        "ingresses.networking.k8s.io": budget.ingresses,
        "networkpolicies.networking.k8s.io": budget.networkpolicies,
        "roles.rbac.authorization.k8s.io": budget.roles,
        "rolebindings.rbac.authorization.k8s.io": budget.rolebindings,
        "horizontalpodautoscalers.autoscaling": budget.horizontalpodautoscalers,
        "poddisruptionbudgets.policy": budget.poddisruptionbudgets,
        "leases.coordination.k8s.io": LEASES,
        # Not offered: devices, and what storage drivers tell the scheduler.
        "resourceclaims.resource.k8s.io": 0,
        "resourceclaimtemplates.resource.k8s.io": 0,
        "csistoragecapacities.storage.k8s.io": 0,
    }
    return {f"count/{kind}": number(limit) for kind, limit in counts.items()}
