"""The parts of objects that rules judge, found in every kind that can hold them.

A guard on pods alone would let a Deployment, StatefulSet or CronJob carry what its owner may not create, until a
controller fails to make the pod; so templates are judged like pods, and claim templates like claims.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.rules.rule import Object, Part, Subject

POD_PATHS: Mapping[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where each kind holds its pod: the path to what has ``metadata`` and ``spec``."""

CONTAINER_LISTS = ("containers", "initContainers", "ephemeralContainers")

_KINDS = {
    Subject.SERVICES: "Service",
    Subject.INGRESSES: "Ingress",
    Subject.NETWORK_POLICIES: "NetworkPolicy",
    Subject.ROLE_BINDINGS: "RoleBinding",
    Subject.SERVICE_ACCOUNTS: "ServiceAccount",
    Subject.SECRETS: "Secret",
    Subject.AUTOSCALERS: "HorizontalPodAutoscaler",
}
# These have no spec: what they say stands beside their metadata.
_WITHOUT_SPEC = {Subject.ROLE_BINDINGS, Subject.SERVICE_ACCOUNTS, Subject.SECRETS, Subject.ALL}


def parts(manifest: Object, *, subject: Subject) -> Iterator[Part]:
    """The parts of ``manifest`` that rules for ``subject`` judge."""
    match subject:
        case Subject.PODS:
            yield from _pods(manifest)
        case Subject.CLAIMS:
            yield from _claims(manifest)
        case Subject.TEMPLATES:
            yield from _templates(manifest)
        case _:
            if subject is Subject.ALL or manifest.get("kind") == _KINDS[subject]:
                yield _whole(manifest, has_spec=subject not in _WITHOUT_SPEC)


def containers(part: Part) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every container of a pod, init and ephemeral ones too, with its path."""
    for name in CONTAINER_LISTS:
        for index, container in enumerate(items(part.spec.get(name))):
            yield f"{part.path}.{name}[{index}]", container


def volumes(part: Part) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every volume of a pod, with its path."""
    for index, volume in enumerate(items(part.spec.get("volumes"))):
        yield f"{part.path}.volumes[{index}]", volume


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a mapping, else an empty one: manifests of charts may hold anything anywhere."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list; nothing if it is none."""
    return [mapping(item) for item in value] if isinstance(value, list) else []


def _whole(manifest: Object, *, has_spec: bool) -> Part:
    return Part(
        kind=str(manifest.get("kind")),
        spec=mapping(manifest.get("spec")) if has_spec else manifest,
        metadata=mapping(manifest.get("metadata")),
        path="spec" if has_spec else "",
    )


def _pods(manifest: Object) -> Iterator[Part]:
    kind = str(manifest.get("kind"))
    if kind not in POD_PATHS:
        return
    yield _part(manifest, at=POD_PATHS[kind], kind=kind)


def _part(manifest: Object, *, at: tuple[str, ...], kind: str) -> Part:
    holder: Mapping[str, Any] = manifest
    for name in at:
        holder = mapping(holder.get(name))
    return Part(
        kind=kind,
        spec=mapping(holder.get("spec")),
        metadata=mapping(holder.get("metadata")),
        path=".".join((*at, "spec")),
    )


def _claims(manifest: Object) -> Iterator[Part]:
    if manifest.get("kind") == "PersistentVolumeClaim":
        yield _part(manifest, at=(), kind="PersistentVolumeClaim")
    yield from _claim_templates(manifest)


def _claim_templates(manifest: Object) -> Iterator[Part]:
    """What becomes a claim: the templates of a StatefulSet, and those of ephemeral volumes."""
    kind = str(manifest.get("kind"))
    if kind == "StatefulSet":
        for index, template in enumerate(items(mapping(manifest.get("spec")).get("volumeClaimTemplates"))):
            yield _claim(template, path=f"spec.volumeClaimTemplates[{index}]", kind=kind)
    for pod in _pods(manifest):
        for path, volume in volumes(pod):
            if "ephemeral" in volume:
                template = mapping(mapping(volume["ephemeral"]).get("volumeClaimTemplate"))
                yield _claim(template, path=f"{path}.ephemeral.volumeClaimTemplate", kind=kind)


def _claim(template: Mapping[str, Any], *, path: str, kind: str) -> Part:
    spec, metadata = mapping(template.get("spec")), mapping(template.get("metadata"))
    return Part(kind=kind, spec=spec, metadata=metadata, path=f"{path}.spec")


def _templates(manifest: Object) -> Iterator[Part]:
    """Pods, and all whose labels a controller copies: templates of pods, of claims, and of a CronJob's jobs."""
    yield from _pods(manifest)
    yield from _claim_templates(manifest)
    if manifest.get("kind") == "CronJob":
        yield _part(manifest, at=("spec", "jobTemplate"), kind="CronJob")
