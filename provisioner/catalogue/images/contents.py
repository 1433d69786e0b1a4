"""What an estate knows of a solution's images: the locked digest, and the packages of the image that has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.sbom import Sbom, read_sbom
from provisioner.catalogue.images_lock import LockedImage
from provisioner.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class ImageContents:
    """An image by its logical name; ``locked`` is None before it was built, ``sbom`` where another machine built it."""

    name: str
    locked: LockedImage | None
    sbom: Sbom | None


def image_contents(names: Sequence[str], *, lock_file: Path | None, cache: Path) -> list[ImageContents]:
    """The images called ``names``, as ``lock_file`` has them (None: without an estate) and ``cache`` knows them."""
    locked = images_lock.read(lock_file).images if lock_file else {}
    return [
        ImageContents(name=name, locked=locked.get(name), sbom=_sbom(name, locked.get(name), cache=cache))
        for name in names
    ]


def _sbom(name: str, locked: LockedImage | None, *, cache: Path) -> Sbom | None:
    if locked is None:
        return None
    try:
        return read_sbom(name, digest=locked.digest, cache=cache)
    except NotFound:
        return None
