"""The node's own packet filter: what no policy has allowed does not pass.

kube-router's controller writes a pod's rules 0.2 to 0.9 seconds after the pod started, and never when it is dead; a
packet that meets none of its rules is accepted. This table turns that round. It is a table of its own, so that
kube-router, which rewrites the whole iptables filter table, cannot lose it; its chains come after iptables'. There
a packet of a new connection passes only when

1. the pod that it comes from has rules: its address is in the set ``enforced``, which the guard fills (guard.py),
2. rules have allowed it: kube-router then leaves the mark 0x20000 on it (a pod cannot set marks; but the rules of
   either side leave the same mark, so it does not say that both were asked), and
3. the pod that it goes to, if it goes to one, has rules.

So a new pod neither reaches nor is reached before its policies are in force, nor when the enforcer is dead; a node
port or a server on the host is no exception. The host reaches its own pods always (probes, the ingress controller).
IPv6 is dropped whole, between two pods of the bridge too (br_netfilter hands those packets here): it would go around
every policy, which kube-router writes for IPv4 only.
"""

import re
from collections.abc import Iterable

from provisioner.embedded.node.commands import attempt, run
from provisioner.embedded.node.layout import BRIDGE, POD_NETWORK

TABLE = "coopctl-node"
ALLOWED_MARK = "0x20000"
"""What kube-router sets on packets that the policies allow (pkg/controllers/netpol/pod.go)."""

FORWARD_CHAIN = "KUBE-ROUTER-FORWARD"
# iptables lists the address before all else, so that no comment is taken for one.
_POD_RULE = re.compile(rf"-A {FORWARD_CHAIN} -d (\d+\.\d+\.\d+\.\d+)(?:/32)? .*-j KUBE-POD-FW-")
_ELEMENT = re.compile(r"\d+\.\d+\.\d+\.\d+")

# `add` before `delete`: deleting what is absent would fail, and the whole text is one transaction.
RULES = f"""
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
    set enforced {{ type ipv4_addr; }}
    chain undecided {{
        meta nfproto ipv6 drop
        ct state established,related accept
        iifname "{BRIDGE}" ip saddr != @enforced counter reject
        iifname "{BRIDGE}" meta mark & {ALLOWED_MARK} != {ALLOWED_MARK} counter reject
        oifname "{BRIDGE}" ip daddr != @enforced counter reject
    }}
    chain input {{
        type filter hook input priority filter + 10; policy accept;
        iifname "{BRIDGE}" jump undecided
    }}
    chain forward {{
        type filter hook forward priority filter + 10; policy accept;
        iifname "{BRIDGE}" jump undecided
        oifname "{BRIDGE}" jump undecided
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat + 10; policy accept;
        ip saddr {POD_NETWORK} ip daddr != {POD_NETWORK} oifname != "{BRIDGE}" masquerade
    }}
}}
"""


def rules_in_place() -> bool:
    """Whether the node's table is there with its chains in use."""
    return attempt(["nft", "list", "table", "inet", TABLE]).stdout.count("jump undecided") == 3


def put_rules() -> None:
    """Make the node's table afresh, in one transaction; new pods are shut off until the guard fills the set again."""
    run(["nft", "-f", "-"], stdin=RULES)


def remove_rules() -> None:
    """Take the node's table away; nothing when there is none."""
    attempt(["nft", "delete", "table", "inet", TABLE])


def pods_with_rules() -> frozenset[str]:
    """The addresses of the pods whose rules kube-router has written."""
    return addresses_with_rules(attempt(["iptables", "-w", "-S", FORWARD_CHAIN]).stdout)


def addresses_with_rules(listing: str) -> frozenset[str]:
    """The pod addresses in a listing of kube-router's forward chain (``iptables -S``)."""
    return frozenset(match.group(1) for line in listing.splitlines() if (match := _POD_RULE.match(line)))


def enforced_addresses() -> frozenset[str]:
    """The addresses that the set ``enforced`` holds now."""
    listing = attempt(["nft", "list", "set", "inet", TABLE, "enforced"]).stdout
    _, found, elements = listing.partition("elements")
    return frozenset(_ELEMENT.findall(elements)) if found else frozenset()


def set_enforced(addresses: Iterable[str]) -> None:
    """Replace the set ``enforced``, in one transaction."""
    elements = ", ".join(sorted(addresses))
    fill = f"add element inet {TABLE} enforced {{ {elements} }}\n" if elements else ""
    run(["nft", "-f", "-"], stdin=f"flush set inet {TABLE} enforced\n{fill}")


def cut_connections(address: str) -> None:
    """End every established connection from and to a pod: a new policy leaves them open otherwise.

    Both directions, and connections through a Service, where the pod's address is on the reply's side only.
    """
    for side in ("--orig-src", "--orig-dst", "--reply-src", "--reply-dst"):
        # Exit code 1 says that no connection was found.
        attempt(["conntrack", "-D", side, address])
