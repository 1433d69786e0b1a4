"""The tenant that builders work for: a cooperative with its names, and one of its two namespaces."""

from dataclasses import dataclass

from provisioner.descriptor.cooperative import Cooperative, NamespaceBudget
from provisioner.naming import PART_APPS, PART_DATA, ClusterId, TenantNames, tenant_names


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A cooperative on the platform with the id ``cluster``, with every derived name."""

    cooperative: Cooperative
    cluster: ClusterId
    names: TenantNames

    @property
    def apps(self) -> "TenantNamespace":
        """Where the solutions run."""
        return TenantNamespace(
            tenant=self, part=PART_APPS, name=self.names.apps_namespace, budget=self.cooperative.apps_budget
        )

    @property
    def data(self) -> "TenantNamespace":
        """Where the stable Services of the data store and the jobs on it live."""
        return TenantNamespace(
            tenant=self, part=PART_DATA, name=self.names.data_namespace, budget=self.cooperative.data_budget
        )


@dataclass(frozen=True, kw_only=True)
class TenantNamespace:
    """One of a tenant's namespaces; ``part`` is ``apps`` or ``data`` and begins the key of all it holds."""

    tenant: Tenant
    part: str
    name: str
    budget: NamespaceBudget

    @property
    def key(self) -> str:
        """The key of the namespace itself, on which all that it holds depends."""
        return f"{self.part}-namespace"


def tenant_of(cooperative: Cooperative, *, cluster: ClusterId, buckets: str = "") -> Tenant:
    """The tenant that ``cooperative`` is on the platform with the id ``cluster``, whose buckets begin with ``buckets``
    (empty: with that id)."""
    names = tenant_names(cooperative.name, cluster=cluster, buckets=buckets)
    return Tenant(cooperative=cooperative, cluster=cluster, names=names)
