"""The image of one static program: a single file in a single layer, the same bytes from the same program.

For programs of coopctl's own that run in pods. The program itself is built by the toolchain, which lies above.
"""

import hashlib
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioner.catalogue.images.building import DIGEST_FILE, LAYOUT, BuiltImage, Report, alone, scratch
from provisioner.catalogue.images.definition import ImageDefinition
from provisioner.catalogue.images.layer import Tree
from provisioner.catalogue.images.oci_layout import write_layout
from provisioner.catalogue.images.sbom import SBOM_FILE, Component, write_sbom

_NOBODY = 65532
_VERSION_DIGITS = 12
# Machines in Go's words (OCI image configuration, "architecture").
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that becomes an image; ``find`` gives its executable, and may take long the first time."""

    name: str
    repository: str
    description: str
    find: Callable[[], Path]


def build_program(program: Program, *, cache: Path, report: Report) -> BuiltImage:
    """Make the image below the folder ``cache``, unless it is there already."""
    executable = program.find()
    content = executable.read_bytes()
    home = cache / program.name
    home.mkdir(parents=True, exist_ok=True)
    folder = home / hashlib.sha256(content + program.repository.encode()).hexdigest()[:16]
    with alone(home / "lock"), scratch(home / "scratch") as work:
        fresh = not all((folder / name).is_file() for name in (DIGEST_FILE, SBOM_FILE))
        if fresh:
            report(f"making the image {program.name}")
            _make(program, content=content, work=work, folder=folder)
    return BuiltImage(
        name=program.name,
        repository=program.repository,
        digest=(folder / DIGEST_FILE).read_text(),
        layout=folder / LAYOUT,
        fresh=fresh,
    )


def _make(program: Program, *, content: bytes, work: Path, folder: Path) -> None:
    tree = Tree(prune=())
    tree.add_file(program.name, content=content, mode=0o755)
    layer, made = work / "layer.tar", work / "made"
    with layer.open("wb") as target:
        tree.write(target)
    machine = platform.machine()
    digest = write_layout(
        made / LAYOUT,
        layers=[layer],
        definition=_definition(program),
        architecture=_ARCHITECTURES.get(machine, machine),
    )
    sha256 = hashlib.sha256(content).hexdigest()
    # A program of coopctl's own has no version but its content.
    component = Component(name=program.name, version=sha256[:_VERSION_DIGITS], sha256=sha256, kind="application")
    write_sbom(made, image=program.name, digest=digest, components=[component])
    (made / DIGEST_FILE).write_text(digest)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)


def _definition(program: Program) -> ImageDefinition:
    return ImageDefinition(
        name=program.name,
        repository=program.repository,
        description=program.description,
        packages=(),
        without=(),
        files=(),
        prune=(),
        entrypoint=(f"/{program.name}",),
        user_id=_NOBODY,
        user_name="nobody",
        port=None,
        source=Path(),
    )
