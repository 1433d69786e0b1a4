"""NetworkPolicies: kube-router's controller, the guard, and whether policies are really in force now."""

import sys
from dataclasses import dataclass
from pathlib import Path

from provisioner.embedded.control_plane import SERVICE_NETWORK
from provisioner.embedded.node import fail_closed, kernel
from provisioner.embedded.node.commands import attempt
from provisioner.embedded.node.layout import NODE_NAME, NODE_PORTS, NodeFiles
from provisioner.embedded.process import ProcessSpec, ReadyProbe, Surroundings

ENFORCER = "netpol"
GUARD = "guard"
PACKAGE_FOLDER = str(Path(__file__).parents[3])
"""``python -m`` finds the package where this process found it: an installed one, or a checkout."""
_CHAINS = {"INPUT": "KUBE-ROUTER-INPUT", "FORWARD": fail_closed.FORWARD_CHAIN, "OUTPUT": "KUBE-ROUTER-OUTPUT"}
_SET_PREFIXES = ("KUBE-SRC-", "KUBE-DST-", "inet6:KUBE-SRC-", "inet6:KUBE-DST-")


@dataclass(frozen=True, kw_only=True)
class Enforcement:
    """Whether NetworkPolicies are in force; if not, why not."""

    problems: tuple[str, ...]

    @property
    def in_force(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems


def check() -> Enforcement:
    """Look at the kernel: what must hold so that policies are in force for every pod.

    A dead enforcer is no gap (new pods stay shut off), but policies no longer change: ask the supervisor for that.
    """
    found = {
        "bridged packets pass the filter unseen (net.bridge.bridge-nf-call-iptables is not 1)": (
            kernel.bridge_is_filtered()
        ),
        "the fail-closed rules are not in place": fail_closed.rules_in_place(),
        "the enforcer has not written its rules": enforcer_has_rules(),
    }
    return Enforcement(problems=tuple(problem for problem, holds in found.items() if not holds))


def enforcer_has_rules() -> bool:
    """Whether kube-router's chains are called before any other rule."""
    for chain, own in _CHAINS.items():
        rules = [rule for rule in attempt(["iptables", "-w", "-S", chain]).stdout.splitlines() if rule[:2] == "-A"]
        if not rules or not rules[0].endswith(f"-j {own}"):
            return False
    return True


def enforcer_process(surroundings: Surroundings, files: NodeFiles, *, fingerprint: str) -> ProcessSpec:
    """kube-router's NetworkPolicy controller."""
    first, last = NODE_PORTS
    return ProcessSpec(
        name=ENFORCER,
        argv=(
            str(surroundings.tools["netpol"]),
            f"--kubeconfig={files.kubeconfig(ENFORCER)}",
            f"--hostname-override={NODE_NAME}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--node-port-range={first}-{last}",
        ),
        log=surroundings.logs / f"{ENFORCER}.log",
        ready=ReadyProbe(description="its rules in the packet filter", check=enforcer_has_rules),
        # The node's address comes from the Node object, which the kubelet makes; CoreDNS's start gives the rights.
        depends_on=("kubelet", "coredns"),
        fingerprint=fingerprint,
    )


def guard_process(surroundings: Surroundings, files: NodeFiles) -> ProcessSpec:
    """The guard of the fail-closed rules; it needs no API server and runs before any pod may."""
    ready = files.run / "guard.ready"

    def before_start() -> None:
        ready.unlink(missing_ok=True)

    return ProcessSpec(
        name=GUARD,
        argv=(sys.executable, "-m", "provisioner.embedded.node.guard", str(ready)),
        environment={"PYTHONPATH": PACKAGE_FOLDER},
        log=surroundings.logs / f"{GUARD}.log",
        ready=ReadyProbe(description="its first round", check=lambda: ready.exists() and fail_closed.rules_in_place()),
        before_start=before_start,
    )


def remove_rules() -> None:
    """Take kube-router's chains and sets away, then ours, then cut nothing more: no pod is left by then."""
    for command in ("iptables", "ip6tables"):
        _remove_chains(command)
    names = attempt(["ipset", "list", "-name"]).stdout.split()
    for name in (name for name in names if name.startswith(_SET_PREFIXES)):
        attempt(["ipset", "destroy", name])
    fail_closed.remove_rules()


def _remove_chains(command: str) -> None:
    """Take out every rule that names kube-router, in one transaction, so that nothing else of the table moves."""
    listing = attempt([command, "-w", "-S"]).stdout.splitlines()
    chains = [line.split()[1] for line in listing if line.startswith("-N ") and _is_enforcers(line.split()[1])]
    if not chains and not any("KUBE-ROUTER" in line for line in listing):
        return
    jumps = [line.replace("-A ", "-D ", 1) for line in listing if _is_rule_of_ours(line)]
    flushes = [f"-F {chain}" for chain in chains]
    deletes = [f"-X {chain}" for chain in chains]
    text = "\n".join(["*filter", *jumps, *flushes, *deletes, "COMMIT", ""])
    attempt([f"{command}-restore", "-w", "--noflush"], stdin=text)


def _is_enforcers(chain: str) -> bool:
    return chain.startswith(("KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-"))


def _is_rule_of_ours(line: str) -> bool:
    builtin = line.startswith(("-A INPUT ", "-A FORWARD ", "-A OUTPUT "))
    return builtin and ("KUBE-ROUTER" in line or '"kube-router netpol' in line)
