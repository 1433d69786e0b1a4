"""NetworkPolicies (networking.k8s.io/v1): nothing in, nothing out, then the few allowed flows.

Policies add up, so each flow is one object with one reason, and taking one away closes that flow alone. Where solutions
run, pods are told apart by the label of their solution, which no pod of the tenant's own may bear (rule
`solution-label`): each solution talks to itself, to those that the descriptor integrates it with, and to nobody else.
Endpoints of the data store are named by their own address and port: a policy sees a packet after its Service
address was translated. Kubernetes documentation, "Network Policies".
"""

from collections.abc import Iterable

from provisioner.descriptor.cooperative import Egress
from provisioner.descriptor.platform import DnsAccess, Endpoint, IngressAccess
from provisioner.naming import ANNOTATION_WHY, LABEL_SOLUTION
from provisioner.plan.addresses import address_block, outside_block
from provisioner.plan.integration import Connection
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.tenant import TenantNamespace

# Set by the API server on every namespace; no tenant can change it (KEP-2161).
LABEL_NAMESPACE = "kubernetes.io/metadata.name"
DNS_PORT = 53


def default_deny(namespace: TenantNamespace) -> Manifest:
    """No flow in or out of any pod, unless another policy allows it."""
    return _policy(namespace, name="default-deny", why="no flow that is not listed", ingress=[], egress=[])


def same_namespace(namespace: TenantNamespace) -> Manifest:
    """Pods of one namespace reach each other."""
    return _policy(
        namespace,
        name="same-namespace",
        why="pods of one namespace work together",
        ingress=[{"from": [_every_pod()]}],
        egress=[{"to": [_every_pod()]}],
    )


def own_applications(apps: TenantNamespace) -> Manifest:
    """Pods that are no solution's reach each other; the operators' own policies may open more."""
    among = _selected(matchExpressions=[{"key": LABEL_SOLUTION, "operator": "DoesNotExist"}])
    return _policy(
        apps,
        name="own-applications",
        why="the operators' own applications work together",
        ingress=[{"from": [among]}],
        egress=[{"to": [among]}],
        pods=among,
    )


def within_solution(apps: TenantNamespace, *, solution: str) -> Manifest:
    """Pods of the solution whose server this is reach each other: its replicas, and its Jobs."""
    among = _of_solution(solution)
    return _policy(
        apps,
        name=f"within.{solution}",
        why=f"the pods of {solution} work together",
        ingress=[{"from": [among]}],
        egress=[{"to": [among]}],
        pods=among,
    )


def integration(apps: TenantNamespace, *, of: Connection) -> Manifest:
    """Pods of one solution reach another's, at the port at which that one serves; answers come back by themselves.

    One object for both ends: what it opens beyond, each end opens to its own pods anyway. Its name has dots, which no
    solution's name has, so that no two pairs meet in one name.
    """
    ports = _tcp((of.serving.pod_port,))
    ends = [{"key": LABEL_SOLUTION, "operator": "In", "values": sorted((of.source, of.target))}]
    return _policy(
        apps,
        name=f"integration.{of.source}.{of.target}",
        why=f"{of.source} integrates with {', '.join(of.solutions)}",
        ingress=[{"from": [_of_solution(of.source)], "ports": ports}],
        egress=[{"to": [_of_solution(of.target)], "ports": ports}],
        pods=_selected(matchExpressions=ends),
    )


def to_data(apps: TenantNamespace, *, data: TenantNamespace) -> Manifest:
    """The solutions reach what runs in their own tenant's data namespace."""
    return _policy(apps, name="to-data", why="solutions use their data store", egress=[{"to": [_namespace(data)]}])


def from_apps(data: TenantNamespace, *, apps: TenantNamespace) -> Manifest:
    """The data namespace answers its own tenant's solutions."""
    return _policy(data, name="from-apps", why="solutions use their data store", ingress=[{"from": [_namespace(apps)]}])


def dns(namespace: TenantNamespace, *, access: DnsAccess) -> Manifest:
    """Names are looked up at the cluster's DNS, over UDP and TCP."""
    return _policy(namespace, name="dns", why="names are looked up", egress=dns_rules(access))


def dns_rules(access: DnsAccess) -> list[Manifest]:
    """The flows to the cluster's DNS; none where nobody knows how it is reached."""
    ports = [{"protocol": protocol, "port": DNS_PORT} for protocol in ("UDP", "TCP")]
    peers = _dns_peers(access)
    # A rule without peers would open the ports to everywhere.
    return [{"to": peers, "ports": ports}] if peers else []


def ingress_controller(apps: TenantNamespace, *, access: IngressAccess) -> Manifest:
    """The ingress controller reaches the solutions."""
    peers = [address_block(address, what="an ingress controller's address") for address in access.controller_addresses]
    if access.controller_namespace:
        peers.append({"namespaceSelector": {"matchLabels": {LABEL_NAMESPACE: access.controller_namespace}}})
    # A rule without peers would let everybody in.
    rules = [{"from": peers, "ports": [{"protocol": "TCP"}]}] if peers else []
    return _policy(apps, name="ingress-controller", why="people reach the solutions' pages", ingress=rules)


def endpoint(namespace: TenantNamespace, *, name: str, to: Endpoint) -> Manifest:
    """The tenant reaches its own ``name`` (the database or bucket server) at its address and port."""
    return _policy(
        namespace, name=endpoint_policy(name), why=f"the tenant's own {name} store", egress=[endpoint_rule(name, to=to)]
    )


def endpoint_policy(name: str) -> str:
    """What the policy is called that lets a tenant reach its own ``name``."""
    return f"to-{name}"


def endpoint_rule(name: str, *, to: Endpoint) -> Manifest:
    """The flow to the ``name`` server. Raises UsageError if its address is a host name."""
    return {"to": [address_block(to.host, what=f"the {name} server's address for pods")], "ports": _tcp((to.port,))}


def listed_egress(apps: TenantNamespace, *, egress: Iterable[Egress], closed: tuple[str, ...] = ()) -> list[Manifest]:
    """One policy for each listed network, with the reasons that the descriptor gives; sorted by network.

    ``closed`` are the cluster's own networks: no listed flow leads to the API server, to ports of nodes, or to other
    tenants' pods and Services. Raises PolicyViolated for a network that lies in one of them.
    """
    by_network: dict[str, list[Egress]] = {}
    for flow in egress:
        by_network.setdefault(flow.cidr, []).append(flow)
    return [_outside(apps, cidr=cidr, flows=flows, closed=closed) for cidr, flows in sorted(by_network.items())]


def _outside(apps: TenantNamespace, *, cidr: str, flows: list[Egress], closed: tuple[str, ...]) -> Manifest:
    name = "egress-" + cidr.replace("/", "-").replace(".", "-").replace(":", "-")
    rules = [{"to": [outside_block(cidr, closed=closed)], "ports": _tcp(flow.ports)} for flow in flows]
    return _policy(apps, name=name, why="; ".join(flow.why for flow in flows), egress=rules)


def _policy(
    namespace: TenantNamespace,
    *,
    name: str,
    why: str,
    ingress: list[Manifest] | None = None,
    egress: list[Manifest] | None = None,
    pods: Manifest | None = None,
) -> Manifest:
    """A policy for ``pods``, or every pod of the namespace.

    A direction that is None is not spoken of, an empty one is closed.
    """
    directions = {"Ingress": ingress, "Egress": egress}
    # The API server leaves empty lists out, so writing them would look like a change for ever.
    rules = {direction.lower(): listed for direction, listed in directions.items() if listed}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(namespace, name=name, annotations={ANNOTATION_WHY: why}),
        "spec": {
            **(pods or _every_pod()),
            "policyTypes": [direction for direction, listed in directions.items() if listed is not None],
            **rules,
        },
    }


def _every_pod() -> Manifest:
    """Every pod of the policy's own namespace."""
    return {"podSelector": {}}


def _selected(**requirements: object) -> Manifest:
    """The pods of the policy's own namespace that fit."""
    return {"podSelector": requirements}


def _of_solution(name: str) -> Manifest:
    return _selected(matchLabels={LABEL_SOLUTION: name})


def _namespace(namespace: TenantNamespace) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {LABEL_NAMESPACE: namespace.name}}}


def _dns_peers(access: DnsAccess) -> list[Manifest]:
    peers = [address_block(address, what="a DNS address") for address in access.addresses]
    if access.namespace:
        peers.append(
            {
                "namespaceSelector": {"matchLabels": {LABEL_NAMESPACE: access.namespace}},
                "podSelector": {"matchLabels": dict(access.pod_labels)},
            }
        )
    return peers


def _tcp(ports: tuple[int, ...]) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]
