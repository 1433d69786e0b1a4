"""Runs programs of an image from its unpacked files, by the image's own loader, interpreter and libraries.

That needs neither root nor a container, and loads nothing of this machine's own Python.
"""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import CoopctlError


@dataclass(frozen=True, kw_only=True)
class ImageRoot:
    """An image's root file system in the folder ``root``."""

    root: Path

    def python(self, *arguments: str | Path) -> list[str]:
        """The command line that runs the image's interpreter; raises CoopctlError if the image has none."""
        loader = self._one("usr/lib*/ld-linux*.so.*")
        interpreter = self._one("usr/bin/python3.[0-9]*")
        libraries = self._one("usr/lib/*-linux-gnu*")
        return [str(loader), "--library-path", str(libraries), str(interpreter), *map(str, arguments)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of such a program: what the interpreter needs, and ``more``."""
        fixed = {"PYTHONHOME": str(self.root / "usr"), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}
        return {**fixed, "HOME": "/tmp", **more}  # noqa: S108 - as in the pods; nothing is written there

    def _one(self, pattern: str) -> Path:
        found = sorted(self.root.glob(pattern))
        if not found:
            raise CoopctlError(f"the image holds no {pattern}", hint="its programs need Debian's package python3")
        return found[0]


def unpack(layer: Path, *, into: Path) -> ImageRoot:
    """Unpack the uncompressed or compressed ``layer`` of an image to the folder ``into``."""
    with tarfile.open(layer) as files:
        # Python knows filters since 3.11.4; Debian 12's is older and unpacks as this one does.
        files.extraction_filter = getattr(tarfile, "tar_filter", None)
        files.extractall(into)  # noqa: S202 - the layer was built on this machine
    return ImageRoot(root=into)
