"""Ports of the tests' own servers: each block goes to one process at a time, whatever else runs on the machine.

A block has ports 10000 to 14999, and those that far above it again for SeaweedFS's gRPC. All lie below the kernel's
ephemeral ports (32768 and up, ip(7)), where any outgoing connection may take one between choice and use, and apart
from the ports of embedded platforms (from 15000, gRPC from 28333).
"""

import random
import socket
from dataclasses import fields, replace

from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.embedded import ports
from provisioner.embedded.objects import own_sockets

_FIRST = 10000
_SIZE = 20
_BLOCKS = 250
# Held until this process ends, however it ends: an abstract socket has one owner and leaves no file (unix(7)).
_claims: list[socket.socket] = []


def claimed_endpoints() -> EmbeddedEndpoints:
    """Free ports for each server of an embedded platform, of a block of their own; raises AssertionError without.

    What a SeaweedFS killed at these ports left of its sockets is removed, as nothing listens on the ports.
    """
    moved = EmbeddedEndpoints()
    names = [field.name for field in fields(moved) if isinstance(getattr(moved, field.name), int)]
    for name, port in zip(names, _claimed_block(), strict=False):
        moved = replace(moved, **{name: port})  # type: ignore[arg-type]  # mypy takes them for all the fields
    for leftover in own_sockets(moved):
        leftover.unlink(missing_ok=True)
    return moved


def claimed_port() -> int:
    """One free port, of a block of its own; raises AssertionError without."""
    return _claimed_block()[0]


def _claimed_block() -> range:
    for number in random.sample(range(_BLOCKS), _BLOCKS):
        first = _FIRST + number * _SIZE
        block = range(first, first + _SIZE)
        if _claims_block(first) and all(ports.is_free(port + up) for port in block for up in (0, ports.GRPC_OFFSET)):
            return block
    raise AssertionError("no block of ports is free")


def _claims_block(first: int) -> bool:
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0coopctl-tests-ports-{first}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
