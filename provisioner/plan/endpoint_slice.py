"""EndpointSlices (discovery.k8s.io/v1): where a Service without selector leads.

``endpointslice.kubernetes.io/managed-by`` keeps Kubernetes' own controllers away from them (KEP-752).
"""

from provisioner.descriptor.platform import Endpoint
from provisioner.naming import MANAGED_BY
from provisioner.plan.addresses import address_block, address_type
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.service import StoreService
from provisioner.plan.tenant import TenantNamespace

LABEL_SERVICE = "kubernetes.io/service-name"
LABEL_SLICE_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def endpoint_slice(namespace: TenantNamespace, *, of: StoreService) -> Manifest:
    """The one address and port behind the Service; raises UsageError if the platform gives a host name."""
    address_block(of.server.host, what=f"the {of.name} server's address for pods")
    labels = {LABEL_SERVICE: of.name, LABEL_SLICE_MANAGED_BY: MANAGED_BY}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(namespace, name=slice_name(of.name), labels=labels),
        "addressType": address_type(of.server.host),
        **leading(of.name, to=of.server),
    }


def slice_name(service: str) -> str:
    """What the EndpointSlice of a Service is called."""
    return f"{service}-{MANAGED_BY}"


def leading(service: str, *, to: Endpoint) -> Manifest:
    """The part of the EndpointSlice of ``service`` that says where it leads."""
    return {
        "endpoints": [{"addresses": [to.host], "conditions": {"ready": True}}],
        "ports": [{"name": service, "protocol": "TCP", "port": to.port}],
    }
