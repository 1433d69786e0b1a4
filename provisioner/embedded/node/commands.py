"""Runs the machine's own programs (ip, nft, ctr, ...) and translates their failures."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.errors import CoopctlError

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
"""Where system programs are; a user's PATH often lacks the sbin folders."""

CNI_FOLDER = Path("/usr/lib/cni")
PACKAGES: Mapping[str, str] = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "nginx": "nginx-light",
}
"""The programs that a real node needs, and the Debian package that brings each."""
CNI_PLUGINS = ("bridge", "host-local", "loopback", "tuning")
CNI_PACKAGE = "containernetworking-plugins"


@dataclass(frozen=True, kw_only=True)
class MissingProgram:
    """A program that is not on this machine, and the Debian package that brings it."""

    name: str
    package: str


def search_path() -> str:
    """The caller's PATH and the folders of the system's programs, as a PATH."""
    return os.pathsep.join(dict.fromkeys([*os.environ.get("PATH", "").split(os.pathsep), *SYSTEM_FOLDERS]))


def find_program(name: str) -> Path | None:
    """The absolute path of a system program, or None."""
    found = shutil.which(name, path=search_path())
    return Path(found) if found else None


def program(name: str) -> Path:
    """The absolute path of a system program.

    Raises CoopctlError with the package to install where it is missing.
    """
    found = find_program(name)
    if found is None:
        package = PACKAGES.get(name, name)
        raise CoopctlError(f"the program {name} is missing", hint=f"install it: `apt-get install {package}`")
    return found


def missing_programs() -> tuple[MissingProgram, ...]:
    """What a real node needs and this machine lacks."""
    programs = [MissingProgram(name=name, package=package) for name, package in PACKAGES.items()]
    missing = [candidate for candidate in programs if find_program(candidate.name) is None]
    plugins = [name for name in CNI_PLUGINS if not (CNI_FOLDER / name).exists()]
    return (*missing, *(MissingProgram(name=f"CNI plugin {name}", package=CNI_PACKAGE) for name in plugins))


def run(argv: Sequence[str | Path], *, stdin: str | None = None, timeout_seconds: float = 60) -> str:
    """Run a system program and give its standard output.

    Raises CoopctlError with the program's own words when it is missing, fails or takes too long.
    """
    result = attempt(argv, stdin=stdin, timeout_seconds=timeout_seconds)
    if result.returncode != 0:
        raise CoopctlError(
            f"`{' '.join(str(word) for word in argv)}` failed with code {result.returncode}",
            why=(result.stderr or result.stdout).strip()[-2000:] or None,
        )
    return result.stdout


def attempt(
    argv: Sequence[str | Path], *, stdin: str | None = None, timeout_seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a system program whose failure is an answer too (nothing there to delete, not ready yet).

    Raises CoopctlError when it is missing or takes too long.
    """
    name, *arguments = (str(word) for word in argv)
    executable = name if "/" in name else str(program(name))
    try:
        return subprocess.run(
            [executable, *arguments],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
            env={"PATH": search_path(), "LC_ALL": "C.UTF-8", "HOME": "/"},
        )
    except subprocess.TimeoutExpired as error:
        raise CoopctlError(f"`{name}` did not end within {timeout_seconds:.0f} s") from error
    except OSError as error:
        raise CoopctlError(f"`{executable}` cannot be run", why=str(error)) from error
