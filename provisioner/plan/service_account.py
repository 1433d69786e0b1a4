"""ServiceAccounts (core/v1): no pod gets a token of the API server unless its chart asks for one.

Kubernetes makes the account ``default`` in each namespace by itself; it is patched here, because pods that name no
account run as it (Kubernetes documentation, "Configure Service Accounts for Pods").
"""

from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.tenant import TenantNamespace


def default_service_account(namespace: TenantNamespace) -> Manifest:
    """The namespace's own account, without a token in pods."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata(namespace, name="default"),
        "automountServiceAccountToken": False,
    }
