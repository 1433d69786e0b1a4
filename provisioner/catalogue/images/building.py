"""Builds an image, or finds that it is built already.

1. The definition, its files and the state of apt's lists are hashed. If a layout was made from exactly these,
   it is the answer, within a fraction of a second.
2. Else apt says which packages in which versions are needed. If a layout was made from exactly these, it is.
3. Else the packages are fetched, merged into one layer and written as an OCI layout, with a list of them beside it.
   An image that holds tables gets them as a second layer: they are made with the programs of the first.

A layout is made beside its place and moved there whole, so one that is there is complete; a build that is cut off
leaves only scratch files, which the next one removes. Builds of one image wait for each other.
"""

import fcntl
import hashlib
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.catalogue.images.definition import ImageDefinition
from provisioner.catalogue.images.image_root import unpack
from provisioner.catalogue.images.layer import Tree
from provisioner.catalogue.images.oci_layout import write_layout
from provisioner.catalogue.images.packages import Package, PackageSource, read_control, write_files
from provisioner.catalogue.images.prepared import Preparing, prepared_layer
from provisioner.catalogue.images.sbom import Component, package_component, write_sbom

BUILDER = ("building.py", "image_root.py", "layer.py", "oci_layout.py", "packages.py", "prepared.py", "sbom.py")
DIGEST_FILE = "digest"
LAYOUT = "layout"
INPUTS = "inputs.json"

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An image in the cache: its layout's folder and its manifest's digest; ``fresh`` if it was made just now."""

    name: str
    repository: str
    digest: str
    layout: Path
    fresh: bool


def build(
    definition: ImageDefinition, *, cache: Path, report: Report, preparing: Preparing | None = None
) -> BuiltImage:
    """Build the image, below the folder ``cache``, unless it is there already.

    ``preparing`` makes the tables that the definition asks for; without, the image has none, and is another image.
    Raises NotFound for an unknown package or a machine without apt, Unreachable if packages cannot be fetched.
    """
    home = cache / definition.name
    home.mkdir(parents=True, exist_ok=True)
    with alone(home / "lock"), scratch(home / "scratch") as work:
        source = PackageSource(work=work)
        definition_hash = _definition_hash(definition, preparing=preparing)
        inputs = _digest_of(definition_hash, source.state(), source.architecture())
        known = _known_layout(home, inputs=inputs)
        if known is not None:
            return _built(definition, folder=known, fresh=False)
        packages = source.resolve(definition.packages, without=definition.without)
        content = [f"{package.file} {package.sha256}" for package in packages]
        folder = home / _digest_of(definition_hash, *content)[:16]
        fresh = not (folder / DIGEST_FILE).is_file()
        if fresh:
            report(f"building the image {definition.name} from {len(packages)} packages")
            making = _Making(definition=definition, packages=packages, source=source, work=work, report=report)
            making.make(folder, preparing=preparing)
        (home / INPUTS).write_text(json.dumps({"inputs": inputs, "folder": folder.name}))
        return _built(definition, folder=folder, fresh=fresh)


@dataclass(frozen=True, kw_only=True)
class _Making:
    """A build under way: what it is made of, and where."""

    definition: ImageDefinition
    packages: Sequence[Package]
    source: PackageSource
    work: Path
    report: Report

    def make(self, folder: Path, *, preparing: Preparing | None) -> None:
        """Make the layout and its bill of materials as ``folder``."""
        archives = self.work / "archives"
        self.source.download(self.definition.packages, without=self.definition.without, into=archives)
        layer = self.work / "layer.tar"
        paths = [archives / package.file for package in self.packages]
        _write_layer(self.definition, archives=paths, work=self.work, layer=layer)
        components = [
            package_component(read_control(path), sha256=package.sha256)
            for path, package in zip(paths, self.packages, strict=True)
        ]
        layers = [layer, *self._tables(layer, components=components, preparing=preparing)]
        made, architecture = self.work / "made", self.source.architecture()
        digest = write_layout(made / LAYOUT, layers=layers, definition=self.definition, architecture=architecture)
        parts = [*components, *self.definition.parts]
        write_sbom(made, image=self.definition.name, digest=digest, components=parts)
        (made / DIGEST_FILE).write_text(digest)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)

    def _tables(self, layer: Path, *, components: Sequence[Component], preparing: Preparing | None) -> list[Path]:
        """The layer with prepared tables, if the image is to have one."""
        if preparing is None or self.definition.tables is None:
            return []
        made = preparing.prepare(
            self.definition,
            root=unpack(layer, into=self.work / "root"),
            packages=_digest_of(*(f"{package.file} {package.sha256}" for package in self.packages)),
            cache=self.work.parent,
            report=self.report,
        )
        versions = {one.name: one.version for one in components if one.name in self.definition.packages}
        tables = self.work / "tables.tar"
        with tables.open("wb") as target:
            prepared_layer(made, versions=versions).write(target)
        return [tables]


def _write_layer(definition: ImageDefinition, *, archives: Sequence[Path], work: Path, layer: Path) -> None:
    tree = Tree(prune=definition.prune)
    with ExitStack() as opened:
        for index, archive in enumerate(archives):
            files = work / f"{index}.tar"
            write_files(archive, into=files)
            tree.add_archive(opened.enter_context(tarfile.open(files)))
            # Where scanners look for packages in an image without dpkg's database.
            name = archive.name.split("_", 1)[0]
            tree.add_file(f"var/lib/dpkg/status.d/{name}", content=read_control(archive).encode())
        _add_own_files(tree, definition=definition)
        with layer.open("wb") as target:
            tree.write(target)


def _add_own_files(tree: Tree, *, definition: ImageDefinition) -> None:
    user, number = definition.user_name, definition.user_id
    tree.add_file(
        "etc/passwd",
        content=f"root:x:0:0:root:/root:/sbin/nologin\n{user}:x:{number}:{number}::/:/sbin/nologin\n".encode(),
    )
    tree.add_file("etc/group", content=f"root:x:0:\n{user}:x:{number}:\n".encode())
    tree.add_folder("tmp", mode=0o1777)
    for file in definition.files:
        tree.add_file(file.target, content=file.source.read_bytes(), mode=file.mode)


def _known_layout(home: Path, *, inputs: str) -> Path | None:
    """The folder that was made from ``inputs``, if it is still there."""
    try:
        recorded = json.loads((home / INPUTS).read_text())
        folder = home / recorded["folder"]
    except (OSError, ValueError, KeyError, TypeError):
        # Absent or damaged, it says nothing; the slower way finds the layout.
        return None
    return folder if recorded["inputs"] == inputs and (folder / DIGEST_FILE).is_file() else None


def _built(definition: ImageDefinition, *, folder: Path, fresh: bool) -> BuiltImage:
    return BuiltImage(
        name=definition.name,
        repository=definition.repository,
        digest=(folder / DIGEST_FILE).read_text(),
        layout=folder / LAYOUT,
        fresh=fresh,
    )


def _definition_hash(definition: ImageDefinition, *, preparing: Preparing | None) -> str:
    tables = [preparing.fingerprint(definition)] if preparing and definition.tables else []
    files = [f"{file.target} {file.mode:o} {_digest_of(file.source.read_bytes().hex())}" for file in definition.files]
    plain = (
        definition.name,
        definition.description,
        *("packages", *definition.packages),
        *("without", *definition.without),
        *("prune", *definition.prune),
        *("entrypoint", *definition.entrypoint),
        *("files", *files),
        *("tables", *tables),
        f"{definition.user_name} {definition.user_id} {definition.port}",
        *("builder", *_own_sources()),
    )
    return _digest_of(*plain)


def _own_sources() -> list[str]:
    """The text of what makes images: another builder may make another image of the same input."""
    return [_digest_of((Path(__file__).parent / name).read_text(encoding="utf-8")) for name in BUILDER]


def _digest_of(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process builds this image; the lock goes with the process that holds it."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """An empty folder that is removed at the end, and at the next start if this one is cut off."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
