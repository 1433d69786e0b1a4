"""The plan of the platform stack: what is cluster-wide and belongs to no tenant."""

from provisioner.descriptor.platform import Platform
from provisioner.plan.admission_policy import BINDING, POLICY, rule_policies
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import guard
from provisioner.plan.priority_class import priority_classes
from provisioner.plan.protection_policy import protection_policies
from provisioner.plan.resources import KubernetesObject, PlatformPlan
from provisioner.plan.role import cluster_manage_role, cluster_view_role
from provisioner.plan.system_namespace import system_namespace


def platform_plan(platform: Platform) -> PlatformPlan:
    """Everything that tenants of ``platform`` build on, whoever they are; all of it wins over other field managers."""
    cluster = platform.cluster.id
    manifests = [
        *priority_classes(cluster=cluster),
        cluster_view_role(cluster=cluster),
        cluster_manage_role(cluster=cluster),
        *rule_policies(cluster=cluster),
        *protection_policies(cluster=cluster),
        *system_namespace(cluster=cluster),
    ]
    return PlatformPlan(cluster=cluster, resources=tuple(_object(manifest) for manifest in manifests))


def _object(manifest: Manifest) -> KubernetesObject:
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    # A binding without its policy would refuse everything that it selects.
    needed = (_key(POLICY, name),) if kind == BINDING else ()
    if namespace := manifest["metadata"].get("namespace"):
        needed = (_key("Namespace", namespace),)
    return guard(manifest, key=_key(kind, name), depends_on=needed)


def _key(kind: str, name: str) -> str:
    return f"platform-{kind.lower()}-{name}"
