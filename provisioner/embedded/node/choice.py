"""Decides whether this machine can have a real node, and says why not."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from provisioner.embedded.node import claim, kernel, network
from provisioner.embedded.node.commands import missing_programs
from provisioner.embedded.node.kubelet import is_running_as_root
from provisioner.errors import CoopctlError, NotPermitted

_BAD_IN_PATHS = ":,\\\n"


class NodeKind(StrEnum):
    """A real node runs pods and enforces policies; a simulated one only plays them (kwok)."""

    REAL = "real"
    SIMULATED = "simulated"


@dataclass(frozen=True, kw_only=True)
class NodeChoice:
    """Which node the estate gets; ``reason`` completes "because"."""

    kind: NodeKind
    reason: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the decision rests on."""

    system: str
    root: bool
    missing: tuple[str, ...]
    bridge_filter: bool
    holder: Path | None
    obstacles: tuple[str, ...]


def choose(wanted: str = "auto", *, estate: Path) -> NodeChoice:
    """Choose the node of ``estate``: ``wanted`` is auto, real or simulated.

    Raises CoopctlError (NotPermitted without root) when ``real`` is wanted and cannot be.
    """
    if wanted == NodeKind.SIMULATED:
        return NodeChoice(kind=NodeKind.SIMULATED, reason="it was asked for")
    return decide(wanted, machine=look(), estate=estate)


def look() -> Machine:
    """Look at this machine; asks about rules and routes only where a real node is possible at all."""
    import platform

    system, root = platform.system(), is_running_as_root()
    missing = tuple(f"{one.name} (`apt-get install {one.package}`)" for one in missing_programs())
    able = system == "Linux" and root and not missing
    held = claim.holder() if able else None
    return Machine(
        system=system,
        root=root,
        missing=missing,
        bridge_filter=able and kernel.load_bridge_filter(),
        holder=held.estate if held and not held.abandoned else None,
        obstacles=tuple(str(obstacle) for obstacle in network.obstacles()) if able and held is None else (),
    )


def decide(wanted: str, *, machine: Machine, estate: Path) -> NodeChoice:
    """The decision alone: pure."""
    problem, remedy = _hindrance(machine, estate=estate)
    if not problem:
        return NodeChoice(kind=NodeKind.REAL, reason="this machine can run pods and enforce NetworkPolicies")
    if wanted == NodeKind.REAL:
        refusal = CoopctlError if machine.root else NotPermitted
        raise refusal(f"no real node is possible here: {problem}", hint=remedy)
    return NodeChoice(kind=NodeKind.SIMULATED, reason=f"{problem}; to have a real node: {remedy}")


def _hindrance(machine: Machine, *, estate: Path) -> tuple[str, str]:
    """What hinders a real node first, and its remedy; two empty texts if nothing does."""
    bad = [character for character in _BAD_IN_PATHS if character in str(estate)]
    hindrances = (
        (machine.system != "Linux", f"it needs Linux, and this is {machine.system}", "use a Linux machine"),
        (not machine.root, "it needs root", "run coopctl as root"),
        (bool(machine.missing), f"programs are missing: {', '.join(machine.missing)}", "install them"),
        (
            machine.holder not in {None, estate},
            f"the estate {machine.holder} holds this machine's real node",
            "run `coopctl dev down` there",
        ),
        (
            not machine.bridge_filter,
            "this kernel cannot filter packets between pods (br_netfilter)",
            "install the kernel's modules",
        ),
        (
            bool(bad),
            f"file system layers cannot take {', '.join(repr(one) for one in bad)} in the estate's path",
            "move the estate",
        ),
        (
            bool(machine.obstacles),
            "; ".join(obstacle.partition("; ")[0] for obstacle in machine.obstacles),
            ", ".join(dict.fromkeys(obstacle.partition("; ")[2] for obstacle in machine.obstacles)),
        ),
    )
    return next(((problem, remedy) for hinders, problem, remedy in hindrances if hinders), ("", ""))
