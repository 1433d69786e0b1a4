"""Runs apt-get and dpkg: which Debian packages an image needs, and their files.

The machine's own apt configuration says where packages come from and verifies them; nothing is installed on the
machine. Packages that an image is made ``without`` are shown to apt as installed, so that it follows their
dependencies no further.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import CoopctlError, NotFound, Unreachable

# apt-get --print-uris: 'URI' file size hash.
_PRINTED = re.compile(r"^'[^']+' (?P<file>\S+\.deb) \d+ SHA256:(?P<sha256>[0-9a-f]{64})$", re.MULTILINE)
_UNREACHABLE = ("Could not resolve", "Could not connect", "Failed to fetch", "Connection refused")
STUB = "Package: {name}\nStatus: install ok installed\nVersion: 9999\nArchitecture: {architecture}\n\n"
TIMEOUT_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package in one version: the name of its file, and the hash of its content."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class PackageSource:
    """The machine's apt; ``work`` is a folder for its scratch files."""

    work: Path

    def architecture(self) -> str:
        """Debian's name of this machine's architecture, such as amd64."""
        return _run(["dpkg", "--print-architecture"]).strip()

    def state(self) -> str:
        """A hash that changes whenever apt may answer otherwise: its lists and its configuration."""
        shown = _run(["apt-config", "shell", "LISTS", "Dir::State::lists/d", "ETC", "Dir::Etc/d"])
        folders = re.findall(r"='([^']+)'", shown)
        entries = sorted(entry for folder in folders for entry in _entries(Path(folder)))
        return hashlib.sha256("\n".join(entries).encode()).hexdigest()

    def resolve(self, packages: Sequence[str], *, without: Sequence[str]) -> tuple[Package, ...]:
        """The packages with all that they need, sorted; raises NotFound if apt does not know one."""
        printed = self._apt_get("--print-uris", packages=packages, without=without)
        found = [Package(file=match["file"], sha256=match["sha256"]) for match in _PRINTED.finditer(printed)]
        return tuple(sorted(found, key=lambda package: package.file))

    def download(self, packages: Sequence[str], *, without: Sequence[str], into: Path) -> None:
        """Fetch the packages and all that they need into the folder ``into``."""
        (into / "partial").mkdir(parents=True, exist_ok=True)
        archives = ("-o", f"Dir::Cache::archives={into}/")
        self._apt_get("--download-only", *archives, packages=packages, without=without)

    def _apt_get(self, *options: str, packages: Sequence[str], without: Sequence[str]) -> str:
        status = self.work / "status"
        architecture = self.architecture()
        status.write_text("".join(STUB.format(name=name, architecture=architecture) for name in without))
        # As root apt would fetch as its own user, who may not write below the caller's cache.
        sandbox = ("-o", "APT::Sandbox::User=root") if os.geteuid() == 0 else ()
        return _run(
            [
                "apt-get",
                "-qq",
                "--yes",
                "-o",
                f"Dir::State::status={status}",
                "-o",
                "APT::Install-Recommends=false",
                "-o",
                "Acquire::ForceHash=sha256",
                "-o",
                "Acquire::Retries=3",
                *sandbox,
                *options,
                "install",
                *packages,
            ]
        )


def write_files(archive: Path, *, into: Path) -> None:
    """Write the files that the package ``archive`` holds to ``into``, as a tar."""
    with into.open("wb") as target:
        _run(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=target.fileno())


def read_control(archive: Path) -> str:
    """The control fields of the package ``archive``: its name, version, source and licence's home."""
    return _run(["dpkg-deb", "--field", str(archive)])


def _run(command: list[str], *, stdout: int = subprocess.PIPE) -> str:
    """Run ``command`` and return what it printed; raises NotFound, Unreachable or CoopctlError."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, stdout=stdout, stderr=subprocess.PIPE, env=environment, timeout=TIMEOUT_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise NotFound(
            f"{command[0]} is not on PATH",
            why="images are made from Debian packages with apt-get and dpkg",
            hint="build images on Debian, and share images.lock and the registry with this machine",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} did not end within {TIMEOUT_SECONDS} s") from error
    if done.returncode:
        raise _failure(command[0], complaint=done.stderr.decode(errors="replace"))
    return (done.stdout or b"").decode()


def _failure(program: str, *, complaint: str) -> CoopctlError:
    errors = [line for line in complaint.splitlines() if line.startswith("E:")] or complaint.splitlines()
    why = "; ".join(errors[-3:])
    if "Unable to locate package" in complaint or "has no installation candidate" in complaint:
        return NotFound("apt does not know a package that an image needs", why=why, hint="run `apt-get update` as root")
    if any(sign in complaint for sign in _UNREACHABLE):
        return Unreachable("the package archive does not answer", why=why, hint="run `apt-get update` as root")
    return CoopctlError(f"{program} failed", why=why)


def _entries(folder: Path) -> list[str]:
    """What tells whether anything below ``folder`` changed: each file's path, size and time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
