"""A second PostgreSQL and S3 beside the embedded platform: a cooperative's own servers, to try and to test moving to.

They are the platform's own parts once more, in a folder of their own with ports, certificates and secrets of their own:
nobody who knows the platform's administrators knows the target's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles, read_endpoints
from provisioner.embedded import folders, ports
from provisioner.embedded.objects import ObjectsPart, foreign_sockets
from provisioner.embedded.postgres import PostgresPart, programs_for
from provisioner.embedded.process import Part, ProcessSpec, Surroundings


@dataclass(frozen=True, kw_only=True)
class TargetServers:
    """Where the target's servers are: ports on 127.0.0.1, passwords and keys in files."""

    endpoints: EmbeddedEndpoints
    files: EmbeddedFiles


@dataclass(frozen=True, kw_only=True)
class TargetPart:
    """The target's servers as one part; ``programs`` is PostgreSQL's folder (None: Debian's, or the one on PATH)."""

    programs: Path | None = None

    @property
    def name(self) -> str:
        """The name in progress lines."""
        return "target"

    @property
    def tools(self) -> tuple[str, ...]:
        """Those of the parts."""
        return tuple(tool for part in self._parts() for tool in part.tools)

    def prepare(self, surroundings: Surroundings) -> None:
        """Choose ports, once, and let each server prepare."""
        files = target_files(surroundings.files)
        folders.make_root(files)
        ports.settled_endpoints(files, usable=lambda chosen: _are_apart(chosen, surroundings.endpoints))
        own = _own(surroundings)
        folders.make_run_folder(own.run)
        for part in self._parts():
            part.prepare(own)

    def specs(self, surroundings: Surroundings) -> tuple[ProcessSpec, ...]:
        """The servers, named after those of the platform: target-postgres, target-objects."""
        own = _own(surroundings)
        specs = (spec for part in self._parts() for spec in part.specs(own))
        return tuple(_renamed(spec, logs=surroundings.logs) for spec in specs)

    def complete(self, surroundings: Surroundings) -> None:
        """Nothing: a cooperative's database and bucket are made when it is said which one moves here."""

    def remove(self, surroundings: Surroundings) -> None:
        """Let each server take away what it left on the machine."""
        if not target_files(surroundings.files).root.exists():
            return
        own = _own(surroundings)
        for part in self._parts():
            part.remove(own)
        folders.delete(own.run)

    def require_programs(self, files: EmbeddedFiles) -> None:
        """Raise NotFound or UsageError unless PostgreSQL's programs are there and fit the data that is there."""
        programs_for(target_files(files).root / "data" / "postgres", folder=self.programs)

    def recorded(self) -> dict[str, Any]:
        """What `recorded_target` reads again."""
        return {"programs": str(self.programs) if self.programs else None}

    def _parts(self) -> tuple[Part, ...]:
        return (PostgresPart(programs=self.programs), ObjectsPart())


def recorded_target(content: Mapping[str, Any] | None) -> TargetPart | None:
    """The part that was recorded; None for none. Raises KeyError or TypeError for something else."""
    if content is None:
        return None
    programs = content["programs"]
    return TargetPart(programs=Path(programs) if programs else None)


def target_servers(files: EmbeddedFiles) -> TargetServers:
    """Where the target of the embedded platform with ``files`` is."""
    own = target_files(files)
    return TargetServers(endpoints=read_endpoints(own), files=own)


def target_files(files: EmbeddedFiles) -> EmbeddedFiles:
    """The target's files, in a folder of the embedded platform with ``files``."""
    return EmbeddedFiles(root=files.root / "target")


def _own(surroundings: Surroundings) -> Surroundings:
    files = target_files(surroundings.files)
    return replace(surroundings, files=files, endpoints=read_endpoints(files), run=folders.run_folder(files.root))


def _renamed(spec: ProcessSpec, *, logs: Path) -> ProcessSpec:
    name = f"target-{spec.name}"
    return replace(spec, name=name, log=logs / f"{name}.log")


def _are_apart(chosen: EmbeddedEndpoints, taken: EmbeddedEndpoints) -> bool:
    # The platform's ports are free until it runs.
    return not _numbers(chosen) & _numbers(taken) and not foreign_sockets(chosen)


def _numbers(endpoints: EmbeddedEndpoints) -> set[int]:
    values = (getattr(endpoints, field.name) for field in fields(endpoints))
    return {value for value in values if isinstance(value, int)}
