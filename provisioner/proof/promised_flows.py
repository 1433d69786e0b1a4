"""Pure: the flows that a tenant is promised, by its descriptor and its platform, as network policies.

Written a second time on purpose, beside the builder of network policies: what that one opens beyond is GOT THROUGH in a
proof, and what it leaves out a failed control, though both are planned. Each policy here bears the name of the planned
one that must let the same through.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

from provisioner.descriptor.cooperative import Egress
from provisioner.descriptor.platform import DnsAccess, Endpoint, IngressAccess, Platform
from provisioner.naming import SERVICE_OBJECTS, SERVICE_POSTGRES
from provisioner.plan.addresses import FORBIDDEN
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import SolutionChart
from provisioner.plan.solution_choice import FACTS
from provisioner.proof.flows import EVERYTHING, Ports
from provisioner.proof.tenant import ProvenTenant
from provisioner.rules.network_rules import LABEL_NAMESPACE

_DNS_PORT = 53
_EVERY_POD: Manifest = {"podSelector": {}}
DEFAULT_DENY = "default-deny"
# A solution that no catalogue can offer: a name may not begin with a hyphen.
NOBODY = "-another"


def promised_policies(tenant: ProvenTenant) -> Mapping[str, list[Manifest]]:
    """The policies of both namespaces, by namespace: what must be open for every pod, and nothing else.

    What is open among the pods of the solutions' namespace is in `promised_pairs`.
    """
    platform = tenant.terms.platform
    egress = tenant.terms.cooperative.network.egress
    return {
        tenant.apps: [
            *_of_both(tenant.apps, platform=platform),
            _policy(tenant.apps, "to-data", egress=[{"to": [_pods_of(tenant.data)]}]),
            _policy(tenant.apps, "ingress-controller", ingress=list(_from_controller(platform.ingress))),
            *_listed(tenant.apps, egress, closed=platform.cluster.networks),
        ],
        tenant.data: [
            *_of_both(tenant.data, platform=platform),
            _policy(
                tenant.data,
                "same-namespace",
                ingress=[{"from": [dict(_EVERY_POD)]}],
                egress=[{"to": [dict(_EVERY_POD)]}],
            ),
            _policy(tenant.data, "from-apps", ingress=[{"from": [_pods_of(tenant.apps)]}]),
        ],
    }


def promised_pairs(tenant: ProvenTenant) -> Mapping[tuple[str, str], tuple[Ports, ...]]:
    """The ports on which pods of one solution reach those of another, for every pair of servers; ``""`` is no solution.

    A solution reaches itself, and so do the pods of no solution. Which ones integrate with which is the descriptor's;
    in whose server each runs, and at which port that serves, its chart was told. One that is not there stands for all
    that may come: with it nothing is shared.
    """
    told = {one.solution: one.values[FACTS] for one in tenant.plan.resources if isinstance(one, SolutionChart)}
    groups = sorted({"", NOBODY, *(str(facts["server"]) for facts in told.values())})
    open_ports = {(one, other): EVERYTHING if one == other else () for one in groups for other in groups}
    for choice in tenant.terms.cooperative.solutions:
        for name in set(choice.integrates) & told.keys():
            source, target = told[choice.name]["server"], told[name]["server"]
            serving = told[target]["serves"] if target in told else None
            if source != target and serving:
                port = int(serving["pod_port"])
                open_ports[source, target] = (Ports(protocol="TCP", first=port, last=port),)
    return open_ports


def deny_lacks(policy: Manifest | None) -> Iterator[str]:
    """What is wrong with the planned policy that denies everything which no other lets through."""
    wanted = {**_EVERY_POD, "policyTypes": ["Ingress", "Egress"]}
    if policy is None:
        yield "it is missing"
    elif policy["spec"] != wanted:
        yield f"it says {policy['spec']}"


def _of_both(namespace: str, *, platform: Platform) -> list[Manifest]:
    return [
        _policy(namespace, "dns", egress=list(_to_dns(platform.dns))),
        _policy(namespace, f"to-{SERVICE_POSTGRES}", egress=[_to_server(platform.postgres.pods)]),
        _policy(namespace, f"to-{SERVICE_OBJECTS}", egress=[_to_server(platform.objects.pods)]),
    ]


def _policy(
    namespace: str, name: str, *, ingress: Sequence[Manifest] = (), egress: Sequence[Manifest] = ()
) -> Manifest:
    """A policy that closes both directions, and opens what it lists."""
    return {
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            **_EVERY_POD,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": list(ingress),
            "egress": list(egress),
        },
    }


def _to_dns(access: DnsAccess) -> Iterator[Manifest]:
    peers = [_block(address) for address in access.addresses]
    if access.namespace:
        peers.append({**_pods_of(access.namespace), "podSelector": {"matchLabels": dict(access.pod_labels)}})
    if peers:
        yield {"to": peers, "ports": [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]}


def _from_controller(access: IngressAccess) -> Iterator[Manifest]:
    peers = [_block(address) for address in access.controller_addresses]
    peers += [_pods_of(access.controller_namespace)] if access.controller_namespace else []
    if peers:
        yield {"from": peers, "ports": [{"protocol": "TCP"}]}


def _to_server(server: Endpoint) -> Manifest:
    return {"to": [_block(server.host)], "ports": [{"protocol": "TCP", "port": server.port}]}


def _listed(namespace: str, egress: Sequence[Egress], *, closed: Sequence[str]) -> Iterator[Manifest]:
    """One policy for each network, named after it, in the order of the networks."""
    for cidr in sorted({flow.cidr for flow in egress}):
        name = "egress-" + cidr.translate(str.maketrans("/.:", "---"))
        ports = [flow.ports for flow in egress if flow.cidr == cidr]
        holes = [str(ipaddress.ip_network(text, strict=False)) for text in (*map(str, FORBIDDEN), *closed)]
        block = {"cidr": cidr, "except": [text for text in holes if _lies_in(text, cidr)]}
        yield _policy(
            namespace,
            name,
            egress=[
                {"to": [{"ipBlock": block}], "ports": [{"protocol": "TCP", "port": port} for port in one]}
                for one in ports
            ],
        )


def _pods_of(namespace: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {LABEL_NAMESPACE: namespace}}}


def _block(address: str) -> Manifest:
    return {"ipBlock": {"cidr": str(ipaddress.ip_network(address))}}


def _lies_in(text: str, cidr: str) -> bool:
    inner, outer = ipaddress.ip_network(text), ipaddress.ip_network(cidr)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # same version
