"""What a machine must have, as pure checks over its facts; `coopctl doctor` runs them.

``CHECKS`` is the list; a part with checks of its own offers another one (see findings.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from provisioner.toolchain.findings import Check, Finding, Level
from provisioner.toolchain.machine import CNI_FOLDER, POSTGRES_ACCOUNT, BridgeFilter, Machine
from provisioner.toolchain.pins import GO_FITS
from provisioner.toolchain.versions import fits, numbers

GIGABYTE: Final = 1_000_000_000
LEAST_PYTHON: Final = (3, 11)
LEAST_POSTGRES: Final = 15
# kube-proxy's nftables mode needs both (Kubernetes, "Virtual IPs and Service Proxies").
LEAST_KERNEL: Final = (5, 13)
LEAST_VERSIONS: Final = {"containerd": (1, 6), "runc": (1, 1), "nft": (1, 0, 1)}
CNI_PLUGINS: Final = ("bridge", "host-local", "loopback", "tuning")
CONTROLLERS: Final = ("cpu", "cpuset", "memory", "pids")
BUILD_DISK_BYTES: Final = 10 * GIGABYTE
ESTATE_DISK_BYTES: Final = 5 * GIGABYTE
MEMORY_BYTES: Final = 2 * GIGABYTE
BUILD_MEMORY_BYTES: Final = 3 * GIGABYTE


@dataclass(frozen=True, kw_only=True)
class SystemProgram:
    """A program that the system brings: in which Debian package, and what cannot be done without it."""

    name: str
    package: str
    level: Level
    needed_for: str


def _for_node(name: str, package: str, needed_for: str) -> SystemProgram:
    return SystemProgram(name=name, package=package, level=Level.SIMULATED, needed_for=needed_for)


SYSTEM_PROGRAMS: Final[tuple[SystemProgram, ...]] = (
    _for_node("containerd", "containerd", "runs the pods' containers"),
    _for_node("ctr", "containerd", "brings images to the node"),
    _for_node("runc", "runc", "starts containers"),
    _for_node("ip", "iproute2", "makes the pods' bridge"),
    _for_node("nft", "nftables", "Services"),
    _for_node("iptables", "iptables", "NetworkPolicies"),
    _for_node("ipset", "ipset", "NetworkPolicies"),
    _for_node("conntrack", "conntrack", "cuts connections that a new NetworkPolicy forbids"),
    _for_node("modprobe", "kmod", "loads br_netfilter"),
    _for_node("nginx", "nginx-light", "the tenants' Ingress hosts"),
    SystemProgram(name="skopeo", package="skopeo", level=Level.PROBLEM, needed_for="pushes images to a registry"),
    SystemProgram(name="mmdebstrap", package="mmdebstrap", level=Level.PROBLEM, needed_for="builds images"),
)
PROGRAM_NAMES: Final = (*(program.name for program in SYSTEM_PROGRAMS), "initdb")


def python(machine: Machine) -> Iterator[Finding]:
    """Python itself."""
    found = _dotted(machine.python)
    if machine.python >= LEAST_PYTHON:
        yield Finding(subject="Python", found=found)
    else:
        wanted = _dotted(LEAST_PYTHON)
        yield Finding(
            subject="Python",
            found=f"{found}, older than {wanted}",
            level=Level.PROBLEM,
            remedy=f"install Python {wanted}",
        )


def go(machine: Machine) -> Iterator[Finding]:
    """Go matters only while a tool is to be built, and can be installed then."""
    fitting = [one for one in machine.go_on_path if fits(one.version, GO_FITS)]
    if fitting:
        yield Finding(subject="Go", found=f"{fitting[0].version} ({fitting[0].program})")
    elif machine.go_of_wheel:
        yield Finding(subject="Go", found=str(machine.go_of_wheel))
    else:
        unfit = "".join(f"; {one.version} ({one.program}) does not fit" for one in machine.go_on_path)
        found = f"none on PATH{unfit}; it is installed by itself when a tool must be built"
        yield Finding(subject="Go", found=found)


def tools(machine: Machine) -> Iterator[Finding]:
    """Every pinned tool."""
    for tool in machine.tools:
        if tool.path:
            yield Finding(subject=tool.name, found=f"{tool.version} ({tool.path})")
        else:
            remedy = "coopctl toolchain install (or: coopctl toolchain import FILE)"
            yield Finding(
                subject=tool.name, found=f"{tool.wanted} is not built yet", level=Level.PROBLEM, remedy=remedy
            )


def cache(machine: Machine) -> Iterator[Finding]:
    """The tools' cache and its disk."""
    if not machine.cache_is_writable:
        remedy = "set XDG_CACHE_HOME to a folder of your own that can be written"
        yield Finding(
            subject="tools' cache",
            found=f"{machine.cache} cannot be written",
            level=_unless_complete(machine),
            remedy=remedy,
        )
    yield _room("tools' cache", machine.cache_free_bytes, wanted=0 if _complete(machine) else BUILD_DISK_BYTES)


def estate_disk(machine: Machine) -> Iterator[Finding]:
    """Room for the embedded platform's data."""
    yield _room(f"disk of {machine.estate}", machine.estate_free_bytes, wanted=ESTATE_DISK_BYTES)


def memory(machine: Machine) -> Iterator[Finding]:
    """Memory for the embedded platform, and for building tools."""
    wanted = MEMORY_BYTES if _complete(machine) else BUILD_MEMORY_BYTES
    found = f"{_gigabytes(machine.available_memory_bytes)} of {_gigabytes(machine.memory_bytes)} are free"
    if machine.available_memory_bytes >= wanted:
        yield Finding(subject="memory", found=found)
    else:
        remedy = f"end other programs: {_gigabytes(wanted)} are needed"
        yield Finding(subject="memory", found=found, level=Level.PROBLEM, remedy=remedy)


def postgres(machine: Machine) -> Iterator[Finding]:
    """The PostgreSQL that the embedded platform runs, and its account."""
    newest = max(machine.postgres_majors, default=0)
    if newest < LEAST_POSTGRES:
        found = f"{newest} is too old" if newest else "missing"
        yield _missing("PostgreSQL", found, package=f"postgresql-{LEAST_POSTGRES}", level=Level.PROBLEM)
        return
    yield Finding(subject="PostgreSQL", found=str(newest))
    if machine.root and not machine.postgres_account:
        remedy = f"adduser --system --group --home /nonexistent {POSTGRES_ACCOUNT}"
        found = f"missing; as root, PostgreSQL runs as {POSTGRES_ACCOUNT}"
        yield Finding(subject=f"account {POSTGRES_ACCOUNT}", found=found, level=Level.PROBLEM, remedy=remedy)


def estate_path(machine: Machine) -> Iterator[Finding]:
    """Whether PostgreSQL's account can reach the estate."""
    folder = machine.closed_folder
    if folder is not None:
        remedy = f"setfacl -m u:{POSTGRES_ACCOUNT}:x '{folder}' (or move the estate to a folder that all may enter)"
        found = f"{POSTGRES_ACCOUNT} cannot enter {folder}, so PostgreSQL could not reach its data in the estate"
        yield Finding(subject="estate's path", found=found, level=Level.PROBLEM, remedy=remedy)


def system(machine: Machine) -> Iterator[Finding]:
    """Linux, its version and root: all that a real node starts from."""
    if machine.system != "Linux":
        yield Finding(subject="system", found=machine.system, level=Level.SIMULATED, remedy="use a Linux machine")
        return
    if numbers(machine.kernel) < LEAST_KERNEL:
        found, remedy = f"Linux {machine.kernel} is too old", f"use Linux {_dotted(LEAST_KERNEL)} or newer"
        yield Finding(subject="system", found=found, level=Level.SIMULATED, remedy=remedy)
    else:
        yield Finding(subject="system", found=f"Linux {machine.kernel}")
    if machine.root:
        yield Finding(subject="root", found="yes")
    else:
        yield Finding(subject="root", found="no", level=Level.SIMULATED, remedy="run coopctl as root")


def kernel(machine: Machine) -> Iterator[Finding]:
    """What the kernel must offer a real node."""
    if machine.system != "Linux":
        return
    missing = [name for name in CONTROLLERS if name not in machine.cgroup_controllers]
    if missing:
        remedy = f"enable the control groups {', '.join(missing)} (boot parameters of the kernel or the container)"
        found = f"{', '.join(missing)} missing"
        yield Finding(subject="control groups", found=found, level=Level.SIMULATED, remedy=remedy)
    else:
        yield Finding(subject="control groups", found=", ".join(CONTROLLERS))
    if machine.bridge_filter is BridgeFilter.MISSING:
        remedy = "modprobe br_netfilter (if it fails: install the modules of the running kernel)"
        found = "missing: packets between pods could not be filtered"
        yield Finding(subject="br_netfilter", found=found, level=Level.SIMULATED, remedy=remedy)
    else:
        yield Finding(subject="br_netfilter", found=str(machine.bridge_filter))


def system_programs(machine: Machine) -> Iterator[Finding]:
    """Programs of the system, and the CNI plugins."""
    if machine.system != "Linux":
        return
    for program in SYSTEM_PROGRAMS:
        yield _program(program, machine)
    plugins = [name for name in CNI_PLUGINS if name not in machine.cni_plugins]
    if plugins:
        found = f"{', '.join(plugins)} missing in {CNI_FOLDER}"
        yield _missing("CNI plugins", found, package="containernetworking-plugins", level=Level.SIMULATED)
    else:
        yield Finding(subject="CNI plugins", found=", ".join(CNI_PLUGINS))


CHECKS: Final[tuple[Check[Machine], ...]] = (
    python,
    go,
    tools,
    cache,
    estate_disk,
    memory,
    postgres,
    estate_path,
    system,
    kernel,
    system_programs,
)


def has_problems(findings: Iterable[Finding]) -> bool:
    """Whether anything is to be done."""
    return any(not finding.is_fine for finding in findings)


def _program(program: SystemProgram, machine: Machine) -> Finding:
    path = machine.programs.get(program.name)
    if path is None:
        return _missing(program.name, f"missing ({program.needed_for})", package=program.package, level=program.level)
    version = machine.versions.get(program.name)
    least = LEAST_VERSIONS.get(program.name)
    if version and least and numbers(version) < least:
        found = f"{version} is older than {_dotted(least)} ({path})"
        return _missing(program.name, found, package=program.package, level=program.level)
    return Finding(subject=program.name, found=f"{version} ({path})" if version else str(path))


def _missing(subject: str, found: str, *, package: str, level: Level) -> Finding:
    return Finding(subject=subject, found=found, level=level, remedy=f"apt-get install {package}", packages=(package,))


def _room(subject: str, free: int, *, wanted: int) -> Finding:
    found = f"{_gigabytes(free)} are free"
    if free >= wanted:
        return Finding(subject=subject, found=found)
    return Finding(
        subject=subject, found=found, level=Level.PROBLEM, remedy=f"free some space: {_gigabytes(wanted)} are needed"
    )


def _complete(machine: Machine) -> bool:
    return all(tool.path for tool in machine.tools)


def _unless_complete(machine: Machine) -> Level:
    return Level.FINE if _complete(machine) else Level.PROBLEM


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)


def _gigabytes(amount: int) -> str:
    return f"{amount / GIGABYTE:.1f} GB"
