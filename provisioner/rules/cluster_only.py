"""Rules that no manifest alone can be judged by: they need who asks, the object as it was, or another object.

The admission policies that enforce some of them are made in provisioner.plan; the rest is RBAC's and coopctl's own.
"""

from provisioner.rules.rule import ClusterOnlyRule, Enforcement, Severity

_MULTI_TENANCY = "Kubernetes documentation, Multi-tenancy"
_RBAC = "Kubernetes documentation, RBAC Good Practices"

PLATFORM_OBJECTS = ClusterOnlyRule(
    id="platform-objects",
    title="the platform's objects are changed by those who manage tenants alone",
    severity=Severity.CRITICAL,
    reason="the tenant may make policies, roles and bindings of its own, but not take away what bounds it",
    sources=("kubectl-mtb MTB-PL1-BC-CPI-2", f"{_MULTI_TENANCY}, Access controls"),
    needs="who asks, and the object before",
    remedy="change the cooperative's descriptor, and run `coopctl apply`; objects of one's own bear other labels",
    enforcement=Enforcement.ADMISSION_POLICY,
)
GUARDED_NAMESPACES = ClusterOnlyRule(
    id="guarded-namespaces",
    title="namespaces keep the labels and annotations that carry guards",
    severity=Severity.CRITICAL,
    reason="they say how strictly pods are judged, and by which facts of the tenant",
    sources=("Kubernetes documentation, Pod Security Admission", f"{_MULTI_TENANCY}, Namespaces"),
    needs="who asks, and the namespace before",
    remedy="change the cooperative's descriptor or platform.yaml, and run `coopctl apply`",
    enforcement=Enforcement.ADMISSION_POLICY,
)
CHOSEN_VOLUME = ClusterOnlyRule(
    id="chosen-volume",
    title="a claim that waits is given its volume by the cluster alone",
    severity=Severity.CRITICAL,
    reason="a claim could be pointed at another tenant's released volume after it was accepted",
    sources=("Kubernetes documentation, Persistent Volumes, Reserving a PersistentVolume",),
    needs="who asks, and the claim before",
    remedy="leave volumeName as it is",
    enforcement=Enforcement.ADMISSION_POLICY,
)
OWN_RIGHTS = ClusterOnlyRule(
    id="own-rights",
    title="nobody gives more rights than they have",
    severity=Severity.CRITICAL,
    reason="operators make Roles and RoleBindings of their own",
    sources=("Kubernetes documentation, RBAC, Privilege escalation prevention", "kubectl-mtb MTB-PL2-CC-TI-1"),
    needs="who asks, and what they may already",
    remedy="leave the right out; what no operator has cannot be given",
    enforcement=Enforcement.RBAC,
)
WITHHELD_RIGHTS = ClusterOnlyRule(
    id="withheld-rights",
    title="operators do not write quotas, limits, endpoints, statuses and other subresources",
    severity=Severity.CRITICAL,
    reason="what bears no labels of its platform cannot be told apart by a policy, so the right itself is withheld",
    sources=("kubectl-mtb MTB-PL1-CC-TI-1", _RBAC),
    needs="who asks",
    remedy="see the operators' Role for what they may do instead",
    enforcement=Enforcement.RBAC,
)
CLAIMED_HOSTS = ClusterOnlyRule(
    id="claimed-hosts",
    title="no host is claimed by two",
    severity=Severity.CRITICAL,
    reason="whoever takes another's host gets that tenant's users and passwords",
    sources=(f"{_MULTI_TENANCY}, Network isolation",),
    needs="the domains of all other cooperatives",
    remedy="choose a domain that neither lies below another cooperative's nor above it",
    enforcement=Enforcement.COOPCTL,
)

CLUSTER_ONLY_RULES = (
    PLATFORM_OBJECTS,
    GUARDED_NAMESPACES,
    CHOSEN_VOLUME,
    OWN_RIGHTS,
    WITHHELD_RIGHTS,
    CLAIMED_HOSTS,
)
"""All of them. That tenants' domains do not lie within one another is checked at `coopctl validate`; within its own
domain a tenant is kept by the rule `ingress-hosts`."""
