"""Addresses in network policies: endpoints as single-address blocks, and what no tenant may ever reach."""

import ipaddress

from provisioner.errors import PolicyViolated, UsageError
from provisioner.plan.manifest import Manifest

# Link-local addresses hold the cloud providers' metadata services (credentials of the machine), which no
# tenant may reach: RFC 3927, RFC 4291 section 2.5.6, and the IPv6 metadata address of EC2.
FORBIDDEN = tuple(ipaddress.ip_network(text) for text in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"))

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_block(address: str, *, what: str) -> Manifest:
    """The policy peer that is ``address`` alone; raises UsageError if it is a host name.

    Policies know addresses only, and they see a packet after its Service address was translated.
    """
    try:
        return {"ipBlock": {"cidr": str(ipaddress.ip_network(address))}}
    except ValueError as error:
        raise UsageError(
            f"{what} must be an IP address, not {address!r}",
            why="network policies and EndpointSlices hold addresses, not names",
            hint="give the address under which pods reach it in platform.yaml",
        ) from error


def outside_block(cidr: str, *, closed: tuple[str, ...] = ()) -> Manifest:
    """The policy peer ``cidr`` without the forbidden addresses and the ``closed`` networks in it.

    Raises PolicyViolated if nothing would be left, UsageError if it is no network.
    """
    try:
        network = ipaddress.ip_network(cidr)
    except ValueError as error:
        raise UsageError(f"{cidr!r} is not a network", why=str(error)) from error
    if any(_within(network, other) for other in FORBIDDEN):
        raise PolicyViolated(
            f"egress to {cidr} is never allowed", why="link-local addresses hold the machines' credentials"
        )
    own = tuple(ipaddress.ip_network(text, strict=False) for text in closed)
    if any(_within(network, other) for other in own):
        raise PolicyViolated(f"egress to {cidr} is never allowed", why="it is one of the cluster's own networks")
    holes = [str(other) for other in (*FORBIDDEN, *own) if _within(other, network)]
    return {"ipBlock": {"cidr": str(network), **({"except": holes} if holes else {})}}


def address_type(address: str) -> str:
    """The ``addressType`` of an EndpointSlice that holds ``address``."""
    return f"IPv{ipaddress.ip_address(address).version}"


def _within(inner: IpNetwork, outer: IpNetwork) -> bool:
    return (
        inner.version == outer.version
        and int(outer.network_address) <= int(inner.network_address)
        and int(inner.broadcast_address) <= int(outer.broadcast_address)
    )
