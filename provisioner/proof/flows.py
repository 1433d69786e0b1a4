"""Pure: what NetworkPolicies let through, whatever labels pods bear: the union of all policies of all namespaces.

A tenant chooses the labels of its pods, so that every selector of pods counts as one that some pod fits: a namespace is
closed only by a policy that selects all of its pods, and opened by any. What must be open is asked the other way round:
whether it surely is, for every pod. Rules are those of networking.k8s.io/v1 NetworkPolicySpec; the analysers that there
are miss some of them (NetworkPolicies add up over namespaces).
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioner.naming import LABEL_SOLUTION
from provisioner.plan.manifest import Manifest
from provisioner.plan.network_policy import LABEL_NAMESPACE

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
LAST_PORT = 65535
PROTOCOLS = ("TCP", "UDP", "SCTP")


@dataclass(frozen=True, kw_only=True, order=True)
class Ports:
    """Ports of one protocol, the first and the last of them; all of them where a policy names one by its name."""

    protocol: str
    first: int = 1
    last: int = LAST_PORT

    def meets(self, other: "Ports") -> bool:
        """Whether some port is among both."""
        return self.protocol == other.protocol and self.first <= other.last and other.first <= self.last

    def holds(self, other: "Ports") -> bool:
        """Whether all ports of ``other`` are among these."""
        return self.protocol == other.protocol and self.first <= other.first and other.last <= self.last

    def __str__(self) -> str:
        if (self.first, self.last) == (1, LAST_PORT):
            return f"any {self.protocol}"
        return f"{self.protocol} {self.first}" + (f"-{self.last}" if self.last != self.first else "")


EVERYTHING = tuple(Ports(protocol=protocol) for protocol in PROTOCOLS)


@dataclass(frozen=True, kw_only=True)
class Network:
    """All that flows depend on: the labels and the policies of each namespace, and which addresses pods can have.

    ``pods`` are the pods' networks; none means that they are not known, so that any address may be a pod's. ``others``
    are addresses within them that are not: of nodes, and of the servers that pods are led to.
    """

    namespaces: Mapping[str, Mapping[str, str]]
    policies: Mapping[str, Sequence[Manifest]]
    pods: tuple[IpNetwork, ...] = ()
    others: frozenset[Address] = frozenset()

    def between(self, source: str, target: str) -> tuple[Ports, ...]:
        """The ports on which some pod of ``source`` reaches some pod of ``target``, both namespaces."""
        out = self._open(source, direction="egress", to=_Namespace(network=self, name=target))
        into = self._open(target, direction="ingress", to=_Namespace(network=self, name=source))
        return _common(out, into)

    def outwards(self, source: str, address: str) -> tuple[Ports, ...]:
        """The ports of ``address`` that some pod of ``source`` reaches."""
        return self._open(source, direction="egress", to=_Outside(address=ipaddress.ip_address(address)))

    def inwards(self, address: str, target: str) -> tuple[Ports, ...]:
        """The ports of some pod of ``target`` that ``address`` reaches."""
        return self._open(target, direction="ingress", to=_Outside(address=ipaddress.ip_address(address)))

    def passable(self, namespace: str, *, direction: str, other: str) -> tuple[Ports, ...]:
        """What the policies of ``namespace`` alone let some of its pods send to ``other``, or receive from it.

        ``direction`` is egress or ingress, ``other`` a namespace or an address.
        """
        return self._open(namespace, direction=direction, to=self._peer(other))

    def surely(
        self, namespace: str, *, direction: str, other: str, labels: Mapping[str, str] | None = None
    ) -> tuple[Ports, ...]:
        """The same for every pod of ``namespace``, and for every pod of ``other`` that bears ``labels``."""
        peer = self._peer(other, labels=labels or {})
        policies = [policy["spec"] for policy in self.policies.get(namespace, ())]
        closing = [spec for spec in policies if _closes(spec, direction)]
        return (
            self._through(closing, direction=direction, to=peer, of=namespace, surely=True) if closing else EVERYTHING
        )

    def within(self, namespace: str, *, direction: str, of: str, other: str, surely: bool = False) -> tuple[Ports, ...]:
        """What pods of the solution ``of`` may send to, or receive from, those of ``other`` in the same ``namespace``.

        An empty name means pods of no solution. What some of them may, or with ``surely`` all of them.
        """
        specs = [policy["spec"] for policy in self.policies.get(namespace, ())]
        speaking = [spec for spec in specs if _speaks_of(spec, direction)]
        closing = [spec for spec in speaking if selects_pods(spec["podSelector"], of=of, surely=not surely)]
        if not closing:
            return EVERYTHING
        opening = [spec for spec in speaking if selects_pods(spec["podSelector"], of=of, surely=surely)]
        peer = _Solution(network=self, namespace=namespace, name=other, surely=surely)
        return self._through(opening, direction=direction, to=peer, of=namespace, surely=surely)

    def _peer(self, other: str, *, labels: Mapping[str, str] | None = None) -> "_Peer":
        if is_namespace(other):
            return _Namespace(network=self, name=other, labels=labels)
        return _Outside(address=ipaddress.ip_address(other))

    def _open(self, namespace: str, *, direction: str, to: "_Peer") -> tuple[Ports, ...]:
        policies = [policy["spec"] for policy in self.policies.get(namespace, ())]
        if not any(_closes(spec, direction) for spec in policies):
            return EVERYTHING
        speaking = [spec for spec in policies if _speaks_of(spec, direction)]
        return self._through(speaking, direction=direction, to=to, of=namespace)

    def _through(
        self, specs: Iterable[Manifest], *, direction: str, to: "_Peer", of: str, surely: bool = False
    ) -> tuple[Ports, ...]:
        side = {"egress": "to", "ingress": "from"}[direction]
        rules = [rule for spec in specs for rule in spec.get(direction) or () if to.is_among(rule.get(side), of=of)]
        return tuple(sorted({ports for rule in rules for ports in _ports(rule, surely=surely)}))


def is_namespace(other: str) -> bool:
    """Whether ``other`` names a namespace, there or not, and no address: those have a dot or a colon (RFC 1123)."""
    return not {".", ":"} & set(other)


@dataclass(frozen=True, kw_only=True)
class _Namespace:
    """The pods of a namespace, as a peer: some of them, or with ``labels`` every one that bears these."""

    network: Network
    name: str
    labels: Mapping[str, str] | None = None

    def is_among(self, peers: Sequence[Manifest] | None, *, of: str) -> bool:
        """Whether some of them is among the peers of a rule in the namespace ``of``; no peers are everybody."""
        return not peers or any(self._is(peer, of=of) for peer in peers)

    def _is(self, peer: Manifest, *, of: str) -> bool:
        if "ipBlock" in peer:
            return self.labels is None and _may_hold_pods(peer["ipBlock"], network=self.network)
        if self.labels is not None and not selects(peer.get("podSelector") or {}, self.labels):
            return False
        if "namespaceSelector" in peer:
            # The API server gives every namespace its name as a label, also one that is still to be made.
            own = self.network.namespaces.get(self.name, {LABEL_NAMESPACE: self.name})
            return selects(peer["namespaceSelector"], own)
        return self.name == of


@dataclass(frozen=True, kw_only=True)
class _Solution:
    """The pods of a solution in ``namespace``, as a peer in the same one; of none where ``name`` is empty."""

    network: Network
    namespace: str
    name: str
    surely: bool

    def is_among(self, peers: Sequence[Manifest] | None, *, of: str) -> bool:
        """Whether some of them is among the peers of a rule, or surely every one; no peers are everybody."""
        del of
        return not peers or any(self._is(peer) for peer in peers)

    def _is(self, peer: Manifest) -> bool:
        if "ipBlock" in peer:
            # Where no pod's address is known, the gates between namespaces judge every block.
            return bool(self.network.pods) and not self.surely and _may_hold_pods(peer["ipBlock"], network=self.network)
        labels = self.network.namespaces.get(self.namespace, {LABEL_NAMESPACE: self.namespace})
        if "namespaceSelector" in peer and not selects(peer["namespaceSelector"], labels):
            return False
        return selects_pods(peer.get("podSelector") or {}, of=self.name, surely=self.surely)


@dataclass(frozen=True, kw_only=True)
class _Outside:
    """An address that is no pod's, as a peer."""

    address: Address

    def is_among(self, peers: Sequence[Manifest] | None, *, of: str) -> bool:
        """Whether it is among the peers of a rule; no peers are everybody."""
        del of
        return not peers or any("ipBlock" in peer and self._is_in(peer["ipBlock"]) for peer in peers)

    def _is_in(self, block: Manifest) -> bool:
        holes = [ipaddress.ip_network(text) for text in block.get("except") or ()]
        return self.address in ipaddress.ip_network(block["cidr"]) and not any(self.address in hole for hole in holes)


_Peer = _Namespace | _Solution | _Outside


def selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    """Whether a label selector (meta/v1 LabelSelector) selects ``labels``; an empty one selects everything."""
    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _fits(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def _fits(expression: Manifest, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def selects_pods(selector: Manifest, *, of: str, surely: bool) -> bool:
    """Whether a selector fits some pod of the solution ``of`` (empty: of none), or ``surely`` every one.

    Nobody else can bear a solution's label (rule `solution-label`); every other label a pod may bear or not.
    """
    own = {LABEL_SOLUTION: of} if of else {}
    wanted = (selector.get("matchLabels") or {}).items()
    asked = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted]
    asked += selector.get("matchExpressions") or ()
    return all(_fits(one, own) if one["key"] == LABEL_SOLUTION else not surely for one in asked)


def _closes(spec: Manifest, direction: str) -> bool:
    """Whether a policy closes a direction for every pod of its namespace, whatever its labels."""
    selector = spec.get("podSelector") or {}
    selective = bool(selector.get("matchLabels") or selector.get("matchExpressions"))
    return _speaks_of(spec, direction) and not selective


def _speaks_of(spec: Manifest, direction: str) -> bool:
    # Without policyTypes it is Ingress, and Egress too if there are egress rules.
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    return direction.capitalize() in types


def ports_of(rule: Manifest) -> tuple[Ports, ...]:
    """The ports that a rule names; every port if it names none."""
    return tuple(_ports(rule))


def _ports(rule: Manifest, *, surely: bool = False) -> Iterator[Ports]:
    if not rule.get("ports"):
        yield from EVERYTHING
    for item in rule.get("ports") or ():
        protocol, port = item.get("protocol", "TCP"), item.get("port")
        if isinstance(port, int):
            yield Ports(protocol=protocol, first=port, last=item.get("endPort") or port)
        elif not (surely and port):
            # A name is whatever port a pod gives it: any, and none that all of them surely have.
            yield Ports(protocol=protocol)


def beyond(found: Iterable[Ports], *, expected: Sequence[Ports]) -> tuple[Ports, ...]:
    """The ports of ``found`` that no one of ``expected`` holds."""
    return tuple(ports for ports in found if not any(one.holds(ports) for one in expected))


def some_address(block: Manifest) -> str:
    """An address of an ipBlock, not one of its exceptions; empty if these leave none."""
    parts = _without_holes([ipaddress.ip_network(block["cidr"])], block)
    return str(min(parts, key=lambda part: int(part.network_address)).network_address) if parts else ""


def _common(some: Iterable[Ports], others: Sequence[Ports]) -> tuple[Ports, ...]:
    found = {
        Ports(protocol=one.protocol, first=max(one.first, other.first), last=min(one.last, other.last))
        for one in some
        for other in others
        if one.meets(other)
    }
    return tuple(sorted(found))


def _may_hold_pods(block: Manifest, *, network: Network) -> bool:
    """Whether some address of the block can be a pod's."""
    whole = ipaddress.ip_network(block["cidr"])
    parts = [whole] if not network.pods else [part for pods in network.pods for part in _overlap(whole, pods)]
    parts = _without_holes(parts, block)
    return any(part.num_addresses > sum(address in part for address in network.others) for part in parts)


def _without_holes(parts: list[IpNetwork], block: Manifest) -> list[IpNetwork]:
    for text in block.get("except") or ():
        parts = [left for part in parts for left in _less(part, ipaddress.ip_network(text))]
    return parts


def _overlap(one: IpNetwork, other: IpNetwork) -> list[IpNetwork]:
    if one.version != other.version or not one.overlaps(other):
        return []
    # Of two networks that overlap one lies within the other.
    return [one if one.prefixlen >= other.prefixlen else other]


def _less(part: IpNetwork, hole: IpNetwork) -> list[IpNetwork]:
    if not _overlap(part, hole):
        return [part]
    if part.prefixlen >= hole.prefixlen:
        return []
    return list(part.address_exclude(hole))  # type: ignore[arg-type]  # both have the same version here
