"""The estate's images.lock: which digest stands for each logical image name.

Charts name images logically; plans pin them from here, so a security update of a package is a planned change of
one line and breaks no chart. The file is written whole, sorted, and replaced in one step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import yaml
from pydantic import Field

from provisioner.catalogue.reading import read_document
from provisioner.descriptor.document import API_VERSION, Document
from provisioner.errors import Location, NotFound

KIND = "ImagesLock"
DIGEST = r"^sha256:[0-9a-f]{64}$"
# Distribution specification, "Pulling manifests": <name>.
REPOSITORY = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"
_HINT = "restore it from version control, or delete it and run `coopctl images build`"
HEADER = "# Written by `coopctl images build`; plans pin images from here. Commit it with the estate.\n"


@dataclass(frozen=True, kw_only=True)
class LockedImage:
    """An image by content: its repository in the platform's registry and its manifest's digest."""

    repository: str
    digest: str

    def reference(self, registry: str) -> str:
        """What a pod's ``image`` field holds, for the registry at ``registry`` (host and port, no scheme)."""
        return f"{registry}/{self.repository}@{self.digest}"


@dataclass(frozen=True, kw_only=True)
class ImagesLock:
    """All locked images by logical name; ``source`` is the file they were read from."""

    source: Path
    images: Mapping[str, LockedImage] = field(default_factory=lambda: MappingProxyType({}))

    def image(self, name: str) -> LockedImage:
        """The image called ``name``; raises NotFound with the remedy if it was never built."""
        try:
            return self.images[name]
        except KeyError as error:
            raise NotFound(
                f"the image {name!r} has no digest in {self.source}",
                hint="run `make images`, or `coopctl images build`, and commit images.lock",
                where=Location(file=self.source),
            ) from error

    def with_image(self, name: str, image: LockedImage) -> "ImagesLock":
        """The same lock with ``name`` set to ``image``."""
        return ImagesLock(source=self.source, images=MappingProxyType({**self.images, name: image}))


class _Image(Document):
    repository: str = Field(pattern=REPOSITORY)
    digest: str = Field(pattern=DIGEST)


class _LockDocument(Document):
    api_version: Literal["coopctl.dev/v1"]
    kind: Literal["ImagesLock"]
    images: dict[str, _Image]


def read(file: Path) -> ImagesLock:
    """Read ``file``; a missing one is a lock without images. Raises InvalidDescriptor with every problem."""
    if not file.exists():
        return ImagesLock(source=file)
    found = read_document(file, model=_LockDocument, what="images.lock", hint=_HINT).content.images
    images = {name: LockedImage(repository=one.repository, digest=one.digest) for name, one in sorted(found.items())}
    return ImagesLock(source=file, images=MappingProxyType(images))


def write(lock: ImagesLock) -> None:
    """Replace the lock's file in one step; the same images always give the same bytes."""
    images = {
        name: {"repository": image.repository, "digest": image.digest} for name, image in sorted(lock.images.items())
    }
    text = yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, "images": images}, sort_keys=False)
    temporary = lock.source.with_name(f"{lock.source.name}.new")
    temporary.write_text(HEADER + text, encoding="utf-8")
    temporary.replace(lock.source)
