"""The metadata of every object: its name, namespace and labels, and what marks a guard.

Guards are the objects that bound a tenant (namespaces, quotas, policies, roles). They bear
``pulumi.com/patchForce``: mending a guard then wins over whoever else claims its fields (server-side apply,
Kubernetes documentation, "Conflicts").
"""

from collections.abc import Mapping

from provisioner.naming import MANAGED_BY, tenant_labels
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import KubernetesObject
from provisioner.plan.tenant import TenantNamespace

ANNOTATION_FORCE = "pulumi.com/patchForce"
ANNOTATION_FIELD_MANAGER = "pulumi.com/patchFieldManager"
# What a solution's objects bear: one owner, also when they are applied again over themselves, and mending that wins
# over a `kubectl scale` or `edit`. Unlike a guard's, their fields may have other owners beside.
SOLUTION_ANNOTATIONS: Mapping[str, str] = {ANNOTATION_FIELD_MANAGER: MANAGED_BY, ANNOTATION_FORCE: "true"}


def metadata(
    namespace: TenantNamespace,
    *,
    name: str,
    annotations: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Manifest:
    """Metadata of an object called ``name`` in ``namespace``, with the tenant's labels and those given."""
    made: Manifest = {
        "name": name,
        "namespace": namespace.name,
        "labels": {**namespace_labels(namespace), **(labels or {})},
    }
    if annotations:
        made["annotations"] = dict(annotations)
    return made


def namespace_labels(namespace: TenantNamespace) -> dict[str, str]:
    """The labels of all that coopctl makes in ``namespace``."""
    tenant = namespace.tenant
    return tenant_labels(tenant.cooperative.name, cluster=tenant.cluster, part=namespace.part)


def within(of: TenantNamespace, manifest: Manifest, *, depends_on: tuple[str, ...] = ()) -> KubernetesObject:
    """A guard inside a namespace; its key holds kind and name, neither of which ever changes."""
    key = f"{of.part}-{manifest['kind'].lower()}-{manifest['metadata']['name']}"
    return guard(manifest, key=key, depends_on=(of.key, *depends_on))


def guard(manifest: Manifest, *, key: str, depends_on: tuple[str, ...] = ()) -> KubernetesObject:
    """Make ``manifest`` a guard of the plan, with the key ``key``."""
    about = manifest["metadata"]
    marked = {**about, "annotations": {**about.get("annotations", {}), ANNOTATION_FORCE: "true"}}
    return KubernetesObject(key=key, manifest={**manifest, "metadata": marked}, guard=True, depends_on=depends_on)
