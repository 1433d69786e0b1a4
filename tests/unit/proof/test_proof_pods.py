"""Probe pods: what they try, what their reports mean, and that they go away whatever happens."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import Probe, Protocol
from provisioner.proof.flows import Network
from provisioner.proof.planning_flows import NETWORK_POLICY
from provisioner.proof.planning_pods import (
    Listener,
    PodFacts,
    Reachable,
    arguments,
    owner_job,
    pod_spec,
    probe_pod,
    probes,
    word_of,
)
from provisioner.proof.pod_reports import Report, findings, parse_report
from provisioner.proof.running_pods import left_out, listening, not_started, solutions_pods
from provisioner.proof.verdicts import Ending
from provisioner.rules.judging import judge
from provisioner.rules.quantities import parse_quantity
from tests.unit.plan import builders
from tests.unit.proof.world import container_bounds, proven

TENANT, OTHER = proven(), proven("plastics")
SERVERS = {"the kubelet of node": "10.244.0.1:10250"}
_EVERY_POD: Manifest = {"podSelector": {}}
OPEN = Network(namespaces={}, policies={})
CLOSED = Network(
    namespaces={name: {} for name in TENANT.namespaces},
    policies={
        name: [{"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}] for name in TENANT.namespaces
    },
    pods=(ipaddress.ip_network("10.244.0.0/24"),),
)


def facts(*, network: Network = CLOSED, reachables: tuple[Reachable, ...] = ()) -> PodFacts:
    """Two tenants that are proved together, each with a listener in both namespaces."""
    places = [(tenant, name) for tenant in (TENANT, OTHER) for name in tenant.namespaces]
    listeners = {
        name: Listener(namespace=name, address=f"10.244.0.{number}", word=word_of(tenant, name, run="r"))
        for number, (tenant, name) in enumerate(places, start=10)
    }
    return PodFacts(listeners=listeners, reachables=reachables, servers=SERVERS, network=network)


def planned(namespace: str = TENANT.apps, **changes: Any) -> dict[str, Probe]:
    """The probes of a namespace by what they reach."""
    found = probes(TENANT, namespace, platform=builders.platform(), facts=facts(**changes))
    return {one.about.id.removeprefix(f"pods/{namespace}/"): one for one in found}


def report(probe_ids: Mapping[str, str], *, early: Mapping[str, str] | None = None) -> dict[str, Ending]:
    """The endings when the pod tells these letters; all others are well."""
    found = list(planned().values())
    controls = [one for one in found if one.about.guard is None]
    attacks = [one for one in found if one.about.guard]

    def name(one: Probe) -> str:
        return one.about.id.removeprefix(f"pods/{TENANT.apps}/")

    told = Report(
        early="".join((early or {}).get(name(one), "r") for one in attacks),
        controls="".join(probe_ids.get(name(one), "o") for one in controls),
        attacks="".join(probe_ids.get(name(one), "r") for one in attacks),
        notes={},
    )
    return {name(one): item.verdict.ending for one, item in zip(found, findings(found, report=told), strict=True)}


def test_what_a_solution_needs_is_tried_first() -> None:
    controls = [name for name, one in planned().items() if one.about.guard is None]
    assert controls == [
        *(f"a pod of {TENANT.apps} over {protocol}" for protocol in ("TCP", "UDP")),
        *(f"a pod of {TENANT.data} over {protocol}" for protocol in ("TCP", "UDP")),
        *("the name of its own postgres", "its own postgres"),
        *("the name of its own objects", "its own objects"),
    ]
    assert f"a pod of {TENANT.apps} over TCP" not in planned(TENANT.data)


def test_other_tenants_pods_are_attacked_over_both_protocols_and_must_be_there_for_their_own() -> None:
    for namespace in OTHER.namespaces:
        for protocol in (Protocol.TCP, Protocol.UDP):
            attack = planned()[f"a pod of {namespace} over {protocol.upper()}"]
            assert attack.about.guard == NETWORK_POLICY
            assert f"pods/{namespace}/a pod of {namespace} over TCP" in attack.about.rests_on


def test_the_cluster_the_metadata_service_the_internet_and_the_link_are_attacked() -> None:
    names = set(planned(TENANT.data))
    assert {"the metadata service", "the kubelet of node", "the internet", "others on its link over IPv6"} <= names


def test_what_the_tenant_itself_has_is_no_attack() -> None:
    own = Reachable(namespace=TENANT.data, what="own", target="10.0.0.1:80")
    theirs = Reachable(namespace=OTHER.apps, what="theirs", target="10.0.0.2:80")
    names = set(planned(reachables=(own, theirs)))
    assert "theirs" in names
    assert "own" not in names


def test_the_tenant_s_own_solutions_are_attacked_from_a_pod_of_none_unless_operators_opened_them() -> None:
    ledger = Reachable(namespace=TENANT.apps, what="the ledger", target="10.244.0.9:8000", solution="ledger")
    assert planned(reachables=(ledger,))["the ledger"].about.guard == NETWORK_POLICY
    assert "the ledger" not in planned(TENANT.data, reachables=(ledger,))
    own = {"spec": {"podSelector": {}, "ingress": [{"from": [_EVERY_POD]}], "egress": [{"to": [_EVERY_POD]}]}}
    policies = {**CLOSED.policies, TENANT.apps: [*CLOSED.policies[TENANT.apps], own]}
    assert "the ledger" not in planned(network=replace(CLOSED, policies=policies), reachables=(ledger,))


def test_arguments_tell_controls_from_attacks() -> None:
    words = arguments(planned().values())
    assert words[:2] == ["try", "15"]
    before, after = words[: words.index("--")], words[words.index("--") + 1 :]
    assert f"tcp=10.244.0.10:8080=rice-processing/{TENANT.apps}/r" in before
    assert f"udp=10.244.0.12:8080=plastics/{OTHER.apps}/r" in after
    assert "tcp=169.254.169.254:80" in after
    assert "link==rice-processing/" in after


def test_silence_is_the_policies_work_only_where_they_let_nothing_through() -> None:
    metadata = "the metadata service"
    assert not planned()[metadata].permitted
    assert planned(network=OPEN)[metadata].permitted


@pytest.mark.parametrize(
    ("letter", "ending"),
    [
        ("r", Ending.BLOCKED),
        ("t", Ending.BLOCKED),
        ("u", Ending.BLOCKED),
        ("o", Ending.GOT_THROUGH),
        ("a", Ending.GOT_THROUGH),
        ("e", Ending.UNPROVEN),
    ],
)
def test_a_letter_says_how_an_attack_ended(letter: str, ending: Ending) -> None:
    assert report({"the metadata service": letter})["the metadata service"] is ending


def test_what_was_open_in_a_pod_s_first_moments_got_through() -> None:
    assert report({}, early={"the internet": "o"})["the internet"] is Ending.GOT_THROUGH


@pytest.mark.parametrize("letter", ["r", "t", "n", "a"])
def test_a_control_must_be_reached_and_by_the_right_one(letter: str) -> None:
    assert report({"its own postgres": letter})["its own postgres"] is Ending.FAILED_CONTROL


def test_a_report_that_is_cut_off_proves_nothing() -> None:
    found = list(planned().values())
    endings = {
        item.verdict.ending for item in findings(found, report=Report(early="", controls="", attacks="", notes={}))
    }
    assert endings == {Ending.FAILED_CONTROL, Ending.UNPROVEN}


@pytest.mark.parametrize(
    "text", ["", "panic", "[]", '{"early": "o"}', '{"early":"","controls":"","attacks":"","notes":3}']
)
def test_last_words_that_are_no_report_are_none(text: str) -> None:
    assert parse_report(text) is None


def pod(namespace: str = TENANT.apps) -> dict[str, Any]:
    """A probe pod."""
    image = f"{TENANT.facts.registries[0]}coopctl/probe@sha256:" + "0" * 64
    owner = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "owner", "uid": "u"}}
    spec = pod_spec(TENANT, image=image, arguments=["serve", "word"])
    return probe_pod(namespace, mode="serve", run="r", spec=spec, owner=owner)


def test_a_probe_pod_breaks_no_rule_but_those_for_tenants() -> None:
    broken = {one.rule.id for one in judge(pod(), facts=TENANT.facts, made_by_platform=True)}
    assert broken == {"priority-class"}


@pytest.mark.parametrize("namespace", TENANT.namespaces)
def test_a_probe_pod_keeps_within_the_limits_of_its_namespace(namespace: str) -> None:
    resources = pod(namespace)["spec"]["containers"][0]["resources"]
    bounds = container_bounds(namespace)
    for kind in ("cpu", "memory"):
        limit, request = (parse_quantity(resources[amounts][kind]) for amounts in ("limits", "requests"))
        assert parse_quantity(bounds["min"][kind]) <= request <= limit <= parse_quantity(bounds["max"][kind])
        assert limit / request <= parse_quantity(bounds["maxLimitRequestRatio"][kind])
    # A node evicts pods that use more than their containers may, also if that is nothing.
    assert resources["limits"]["ephemeral-storage"] == "1Mi"
    assert resources["requests"]["ephemeral-storage"] == "0"


def test_a_probe_pod_ends_by_itself_and_goes_with_a_job_that_is_done_at_once() -> None:
    assert pod()["spec"]["activeDeadlineSeconds"] < 150
    assert pod()["metadata"]["ownerReferences"][0]["uid"] == "u"
    job = owner_job(TENANT.apps, run="r", spec=pod()["spec"])["spec"]
    assert (job["completions"], job["parallelism"], job["ttlSecondsAfterFinished"]) == (0, 0, 150)


def test_what_listens_is_found_but_for_probes_and_services_that_lead_out_of_the_cluster() -> None:
    def item(name: str, *, phase: str = "Running", labels: dict[str, str] | None = None) -> dict[str, Any]:
        return {
            "metadata": {"name": name, "labels": labels or {}},
            "status": {"phase": phase, "podIP": "10.244.0.7"},
            "spec": {"containers": [{"ports": [{"containerPort": 8080}]}]},
        }

    pods = [item("web"), item("gone", phase="Failed"), item("probe", labels={"coopctl.dev/probe": "r"})]
    services = [
        {
            "metadata": {"name": "web"},
            "spec": {"selector": {"a": "b"}, "clusterIP": "10.96.0.9", "ports": [{"port": 80}]},
        },
        {"metadata": {"name": "postgres"}, "spec": {"clusterIP": "10.96.0.8", "ports": [{"port": 5432}]}},
        {
            "metadata": {"name": "headless"},
            "spec": {"selector": {"a": "b"}, "clusterIP": "None", "ports": [{"port": 1}]},
        },
    ]
    found = [(one.what, one.target) for one in listening("plastics-apps", pods=pods, services=services)]
    assert found == [
        ("pod 1 of plastics-apps", "10.244.0.7:8080"),
        ("the Service web of plastics-apps", "10.96.0.9:80"),
    ]


def test_one_running_pod_of_each_solution_is_found_and_no_other() -> None:
    def pod(address: str, labels: dict[str, str], phase: str = "Running") -> dict[str, Any]:
        container = {"ports": [{"containerPort": 8000}]}
        return {
            "metadata": {"labels": labels},
            "spec": {"containers": [container]},
            "status": {"phase": phase, "podIP": address},
        }

    ledger = {"coopctl.dev/solution": "ledger"}
    pods = [
        pod("10.0.0.1", {"coopctl.dev/solution": "notes"}, "Pending"),
        pod("10.0.0.2", ledger),
        pod("10.0.0.3", ledger),
        pod("10.0.0.4", {"app": "own"}),
        pod("10.0.0.5", {**ledger, "coopctl.dev/probe": "r"}),
    ]
    (found,) = solutions_pods("rice-apps", pods=pods)
    assert (found.solution, found.target) == ("ledger", "10.0.0.2:8000")


def test_what_was_not_tried_is_said_once_for_each_namespace() -> None:
    found = left_out(TENANT, reason="the nodes are simulated")
    assert [one.verdict.ending for one in found] == [Ending.NOT_ATTEMPTED] * 2


def test_pods_that_should_have_run_and_did_not_are_a_problem_with_a_remedy() -> None:
    found = not_started(TENANT, reason="the probe pods did not run in time")
    assert [one.is_problem for one in found] == [True, True]
    assert all("--no-probe-pods" in one.verdict.said for one in found)
