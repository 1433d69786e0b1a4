"""The guard: a small process that keeps the fail-closed rules in place and says which pods have rules.

``python -m provisioner.embedded.node.guard READY_FILE`` sleeps until the packet filter changes (netlink tells), then

1. puts the node's table back if somebody flushed it,
2. makes the set ``enforced`` the addresses of the pods that kube-router has rules for.

Killed at any moment, it leaves the rules closed: pods that came later are not reached until it runs again. It imports
nothing heavy, because it runs all the time.
"""

import contextlib
import logging
import socket
import sys
import time
from pathlib import Path

from provisioner.embedded.node import fail_closed
from provisioner.errors import CoopctlError

# linux/netlink.h and linux/netfilter/nfnetlink.h; the socket module has no names for them.
_NETLINK_NETFILTER = 12
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_NFNLGRP_NFTABLES = 7

_LOOK_SECONDS = 2.0
_SETTLE_SECONDS = 0.02

logger = logging.getLogger("guard")


def keep_closed() -> None:
    """One round: table in place, set up to date."""
    if not fail_closed.rules_in_place():
        logger.warning("the fail-closed rules were gone: putting them back")
        fail_closed.put_rules()
    wanted = fail_closed.pods_with_rules()
    current = fail_closed.enforced_addresses()
    if wanted != current:
        logger.info("enforced: +%s -%s", sorted(wanted - current), sorted(current - wanted))
        fail_closed.set_enforced(wanted)


def _subscribe() -> socket.socket:
    listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    listener.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
    listener.settimeout(_LOOK_SECONDS)
    return listener


def _wait_for_change(listener: socket.socket) -> None:
    """Sleep until the packet filter changes; at most two seconds, because iptables-legacy tells nothing."""
    with contextlib.suppress(OSError):  # a timeout, or ENOBUFS: more changes than the socket holds
        listener.recv(65536)
        time.sleep(_SETTLE_SECONDS)
    _drain(listener)


def _drain(listener: socket.socket) -> None:
    listener.setblocking(False)
    while True:
        try:
            listener.recv(65536)
        except BlockingIOError:
            break
        except OSError:
            continue
    listener.settimeout(_LOOK_SECONDS)


def main() -> None:
    """Guard until a signal ends the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    ready = Path(sys.argv[1])
    listener = _subscribe()
    while True:
        try:
            keep_closed()
            ready.touch()
        except CoopctlError as error:
            # A rule that a concurrent change made stale: the next round reads anew.
            logger.warning("%s: %s", error.message, error.why)
        _wait_for_change(listener)


if __name__ == "__main__":
    main()
