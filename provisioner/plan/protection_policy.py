"""ValidatingAdmissionPolicies that protect the platform's own objects from tenants who may write such kinds.

RBAC gives a right for a kind, not for "those that are not the platform's". Who may is asked as the right `manage` on
`tenants.coopctl.dev`, cluster-wide. The control plane has no such right, and each of its controllers is let through for
what it must do and for nothing else: without that, deleting a namespace would wedge, and the EndpointSlices of labelled
Services would stop (Kubernetes copies the labels).
"""

from collections.abc import Iterable

from provisioner.naming import API_GROUP, LABEL_CLUSTER, LABEL_MANAGED_BY, ClusterId
from provisioner.plan.admission_policy import (
    MANAGES,
    WRITES,
    binding,
    controllers,
    policy,
    policy_name,
    resource_rule,
    validation,
)
from provisioner.plan.manifest import Manifest
from provisioner.rules.cluster_only import CHOSEN_VOLUME, GUARDED_NAMESPACES, PLATFORM_OBJECTS
from provisioner.rules.template_rules import CEL_IS_PLATFORMS

_LABELS = "?metadata.?labels.orValue({})"
_POD_SECURITY = "pod-security.kubernetes.io/"


# What the control plane must be let do with labelled objects; everything else of its is refused like anybody's.
_CONTROL_PLANE = {
    # KEP-752 and core/v1: they copy the labels of a Service.
    "copies": (
        "request.resource.resource in ['endpoints', 'endpointslices'] && "
        + controllers("endpoint-controller", "endpointslice-controller", "endpointslicemirroring-controller")
    ),
    # A namespace that goes, and what belongs to an object that is gone.
    "clears": "request.operation == 'DELETE' && "
    + controllers("namespace-controller", "generic-garbage-collector", "ttl-after-finished-controller"),
    "binds": (
        "request.operation == 'UPDATE' && request.resource.resource == 'persistentvolumeclaims' && "
        + controllers("persistent-volume-binder")
    ),
    # Finalizers, owners and annotations, by whoever may write such objects everywhere, which no tenant may: schedulers,
    # storage drivers, garbage collection. Nothing else of the object may change.
    "keepsBooks": (
        "request.operation == 'UPDATE'"
        f" && object.{_LABELS} == oldObject.{_LABELS}"
        " && object.all(k, k in ['metadata', 'status'] || (k in oldObject && object[k] == oldObject[k]))"
        " && oldObject.all(k, k in ['metadata', 'status'] || k in object)"
        " && ['update', 'patch'].exists(verb, authorizer.group(request.resource.group)"
        ".resource(request.resource.resource).check(verb).allowed())"
    ),
}


def protection_policies(*, cluster: ClusterId) -> list[Manifest]:
    """The policies with their bindings."""
    return [*_platform_objects(cluster), *_guarded_namespaces(cluster), *_chosen_volume(cluster)]


def _platform_objects(cluster: ClusterId) -> Iterable[Manifest]:
    """Every namespaced object that bears the platform's labels, before or after.

    Subresources too, but for statuses: controllers of any vendor write them, and tenants have no right to. Scales and
    evictions bear no labels; the right to them is withheld (see provisioner.plan.role).
    """
    name = policy_name("platform-objects", cluster=cluster)
    everything = resource_rule("*", ["*/*"], operations=(*WRITES, "DELETE"))
    statuses = resource_rule("*", ["*/status"], operations=["*"])
    labelled = f"[object, oldObject].exists(o, o != null && [o.{_LABELS}].exists(labels, {CEL_IS_PLATFORMS}))"
    allowed = " || ".join(("variables.manages", *(f"variables.{key}" for key in _CONTROL_PLANE)))
    yield policy(
        name,
        cluster=cluster,
        rules=[everything],
        excluded=[statuses],
        conditions={"is-the-platform-s": labelled},
        variables={**_CONTROL_PLANE, "manages": MANAGES},
        validations=[validation(PLATFORM_OBJECTS, allowed)],
    )
    yield binding(name, cluster=cluster)


def _guarded_namespaces(cluster: ClusterId) -> Iterable[Manifest]:
    """A tenant's Namespace itself.

    A selector of namespaces would look at the labels as they are to be: taking them off would escape it. So this policy
    is in force everywhere, and looks at the labels before and after. Others may add labels and annotations of theirs.
    """
    name = policy_name("guarded-namespaces", cluster=cluster)
    label = f"o.?metadata.?labels[?'{LABEL_CLUSTER}'].orValue('')"
    own = f"[object, oldObject].exists(o, o != null && {label} == '{cluster}')"
    guarded = f"k.startsWith('{API_GROUP}/') || k.startsWith('{_POD_SECURITY}') || k == '{LABEL_MANAGED_BY}'"
    kept = " && ".join(_kept(field, guarded=guarded) for field in ("labels", "annotations"))
    yield policy(
        name,
        cluster=cluster,
        rules=[resource_rule("", ["namespaces"], operations=(*WRITES, "DELETE"), scope="Cluster")],
        conditions={"is-a-tenant-s": own},
        variables={"keepsGuards": f"request.operation == 'UPDATE' && {kept}", "manages": MANAGES},
        validations=[validation(GUARDED_NAMESPACES, "variables.keepsGuards || variables.manages")],
    )
    yield binding(name, cluster=cluster, everywhere=True)


def _kept(field: str, *, guarded: str) -> str:
    """CEL: whether the guarded keys of ``field`` are the same before and after, with the same values."""
    after, before = (f"{root}.metadata.?{field}.orValue({{}})" for root in ("object", "oldObject"))
    return (
        f"{after}.all(k, !({guarded}) || (k in {before} && {before}[k] == {after}[k]))"
        f" && {before}.all(k, !({guarded}) || k in {after})"
    )


def _chosen_volume(cluster: ClusterId) -> Iterable[Manifest]:
    """The volume of a claim, once the claim is made."""
    name = policy_name("chosen-volume", cluster=cluster)
    changes = "object.spec.?volumeName.orValue('') != oldObject.spec.?volumeName.orValue('')"
    yield policy(
        name,
        cluster=cluster,
        rules=[resource_rule("", ["persistentvolumeclaims"], operations=["UPDATE"])],
        conditions={"volume-changes": changes},
        variables={},
        validations=[validation(CHOSEN_VOLUME, controllers("persistent-volume-binder"))],
    )
    yield binding(name, cluster=cluster)
