"""What an embedded platform could leave behind on a machine: looked at before it comes and after it has gone.

Interfaces and rules are those of the network namespace that the caller is in: a test that compares them is in one of
its own, where nobody else changes any. What belongs to the whole machine is told by the estate that it is for.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from provisioner.descriptor.endpoints import embedded_files
from provisioner.embedded.folders import run_folder
from provisioner.embedded.liveness import MARK_ROOT
from provisioner.embedded.node import kernel
from provisioner.embedded.node.layout import RUN_FOLDER

CGROUPS = Path("/sys/fs/cgroup")
NAMED_NAMESPACES = Path("/run/netns")
# What containerd and the kubelet make outside of the folders that they are given.
OUTSIDE = (Path("/run/containerd"), Path("/var/log/containers"))
SETTINGS = (*kernel.NEEDED, *kernel.CHANGED_BY_KUBELET)

Traces = Mapping[str, list[str]]


def traces(estate: Path) -> Traces:
    """All that could be left, by kind, in a fixed order; equal before and after means that nothing was."""
    run = run_folder(embedded_files(estate).root)
    return {
        "interfaces": [link["ifname"] for link in json.loads(_output("ip", "-j", "link"))],
        "routes": _output("ip", "-4", "route", "show", "table", "all").splitlines(),
        "network namespaces": _names(NAMED_NAMESPACES, "cni-*"),
        "packet filter": sorted(_packet_filter()),
        "address sets": _output("ipset", "list", "-name").splitlines(),
        "mounts": [line for line in _mounts() if str(estate) in line or str(run) in line],
        "control groups": sorted(str(path) for path in CGROUPS.rglob(f"coopctl-{run.name}*")),
        "processes": sorted(_processes(estate, run=run)),
        "sockets": _names(run, "**/*"),
        "claims": _names(RUN_FOLDER, "node-*.json"),
        "outside": [line for folder in OUTSIDE for line in _names(folder, "**/*")],
        "settings": [f"{name} = {_setting(name)}" for name in SETTINGS],
    }


def _packet_filter() -> Iterator[str]:
    """Every rule, set and chain of nftables, which iptables' are too, but for the chains that iptables has built in.

    iptables makes its tables with their built-in chains when it is asked for them, and never takes one away.
    """
    for entry in json.loads(_output("nft", "--json", "list", "ruleset"))["nftables"]:
        for kind in ("rule", "set", "map", "chain"):
            if kind in entry and not (kind == "chain" and entry[kind]["name"].isupper() and "hook" in entry[kind]):
                found = entry[kind]
                yield f"{kind} {found['family']} {found['table']} {found.get('chain', '')} {found.get('name', '')}"


def _processes(estate: Path, *, run: Path) -> Iterator[str]:
    """Command lines of processes that bear the estate's mark or name its folders."""
    root = str(embedded_files(estate).root)
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            marked = process.environ().get(MARK_ROOT) == root
        except psutil.Error:
            continue
        if marked or any(root in word or str(run) in word for word in command):
            yield " ".join(command)


def _mounts() -> list[str]:
    # proc(5): space, tab, newline and backslash are octal escapes.
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [line.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\") for line in lines]


def _names(folder: Path, pattern: str) -> list[str]:
    return sorted(str(path) for path in folder.glob(pattern))


def _setting(name: str) -> str:
    file = kernel.PROC_SYS / name
    return file.read_text().strip() if file.exists() else "absent"


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
