"""Rules for the images that a pod is made from: those of its containers, and those that it mounts as volumes."""

import re
from collections.abc import Iterator
from typing import Any

from provisioner.rules.facts import Facts
from provisioner.rules.parts import containers, mapping, volumes
from provisioner.rules.rule import Fault, Part, Rule, Severity, Subject

_DIGEST = r"[^@\s]+@sha256:[a-f0-9]{64}"
_NSA = "NSA/CISA Kubernetes Hardening Guide 1.2"


def _images(part: Part) -> Iterator[tuple[str, str, Any]]:
    """Every image with its path and what is said about pulling it."""
    for path, container in containers(part):
        yield f"{path}.image", str(container.get("image", "")), container.get("imagePullPolicy")
    for path, volume in volumes(part):
        if "image" in volume:
            image = mapping(volume["image"])
            yield f"{path}.image.reference", str(image.get("reference", "")), image.get("pullPolicy")


def _registry(part: Part, facts: Facts) -> Iterator[Fault]:
    for path, image, _ in _images(part):
        # An empty prefix would be one of every image.
        if not image.startswith(tuple(filter(None, facts.registries))):
            allowed = ", ".join(facts.registries) or "none"
            yield Fault(path=path, message=f"{image!r} is not from an allowed registry ({allowed})")


def _digest(part: Part, _: Facts) -> Iterator[Fault]:
    for path, image, _policy in _images(part):
        if not re.fullmatch(_DIGEST, image, flags=re.ASCII):
            yield Fault(path=path, message=f"{image!r} has no sha256 digest")


def _pull(part: Part, _: Facts) -> Iterator[Fault]:
    for path, image, stated in _images(part):
        policy = stated or _default_pull_policy(image)
        if policy != "Always":
            yield Fault(path=_policy_path(path), message=f"is {policy}")


def _policy_path(path: str) -> str:
    holder, _, field = path.rpartition(".")
    return f"{holder}.{'pullPolicy' if field == 'reference' else 'imagePullPolicy'}"


def _default_pull_policy(image: str) -> str:
    """What the API server puts there where nothing is said: Always for `latest`, IfNotPresent for all else."""
    name, _, digest = image.partition("@")
    _, colon, tag = name.rpartition("/")[2].partition(":")
    return "Always" if not digest and (not colon or tag == "latest") else "IfNotPresent"


def _cel(container: str, volume: str) -> str:
    """``container`` holds for every container ``c``, and ``volume`` for every volume ``v`` that is an image."""
    return (
        f"variables.containers.all(c, {container})"
        f" && variables.spec.?volumes.orValue([]).all(v, !has(v.image) || {volume})"
    )


RULES = (
    Rule(
        id="image-registry",
        title="images come from allowed registries",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="what runs beside other tenants' accounts must have come through the catalogue",
        sources=(f"{_NSA}, Pod security", "CIS Kubernetes Benchmark 5.5.1"),
        remedy="name the image by the platform's registry (spec.registry of platform.yaml)",
        judge=_registry,
        cel=_cel(
            "variables.registries.exists(r, c.?image.orValue('').startsWith(r))",
            "variables.registries.exists(r, v.image.?reference.orValue('').startsWith(r))",
        ),
    ),
    Rule(
        id="image-digest",
        title="images are pinned by digest",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="a tag can be moved to another image after somebody has looked at it",
        sources=(f"{_NSA}, Pod security",),
        remedy="write NAME@sha256:...; images.lock has the digests",
        judge=_digest,
        cel=_cel(
            f"c.?image.orValue('').matches(r'^{_DIGEST}$')",
            f"v.image.?reference.orValue('').matches(r'^{_DIGEST}$')",
        ),
    ),
    Rule(
        id="image-pull",
        title="images are always pulled",
        severity=Severity.LOW,
        subject=Subject.PODS,
        reason="an image that another tenant left on the node would start without the registry's consent",
        sources=("kubectl-mtb MTB-PL1-CC-DI-1", "Kubernetes documentation, AlwaysPullImages"),
        remedy="set imagePullPolicy: Always",
        judge=_pull,
        cel=_cel("c.?imagePullPolicy.orValue('') == 'Always'", "v.image.?pullPolicy.orValue('') == 'Always'"),
    ),
)
