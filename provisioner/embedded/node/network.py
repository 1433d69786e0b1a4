"""The node's bridge: made before any server listens on it, and what is in its way.

IPv6 is switched off on the bridge (and in pods, see cni.py): NetworkPolicies are enforced for IPv4 only, and IPv6
link-local addresses would go around them.
"""

import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded.control_plane import SERVICE_NETWORK
from provisioner.embedded.node.commands import attempt, run
from provisioner.embedded.node.layout import BRIDGE, BRIDGE_PREFIX, POD_NETWORK

FOREIGN_CHAINS = ("KUBE-ROUTER-FORWARD", "KUBE-FORWARD", "KUBE-SERVICES", "cali-FORWARD", "CILIUM_FORWARD")


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Something on this machine that a real node would collide with, and what to do about it."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


def bridge_exists() -> bool:
    """Whether an interface has the bridge's name."""
    return any(name == BRIDGE for _, name in socket.if_nameindex())


def make_bridge() -> None:
    """Make the bridge with its address, up and without IPv6; each step only where it is not yet so."""
    if not bridge_exists():
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    ipv6 = Path(f"/proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6")
    if ipv6.exists():
        ipv6.write_text("1")
    run(["ip", "address", "replace", f"{BRIDGE_ADDRESS}/{BRIDGE_PREFIX}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])


def remove_bridge() -> None:
    """Remove the bridge and the pods' interfaces on it; nothing when there is none."""
    for port in _bridge_ports():
        attempt(["ip", "link", "delete", port])
    if bridge_exists():
        run(["ip", "link", "delete", BRIDGE])


def bridge_has_address() -> bool:
    """Whether the bridge is there with the node's address."""
    shown = attempt(["ip", "-j", "address", "show", "dev", BRIDGE])
    return shown.returncode == 0 and f'"local":"{BRIDGE_ADDRESS}"' in shown.stdout.replace(" ", "")


def obstacles() -> tuple[Obstacle, ...]:
    """What another Kubernetes or network on this machine occupies; asked only while no estate holds the node."""
    return (*_bridge_obstacles(), *_route_obstacles(), *_filter_obstacles())


def _bridge_ports() -> tuple[str, ...]:
    if not bridge_exists():
        return ()
    return tuple(link["ifname"] for link in json.loads(run(["ip", "-j", "link", "show", "master", BRIDGE]) or "[]"))


def _bridge_obstacles() -> tuple[Obstacle, ...]:
    if not bridge_exists():
        return ()
    remedy = f"stop the Kubernetes that uses it, or, if none does, `ip link delete {BRIDGE}`"
    return (Obstacle(what=f"the interface {BRIDGE} exists and coopctl did not make it", remedy=remedy),)


def _route_obstacles() -> tuple[Obstacle, ...]:
    routes = json.loads(run(["ip", "-4", "-j", "route", "show", "table", "all"]) or "[]")
    return tuple(
        Obstacle(
            what=f"{route['dst']} is routed over {route['dev']} and overlaps {ours}",
            remedy=f"stop what made {route['dev']}",
        )
        for route in routes
        for ours in (POD_NETWORK, SERVICE_NETWORK)
        if route.get("dev") not in {None, BRIDGE} and _overlap(route["dst"], ours)
    )


def _overlap(destination: str, ours: str) -> bool:
    if destination == "default":
        return False
    # A default route has prefix 0 and is told apart above; a very wide one (10.0.0.0/8 of a company network) may
    # lie around ours, because the longer prefix wins.
    network, own = ipaddress.ip_network(destination, strict=False), ipaddress.ip_network(ours)
    return network.overlaps(own) and network.prefixlen >= 16


def _filter_obstacles() -> tuple[Obstacle, ...]:
    chains = {
        line.split()[1] for line in attempt(["iptables", "-w", "-S"]).stdout.splitlines() if line.startswith("-N ")
    }
    found = [chain for chain in FOREIGN_CHAINS if chain in chains]
    if attempt(["nft", "list", "table", "ip", "kube-proxy"]).returncode == 0:
        found.append("the nftables table kube-proxy")
    remedy = "stop that Kubernetes and remove its rules, or reboot if nothing runs any more"
    return tuple(
        Obstacle(what=f"the packet filter holds rules of another Kubernetes ({name})", remedy=remedy) for name in found
    )
