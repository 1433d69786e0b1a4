"""Pure: which flows the network policies in force must let through, and which not; analysed without any pod.

Between tenants and the outside pods count as one that fits every selector; within the namespace of the solutions they
are told apart by the label of their solution, which nobody can forge.

A flow needs the policies of both its ends. No tenant's isolation may rest on those of another: so beside the flows
themselves the gates are attacked, what a namespace's own policies let in and out. What must be open is what each rule
of each promised policy is for (promised_flows), whatever is planned.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from provisioner.plan.manifest import Manifest
from provisioner.plan.network_policy import LABEL_NAMESPACE
from provisioner.proof.attempts import About, Area, Direction, Flow, FlowAttempt, Gate, Guard, GuardKind, Pair
from provisioner.proof.flows import EVERYTHING, Network, Ports, ports_of, some_address
from provisioner.proof.promised_flows import NOBODY, promised_pairs, promised_policies
from provisioner.proof.tenant import SYSTEM_NAMESPACES, Neighbour, ProvenTenant

NETWORK_POLICY = Guard(kind=GuardKind.NETWORK_POLICY)
METADATA = "169.254.169.254:80"
# RFC 5737, documentation: addresses that stand for the internet, where nothing is and nothing is sent.
INTERNET = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
HTTPS = 443
_SIDES = {Direction.EGRESS: "to", Direction.INGRESS: "from"}


def flow_attempts(
    tenant: ProvenTenant, *, network: Network, neighbours: Sequence[Neighbour], servers: Mapping[str, str]
) -> tuple[FlowAttempt, ...]:
    """Flows of the tenant's namespaces: to themselves and to what they need, and to everybody else.

    ``network`` is what is in force; ``servers`` are the cluster's own, as host:port, under what people call them.
    """
    promised = replace(network, policies=promised_policies(tenant))
    policies = [policy for listed in promised.policies.values() for policy in listed]
    made: list[FlowAttempt] = [gate for policy in policies for gate in _controls(policy)]
    made += _pairs(tenant)
    strangers = [*(name for other in neighbours for name in other.namespaces), *SYSTEM_NAMESPACES]
    for namespace in tenant.namespaces:
        made += _crossing(namespace, neighbours=neighbours)
        made += (gate for other in strangers for gate in _gates(namespace, other=other, promised=promised))
        for what, target in forbidden_targets(tenant, servers=servers).items():
            made.append(_flow(namespace, target, what=what))
        made.append(_flow(INTERNET[0], namespace, what=namespace))
    return tuple(made)


def forbidden_targets(tenant: ProvenTenant, *, servers: Mapping[str, str]) -> Mapping[str, str]:
    """What no pod of the tenant reaches, as host:port, under what people call it."""
    listed = Network(
        namespaces={name: {LABEL_NAMESPACE: name} for name in tenant.namespaces}, policies=promised_policies(tenant)
    )
    internet = next((one for one in INTERNET if not listed.outwards(tenant.apps, one)), None)
    reached = {"the internet": f"{internet}:{HTTPS}"} if internet else {}
    return {"the metadata service": METADATA, **servers, **reached}


def _controls(policy: Manifest) -> Iterator[Gate]:
    """What a promised policy lets through: each peer of each of its rules."""
    number = 0
    for direction, side in _SIDES.items():
        for rule in policy["spec"].get(direction, ()):
            for peer in rule[side]:
                number += 1
                yield _opening(policy, direction=direction, peer=peer, rule=rule, number=number)


def _pairs(tenant: ProvenTenant) -> Iterator[Pair]:
    """Each pair of solutions, from both ends: what is open between them, and that nothing else is."""
    for (source, target), ports in promised_pairs(tenant).items():
        for direction, of, other in ((Direction.EGRESS, source, target), (Direction.INGRESS, target, source)):
            if ports and NOBODY not in {of, other}:
                yield _pair(tenant.apps, direction=direction, of=of, other=other, ports=ports, guard=None)
            if ports != EVERYTHING:
                yield _pair(tenant.apps, direction=direction, of=of, other=other, ports=ports, guard=NETWORK_POLICY)


def _pair(
    namespace: str, *, direction: Direction, of: str, other: str, ports: tuple[Ports, ...], guard: Guard | None
) -> Pair:
    reaching = "reaches" if direction is Direction.EGRESS else "is reached by"
    beyond = " beyond what they integrate" if ports else ""
    what = beyond if guard else f" on {', '.join(map(str, ports))}"
    about = About(
        id=f"flows/{namespace}/{_named(of)}/{direction}/{_named(other)}{'' if guard else '/open'}",
        area=Area.FLOWS,
        who=f"a pod of {_named(of)} in {namespace}",
        what=f"{reaching} a pod of {_named(other)} there{what}, by the platform's policies",
        guard=guard,
    )
    return Pair(about=about, namespace=namespace, direction=direction, of=of, other=other, ports=ports)


def _named(solution: str) -> str:
    """How a group of pods is called to people."""
    return {"": "own applications", NOBODY: "another solution"}.get(solution, solution)


def _opening(policy: Manifest, *, direction: Direction, peer: Manifest, rule: Manifest, number: int) -> Gate:
    about = policy["metadata"]
    namespace, name = about["namespace"], about["name"]
    other = _other(peer, of=namespace)
    ports = ports_of(rule)
    how = "reaches" if direction is Direction.EGRESS else "is reached by"
    return Gate(
        about=About(
            id=f"flows/{namespace}/{name}/{number}",
            area=Area.FLOWS,
            who=f"a pod of {namespace}",
            what=f"{how} {other} on {', '.join(map(str, ports))}, by the policy {name}",
        ),
        namespace=namespace,
        direction=direction,
        other=other,
        ports=ports,
        labels=(peer.get("podSelector") or {}).get("matchLabels") or {},
    )


def _other(peer: Manifest, *, of: str) -> str:
    """The namespace that a promised peer names, or an address of its block."""
    if "ipBlock" in peer:
        return some_address(peer["ipBlock"])
    named = peer.get("namespaceSelector", {}).get("matchLabels", {})
    return str(named.get(LABEL_NAMESPACE, of))


def _crossing(namespace: str, *, neighbours: Sequence[Neighbour]) -> Iterator[Flow]:
    for other in neighbours:
        for theirs in other.namespaces:
            yield _flow(namespace, theirs, what=theirs)
            yield _flow(theirs, namespace, what=namespace)


def _gates(namespace: str, *, other: str, promised: Network) -> Iterator[Gate]:
    """What the namespace's own policies let pass between it and another.

    What is promised may pass to a namespace of the cluster's. To a tenant's nothing may; but where the addresses of
    pods are not known, any network that the descriptor lists may hold some.
    """
    for direction in Direction:
        known = other not in SYSTEM_NAMESPACES and promised.pods
        expected = () if known else promised.passable(namespace, direction=direction, other=other)
        reaching = "reaches" if direction is Direction.EGRESS else "is reached by"
        yield Gate(
            about=About(
                id=f"flows/{namespace}/{direction}/{other}",
                area=Area.FLOWS,
                who=f"a pod of {namespace}",
                what=f"{reaching} a pod of {other}, by its own policies alone",
                guard=NETWORK_POLICY,
            ),
            namespace=namespace,
            direction=direction,
            other=other,
            ports=expected,
        )


def _flow(source: str, target: str, *, what: str) -> Flow:
    who = f"{source} on the internet" if source in INTERNET else f"a pod of {source}"
    place = f"a pod of {target}" if what == target else f"{what} at {target}"
    about = About(
        id=f"flows/{source}/{what}",
        area=Area.FLOWS,
        who=who,
        what=f"reaches {place}, by the policies",
        guard=NETWORK_POLICY,
    )
    return Flow(about=about, source=source, target=target)
