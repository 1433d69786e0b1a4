"""Whatever guard is deleted or weakened by hand, drift names it and --repair puts exactly that back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.engine.events import Operation
from provisioner.naming import LABEL_SOLUTION, PLATFORM_STACK
from provisioner.operations.drifting import Drift, drift_of_fleet
from provisioner.operations.planning import FleetOptions
from provisioner.operations.site import Site
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import KubernetesObject
from provisioner.plan.tenant import tenant_of
from provisioner.plan.tenant_facts import tenant_facts
from provisioner.proof.accepted import NAME, accepted
from tests.integration.engine.conftest import CliEstate, SiteMaker, World, apply, new_maker, tenant

pytestmark = [pytest.mark.cluster, pytest.mark.servers]

# A namespace deleted by hand takes all it holds with it, which is a case of its own; the account `default` comes back
# by itself, without our fields.
NOT_DELETED = {"Namespace", "ServiceAccount"}


@pytest.fixture(scope="module")
def maker(world: World, open_folder: Path, request: pytest.FixtureRequest) -> SiteMaker:
    """One estate for the module, so that the platform's own stack is applied once; each test has a tenant in it."""
    return new_maker(world, open_folder, nodeid=request.node.nodeid)


@pytest.fixture(scope="module")
def whole(maker: SiteMaker) -> Site:
    """A tenant that was applied, and that every test leaves without drift."""
    site = maker.site(tenant("whole"))
    apply(site, "whole")
    return site


def look(site: Site, *names: str, repair: bool = False) -> dict[str, Drift]:
    """The drift by stack; a failure is raised."""
    events: list[Any] = []
    outcomes = drift_of_fleet(site, names, repair=repair, options=FleetOptions(), report=events.append)
    for outcome in outcomes:
        if outcome.failure is not None:
            raise outcome.failure
    return {outcome.stack: outcome.value for outcome in outcomes if outcome.value is not None}


def guards(site: Site, name: str) -> list[KubernetesObject]:
    """All guards that the cooperative has in the cluster."""
    return [item for item in site.target(name).plan.resources if isinstance(item, KubernetesObject) and item.guard]


def _widen_policy(spec: Manifest) -> Manifest:
    return {"spec": {**spec["spec"], "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}}


def _more_pods(manifest: Manifest) -> Manifest:
    return {"spec": {"hard": dict.fromkeys(manifest["spec"]["hard"], "9k")}}


def _larger_containers(manifest: Manifest) -> Manifest:
    more = {"Container": {"memory": "9Ti"}, "PersistentVolumeClaim": {"storage": "9Ti"}, "Pod": {"memory": "9Ti"}}
    limits = [{**item, "max": {**item["max"], **more[item["type"]]}} for item in manifest["spec"]["limits"]]
    return {"spec": {"limits": limits}}


WEAKER: Mapping[str, Callable[[Manifest], Manifest]] = {
    "Namespace": lambda _: {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    "NetworkPolicy": _widen_policy,
    "ResourceQuota": _more_pods,
    "LimitRange": _larger_containers,
    "Role": lambda item: {"rules": [*item["rules"], {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]},
    "RoleBinding": lambda item: {
        "subjects": [
            *item.get("subjects", []),
            {"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"},
        ]
    },
    # A token in pods is refused before it could drift.
    "ServiceAccount": lambda _: {"imagePullSecrets": [{"name": "mine"}]},
    "Service": lambda _: {"spec": {"ports": [{"name": "extra", "port": 9999, "protocol": "TCP"}]}},
    "EndpointSlice": lambda item: {"endpoints": [{**item["endpoints"][0], "addresses": ["10.244.0.99"]}]},
}
"""How somebody opens each kind of guard; a kind without an entry fails the test."""


def weaken(maker: SiteMaker, guard: KubernetesObject) -> None:
    """Apply the weaker fields over the guard as another field manager."""
    manifest = guard.manifest
    weaker = WEAKER[manifest["kind"]](manifest)
    about = {name: manifest["metadata"][name] for name in ("name", "namespace") if name in manifest["metadata"]}
    changed = {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        **({"addressType": manifest["addressType"]} if "addressType" in manifest else {}),
        **({"roleRef": manifest["roleRef"]} if "roleRef" in manifest else {}),
        **weaker,
        "metadata": {**about, **weaker.get("metadata", {})},
    }
    maker.world.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=mallory", "-f", "-"),
        stdin=json.dumps(changed),
    )


def test_an_untouched_tenant_has_no_drift(whole: Site) -> None:
    found = look(whole, PLATFORM_STACK, "whole")

    assert [drift.found.resources for drift in found.values()] == [(), ()]
    assert found["whole"].foreign == ()


def test_every_deleted_guard_is_found_and_put_back_alone(maker: SiteMaker, whole: Site) -> None:
    gone = [guard for guard in guards(whole, "whole") if guard.manifest["kind"] not in NOT_DELETED]
    kept = [guard for guard in guards(whole, "whole") if guard.manifest["kind"] in NOT_DELETED]
    before = [uid(maker, guard) for guard in kept]
    for namespace, kind in sorted({(item.manifest["metadata"]["namespace"], item.manifest["kind"]) for item in gone}):
        names = [item.manifest["metadata"]["name"] for item in gone if _stands_at(item, namespace, kind)]
        maker.world.kubectl("-n", namespace, "delete", kind, *names)

    found = look(whole, "whole")["whole"].found
    repaired = look(whole, "whole", repair=True)["whole"].repaired

    assert {change.resource for change in found.resources if change.operation is Operation.DELETE} == {
        guard.key for guard in gone
    }
    assert repaired is not None
    assert {change.resource for change in repaired.resources} == {guard.key for guard in gone}
    assert not look(whole, "whole")["whole"].found.any
    assert [uid(maker, guard) for guard in kept] == before


@pytest.mark.long(seconds=40)
def test_every_weakened_guard_is_found_and_mended(maker: SiteMaker) -> None:
    site = maker.site(tenant("weakened"))
    apply(site, "weakened")
    for guard in guards(site, "weakened"):
        weaken(maker, guard)

    found = look(site, "weakened")["weakened"].found
    look(site, "weakened", repair=True)

    assert {guard.key for guard in guards(site, "weakened")} <= {change.resource for change in found.resources}
    assert not look(site, "weakened")["weakened"].found.any


@pytest.mark.long(seconds=25)
def test_a_repair_applies_nothing_that_the_descriptor_says_anew(maker: SiteMaker) -> None:
    apply(maker.site(tenant("pending")), "pending")
    site = maker.site(replace(tenant("pending"), operators=()))
    maker.world.kubectl("-n", "pending-apps", "delete", "networkpolicy", "dns")

    repaired = look(site, "pending", repair=True)["pending"].repaired

    assert repaired is not None
    assert [change.resource for change in repaired.resources] == ["apps-networkpolicy-dns"]
    binding = maker.cluster().get(
        api_version="rbac.authorization.k8s.io/v1", kind="RoleBinding", name="operators", namespace="pending-apps"
    )
    assert binding is not None
    assert binding["subjects"]


@pytest.mark.long(seconds=20)
def test_what_others_made_is_listed_and_left_alone(maker: SiteMaker) -> None:
    site = maker.site(tenant("visited"))
    apply(site, "visited")
    maker.world.kubectl("-n", "visited-apps", "create", "configmap", "notes", "--from-literal=a=b")

    drift = look(site, "visited", repair=True)["visited"]

    assert [(item.resource, item.namespace, item.name) for item in drift.foreign] == [
        ("configmaps", "visited-apps", "notes")
    ]
    assert not drift.found.any
    maker.world.kubectl("-n", "visited-apps", "get", "configmap", "notes")


@pytest.mark.long(seconds=20)
def test_a_workload_that_had_a_solution_s_label_before_the_rule_is_named_and_left_alone(maker: SiteMaker) -> None:
    site = maker.site(tenant("before"))
    apply(site, "before")
    facts = tenant_facts(tenant_of(tenant("before"), cluster=site.platform.cluster.id), platform=site.platform)
    notes = accepted("Deployment", namespace="before-apps", facts=facts, role="")
    notes["spec"]["template"]["metadata"]["labels"] |= {LABEL_SOLUTION: "ledger"}
    # An administrator stands for the time before: nobody else can make such a template now.
    maker.cluster().api.create("/apis/apps/v1/namespaces/before-apps/deployments", notes)

    drift = look(site, "before", repair=True)["before"]

    assert [str(one) for one in drift.mislabelled] == [f"Deployment before-apps/{NAME} bears {LABEL_SOLUTION}: ledger"]
    assert drift.remains
    maker.world.kubectl("-n", "before-apps", "delete", "deployment", NAME)
    assert not look(site, "before")["before"].remains


@pytest.mark.long(seconds=40)
def test_drift_on_the_command_line_has_its_own_exit_code_and_history(
    world: World, open_folder: Path, request: pytest.FixtureRequest
) -> None:
    maker = new_maker(world, open_folder, nodeid=request.node.nodeid)
    estate = CliEstate(maker=maker)
    estate.write("lined")
    estate.done("apply", "lined", "--yes", "--timeout", "0")
    maker.world.kubectl("-n", "lined-apps", "delete", "networkpolicy", "dns")

    seen = estate.run("drift", "lined", "--detailed-exitcode")
    refused = estate.run("drift", "lined", "--repair")
    mended = estate.run("drift", "--all", "--repair", "--yes", "-o", "json")
    history = json.loads(estate.run("history", "lined", "-o", "json").stdout)

    assert seen.returncode == 10
    assert "apps-networkpolicy-dns" in seen.stdout
    assert refused.returncode == 2
    assert "apps-networkpolicy-dns  (NetworkPolicy) is gone" in refused.stderr
    assert "to delete" not in refused.stderr
    assert mended.returncode == 0
    # Looking deletes nothing, and says so; what is mended is told as it is made.
    assert "deleted" not in mended.stderr
    assert "lined: created apps-networkpolicy-dns (NetworkPolicy)" in mended.stderr
    stacks = {stack["stack"]: stack for stack in json.loads(mended.stdout)["stacks"]}
    assert [item["resource"] for item in stacks["lined"]["repaired"]["resources"]] == ["apps-networkpolicy-dns"]
    assert stacks[PLATFORM_STACK]["repaired"] is None
    assert estate.run("drift", "--all", "--detailed-exitcode").returncode == 0
    assert [(entry["action"], entry["ending"]) for entry in history["entries"]] == [
        ("apply", "begun"),
        ("apply", "done"),
        ("repair", "begun"),
        ("repair", "done"),
    ]


def _stands_at(guard: KubernetesObject, namespace: str, kind: str) -> bool:
    return (guard.manifest["metadata"].get("namespace"), guard.manifest["kind"]) == (namespace, kind)


def uid(maker: SiteMaker, guard: KubernetesObject) -> str:
    """The uid that an object has now."""
    manifest = guard.manifest
    found = maker.cluster().get(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        name=manifest["metadata"]["name"],
        namespace=manifest["metadata"].get("namespace", ""),
    )
    assert found is not None
    return str(found["metadata"]["uid"])
