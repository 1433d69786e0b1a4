"""What is changed by hand shows in the status, which writes no state, and is mended by the next apply."""

import json
import os
from typing import Any

import pytest

from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_clients import open_clients
from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.cooperative import SolutionChoice
from provisioner.engine.events import Operation
from provisioner.operations.health import Readers
from provisioner.operations.looking import Status, look_at_fleet
from provisioner.operations.planning import FleetOptions
from provisioner.operations.site import Site
from tests.integration.engine.conftest import SiteMaker, apply, tenant
from tests.unit.plan import builders

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
APPS = "handled-apps"

OPENED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: handled-apps, labels: {mallory: was-here}}
spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}
"""
WEAKENED = """
apiVersion: v1
kind: ResourceQuota
metadata: {name: tenant, namespace: handled-apps}
spec: {hard: {pods: "9999"}}
"""


def look(maker: SiteMaker, site: Site, name: str) -> Status:
    """The status; a failure is raised."""
    platform = maker.platform()
    readers = Readers(
        cluster=maker.cluster(),
        postgres=PostgresServerAdmin(postgres_access(platform.postgres), environment=os.environ),
        objects=ObjectsServerAdmin(objects_access(platform.objects), environment=os.environ),
    )
    events: list[Any] = []
    (outcome,) = look_at_fleet(site, (name,), readers=lambda: readers, options=FleetOptions(), report=events.append)
    if outcome.failure is not None:
        raise outcome.failure
    assert outcome.value is not None
    return outcome.value


def test_every_change_by_hand_shows_in_the_status_and_is_mended_by_apply(maker: SiteMaker) -> None:
    site = maker.site(tenant("handled"))
    apply(site, "handled")
    assert look(maker, site, "handled").is_well

    kubectl = maker.world.kubectl
    kubectl("-n", APPS, "delete", "networkpolicy", "own-applications")
    for changed in (OPENED, WEAKENED):
        kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=mallory", "-f", "-", stdin=changed)
    maker.sql("GRANT CONNECT ON DATABASE handled TO PUBLIC")
    clients = open_clients(objects_access(maker.platform().objects), environment=os.environ)
    clients.s3.delete_bucket_policy(Bucket=f"{maker.cluster_id}-handled")
    before = site.engine.checkpoint("handled")

    found = look(maker, site, "handled")

    assert site.engine.checkpoint("handled") == before
    drift = {change.resource: change for change in found.drift.resources}
    assert drift["apps-networkpolicy-own-applications"].operation is Operation.DELETE
    opened = {(field.path, field.by) for field in drift["apps-networkpolicy-default-deny"].fields}
    assert {("spec.egress", "mallory"), ("spec.ingress", "mallory"), ("metadata.labels.mallory", "mallory")} <= opened
    assert [field.path for field in drift["apps-resourcequota-tenant"].fields] == ["spec.hard.pods"]
    assert {"postgres-grants", "objects-bucket"} <= set(drift)
    assert len(drift) == 5

    apply(site, "handled")

    assert look(maker, site, "handled").is_well, look(maker, site, "handled").drift
    policy = json.loads(kubectl("-n", APPS, "get", "networkpolicy", "default-deny", "-o", "json"))
    assert not policy["spec"].get("ingress")
    assert not policy["spec"].get("egress")
    assert "mallory" not in policy["metadata"]["labels"]
    quota = kubectl("-n", APPS, "get", "quota", "tenant", "-o", "jsonpath={.spec.hard.pods}")
    assert quota == "34", "the 30 of the tenant, and the probe pods of a proof"
    assert maker.sql("SELECT has_database_privilege('public', 'handled', 'CONNECT')") == [(False,)]
    assert clients.s3.get_bucket_policy(Bucket=f"{maker.cluster_id}-handled")["Policy"]
    assert kubectl("-n", APPS, "get", "networkpolicy", "own-applications", "-o", "name").strip()


@pytest.mark.long(seconds=30)
def test_the_status_says_what_each_part_uses_and_what_is_missing(maker: SiteMaker) -> None:
    site = maker.site(tenant("looked-at"))

    assert look(maker, site, "looked-at").problems == ("not applied yet",)
    apply(site, "looked-at")
    healthy = look(maker, site, "looked-at")
    maker.world.kubectl("delete", "namespace", "looked-at-data", "--wait=true")
    broken = look(maker, site, "looked-at")

    assert healthy.problems == ()
    assert healthy.health is not None
    assert [item.phase for item in healthy.health.namespaces] == ["Active", "Active"]
    assert "pods" in {use.resource for use in healthy.health.namespaces[0].quota}
    assert healthy.health.database is not None
    assert healthy.health.database.usage is not None
    assert healthy.health.database.usage.size_bytes > 0
    assert healthy.health.bucket is not None
    assert healthy.health.bucket.usage is not None
    assert "namespace looked-at-data is missing" in broken.problems
    assert not broken.is_well


@pytest.mark.long(seconds=35)
def test_a_solution_that_somebody_scaled_or_edited_is_mended_by_apply(maker: SiteMaker) -> None:
    site = maker.site(builders.cooperative("scaled", solutions=(SolutionChoice(name="portal"),)))
    apply(site, "scaled", wait_seconds=0)
    kubectl = maker.world.kubectl
    kubectl("-n", "scaled-apps", "scale", "deployment", "portal", "--replicas=0")
    kubectl("-n", "scaled-apps", "rollout", "restart", "deployment", "portal")

    found = look(maker, site, "scaled")
    apply(site, "scaled", wait_seconds=0)
    mended = look(maker, site, "scaled")

    assert [(change.resource, [field.path for field in change.fields]) for change in found.drift.resources] == [
        ("solution-portal:scaled-apps/portal", ["spec.replicas"])
    ]
    assert not mended.drift.any, mended.drift
    assert kubectl("-n", "scaled-apps", "get", "deployment", "portal", "-o", "jsonpath={.spec.replicas}") != "0"
    owners = kubectl("-n", "scaled-apps", "get", "deployment", "portal", "-o", "json", "--show-managed-fields")
    assert "coopctl" in {entry["manager"] for entry in json.loads(owners)["metadata"]["managedFields"]}
