"""The platform's own namespace: where Jobs of coopctl run that have the rights of its administrator.

No tenant has a right in it. It is empty but while such a Job runs, and lets no packet in or out: each Job brings the
flows that it needs, and takes them away again.
"""

from provisioner.naming import ANNOTATION_WHY, SYSTEM_NAMESPACE, ClusterId, platform_labels
from provisioner.plan.manifest import Manifest
from provisioner.plan.namespace import pod_security_labels


def system_namespace(*, cluster: ClusterId) -> list[Manifest]:
    """The namespace under Pod Security ``restricted``, and its default: no flow."""
    labels = platform_labels(cluster=cluster)
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": SYSTEM_NAMESPACE, "labels": {**labels, **pod_security_labels()}},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": "default-deny",
                "namespace": SYSTEM_NAMESPACE,
                "labels": labels,
                "annotations": {ANNOTATION_WHY: "no flow that is not listed"},
            },
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        },
    ]
