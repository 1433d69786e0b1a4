"""Solutions are kept apart but for what the descriptor integrates: whatever opens more or less shows in a proof."""

import ipaddress
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace

import pytest

from provisioner.plan.manifest import Manifest
from provisioner.plan.platform import platform_plan
from provisioner.proof.flows import Network
from provisioner.proof.planning_flows import flow_attempts
from provisioner.proof.promises import promise_looks
from provisioner.proof.running_flows import FlowRunner
from provisioner.proof.tenant import ProvenTenant, Terms, proven_tenant
from provisioner.proof.verdicts import PROBLEMS, Ending
from tests.proof_mutations import mutations, place
from tests.unit.plan import builders, integrated

SOLUTION = "coopctl.dev/solution"
APPS = "rice-processing-apps"
PODS = (ipaddress.ip_network("10.244.0.0/24"),)
BRIDGE = frozenset({ipaddress.ip_address("10.244.0.1")})
TENANT = proven_tenant(
    integrated.plan(), terms=Terms(cooperative=integrated.cooperative(), platform=builders.platform())
)
PLANNED = {place(one.manifest): one.manifest for one in TENANT.guards.values()}
OWN = [name for kind, namespace, name in PLANNED if kind == "NetworkPolicy" and namespace == APPS]
CONNECTING = [name for name in OWN if "." in name or name == "own-applications"]


def endings(policies: Iterable[Manifest]) -> dict[str, Ending]:
    """How the attempts on flows end with these policies in force."""
    found: dict[str, list[Manifest]] = {name: [] for name in TENANT.namespaces}
    for one in policies:
        found[one["metadata"]["namespace"]].append(one)
    labels = {name: {"kubernetes.io/metadata.name": name} for name in TENANT.namespaces}
    network = Network(namespaces=labels, policies=found, pods=PODS, others=BRIDGE)
    runner = FlowRunner(network)
    attempts = flow_attempts(TENANT, network=network, neighbours=[], servers={})
    return {one.about.id: runner.run(one).ending for one in attempts}


def problems(policies: Iterable[Manifest]) -> dict[str, Ending]:
    """Those that are problems."""
    return {name: ending for name, ending in endings(policies).items() if ending in PROBLEMS}


def planned_policies() -> list[Manifest]:
    """Every network policy of the plan."""
    return [one for (kind, _, _), one in PLANNED.items() if kind == "NetworkPolicy"]


def further(name: str, *, pods: Manifest, **rules: object) -> Manifest:
    """A policy of the platform's labels beside those that are planned, as a chart's would bear them."""
    labels = PLANNED["NetworkPolicy", APPS, "own-applications"]["metadata"]["labels"]
    about = {"name": name, "namespace": APPS, "labels": labels}
    types = [direction.capitalize() for direction in rules]
    return {
        "kind": "NetworkPolicy",
        "metadata": about,
        "spec": {"podSelector": pods, "policyTypes": types, **rules},
    }


def of(solution: str) -> Manifest:
    """The pods of a solution."""
    return {"matchLabels": {SOLUTION: solution}}


def test_what_is_integrated_works_and_everything_else_is_blocked() -> None:
    found = endings(planned_policies())
    assert set(found.values()) == {Ending.WORKS, Ending.BLOCKED}
    assert found[f"flows/{APPS}/scales/egress/ledger/open"] is Ending.WORKS
    assert found[f"flows/{APPS}/ledger/ingress/scales/open"] is Ending.WORKS
    assert found[f"flows/{APPS}/scales/egress/ledger"] is Ending.BLOCKED
    for one, other in (("scales", "notes"), ("ledger", "scales"), ("own applications", "ledger")):
        assert found[f"flows/{APPS}/{one}/egress/{other}"] is Ending.BLOCKED
        assert found[f"flows/{APPS}/{other}/ingress/{one}"] is Ending.BLOCKED
        assert f"flows/{APPS}/{one}/egress/{other}/open" not in found


@pytest.mark.parametrize("end", ["egress", "ingress"])
def test_a_policy_that_opens_one_solution_to_an_unrelated_one_got_through(end: str) -> None:
    if end == "egress":
        opened = further("more", pods=of("scales"), egress=[{"to": [{"podSelector": of("notes")}]}])
        attempt = f"flows/{APPS}/scales/egress/notes"
    else:
        opened = further("more", pods=of("notes"), ingress=[{"from": [{"podSelector": of("scales")}]}])
        attempt = f"flows/{APPS}/notes/ingress/scales"
    assert problems([*planned_policies(), opened]) == {attempt: Ending.GOT_THROUGH}


def test_more_ports_than_those_that_are_served_got_through() -> None:
    ports = [{"protocol": "TCP", "port": 1, "endPort": 65535}]
    rule = {"to": [{"podSelector": of("ledger")}], "ports": ports}
    found = problems([*planned_policies(), further("more", pods=of("scales"), egress=[rule])])
    assert found == {f"flows/{APPS}/scales/egress/ledger": Ending.GOT_THROUGH}


def test_a_policy_for_pods_of_any_other_label_may_be_for_any_solution() -> None:
    everybody: list[Manifest] = [{"from": [{"podSelector": {}}]}]
    found = problems([*planned_policies(), further("more", pods={"matchLabels": {"app": "x"}}, ingress=everybody)])
    assert found[f"flows/{APPS}/notes/ingress/scales"] is Ending.GOT_THROUGH
    assert found[f"flows/{APPS}/own applications/ingress/ledger"] is Ending.GOT_THROUGH


def test_what_operators_open_to_their_own_is_theirs() -> None:
    opened = further("theirs", pods={}, ingress=[{"from": [{"podSelector": {}}]}])
    assert problems([*planned_policies(), opened]) != {}
    own = {**opened, "metadata": {**opened["metadata"], "labels": {"team": "books"}}}
    assert problems([*planned_policies(), own]) == {}


@pytest.mark.parametrize("name", CONNECTING)
def test_a_policy_that_is_gone_fails_the_control_of_its_pair(name: str) -> None:
    left = [one for one in planned_policies() if one["metadata"]["name"] != name]
    found = problems(left)
    assert set(found.values()) == {Ending.FAILED_CONTROL}
    if name == integrated.INTEGRATION:
        assert set(found) == {
            f"flows/{APPS}/scales/egress/ledger/open",
            f"flows/{APPS}/ledger/ingress/scales/open",
        }


def shown(tenant: ProvenTenant) -> bool:
    """Whether a proof of this very plan, in a cluster that is as it says, finds a problem."""
    looks = promise_looks(tenant, platform=platform_plan(builders.platform()))
    policies = [one.manifest for one in tenant.guards.values() if one.manifest["kind"] == "NetworkPolicy"]
    return any(look.lacking for look in looks) or bool(problems(policies))


def test_the_plan_as_it_is_shows_nothing() -> None:
    assert not shown(TENANT)


@pytest.mark.parametrize("name", CONNECTING)
def test_a_policy_between_solutions_that_is_planned_weaker_shows(name: str) -> None:
    guard = PLANNED["NetworkPolicy", APPS, name]
    overlooked = []
    for mutation in mutations({place(guard): guard}):
        kept = {key: one for key, one in TENANT.guards.items() if place(one.manifest) != place(guard)}
        if mutation.change:
            (key, item) = next((key, one) for key, one in TENANT.guards.items() if key not in kept)
            kept[key] = replace(item, manifest=mutation.change(deepcopy(guard)))
        if not shown(replace(TENANT, guards=kept)):
            overlooked.append(mutation.what)
    assert overlooked == []
