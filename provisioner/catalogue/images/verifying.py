"""Whether a registry really has an image: fetched by its digest, with every blob hashed anew.

OCI image specification 1.1, "Image Manifest" and "Image Index"; containers-transports(5), ``dir``: manifests and blobs
lie in a folder under their digests.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.catalogue.images import skopeo
from provisioner.catalogue.images_lock import DIGEST, LockedImage
from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable

_ALGORITHM = "sha256:"


@dataclass(frozen=True, kw_only=True)
class ImageCheck:
    """What is wrong with an image at its place; nothing if it is whole. ``size_bytes`` of all that was hashed."""

    name: str
    reference: str
    problems: tuple[str, ...]
    size_bytes: int = 0


def verify_image(name: str, *, image: LockedImage, registry: str) -> ImageCheck:
    """Fetch ``image`` from ``registry`` and hash it.

    Raises Unreachable, NotPermitted, or NotFound if skopeo is missing; an image that is not there is a problem.
    """
    reference = image.reference(registry)
    with tempfile.TemporaryDirectory(prefix="coopctl-verify-") as scratch:
        folder = Path(scratch)
        try:
            skopeo.copy(f"docker://{reference}", f"dir:{folder}")
        except (Unreachable, NotPermitted, NotFound):
            raise
        except CoopctlError as error:
            return ImageCheck(name=name, reference=reference, problems=(error.why or error.message,))
        problems = tuple(folder_problems(folder, digest=image.digest))
        size = sum(file.stat().st_size for file in folder.iterdir())
    return ImageCheck(name=name, reference=reference, problems=problems, size_bytes=size)


def folder_problems(folder: Path, *, digest: str) -> Iterator[str]:
    """What in ``folder`` (skopeo's ``dir``) is not the image with the manifest ``digest``."""
    manifest = folder / "manifest.json"
    found = _digest(manifest)
    if found != digest:
        yield f"the manifest is {found or 'not there'}"
        return
    yield from _contents(folder, manifest=manifest)


def _contents(folder: Path, *, manifest: Path) -> Iterator[str]:
    try:
        document: Mapping[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
        instances = [str(one["digest"]) for one in document.get("manifests", ())]
        config = [document["config"]] if not instances else []
        blobs = [str(one["digest"]) for one in (*config, *document.get("layers", ()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        yield f"{manifest.name} is no image manifest: {type(error).__name__}"
        return
    for blob in dict.fromkeys(blobs):
        yield from _blob_problems(folder / blob.removeprefix(_ALGORITHM), digest=blob)
    for instance in dict.fromkeys(instances):
        file = folder / f"{instance.removeprefix(_ALGORITHM)}.manifest.json"
        wrong = list(_blob_problems(file, digest=instance))
        yield from wrong or _contents(folder, manifest=file)


def _blob_problems(file: Path, *, digest: str) -> Iterator[str]:
    found = _digest(file) if re.fullmatch(DIGEST, digest) else None
    if found != digest:
        yield f"{digest} is {'not there' if found is None else f'damaged: it hashes to {found}'}"


def _digest(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return f"{_ALGORITHM}{hashlib.file_digest(stream, 'sha256').hexdigest()}"
    except FileNotFoundError:
        return None
