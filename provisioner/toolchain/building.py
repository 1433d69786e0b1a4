"""Builds one tool from tools/ with the Go toolchain, into the cache.

1. The lock of the build is taken; another coopctl that builds the same is waited for, and its result used.
2. `go build` writes into a staging folder beside the final one; the user's own Go caches are used.
3. The staging folder is renamed to its final name: the tool is there whole or not at all.

Cut off by SIGINT or SIGTERM, the compiler is ended. Cut off by SIGKILL, the compiler goes on until its work is in Go's
own cache and keeps the lock for so long; the next call waits for it, clears the staging folder away and is quick.
"""

import contextlib
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from provisioner.errors import BuildFailed, CoopctlError
from provisioner.toolchain.cache import Cache, translated
from provisioner.toolchain.pins import MEGABYTE, Build

Report = Callable[[str], None]
"""Takes one line of progress for people."""

PROGRESS_SECONDS = 15.0
_END_SECONDS = 10.0
_LAST_LINES = 15
# Settings of the caller that would make another program than the pinned one, or one for another machine.
_FOREIGN_SETTINGS = ("GOOS", "GOARCH", "GOEXPERIMENT", "GOFLAGS", "GOWORK", "GOBIN", "GO111MODULE", "GOROOT")


def target_platform() -> tuple[str, str]:
    """This machine in Go's words: operating system and architecture."""
    machine = platform.machine().lower()
    return sys.platform, {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def build_key(build: Build, *, sources: Path) -> str:
    """The name of the build's folder: changes with all that it is made from.

    Raises CoopctlError if the module's folder is not below ``sources``.
    """
    module = sources / build.module
    digest = hashlib.sha256()
    settings = (build.package, build.ldflags, build.tags, build.links, target_platform())
    digest.update(repr(settings).encode())
    for path in _made_from(build, module=module):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CoopctlError(f"{path} is missing", why=error.strerror, hint="install coopctl again") from error
        digest.update(f"{path.relative_to(module).as_posix()} {len(content)}\n".encode() + content)
    return f"{build.name}-{digest.hexdigest()[:16]}"


def executables(build: Build, *, folder: Path) -> Mapping[str, Path]:
    """Tool name -> executable in the build's ``folder``, whether it is there or not."""
    return {tool: folder / "bin" / tool for tool in build.tools}


def is_complete(build: Build, *, folder: Path) -> bool:
    """Whether every executable of the build is in ``folder``."""
    return all(os.access(path, os.X_OK) for path in executables(build, folder=folder).values())


def build_into_cache(
    build: Build,
    *,
    cache: Cache,
    sources: Path,
    find_go: Callable[[], Path],
    environment: Mapping[str, str],
    report: Report,
) -> Path:
    """Build unless another coopctl has just done so; returns the build's folder.

    ``find_go`` is asked only if there is something to build. Raises BuildFailed with the end of Go's words, or
    CoopctlError if the cache cannot be written.
    """
    key = build_key(build, sources=sources)
    folder = cache.folder(key)
    waiting = f"another coopctl builds {build.name}; waiting for it"
    with cache.lock(key, waiting=lambda: report(waiting)) as lock:
        if is_complete(build, folder=folder):
            return folder
        require_room(build, free=shutil.disk_usage(cache.root).free, at=cache.root)
        go = find_go()
        with cache.staging(key) as staging:
            made = staging / "made"
            run = _GoBuild(
                build=build, module=sources / build.module, target=made / "bin" / build.name, log=cache.log(build.name)
            )
            run.run(go, environment=environment, lock=lock, report=report)
            add_links(build, folder=made)
            cache.publish(made, key=key, staging=staging)
    return folder


def add_links(build: Build, *, folder: Path) -> None:
    """Give the executable in ``folder`` its further names."""
    for link in build.links:
        (folder / "bin" / link).symlink_to(build.name)


def require_room(build: Build, *, free: int, at: Path) -> None:
    """Raise CoopctlError if ``free`` bytes at ``at`` are not enough for the tool and the linker's work."""
    needed = (3 * build.megabytes + 200) * MEGABYTE
    if free < needed:
        raise CoopctlError(
            f"the disk is nearly full: {free // MEGABYTE} MB are free at {at}",
            why=f"building {build.name} needs {needed // MEGABYTE} MB there",
            hint="free some space, or set XDG_CACHE_HOME to a folder on another disk",
        )


class _GoBuild:
    """One run of `go build`: its command line, its progress and its end."""

    def __init__(self, *, build: Build, module: Path, target: Path, log: Path) -> None:
        self._build = build
        self._module = module
        self._target = target
        self._log = log

    def run(self, go: Path, *, environment: Mapping[str, str], lock: int, report: Report) -> None:
        """Build the target; raises BuildFailed."""
        name, expected = self._build.name, self._build.expected_seconds
        report(f"building {name} {self._build.version} (some {expected} s on 2 cores, quicker if built before)")
        started = time.monotonic()
        code = self._compiled(go, environment=environment, lock=lock, report=report, started=started)
        if code != 0 or not self._target.is_file():
            raise self._failure(code)
        report(f"built {name} in {time.monotonic() - started:.0f} s")

    def _argv(self, go: Path) -> list[str]:
        build = self._build
        tags = ["-tags", build.tags] if build.tags else []
        flags = ["-v", "-trimpath", *tags, "-ldflags", f"-s -w {build.ldflags}".rstrip()]
        return [str(go), "build", *flags, "-o", str(self._target), build.package]

    def _compiled(self, go: Path, *, environment: Mapping[str, str], lock: int, report: Report, started: float) -> int:
        with translated(self._log.parent), self._log.open("wb") as log:
            try:
                process = subprocess.Popen(
                    self._argv(go),
                    cwd=self._module,
                    env=build_environment(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            except OSError as error:
                raise CoopctlError(f"{go} cannot be run", why=str(error)) from error
        with _ended_if_interrupted(process):
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(timeout=PROGRESS_SECONDS)
                elapsed = time.monotonic() - started
                report(f"building {self._build.name}: {elapsed:.0f} s of some {self._build.expected_seconds} s")

    def _failure(self, code: int) -> CoopctlError:
        said = self._log.read_text(encoding="utf-8", errors="replace")
        if "no space left on device" in said:
            return CoopctlError(
                f"the disk is full: {self._build.name} could not be built",
                why="Go's caches need some 9 GB for all tools",
                hint="free some space, or set GOCACHE and GOMODCACHE to folders on another disk",
            )
        return BuildFailed(
            f"{self._build.name} could not be built (go build ended with {code}; log: {self._log})",
            why="\n".join(said.strip().splitlines()[-_LAST_LINES:]) or None,
        )


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a build: the caller's, with what makes the result the same everywhere."""
    inherited = {name: value for name, value in environment.items() if name not in _FOREIGN_SETTINGS}
    return {
        **inherited,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
    }


@contextlib.contextmanager
def _ended_if_interrupted(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # It is in a session of its own: its compilers end with it.
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_END_SECONDS)
                break
        raise


def _made_from(build: Build, *, module: Path) -> Iterator[Path]:
    yield module / "go.mod"
    if (module / "go.sum").exists():
        yield module / "go.sum"
    if build.own_sources is not None:
        sources = (module / build.own_sources).glob("*.go")
        yield from sorted(path for path in sources if not path.name.endswith("_test.go"))
