"""A solution's own module for the server that it extends: a folder of data files and code in its chart.

``module/<name>/`` beside the chart's templates is that module. Its files reach the pods as a ConfigMap, which knows no
folders: the key of a file is its path with ``_S_`` for each slash.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import Diagnostic, InvalidDescriptor, Location

FOLDER = "module"
SLASH = "_S_"
# A ConfigMap holds 1 MiB at the most, names and all (Kubernetes documentation, "ConfigMaps").
LIMIT_BYTES = 900 * 1024


@dataclass(frozen=True, kw_only=True)
class OwnModule:
    """A module's name, its files below its folder in alphabetical order, and a digest of all of them."""

    name: str
    files: tuple[str, ...]
    digest: str

    @property
    def keys(self) -> dict[str, str]:
        """The key of each file in a ConfigMap, with the file's path."""
        return {path.replace("/", SLASH): path for path in self.files}


def read_own_module(chart: Path) -> OwnModule | None:
    """The module of the chart folder, None if it has none; raises InvalidDescriptor for what no ConfigMap can hold."""
    folders = sorted(folder for folder in (chart / FOLDER).glob("*") if folder.is_dir())
    if not folders:
        return None
    if len(folders) > 1:
        raise _invalid(chart / FOLDER, f"holds {len(folders)} modules, not one")
    return _read(folders[0])


def _read(folder: Path) -> OwnModule:
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    contents = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
    if sum(map(len, contents.values())) > LIMIT_BYTES:
        raise _invalid(folder, f"is larger than {LIMIT_BYTES} bytes: no ConfigMap can hold it")
    if confusing := [path for path in contents if SLASH in path]:
        raise _invalid(folder / confusing[0], f"has {SLASH!r} in its name, which stands for a slash")
    digest = hashlib.sha256()
    for path, content in contents.items():
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return OwnModule(name=folder.name, files=tuple(contents), digest=digest.hexdigest())


def _invalid(place: Path, problem: str) -> InvalidDescriptor:
    return InvalidDescriptor(
        f"{place} is not a module", diagnostics=[Diagnostic(message=problem, location=Location(file=place))]
    )
