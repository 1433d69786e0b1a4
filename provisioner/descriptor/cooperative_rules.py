"""What no field of a Cooperative document can say alone: order, references, and the platform's limits."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from provisioner.descriptor.checking import PROBLEMS_MAX, PathParts, diagnostic
from provisioner.descriptor.cooperative_document import CooperativeDocument, Isolation
from provisioner.descriptor.fields import shown, trap
from provisioner.descriptor.nodes import MappingNode, Node, ScalarNode, SequenceNode, find
from provisioner.descriptor.platform import Platform
from provisioner.descriptor.resource_rules import resource_problems
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.surroundings import Surroundings
from provisioner.errors import Diagnostic

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Found = tuple[PathParts, str, str | None]

_WRAPPED = "IPv4 addresses in the form of IPv6"
# RFC 6890: no tenant has business there. Link-local holds the machines' metadata (RFC 3927), and the two
# whole-internet networks would make every other rule void.
_FORBIDDEN: tuple[tuple[str, str], ...] = (
    ("169.254.0.0/16", "link-local addresses, which hold the machines' credentials"),
    ("fe80::/10", "link-local addresses"),
    ("fd00:ec2::254/128", "the machines' metadata service"),
    ("127.0.0.0/8", "loopback addresses"),
    ("::1/128", "loopback addresses"),
    ("224.0.0.0/4", "multicast addresses"),
    ("ff00::/8", "multicast addresses"),
    ("0.0.0.0/8", "addresses of this host"),
    ("240.0.0.0/4", "reserved addresses"),
    # RFC 4291 section 2.5.5, RFC 6052, RFC 8215, RFC 3056: whoever translates these reaches any IPv4 address, those
    # above too, past rules for IPv4.
    ("::/96", _WRAPPED),
    ("::ffff:0:0/96", _WRAPPED),
    ("64:ff9b::/96", _WRAPPED),
    ("64:ff9b:1::/48", _WRAPPED),
    ("2002::/16", _WRAPPED),
)


def rule_problems(document: CooperativeDocument, *, root: Node, around: Surroundings, file: Path) -> list[Diagnostic]:
    """Every problem of ``document`` that its model cannot see, in the order of the text."""
    found = [
        *_name(document, file=file),
        *_support(document),
        *_operators(document),
        *_domain(document, platform=around.platform),
        *_egress(document, platform=around.platform),
        *_data_store(document, platform=around.platform),
        *_solutions(document, around=around),
        *_ambiguous_values(root),
        *resource_problems(document.spec.resources),
    ]
    return [diagnostic(root, path, message, hint=hint) for path, message, hint in found[:PROBLEMS_MAX]]


def _name(document: CooperativeDocument, *, file: Path) -> Iterator[Found]:
    name = document.metadata.name
    if name != file.stem:
        hint = f"rename the file to {name}.yaml, or the cooperative to {file.stem!r} if it was not applied yet"
        yield ("metadata", "name"), f"is {name!r}, but the file is called {file.name!r}", hint


def _support(document: CooperativeDocument) -> Iterator[Found]:
    support = document.spec.support
    if support.end < support.start:
        yield ("spec", "support", "end"), f"{support.end} is before the start, {support.start}", None


def _operators(document: CooperativeDocument) -> Iterator[Found]:
    seen: set[tuple[str | None, str | None]] = set()
    for index, operator in enumerate(document.spec.access.operators):
        path = ("spec", "access", "operators", index)
        if (operator.user is None) == (operator.group is None):
            yield path, "must have exactly one of user and group", None
        name = operator.user or operator.group or ""
        if name.startswith("system:"):
            yield path, f"{shown(name)} is one of Kubernetes' own subjects", "name a person or a group of people"
        if (operator.user, operator.group) in seen:
            yield path, f"{shown(name)} is listed twice", None
        seen.add((operator.user, operator.group))


def _domain(document: CooperativeDocument, *, platform: Platform | None) -> Iterator[Found]:
    domain = document.spec.network.domain
    if platform and not any(domain.endswith(f".{suffix}") for suffix in platform.domain_suffixes):
        suffixes = ", ".join(platform.domain_suffixes)
        message = f"{domain} is not below a domain suffix of the platform ({suffixes})"
        hint = f"for example {document.metadata.name}.{platform.domain_suffixes[0]}"
        yield ("spec", "network", "domain"), message, hint


def _egress(document: CooperativeDocument, *, platform: Platform | None) -> Iterator[Found]:
    forbidden = [(ipaddress.ip_network(text), what) for text, what in _FORBIDDEN]
    forbidden += [(ipaddress.ip_network(text), "the platform itself") for text in _platform_networks(platform)]
    for index, egress in enumerate(document.spec.network.egress):
        path = ("spec", "network", "egress", index)
        network = ipaddress.ip_network(egress.cidr)
        if network.prefixlen == 0:
            yield (*path, "cidr"), f"{egress.cidr} is the whole internet", "name the networks that are needed"
        elif (what := next((what for other, what in forbidden if _overlap(network, other)), None)) is not None:
            yield (*path, "cidr"), f"{egress.cidr} reaches {what}", "name the networks that are needed outside"
        if len(set(egress.ports)) < len(egress.ports):
            yield (*path, "ports"), "lists a port twice", None


def _platform_networks(platform: Platform | None) -> list[str]:
    """Every network and address of the platform's own that is known; no egress may open a way around its rules."""
    if platform is None:
        return []
    hosts = [platform.postgres.pods.host, platform.objects.pods.host, *platform.dns.addresses]
    hosts += [*platform.ingress.controller_addresses, platform.postgres.admin.host]
    return [*platform.cluster.networks, *(host for host in hosts if _is_address(host))]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _overlap(network: Network, other: Network) -> bool:
    return network.version == other.version and network.overlaps(other)


def _data_store(document: CooperativeDocument, *, platform: Platform | None) -> Iterator[Found]:
    postgres = document.spec.data_store.postgres
    path = ("spec", "dataStore", "postgres")
    if postgres.isolation is Isolation.DEDICATED:
        yield (*path, "isolation"), "dedicated servers are not offered yet", "write shared"
    allowed = platform.postgres.allowed_extensions if platform else tuple(postgres.extensions)
    for index, extension in enumerate(postgres.extensions):
        if extension not in allowed:
            hint = did_you_mean(extension, allowed) or f"allowed are {', '.join(allowed) or 'none'}"
            yield (*path, "extensions", index), f"the platform does not allow the extension {shown(extension)}", hint
        if extension in postgres.extensions[:index]:
            yield (*path, "extensions", index), f"lists {shown(extension)} twice", None


def _solutions(document: CooperativeDocument, *, around: Surroundings) -> Iterator[Found]:
    chosen = [solution.name for solution in document.spec.solutions]
    for index, solution in enumerate(document.spec.solutions):
        path = ("spec", "solutions", index)
        if around.catalogue_names is not None and solution.name not in around.catalogue_names:
            known = sorted(around.catalogue_names)
            hint = did_you_mean(solution.name, known) or f"the catalogue offers {', '.join(known) or 'nothing'}"
            yield (*path, "name"), f"{shown(solution.name)} is not in the catalogue", hint
        if solution.name in chosen[:index]:
            yield (*path, "name"), f"chooses {shown(solution.name)} twice", None
        for position, other in enumerate(solution.integrates):
            if other == solution.name:
                yield (*path, "integrates", position), "names the solution itself", None
            elif other not in chosen:
                hint = did_you_mean(other, chosen) or f"add {{name: {other}}} to spec.solutions"
                yield (*path, "integrates", position), f"{shown(other)} is not among the chosen solutions", hint


def _ambiguous_values(root: Node) -> Iterator[Found]:
    solutions, found = find(root, ("spec", "solutions"))
    if found and isinstance(solutions, SequenceNode):
        for index, solution in enumerate(solutions.items):
            if isinstance(solution, MappingNode) and "values" in solution.fields:
                yield from _traps(solution.fields["values"], path=("spec", "solutions", index, "values"))


def _traps(node: Node, *, path: PathParts) -> Iterator[Found]:
    if isinstance(node, MappingNode):
        for name, child in node.fields.items():
            yield from _traps(child, path=(*path, name))
    elif isinstance(node, SequenceNode):
        for index, child in enumerate(node.items):
            yield from _traps(child, path=(*path, index))
    elif isinstance(node, ScalarNode) and node.plain and (why := trap(node.text)) is not None:
        yield path, f"{shown(node.text)} {why}", "quote it, or write true, false or a plain number"
