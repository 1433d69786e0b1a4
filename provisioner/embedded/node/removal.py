"""Takes away what the node's processes leave behind: containers, mounts, network namespaces, control groups.

Only what is provably ours: processes in our own control group, shims that were started for our own socket, mounts
below our own folders. It works after containerd was killed as well, and leaves containerd's data as after a reboot:
the next start finds images and volumes, and dead containers that the kubelet replaces.
"""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from provisioner.embedded.node.commands import attempt
from provisioner.embedded.node.kubelet import CGROUPS, cgroup_hierarchies
from provisioner.embedded.node.layout import NodeFiles
from provisioner.errors import CoopctlError

_GRACE_SECONDS = 8.0
_SHIM = "containerd-shim-runc-v2"
_CONTAINER_LINKS = Path("/var/log/containers")


def end_containers(files: NodeFiles) -> None:
    """End every container of this node: asked first, killed after eight seconds; then their shims."""
    members = cgroup_members(files.cgroup)
    _signal(members, signal.SIGTERM)
    _wait_for_end(lambda: cgroup_members(files.cgroup), seconds=_GRACE_SECONDS)
    _signal(cgroup_members(files.cgroup), signal.SIGKILL)
    _wait_for_end(lambda: cgroup_members(files.cgroup), seconds=_GRACE_SECONDS)
    _signal(shims(files.containerd_socket), signal.SIGKILL)
    _wait_for_end(lambda: shims(files.containerd_socket), seconds=_GRACE_SECONDS)


def cgroup_members(name: str, *, root: Path = CGROUPS) -> frozenset[int]:
    """The processes in a control group and all groups below it, in every hierarchy."""
    found: set[int] = set()
    for hierarchy in cgroup_hierarchies(root):
        for file in (hierarchy / name.lstrip("/")).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # the group may be gone by now
                found.update(int(word) for word in file.read_text().split())
    return frozenset(found)


def shims(socket: Path) -> frozenset[int]:
    """The container shims that were started for the containerd that listens on ``socket``."""
    found: set[int] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if command and Path(command[0]).name == _SHIM and _value(command, "-address") == str(socket):
                found.add(process.pid)
    return frozenset(found)


def _value(command: list[str], option: str) -> str | None:
    position = command.index(option) + 1 if option in command else len(command)
    return command[position] if position < len(command) else None


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _wait_for_end(remaining: Callable[[], frozenset[int]], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while remaining() and time.monotonic() < deadline:
        time.sleep(0.05)


def remove_mounts(folders: Iterable[Path]) -> None:
    """Unmount all that is mounted at or below the folders, the deepest first."""
    for point in reversed(mounts_below(folders)):
        # MNT_DETACH: a process that looks into it from outside must not keep the whole node from going.
        attempt(["umount", "--lazy", "--no-canonicalize", point])


def mounts_below(folders: Iterable[Path]) -> tuple[Path, ...]:
    """What is mounted at or below the folders now (the kubelet mounts its own on itself), in the order of mounting."""
    roots = [folder.resolve() for folder in folders]
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # proc(5): the fifth field is the mount point; space, tab, newline and backslash are octal escapes.
        point = Path(_unescape(line.split(" ")[4]))
        if any(point.is_relative_to(root) for root in roots):
            points.append(point)
    return tuple(points)


def _unescape(text: str) -> str:
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, character)
    return text


def remove_cgroups(name: str, *, root: Path = CGROUPS) -> None:
    """Remove a control group with all below it, in every hierarchy; nothing where it is not."""
    for hierarchy in cgroup_hierarchies(root):
        top = hierarchy / name.lstrip("/")
        groups = [group for group in (top, *top.rglob("*")) if group.is_dir()]
        for group in sorted(groups, key=lambda path: len(path.parts), reverse=True):
            with contextlib.suppress(OSError):  # a process that is just ending holds it: the next `down` takes it
                group.rmdir()


def remove_files(files: NodeFiles) -> None:
    """Remove what must not outlive the running node: sockets, states, addresses; and links outside the estate.

    Raises CoopctlError while something is mounted there: deleting would reach the data behind it.
    """
    left = mounts_below([files.run])
    if left:
        raise CoopctlError(f"{left[-1]} cannot be unmounted", hint="run `coopctl dev down` again, or reboot")
    _remove_shim_sockets(files)
    shutil.rmtree(files.run, ignore_errors=True)
    _remove_log_links(files.pod_logs_link)


def _remove_shim_sockets(files: NodeFiles) -> None:
    """A killed shim leaves its socket below /run/containerd/s, whose name its bundle keeps."""
    for address in files.containerd_state.rglob("address"):
        name = address.read_text().strip().removeprefix("unix://")
        if name.startswith("/run/containerd/s/"):
            Path(name).unlink(missing_ok=True)
    for folder in (Path("/run/containerd/s"), Path("/run/containerd")):
        with contextlib.suppress(OSError):  # absent, or another containerd's
            folder.rmdir()


def _remove_log_links(pod_logs: Path) -> None:
    """The kubelet links each container's log below /var/log/containers, whatever ``podLogsDir`` says."""
    if not _CONTAINER_LINKS.exists():
        return
    for link in _CONTAINER_LINKS.iterdir():
        if link.is_symlink() and link.readlink().is_relative_to(pod_logs):
            link.unlink()
    with contextlib.suppress(OSError):
        _CONTAINER_LINKS.rmdir()
