"""The toolchain: where each tool is on this machine, and making what is missing.

A tool is taken from PATH if it states a fitting version, else from the user's cache, else it is built into the cache.
What a Python requirement brings is taken from there.
"""

import difflib
import importlib.metadata
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import provisioner
from provisioner.errors import CoopctlError, NotFound
from provisioner.toolchain.building import Report, build_into_cache, build_key, executables, is_complete
from provisioner.toolchain.cache import Cache, default_cache
from provisioner.toolchain.go import ensure_go
from provisioner.toolchain.pins import BUILDS, WHEELS, Build, Wheel
from provisioner.toolchain.versions import find_on_path, numbers

__all__ = ["Origin", "Report", "Tool", "Toolchain"]


class Origin(StrEnum):
    """Where a tool was found."""

    PATH = "PATH"
    CACHE = "cache"
    WHEEL = "Python package"
    MISSING = "not built yet"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool as it is on this machine; ``version`` is the one found, else the pinned one."""

    name: str
    version: str
    wanted: str
    origin: Origin
    path: Path | None

    @property
    def size_bytes(self) -> int | None:
        """The executable's size; None if it is missing."""
        return self.path.stat().st_size if self.path else None


def shipped(name: str) -> Path:
    """A file or folder that comes with coopctl: inside the package if installed, beside it in a checkout."""
    package = Path(provisioner.__file__).parent
    installed = package / "assets" / name
    return installed if installed.exists() else package.parent / name


def caller_environment() -> Mapping[str, str]:
    """A copy of this process's environment."""
    return dict(os.environ)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The pinned tools, found by ``environment`` (PATH, HOME, Go's settings), in ``cache``, or built from ``sources``.

    ``cache`` None means the user's own. ``builds`` and ``wheels`` are the tools that there are.
    """

    cache: Path | None = None
    sources: Path = field(default_factory=lambda: shipped("tools"))
    go_requirements: Path = field(default_factory=lambda: shipped("requirements/go.txt"))
    environment: Mapping[str, str] = field(default_factory=caller_environment, repr=False)
    builds: tuple[Build, ...] = BUILDS
    wheels: tuple[Wheel, ...] = WHEELS

    @property
    def store(self) -> Cache:
        """The cache of built tools."""
        return Cache(root=self.cache or default_cache(self.environment))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tools."""
        return (*(tool for build in self.builds for tool in build.tools), *(wheel.name for wheel in self.wheels))

    def find(self, name: str) -> Tool:
        """Look for a tool without making it; raises NotFound if there is no tool of that name."""
        for wheel in self.wheels:
            if wheel.name == name:
                return _wheel_tool(wheel)
        build = self.build_of(name)
        return self._on_path(name, build=build) or self._in_cache(name, build=build)

    def all(self) -> tuple[Tool, ...]:
        """Look for every tool without making any."""
        return tuple(self.find(name) for name in self.names)

    def ensure(self, names: Iterable[str], *, report: Report) -> Mapping[str, Path]:
        """Find or make tools; gives each name's executable.

        Raises NotFound for an unknown name before anything is built, BuildFailed and CoopctlError as building does.
        """
        tools = [self.find(name) for name in dict.fromkeys(names)]
        return {tool.name: tool.path or self._made(tool.name, report=report) for tool in tools}

    def ensure_built(self, build: Build, *, report: Report) -> Path:
        """The folder of ``build`` in the cache, whatever PATH has."""
        folder = self.folder(build)
        if is_complete(build, folder=folder):
            return folder
        return build_into_cache(
            build,
            cache=self.store,
            sources=self.sources,
            find_go=lambda: self._go(report),
            environment=self.environment,
            report=report,
        )

    def folder(self, build: Build) -> Path:
        """Where a build is in the cache, or would be."""
        return self.store.folder(build_key(build, sources=self.sources))

    def build_of(self, name: str) -> Build:
        """The build that makes a tool; raises NotFound."""
        for build in self.builds:
            if name in build.tools:
                return build
        near = difflib.get_close_matches(name, self.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.names)}"
        raise NotFound(f"there is no tool {name!r}", hint=hint)

    def _on_path(self, name: str, *, build: Build) -> Tool | None:
        candidate = build.candidate_of(name)
        found = find_on_path(name, candidate, environment=self.environment) if candidate else None
        if found is None:
            return None
        return Tool(name=name, version=found[1], wanted=build.version, origin=Origin.PATH, path=found[0])

    def _in_cache(self, name: str, *, build: Build) -> Tool:
        folder = self.folder(build)
        path = executables(build, folder=folder)[name] if is_complete(build, folder=folder) else None
        origin = Origin.CACHE if path else Origin.MISSING
        return Tool(name=name, version=build.version, wanted=build.version, origin=origin, path=path)

    def _made(self, name: str, *, report: Report) -> Path:
        for wheel in self.wheels:
            if wheel.name == name:
                raise CoopctlError(
                    f"the Python package {wheel.distribution} (at least {wheel.at_least}) with {name} is not installed",
                    hint=f"pip install '{wheel.distribution}>={wheel.at_least}'",
                )
        build = self.build_of(name)
        return executables(build, folder=self.ensure_built(build, report=report))[name]

    def _go(self, report: Report) -> Path:
        return ensure_go(self.store, requirements=self.go_requirements, environment=self.environment, report=report)


def _wheel_tool(wheel: Wheel) -> Tool:
    try:
        distribution = importlib.metadata.distribution(wheel.distribution)
    except importlib.metadata.PackageNotFoundError:
        return Tool(name=wheel.name, version="", wanted=wheel.at_least, origin=Origin.MISSING, path=None)
    files = [Path(str(distribution.locate_file(file))) for file in distribution.files or () if file.name == wheel.name]
    path = next((file.resolve() for file in files if os.access(file, os.X_OK)), None)
    if numbers(distribution.version) < numbers(wheel.at_least):
        path = None
    origin = Origin.WHEEL if path else Origin.MISSING
    return Tool(name=wheel.name, version=distribution.version, wanted=wheel.at_least, origin=origin, path=path)
