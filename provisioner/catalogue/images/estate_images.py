"""The images of an estate: built for its catalogue, locked by digest, pushed to its registry.

A lock changes only when an image's content does, so building twice writes nothing new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, assert_never

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.building import BuiltImage, Report, build
from provisioner.catalogue.images.coopctl_image import CoopctlImage, coopctl_definition
from provisioner.catalogue.images.definition import IMAGE_FILE, ImageDefinition, read_definition
from provisioner.catalogue.images.oci_layout import layout_size
from provisioner.catalogue.images.prepared import Preparing
from provisioner.catalogue.images.programs import Program, build_program
from provisioner.catalogue.images.pushing import push
from provisioner.catalogue.images_lock import ImagesLock, LockedImage
from provisioner.catalogue.solution import Catalogue
from provisioner.errors import CoopctlError, NotFound

Own: TypeAlias = Program | CoopctlImage
"""An image of coopctl's own, beside the catalogue's."""


@dataclass(frozen=True, kw_only=True)
class ImageState:
    """What became of one image: its digest, its size in bytes as pushed, and what was done."""

    name: str
    repository: str
    digest: str
    size_bytes: int
    built: bool
    locked: bool
    pushed: bool


@dataclass(frozen=True, kw_only=True)
class ListedImage:
    """An image that is defined; ``digest`` is the locked one, None before it was built."""

    name: str
    repository: str
    digest: str | None
    solutions: tuple[str, ...]


def build_images(
    names: Sequence[str],
    *,
    catalogue: Catalogue,
    lock_file: Path,
    cache: Path,
    registry: str | None,
    report: Report,
    programs: Sequence[Own] = (),
    preparing: Preparing | None = None,
) -> list[ImageState]:
    """Build the images called ``names``, push them to ``registry`` unless None, and lock them.

    Without names it builds all that something runs: a solution of the catalogue, or coopctl.

    ``programs`` are images beside the catalogue's, as in all functions here; ``preparing`` makes the tables that an
    image is to hold, as in `build`.

    An image is locked after it was pushed, so that no plan names one that the registry does not have.
    """
    lock, states = images_lock.read(lock_file), []
    for definition in _chosen(names, catalogue=catalogue, programs=programs):
        image = _built(definition, cache=cache, report=report, preparing=preparing)
        if registry is not None:
            _push(image, registry=registry, report=report)
        changed = lock.with_image(image.name, LockedImage(repository=image.repository, digest=image.digest))
        if changed != lock:
            images_lock.write(changed)
        states.append(_state(image, locked=changed != lock, pushed=registry is not None))
        lock = changed
    return states


def push_images(
    names: Sequence[str],
    *,
    catalogue: Catalogue,
    lock_file: Path,
    cache: Path,
    registry: str,
    report: Report,
    programs: Sequence[Own] = (),
    preparing: Preparing | None = None,
) -> list[ImageState]:
    """Push the locked images called ``names`` (if empty: all that are locked); the lock does not change.

    Raises CoopctlError if what this machine builds is not what is locked, NotFound if it is not locked.
    """
    lock = images_lock.read(lock_file)
    states = []
    chosen = _chosen(names, catalogue=catalogue, programs=programs)
    # An estate locks what its cooperatives chose (`images build --used`), not everything that is on offer.
    locked_ones = [] if names else [one for one in chosen if one.name in lock.images]
    for definition in locked_ones or chosen:
        locked = lock.image(definition.name)
        image = _built(definition, cache=cache, report=report, preparing=preparing)
        _refuse_other(image, locked=locked, lock=lock)
        _push(image, registry=registry, report=report)
        states.append(_state(image, locked=False, pushed=True))
    return states


def list_images(*, catalogue: Catalogue, lock_file: Path, programs: Sequence[Own] = ()) -> list[ListedImage]:
    """Every image, with the digest that the estate's lock has for it."""
    lock = images_lock.read(lock_file)
    return [
        ListedImage(
            name=definition.name,
            repository=definition.repository,
            digest=lock.images[definition.name].digest if definition.name in lock.images else None,
            solutions=tuple(
                solution.name for solution in catalogue.solutions.values() if definition.name in solution.images
            ),
        )
        for definition in _known(catalogue, programs=programs).values()
    ]


def _chosen(names: Sequence[str], *, catalogue: Catalogue, programs: Sequence[Own]) -> list[ImageDefinition | Own]:
    """The images called ``names``, or all that something runs; raises NotFound for an unknown name."""
    by_name = _known(catalogue, programs=programs)
    unknown = sorted(set(names) - set(by_name))
    if unknown:
        raise NotFound(f"no image is called {unknown[0]!r}", hint=f"there are: {', '.join(by_name)}")
    needed = {*catalogue.images, *(program.name for program in programs)}
    return [by_name[name] for name in dict.fromkeys(names) or (name for name in by_name if name in needed)]


def _known(catalogue: Catalogue, *, programs: Sequence[Own]) -> dict[str, ImageDefinition | Own]:
    """Every image that is defined, by its name."""
    files = (file for folder in catalogue.sources for file in sorted(folder.glob(f"*/{IMAGE_FILE}")))
    found: list[ImageDefinition | Own] = [read_definition(file) for file in files]
    return {image.name: image for image in (*found, *programs)}


def _built(image: ImageDefinition | Own, *, cache: Path, report: Report, preparing: Preparing | None) -> BuiltImage:
    match image:
        case ImageDefinition():
            return build(image, cache=cache, report=report, preparing=preparing)
        case Program():
            return build_program(image, cache=cache, report=report)
        case CoopctlImage():
            definition = coopctl_definition(image, cache=cache, report=report)
            return build(definition, cache=cache, report=report)
        case _:
            assert_never(image)


def _push(image: BuiltImage, *, registry: str, report: Report) -> None:
    report(f"pushing {image.repository} to {registry}")
    push(image, registry=registry)


def _refuse_other(image: BuiltImage, *, locked: LockedImage, lock: ImagesLock) -> None:
    if image.digest != locked.digest:
        raise CoopctlError(
            f"the image {image.name} of this machine is not the one in {lock.source}",
            why=f"built {image.digest}, locked {locked.digest}: packages or the definition have changed since",
            hint="run `coopctl images build --push` and commit images.lock, or copy the image from the other registry",
        )


def _state(image: BuiltImage, *, locked: bool, pushed: bool) -> ImageState:
    return ImageState(
        name=image.name,
        repository=image.repository,
        digest=image.digest,
        size_bytes=layout_size(image.layout),
        built=image.fresh,
        locked=locked,
        pushed=pushed,
    )
