"""Copies locked images between registries by their digest: to mirrors, or from one of them back.

Each image is copied whole before the next one; cut off, the same call goes on with what is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from provisioner.catalogue.images import skopeo
from provisioner.catalogue.images.building import Report
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.descriptor.platform import Registry
from provisioner.descriptor.platform_document import is_registry
from provisioner.errors import NotFound, UsageError


@dataclass(frozen=True, kw_only=True)
class Route:
    """From which registry to which (host, port and path)."""

    source: str
    target: str


@dataclass(frozen=True, kw_only=True)
class MirroredImage:
    """An image that ``target`` has now, with the same digest as ``source``."""

    name: str
    repository: str
    digest: str
    source: str
    target: str


def routes(registry: Registry, *, source: str | None, target: str | None) -> tuple[Route, ...]:
    """Which way images go: from the platform's registry to each of its mirrors, unless something else is said.

    With a ``source`` alone they come to the platform's registry. Raises UsageError for what is no registry, or if
    nothing is said and the platform has no mirrors.
    """
    for given in (source, target):
        if given is not None and not is_registry(given):
            raise UsageError(f"{given!r} is not a registry", hint="such as registry.example.kr:5000/path, no scheme")
    targets = (target or registry.address,) if source else ((target,) if target else registry.mirrors)
    if not targets:
        hint = "list them as spec.registry.mirrors in platform.yaml, or give --to"
        raise UsageError("the platform has no mirrors", hint=hint)
    found = tuple(Route(source=source or registry.address, target=one) for one in targets)
    if any(one.source == one.target for one in found):
        raise UsageError(f"{found[0].source} is both ends of the way", hint="give two registries")
    return found


def mirror_images(
    names: Sequence[str], *, lock: ImagesLock, ways: Sequence[Route], report: Report
) -> list[MirroredImage]:
    """Copy the locked images called ``names`` (all if empty) along ``ways``. Raises what `skopeo.copy` raises."""
    if not lock.images:
        raise NotFound(f"{lock.source} locks no image", hint="run `coopctl images build --push` first")
    mirrored = []
    for way in ways:
        for name in dict.fromkeys(names) or lock.images:
            image = lock.image(name)
            report(f"copying {image.repository} from {way.source} to {way.target}")
            skopeo.copy(*(f"docker://{image.reference(one)}" for one in (way.source, way.target)))
            mirrored.append(
                MirroredImage(
                    name=name, repository=image.repository, digest=image.digest, source=way.source, target=way.target
                )
            )
    return mirrored
