"""Rules for metadata: labels that controllers copy from templates, and finalizers that keep objects from going."""

from collections.abc import Iterator

from provisioner.naming import LABEL_CLUSTER, LABEL_COOPERATIVE, LABEL_MANAGED_BY, LABEL_PART, MANAGED_BY
from provisioner.rules.facts import Facts
from provisioner.rules.parts import mapping
from provisioner.rules.rule import Fault, Part, Rule, Severity, Subject

PLATFORM_LABELS = (LABEL_COOPERATIVE, LABEL_CLUSTER, LABEL_PART)
CEL_IS_PLATFORMS = (
    f"labels.exists(l, l in {list(PLATFORM_LABELS)} || (l == '{LABEL_MANAGED_BY}' && labels[l] == '{MANAGED_BY}'))"
)
"""CEL: whether the map ``labels`` marks an object as the platform's own."""


# The garbage collector sees to these on every object; the volume controller to its own on claims, where the API server
# puts it itself (apimachinery metav1.FinalizerDeleteDependents, FinalizerOrphanDependents; PVCProtectionFinalizer).
FINALIZERS = ("foregroundDeletion", "orphan")
CLAIM_FINALIZER = "kubernetes.io/pvc-protection"


def _labels(part: Part, _: Facts) -> Iterator[Fault]:
    labels = mapping(part.metadata.get("labels"))
    path = part.path.removesuffix("spec") + "metadata.labels"
    for label in PLATFORM_LABELS:
        if label in labels:
            yield Fault(path=path, message=f"bear the platform's own label {label}")
    if labels.get(LABEL_MANAGED_BY) == MANAGED_BY:
        yield Fault(path=path, message=f"say {LABEL_MANAGED_BY}={MANAGED_BY}")


def _finalizers(part: Part, _: Facts) -> Iterator[Fault]:
    known = (*FINALIZERS, *((CLAIM_FINALIZER,) if part.kind == "PersistentVolumeClaim" else ()))
    found = part.metadata.get("finalizers")
    for name in found if isinstance(found, list) else []:
        if name not in known:
            yield Fault(path="metadata.finalizers", message=f"hold {name}, which nobody takes off")


RULES = (
    Rule(
        id="template-labels",
        title="pods and templates do not bear the platform's labels",
        severity=Severity.HIGH,
        subject=Subject.TEMPLATES,
        reason="controllers copy them to objects that would then pass for the platform's own",
        sources=("Kubernetes documentation, Labels and Selectors",),
        remedy=f"leave {', '.join(PLATFORM_LABELS)} and {LABEL_MANAGED_BY}={MANAGED_BY} out of the template's labels",
        judge=_labels,
        cel=f"!{CEL_IS_PLATFORMS}",
    ),
    Rule(
        id="finalizers",
        title="nothing keeps an object from being deleted",
        severity=Severity.MEDIUM,
        subject=Subject.ALL,
        reason="a finalizer that no controller takes off keeps the whole namespace from going",
        sources=("Kubernetes documentation, Finalizers",),
        remedy="leave finalizers out",
        judge=_finalizers,
        cel=f"variables.finalizers.all(f, f in {list(FINALIZERS)}"
        f" || (f == '{CLAIM_FINALIZER}' && request.resource.resource == 'persistentvolumeclaims'))",
        binds_tenants_only=True,
    ),
)
