"""NetworkPolicies are really enforced, and every way around them that was found is closed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from provisioner.descriptor.endpoints import BRIDGE_ADDRESS
from provisioner.embedded import node
from provisioner.embedded.node import fail_closed, kernel
from provisioner.embedded.node.layout import BRIDGE, NODE_PORTS
from provisioner.plan.manifest import Manifest
from tests.integration.node.conftest import ECHO_PORT, PROBE_PORT, NodeWorld, pod, policy, service, wait
from tests.outside_world import listening

pytestmark = pytest.mark.node

WITHIN_THE_USUAL_RANGE = 30000
"""Of the node ports that kube-router opens to pods where nobody narrows the range."""
SAME_NAMESPACE: list[Manifest] = [{"podSelector": {}}]


def allow_same_namespace(namespace: str) -> Manifest:
    return policy(namespace, "same", ingress=[{"from": SAME_NAMESPACE}], egress=[{"to": SAME_NAMESPACE}])


def pids(world: NodeWorld) -> dict[str, int]:
    return {name: record.pid for name, record in world.supervisor.running().items()}


@contextmanager
def killed(world: NodeWorld, *names: str) -> Iterator[None]:
    """Some of the node's processes are dead; afterwards `up` has mended them."""
    running = pids(world)
    for name in names:
        os.kill(running[name], signal.SIGKILL)
    try:
        yield
    finally:
        assert set(world.up()) >= set(names)


def test_default_deny_and_allowed_flows_are_enforced_between_tenants(world: NodeWorld) -> None:
    rice, tofu = world.namespace("rice"), world.namespace("tofu")
    world.run(pod(rice, "client"), pod(rice, "server"), pod(tofu, "server"))
    own, other = (f"{world.address(f'{tenant}/server')}:{PROBE_PORT}" for tenant in (rice, tofu))
    client = f"{rice}/client"
    wait(lambda: world.connects(client, own) and world.connects(client, other), "the open network")

    world.apply(policy(rice, "deny"), policy(tofu, "deny"))
    wait(lambda: not world.connects(client, own), "default deny")
    assert not world.connects(client, other)

    world.apply(allow_same_namespace(rice))
    wait(lambda: world.connects(client, own), "the allowed flow")
    assert not world.connects(client, other)


def test_the_host_is_reached_by_egress_rules_only(world: NodeWorld) -> None:
    namespace = world.namespace("host")
    world.run(pod(namespace, "client"))
    client = f"{namespace}/client"
    dns, kubelet = f"{BRIDGE_ADDRESS}:53", f"{BRIDGE_ADDRESS}:{world.surroundings.endpoints.kubelet}"
    wait(lambda: world.connects(client, kubelet), "the kubelet's port without any policy")

    peer = [{"ipBlock": {"cidr": f"{BRIDGE_ADDRESS}/32"}}]
    world.apply(policy(namespace, "dns", egress=[{"to": peer, "ports": [{"protocol": "TCP", "port": 53}]}]))

    wait(lambda: not world.connects(client, kubelet), "the kubelet's port to be closed")
    assert world.connects(client, dns)


def test_pods_and_their_bridge_have_no_ipv6(world: NodeWorld) -> None:
    """Hole 1: link-local IPv6 would go around the policies."""
    namespace = world.namespace("six")
    world.run(pod(namespace, "one"))

    assert ":" not in world.ask(f"{namespace}/one", "/addresses")
    assert subprocess.run(["ip", "-6", "address", "show", "dev", BRIDGE], capture_output=True, check=True).stdout == b""


def test_ipv6_between_two_ports_of_the_bridge_is_dropped(world: NodeWorld) -> None:
    """Hole 1, closed twice: a pod that had IPv6 all the same would reach no other with it."""
    with ipv6_neighbours() as connects:
        with killed(world, "guard"):
            fail_closed.remove_rules()
            wait(connects, "the neighbour by IPv6 where nothing forbids it")
        assert fail_closed.rules_in_place()
        assert not connects()


@contextmanager
def ipv6_neighbours() -> Iterator[Callable[[], bool]]:
    """Two network namespaces on the bridge, as pods have, but with IPv6: tells whether one can connect to the other."""
    names = ("coopctl-six-1", "coopctl-six-2")
    commands = [command for number, name in enumerate(names, start=1) for command in ipv6_port(name, number=number)]

    def connects() -> bool:
        shell = ("timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/fd00::2/9")
        return subprocess.run([*within(names[0]), *shell], capture_output=True, check=False).returncode == 0

    try:
        for command in commands:
            subprocess.run(command, check=True, capture_output=True)
        with listening(["fd00::2:9"], within=within(names[1])):
            yield connects
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def ipv6_port(name: str, *, number: int) -> list[tuple[str, ...]]:
    """The commands that make a network namespace with an IPv6 address on the bridge; usable at once (nodad)."""
    link = f"coops{number}"
    return [
        ("ip", "netns", "add", name),
        ("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name),
        ("ip", "link", "set", link, "master", BRIDGE, "up"),
        (*within(name), "ip", "-6", "address", "add", f"fd00::{number}/64", "dev", "eth0", "nodad"),
        (*within(name), "ip", "link", "set", "eth0", "up"),
    ]


def within(name: str) -> tuple[str, ...]:
    return ("ip", "netns", "exec", name)


def test_enforcement_is_not_claimed_when_bridged_packets_go_unseen(world: NodeWorld) -> None:
    """Hole 2: without br_netfilter two pods of the bridge would talk past every rule."""
    setting = kernel.PROC_SYS / kernel.BRIDGE_FILTER
    assert node.check().in_force
    setting.write_text("0")

    assert not node.check().in_force
    world.up()
    assert setting.read_text().strip() == "1"
    assert node.check().in_force


def test_a_new_pod_reaches_nobody_before_its_policies_are_in_force(world: NodeWorld) -> None:
    """Hole 3, out: attempts from the first moment of the pod on, to a pod, and to a server on the host."""
    target, tenant = world.namespace("target"), world.namespace("eager")
    world.run(pod(target, "server"))
    world.apply(policy(tenant, "deny"))
    address = f"{world.address(f'{target}/server')}:{ECHO_PORT}"
    kubelet = f"{BRIDGE_ADDRESS}:{world.surroundings.endpoints.kubelet}"

    world.run(pod(tenant, "pods", environment={"EAGER": address}), pod(tenant, "host", environment={"EAGER": kubelet}))
    time.sleep(2)

    for name in ("pods", "host"):
        opened, refused = (int(count) for count in world.ask(f"{tenant}/{name}", "/eager").split())
        assert opened == 0
        assert refused > 5


def test_a_new_pod_is_reached_by_nobody_before_its_policies_are_in_force(world: NodeWorld) -> None:
    """Hole 3, in: a pod that may talk to all addresses waits for the next address to appear."""
    attacker, tenant = world.namespace("attacker"), world.namespace("victim")
    world.apply(policy(tenant, "deny"))
    world.run(pod(tenant, "first"))
    last = int(world.address(f"{tenant}/first").rpartition(".")[2])
    # Addresses are given in turn: the attacker gets the next one, the victim the one after it.
    attackers = {"EAGER": f"10.244.0.{last + 2}:{ECHO_PORT}"}
    world.run(pod(attacker, "one", environment=attackers))

    world.run(pod(tenant, "second"))
    assert world.address(f"{tenant}/second") == f"10.244.0.{last + 2}"
    time.sleep(2)

    opened, _ = world.ask(f"{attacker}/one", "/eager").split()
    assert opened == "0"


def test_with_a_dead_enforcer_new_pods_stay_shut_off_and_old_rules_hold(world: NodeWorld) -> None:
    """Hole 3, for ever: the enforcer is dead; the host still reaches its pods."""
    old, new = world.namespace("before"), world.namespace("after")
    world.run(pod(old, "server"), pod(old, "client"))
    server = f"{world.address(f'{old}/server')}:{PROBE_PORT}"
    wait(lambda: world.connects(f"{old}/client", server), "the flow between the old pods")

    with killed(world, "netpol"):
        world.run(pod(new, "one"))
        assert not world.connects(f"{new}/one", server)
        assert not world.connects(f"{new}/one", f"{BRIDGE_ADDRESS}:53")
        assert not world.connects(f"{old}/client", f"{world.address(f'{new}/one')}:{PROBE_PORT}")
        assert world.connects(f"{old}/client", server)

    wait(lambda: world.connects(f"{new}/one", server), "the new pod's network after the mending")


def test_with_enforcer_and_guard_dead_and_rules_flushed_up_closes_again(world: NodeWorld) -> None:
    with killed(world, "netpol", "guard"):
        fail_closed.remove_rules()
        assert not node.check().in_force
    assert node.check().in_force


def test_the_guard_puts_flushed_rules_back_at_once(world: NodeWorld) -> None:
    fail_closed.remove_rules()

    wait(fail_closed.rules_in_place, "the guard", seconds=3)
    wait(lambda: fail_closed.enforced_addresses() == fail_closed.pods_with_rules(), "the set", seconds=3)


def test_node_ports_let_no_pod_past_its_policies(world: NodeWorld) -> None:
    """Hole 4: a server of the host is shut to pods, inside kube-router's node port range too, and that is narrow."""
    namespace = world.namespace("ports")
    world.run(pod(namespace, "client"))
    world.apply(policy(namespace, "deny"))
    places = [f"{BRIDGE_ADDRESS}:{port}" for port in (NODE_PORTS[0], WITHIN_THE_USUAL_RANGE)]
    with listening(places):
        assert [place for place in places if world.connects(f"{namespace}/client", place)] == []
    asked = service(namespace, "client")
    asked["spec"] |= {"type": "NodePort", "ports": [{"port": 80, "nodePort": WITHIN_THE_USUAL_RANGE}]}
    with pytest.raises(AssertionError, match=f"valid ports is {NODE_PORTS[0]}-{NODE_PORTS[1]}"):
        world.apply(asked)


def test_without_any_policy_a_server_of_the_host_is_reached_but_never_at_a_node_port(world: NodeWorld) -> None:
    """The control of the test before; kube-router decides nothing about node ports, so they stay shut to all pods."""
    namespace = world.namespace("noports")
    world.run(pod(namespace, "client"))
    server, node_port = (f"{BRIDGE_ADDRESS}:{port}" for port in (WITHIN_THE_USUAL_RANGE, NODE_PORTS[0]))
    with listening([server, node_port]):
        wait(lambda: world.connects(f"{namespace}/client", server), "the host's server")
        assert not world.connects(f"{namespace}/client", node_port)


def test_established_connections_are_cut_when_asked(world: NodeWorld) -> None:
    """Hole 5: a policy does not end what is open; cut_connections does, through a Service too."""
    namespace = world.namespace("cut")
    world.run(pod(namespace, "client"), pod(namespace, "server"))
    world.apply(service(namespace, "server", port=ECHO_PORT, target=ECHO_PORT))
    target = f"{world.get('service', '-n', namespace, 'server')['spec']['clusterIP']}:{ECHO_PORT}"
    client = f"{namespace}/client"
    wait(lambda: world.connects(client, target), "the Service")
    world.ask(client, "/hold", to=target)
    wait(lambda: world.ask(client, "/held") == "open", "the long connection")
    world.apply(policy(namespace, "deny"))
    wait(lambda: not world.connects(client, target), "default deny")
    time.sleep(1)
    assert world.ask(client, "/held") == "open"

    node.cut_connections(world.address(f"{namespace}/server"))

    wait(lambda: world.ask(client, "/held") == "broken", "the long connection to break", seconds=10)


def test_pods_of_the_hosts_network_are_refused(world: NodeWorld) -> None:
    """Hole 6: they would be exempt from policies; Pod Security forbids them."""
    namespace = world.namespace("hostnetwork")
    manifest = pod(namespace, "one")
    manifest["spec"]["hostNetwork"] = True

    with pytest.raises(AssertionError, match="violates PodSecurity"):
        world.apply(manifest)
