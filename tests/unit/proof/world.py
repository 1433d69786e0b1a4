"""The smallest world a proof can be planned in: one cooperative, a neighbour, and a few resources of the API."""

from provisioner.cluster.discovery import ApiResource
from provisioner.naming import CooperativeName, tenant_names
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import CooperativePlan
from provisioner.proof.tenant import Neighbour, ProvenTenant, Terms, proven_tenant
from tests.unit.plan import builders


def terms(name: str = "rice-processing") -> Terms:
    """On what a cooperative is a tenant."""
    return Terms(cooperative=builders.cooperative(name), platform=builders.platform())


def plan(name: str = "rice-processing") -> CooperativePlan:
    """A cooperative's plan."""
    return cooperative_plan(
        terms(name).cooperative,
        platform=terms(name).platform,
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )


def proven(name: str = "rice-processing") -> ProvenTenant:
    """The tenant that is attacked."""
    return proven_tenant(plan(name), terms=terms(name))


def container_bounds(namespace: str) -> Manifest:
    """What the planned limit range says of containers."""
    found = proven().guard("LimitRange", namespace=namespace)
    assert found is not None
    bounds: Manifest = found["spec"]["limits"][0]
    return bounds


def neighbour(name: str = "plastics") -> Neighbour:
    """Another tenant of the same cluster."""
    return Neighbour(names=tenant_names(CooperativeName(name), cluster=builders.platform().cluster.id))


def resource(name: str, *verbs: str, group: str = "", namespaced: bool = True, kind: str = "") -> ApiResource:
    """A resource of the API; ``name`` may have a subresource, as in ``pods/exec``."""
    base, _, sub = name.partition("/")
    return ApiResource(
        group=group,
        version="v1",
        name=base,
        kind=kind,
        namespaced=namespaced,
        verbs=tuple(sorted(verbs)),
        subresource=sub,
    )
