"""Services (core/v1) without selector: the stable names of a tenant's database and bucket.

Solutions know these names alone. A migration points their EndpointSlices elsewhere, and no pod restarts
(Kubernetes documentation, "Services without selectors").
"""

from dataclasses import dataclass

from provisioner.descriptor.platform import Endpoint, Platform
from provisioner.naming import SERVICE_OBJECTS, SERVICE_POSTGRES
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.tenant import TenantNamespace

POSTGRES_PORT = 5432
HTTP_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class StoreService:
    """A Service of the data namespace: its name, its port there, and the server behind it."""

    name: str
    port: int
    server: Endpoint

    def host(self, namespace: TenantNamespace) -> str:
        """The name under which pods of any namespace reach it."""
        return f"{self.name}.{namespace.name}.svc.cluster.local"


def postgres_service(platform: Platform) -> StoreService:
    """The database's Service, on PostgreSQL's own port whatever the server's is."""
    return StoreService(name=SERVICE_POSTGRES, port=POSTGRES_PORT, server=platform.postgres.pods)


def objects_service(platform: Platform) -> StoreService:
    """The bucket's Service, on its scheme's own port, so that URLs need none."""
    return StoreService(
        name=SERVICE_OBJECTS, port=HTTP_PORTS[platform.objects.pods_scheme], server=platform.objects.pods
    )


def service(namespace: TenantNamespace, *, of: StoreService) -> Manifest:
    """The Service itself."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(namespace, name=of.name),
        "spec": {
            "type": "ClusterIP",
            "ports": [{"name": of.name, "protocol": "TCP", "port": of.port, "targetPort": of.server.port}],
        },
    }
