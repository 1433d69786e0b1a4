"""Reads the facts of this machine that the checks judge. Changes nothing."""

import os
import platform
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from provisioner.toolchain.chain import Tool, Toolchain
from provisioner.toolchain.go import Go, all_go_on_path, go_of_wheel
from provisioner.toolchain.versions import numbers, stated_version

POSTGRES_ACCOUNT: Final = "postgres"
CNI_FOLDER: Final = Path("/usr/lib/cni")
DEBIAN_POSTGRES: Final = Path("/usr/lib/postgresql")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
# Where system programs are; a user's PATH often lacks the sbin folders.
_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")
_ASKED: Final[Mapping[str, tuple[str, ...]]] = {
    "containerd": ("--version",),
    "runc": ("--version",),
    "nft": ("--version",),
}
_VERSION = re.compile(r"\bv?(\d+\.\d+(?:\.\d+)?)")
_TRY_TO_ENTER = 'for folder; do cd -- "$folder" 2>/dev/null || { printf %s "$folder"; exit 1; }; done'


class BridgeFilter(StrEnum):
    """Whether packets between two pods of a bridge can be filtered (br_netfilter)."""

    ACTIVE = "active"
    LOADABLE = "loadable"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The facts. ``programs`` maps each system program that was found to its path, ``versions`` some to theirs.

    ``postgres_majors`` are the installed PostgreSQL servers. ``closed_folder`` is the first folder on the way to the
    estate that PostgreSQL's account cannot enter; it and ``postgres_account`` matter for root alone.
    """

    python: tuple[int, ...]
    system: str
    kernel: str
    root: bool
    programs: Mapping[str, Path]
    versions: Mapping[str, str]
    cni_plugins: frozenset[str]
    cgroup_controllers: frozenset[str]
    bridge_filter: BridgeFilter
    postgres_majors: tuple[int, ...]
    postgres_account: bool
    closed_folder: Path | None
    go_on_path: tuple[Go, ...]
    go_of_wheel: Path | None
    tools: tuple[Tool, ...]
    cache: Path
    cache_is_writable: bool
    cache_free_bytes: int
    estate: Path
    estate_free_bytes: int
    memory_bytes: int
    available_memory_bytes: int


def look(toolchain: Toolchain, *, estate: Path, wanted_programs: tuple[str, ...]) -> Machine:
    """Gather the facts for ``estate``; programs are asked for their versions, nothing is started or changed."""
    import psutil

    programs = _found(wanted_programs, environment=toolchain.environment)
    memory = psutil.virtual_memory()
    root = os.geteuid() == 0
    wheel = go_of_wheel(toolchain.store, requirements=toolchain.go_requirements)
    cache = toolchain.store.root
    return Machine(
        python=sys.version_info[:3],
        system=platform.system(),
        kernel=platform.release(),
        root=root,
        programs=programs,
        versions=_versions(programs, environment=toolchain.environment),
        cni_plugins=frozenset(path.name for path in CNI_FOLDER.glob("*")),
        cgroup_controllers=_controllers(),
        bridge_filter=_bridge_filter(programs.get("modprobe")),
        postgres_majors=_postgres_majors(programs.get("initdb"), environment=toolchain.environment),
        postgres_account=_has_account(POSTGRES_ACCOUNT),
        closed_folder=_closed_folder(estate) if root else None,
        go_on_path=all_go_on_path(toolchain.environment),
        go_of_wheel=wheel if os.access(wheel, os.X_OK) else None,
        tools=toolchain.all(),
        cache=cache,
        cache_is_writable=os.access(_existing(cache), os.W_OK),
        cache_free_bytes=shutil.disk_usage(_existing(cache)).free,
        estate=estate,
        estate_free_bytes=shutil.disk_usage(_existing(estate)).free,
        memory_bytes=memory.total,
        available_memory_bytes=memory.available,
    )


def _found(names: tuple[str, ...], *, environment: Mapping[str, str]) -> dict[str, Path]:
    folders = dict.fromkeys([*environment.get("PATH", "").split(os.pathsep), *_SYSTEM_FOLDERS])
    found = {name: shutil.which(name, path=os.pathsep.join(folders)) for name in names}
    return {name: Path(path) for name, path in found.items() if path}


def _versions(programs: Mapping[str, Path], *, environment: Mapping[str, str]) -> dict[str, str]:
    asked = {
        name: stated_version([str(programs[name]), *arguments], states=_VERSION, environment=environment)
        for name, arguments in _ASKED.items()
        if name in programs
    }
    return {name: version for name, version in asked.items() if version}


def _controllers() -> frozenset[str]:
    """Control group controllers of version 1, 2 or both (cgroups(7), /proc/cgroups)."""
    try:
        lines = Path("/proc/cgroups").read_text(encoding="ascii").splitlines()
        unified = Path("/sys/fs/cgroup/cgroup.controllers")
        names = unified.read_text(encoding="ascii").split() if unified.exists() else []
    except OSError:
        return frozenset()
    enabled = [line.split()[0] for line in lines if not line.startswith("#") and line.split()[-1] == "1"]
    return frozenset([*enabled, *names])


def _bridge_filter(modprobe: Path | None) -> BridgeFilter:
    if _BRIDGE_FILTER.exists():
        return BridgeFilter.ACTIVE
    if modprobe is None:
        return BridgeFilter.MISSING
    tried = subprocess.run([modprobe, "--dry-run", "br_netfilter"], capture_output=True, check=False)
    return BridgeFilter.LOADABLE if tried.returncode == 0 else BridgeFilter.MISSING


def _postgres_majors(initdb: Path | None, *, environment: Mapping[str, str]) -> tuple[int, ...]:
    majors = {int(path.parent.parent.name) for path in DEBIAN_POSTGRES.glob("[0-9]*/bin/initdb")}
    if initdb is not None:
        version = stated_version([str(initdb), "--version"], states=_VERSION, environment=environment)
        majors.update(numbers(version)[:1] if version else ())
    return tuple(sorted(majors))


def _has_account(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _closed_folder(estate: Path) -> Path | None:
    """The first folder on the way into ``estate`` that PostgreSQL's account cannot enter; root may ask for it."""
    if not _has_account(POSTGRES_ACCOUNT):
        return None
    account = pwd.getpwnam(POSTGRES_ACCOUNT)
    steps = [str(step) for step in (*reversed(estate.parents), estate) if step.exists()]
    # Asked of the kernel: access lists and mounts decide as well as the mode.
    tried = subprocess.run(
        ["/bin/sh", "-c", _TRY_TO_ENTER, "sh", *steps],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(POSTGRES_ACCOUNT, account.pw_gid),
        cwd="/",
        stdout=subprocess.PIPE,
        check=False,
    )
    return Path(os.fsdecode(tried.stdout)) if tried.returncode else None


def _existing(folder: Path) -> Path:
    """The nearest folder upwards that exists and that this user may know of; another user's home may be closed."""
    return next(step for step in (folder, *folder.parents) if os.access(step, os.F_OK))
