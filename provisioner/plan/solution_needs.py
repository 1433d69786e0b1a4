"""What a solution needs of its cooperative (annotations ``needs-...``), held against the descriptor.

A bucket is not among the questions: every cooperative has one.
"""

import ipaddress
from collections.abc import Iterator

from provisioner.catalogue.offer import Egress, Needs, Size
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.cooperative import Egress as ListedEgress

Unmet = tuple[str, str]
"""What is missing, and what to do."""

_SIZES = tuple(Size)


def unmet_needs(needs: Needs, *, cooperative: Cooperative) -> Iterator[Unmet]:
    """Every need that the descriptor of ``cooperative`` does not meet."""
    yield from _size(needs.size, cooperative=cooperative)
    for extension in sorted(set(needs.extensions) - set(cooperative.postgres.extensions)):
        hint = f"add {extension} to spec.dataStore.postgres.extensions"
        yield f"needs the extension {extension} of PostgreSQL", hint
    for way in needs.egress:
        if not any(_leads_to(way, listed=one) for one in cooperative.network.egress):
            entry = f"{{cidr: {_network(way)}, ports: [{way.port}], why: {way.host}}}"
            yield f"needs a way out to {way.host}:{way.port}", f"add `- {entry}` to spec.network.egress"


def _size(needed: Size, *, cooperative: Cooperative) -> Iterator[Unmet]:
    # A template may have sizes of its own; whether they are large enough nobody can tell by their names.
    if cooperative.size in _SIZES and _SIZES.index(Size(cooperative.size)) < _SIZES.index(needed):
        yield f"needs a cooperative of size {needed}, and spec.size is {cooperative.size}", f"write `size: {needed}`"


def _leads_to(way: Egress, *, listed: ListedEgress) -> bool:
    """Whether ``listed`` opens the port; of a host by name nobody knows the addresses without asking a server."""
    if way.port not in listed.ports:
        return False
    address = _address(way.host)
    return address is None or address in ipaddress.ip_network(listed.cidr)


def _network(way: Egress) -> str:
    return f"{way.host}/32" if _address(way.host) is not None else "ADDRESS/32"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
