"""The cluster: one provider per stack, and objects declared by their type token."""

import pulumi

from provisioner.descriptor.platform import Cluster

# The version of the provider plugin; it must be that of the SDK in requirements/.
KUBERNETES_VERSION = "4.25.0"
KEY = "kubernetes"


def kubernetes_provider(cluster: Cluster) -> pulumi.ProviderResource:
    """The stack's provider for ``cluster``.

    The kubeconfig goes by its path: its contents would put the administrator's key into the state. The cluster's id
    tells Pulumi that a kubeconfig that moved, or a server that got another address, is still the same cluster, so that
    nothing is replaced.
    """
    inputs = {
        "kubeconfig": str(cluster.kubeconfig),
        "clusterIdentifier": str(cluster.id),
        "enableServerSideApply": True,
        "suppressDeprecationWarnings": True,
    }
    if cluster.context:
        inputs["context"] = cluster.context
    return pulumi.ProviderResource("kubernetes", KEY, inputs, pulumi.ResourceOptions(version=KUBERNETES_VERSION))


def type_token(*, api_version: str, kind: str) -> str:
    """Pulumi's type of a Kubernetes kind: ``kubernetes:networking.k8s.io/v1:NetworkPolicy``; no group is `core`."""
    group = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group}:{kind}"
