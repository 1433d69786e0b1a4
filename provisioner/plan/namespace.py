"""Namespaces (core/v1) under Pod Security ``restricted``.

The level's version is pinned: an upgrade of the cluster must not change by itself what a tenant's pods may do
(Kubernetes documentation, "Pod Security Admission", labels ``<mode>-version``).
"""

from provisioner.naming import ANNOTATION_DISPLAY_NAME, ANNOTATION_UID
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import namespace_labels
from provisioner.plan.tenant import TenantNamespace
from provisioner.rules.facts import Facts, as_annotations

POD_SECURITY_LEVEL = "restricted"
POD_SECURITY_VERSION = "v1.35"
POD_SECURITY_MODES = ("enforce", "audit", "warn")


def namespace(of: TenantNamespace, *, facts: Facts) -> Manifest:
    """One of a tenant's namespaces, with ``facts``, which admission policies judge the tenant by, as annotations."""
    tenant = of.tenant
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": of.name,
            "labels": {**namespace_labels(of), **pod_security_labels()},
            "annotations": {
                ANNOTATION_DISPLAY_NAME: tenant.cooperative.display_name,
                ANNOTATION_UID: tenant.names.uid,
                **as_annotations(facts),
            },
        },
    }


def pod_security_labels() -> dict[str, str]:
    """The labels of a namespace whose pods are held to ``restricted``."""
    prefix = "pod-security.kubernetes.io"
    levels = {f"{prefix}/{mode}": POD_SECURITY_LEVEL for mode in POD_SECURITY_MODES}
    versions = {f"{prefix}/{mode}-version": POD_SECURITY_VERSION for mode in POD_SECURITY_MODES}
    return levels | versions
