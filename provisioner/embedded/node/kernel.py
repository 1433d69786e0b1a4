"""The kernel's settings that a node needs, and how they were before.

What the kubelet changes on its own is kept too, so that `dev down` leaves the machine as it was.
"""

import json
from pathlib import Path

from provisioner.embedded.node.commands import attempt, find_program
from provisioner.errors import CoopctlError

PROC_SYS = Path("/proc/sys")
BRIDGE_FILTER = "net/bridge/bridge-nf-call-iptables"
NEEDED = {"net/ipv4/ip_forward": "1", BRIDGE_FILTER: "1", "net/bridge/bridge-nf-call-ip6tables": "1"}
CHANGED_BY_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def load_bridge_filter(proc_sys: Path = PROC_SYS) -> bool:
    """Load br_netfilter where it is a module; whether bridged packets can be filtered afterwards."""
    if not (proc_sys / BRIDGE_FILTER).exists() and find_program("modprobe"):
        attempt(["modprobe", "br_netfilter"])
    return (proc_sys / BRIDGE_FILTER).exists()


def bridge_is_filtered(proc_sys: Path = PROC_SYS) -> bool:
    """Whether packets between two pods of the bridge pass the packet filter at all (br_netfilter)."""
    try:
        return (proc_sys / BRIDGE_FILTER).read_text().strip() == "1"
    except OSError:
        return False


def apply_settings(saved: Path, *, proc_sys: Path = PROC_SYS) -> None:
    """Make the kernel forward and filter; ``saved`` keeps the settings as they were before the first time.

    Raises CoopctlError when packets between pods cannot be filtered: policies would not be enforced.
    """
    if not load_bridge_filter(proc_sys):
        raise CoopctlError(
            "this kernel cannot filter packets between pods (br_netfilter is missing)",
            why="NetworkPolicies would not be enforced",
            hint="install the kernel's modules, or use `--node simulated`",
        )
    if not saved.exists():
        saved.parent.mkdir(parents=True, exist_ok=True)
        saved.write_text(json.dumps(_current((*NEEDED, *CHANGED_BY_KUBELET), proc_sys)))
    for name, value in NEEDED.items():
        (proc_sys / name).write_text(value)


def restore_settings(saved: Path, *, proc_sys: Path = PROC_SYS) -> None:
    """Put the kernel's settings back as ``saved`` keeps them; nothing when it keeps none."""
    try:
        settings: dict[str, str] = json.loads(saved.read_text())
    except FileNotFoundError:
        return
    except ValueError as error:
        raise CoopctlError(f"{saved} is damaged", why=str(error), hint=f"remove {saved}") from error
    for name, value in settings.items():
        setting = proc_sys / name
        if setting.exists() and setting.read_text().strip() != value:
            setting.write_text(value)
    saved.unlink()


def _current(names: tuple[str, ...], proc_sys: Path) -> dict[str, str]:
    return {name: (proc_sys / name).read_text().strip() for name in names if (proc_sys / name).exists()}
