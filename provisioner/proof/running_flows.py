"""Reads what flows depend on from the cluster, and judges flows by it."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from provisioner.cluster.api import ApiServer
from provisioner.descriptor.platform import Platform
from provisioner.naming import LABEL_COOPERATIVE
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import Flow, FlowAttempt, Gate, Pair
from provisioner.proof.flows import Address, Network, Ports, beyond, is_namespace
from provisioner.proof.planning_flows import INTERNET, NETWORK_POLICY
from provisioner.proof.verdicts import Verdict, allowed, refused

_API_SERVER = "/api/v1/namespaces/default/services/kubernetes"
_ITS_ADDRESSES = (
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name%3Dkubernetes"
)
_POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
# The first and the last port that a Service may take of every node where nobody said otherwise.
_NODE_PORTS = (30000, 32767)


class FlowRunner:
    """Judges flows by one state of the network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._platforms = platforms_own(network)

    def run(self, attempt: FlowAttempt) -> Verdict:
        """Whether the policies let it through."""
        match attempt:
            case Flow():
                return self._flowed(attempt)
            case Gate():
                return self._passed(attempt)
            case Pair():
                return self._paired(attempt)
            case _:
                assert_never(attempt)

    def _passed(self, attempt: Gate) -> Verdict:
        where = {"direction": attempt.direction, "other": attempt.other}
        if attempt.about.guard is None:
            surely = self._network.surely(attempt.namespace, **where, labels=attempt.labels)
            closed = beyond(attempt.ports, expected=surely)
            said = f"not open for every pod: {', '.join(map(str, closed))}"
            return refused(attempt.about, by=NETWORK_POLICY, said=said) if closed else allowed(attempt.about)
        found = beyond(self._network.passable(attempt.namespace, **where), expected=attempt.ports)
        if found:
            return allowed(attempt.about, f"on {', '.join(map(str, found))}")
        return refused(attempt.about, by=NETWORK_POLICY, said="no policy lets it through")

    def _paired(self, attempt: Pair) -> Verdict:
        is_control = attempt.about.guard is None
        open_ports = self._platforms.within(
            attempt.namespace, direction=attempt.direction, of=attempt.of, other=attempt.other, surely=is_control
        )
        if is_control:
            closed = beyond(attempt.ports, expected=open_ports)
            said = f"not open for every pod: {', '.join(map(str, closed))}"
            return refused(attempt.about, by=NETWORK_POLICY, said=said) if closed else allowed(attempt.about)
        if found := beyond(open_ports, expected=attempt.ports):
            return allowed(attempt.about, f"on {', '.join(map(str, found))}")
        return refused(attempt.about, by=NETWORK_POLICY, said="no policy of the platform lets it through")

    def _flowed(self, attempt: Flow) -> Verdict:
        ports = self._ports(attempt)
        if ports:
            return allowed(attempt.about, f"on {', '.join(map(str, ports))}")
        return refused(attempt.about, by=NETWORK_POLICY, said="no policy lets it through")

    def _ports(self, attempt: Flow) -> tuple[Ports, ...]:
        network, source, target = self._network, attempt.source, attempt.target
        if source in INTERNET:
            return network.inwards(source, target)
        if is_namespace(target):
            return network.between(source, target)
        address, _, port = target.rpartition(":")
        open_ports = network.outwards(source, address.strip("[]"))
        return tuple(ports for ports in open_ports if ports.first <= int(port) <= ports.last)


def platforms_own(network: Network) -> Network:
    """The network with the platform's own policies alone: nobody else can make an object that bears its label."""
    kept = {
        namespace: [one for one in listed if LABEL_COOPERATIVE in (one["metadata"].get("labels") or {})]
        for namespace, listed in network.policies.items()
    }
    return replace(network, policies=kept)


def read_network(
    api: ApiServer, *, platform: Platform, namespaces: Iterable[Manifest], nodes: Sequence[Manifest]
) -> Network:
    """The state of the network: every policy of the cluster. Raises NotPermitted or Unreachable."""
    policies: dict[str, list[Manifest]] = {}
    for policy in api.get(_POLICIES).get("items") or ():
        policies.setdefault(policy["metadata"]["namespace"], []).append(policy)
    return Network(
        namespaces={item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in namespaces},
        policies=policies,
        pods=tuple(ipaddress.ip_network(text) for node in nodes for text in node["spec"].get("podCIDRs") or ()),
        others=frozenset(_other_addresses(platform, nodes=nodes)),
    )


def read_servers(api: ApiServer, *, nodes: Sequence[Manifest]) -> Mapping[str, str]:
    """The cluster's own servers, as host:port: the API server under each of its addresses, and ports of nodes."""
    address = api.get(_API_SERVER)["spec"].get("clusterIP")
    found = {"the API server's Service": f"{address}:443"} if address else {}
    for piece in api.get(_ITS_ADDRESSES).get("items") or ():
        for endpoint in piece.get("endpoints") or ():
            for where in endpoint["addresses"]:
                found[f"the API server {where}"] = f"{where}:{piece['ports'][0]['port']}"
    for node in nodes:
        name = node["metadata"]["name"]
        for where in node_addresses(node)[:1]:
            kubelet = node["status"].get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 10250)
            found[f"the kubelet of {name}"] = f"{where}:{kubelet}"
            found |= {f"port {port} of {name}": f"{where}:{port}" for port in _NODE_PORTS}
    return found


def node_addresses(node: Manifest) -> tuple[str, ...]:
    """The addresses of a node that lie within the cluster's own network."""
    return tuple(item["address"] for item in node["status"].get("addresses") or () if item["type"] == "InternalIP")


def _other_addresses(platform: Platform, *, nodes: Sequence[Manifest]) -> Iterable[Address]:
    known = [address for node in nodes for address in node_addresses(node)]
    known += [platform.postgres.pods.host, platform.objects.pods.host]
    known += [*platform.ingress.controller_addresses, *platform.dns.addresses]
    for text in known:
        yield ipaddress.ip_address(text)
