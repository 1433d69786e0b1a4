"""Rules for claims of storage, also those that a StatefulSet or a pod makes. Their CEL is about one ``claim``, a whole
object with its metadata."""

from collections.abc import Iterator

from provisioner.rules.facts import Facts
from provisioner.rules.parts import mapping
from provisioner.rules.rule import Fault, Part, Rule, Severity, Subject

_SOURCE = "Kubernetes documentation, Persistent Volumes"
# It wins over the field of the spec (component-helpers, storage/volume, GetPersistentVolumeClaimClass).
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def _storage_class(part: Part, facts: Facts) -> Iterator[Fault]:
    # Where nothing is said the API server writes the default class.
    name = part.spec.get("storageClassName")
    if name is not None and name not in facts.storage_classes:
        yield Fault(path=f"{part.path}.storageClassName", message=f"{name!r} is not among those allowed")
    if CLASS_ANNOTATION in mapping(part.metadata.get("annotations")):
        path = f"{part.path.removesuffix('spec')}metadata.annotations[{CLASS_ANNOTATION!r}]"
        yield Fault(path=path, message="names a class that wins over storageClassName")


def _attributes_class(part: Part, _: Facts) -> Iterator[Fault]:
    name = part.spec.get("volumeAttributesClassName")
    if name:
        yield Fault(path=f"{part.path}.volumeAttributesClassName", message=f"asks for {name!r}")


def _existing_volume(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("volumeName"):
        yield Fault(path=f"{part.path}.volumeName", message="chooses an existing volume")
    # An empty selector chooses among all volumes.
    if part.spec.get("selector") is not None:
        yield Fault(path=f"{part.path}.selector", message="chooses among existing volumes")


def _foreign_source(part: Part, _: Facts) -> Iterator[Fault]:
    if mapping(part.spec.get("dataSourceRef")).get("namespace"):
        yield Fault(path=f"{part.path}.dataSourceRef.namespace", message="copies from another namespace")


RULES = (
    Rule(
        id="storage-class",
        title="storage classes are from the platform's list",
        severity=Severity.MEDIUM,
        subject=Subject.CLAIMS,
        reason="a class may keep a volume after its tenant, or reach storage that is somebody else's",
        sources=(_SOURCE, "kubectl-mtb, Require PVC reclaim policy delete (pending)"),
        remedy=f"use one of spec.storageClasses of platform.yaml, by storageClassName and not by {CLASS_ANNOTATION}",
        judge=_storage_class,
        # An absent class is one that the cluster has no default for: such a claim is never bound.
        cel="(!has(claim.spec.storageClassName) || claim.spec.storageClassName in variables.storageClasses)"
        f" && !claim.?metadata.?annotations[?'{CLASS_ANNOTATION}'].hasValue()",
    ),
    Rule(
        id="attributes-class",
        title="claims choose no attributes of volumes",
        severity=Severity.MEDIUM,
        subject=Subject.CLAIMS,
        reason="throughput that one tenant takes from shared storage is missing to others, and no quota counts it",
        sources=("Kubernetes documentation, Volume Attributes Classes",),
        remedy="leave volumeAttributesClassName out",
        judge=_attributes_class,
        cel="claim.spec.?volumeAttributesClassName.orValue('') == ''",
    ),
    Rule(
        id="existing-volume",
        title="claims do not choose a volume",
        severity=Severity.CRITICAL,
        subject=Subject.CLAIMS,
        reason="a released volume of another tenant still holds its files",
        sources=(f"{_SOURCE}, Reserving a PersistentVolume",),
        remedy="leave volumeName and selector out",
        judge=_existing_volume,
        # Later, the cluster writes the volume there: see `chosen-volume`.
        cel="variables.bound || (claim.spec.?volumeName.orValue('') == '' && !has(claim.spec.selector))",
    ),
    Rule(
        id="foreign-source",
        title="claims copy from their own namespace alone",
        severity=Severity.CRITICAL,
        subject=Subject.CLAIMS,
        reason="a copy of another tenant's volume is that tenant's data",
        sources=("Kubernetes documentation, Cross namespace data sources",),
        remedy="leave dataSourceRef.namespace out",
        judge=_foreign_source,
        cel="claim.spec.?dataSourceRef.?namespace.orValue('') == ''",
    ),
)
