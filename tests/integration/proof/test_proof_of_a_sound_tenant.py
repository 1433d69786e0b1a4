"""A tenant as it was applied: every attack is blocked by its guard, every control works, and nothing is left behind."""

import os
from typing import Any

import pytest

from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_clients import open_clients
from provisioner.plan.resources import RoleKind
from provisioner.proof.attempts import Area
from provisioner.proof.verdicts import Ending, problems
from provisioner.rules.registry import RULES
from provisioner.rules.rule import Enforcement
from tests.integration.proof.conftest import ProvedWorld
from tests.integration.proof.traces import traces
from tests.proof_mutations import NEIGHBOUR, OWN

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
# The API server itself takes no privileged container, and leaves a field out that a feature gate guards; pods run on no
# node here, so that none can be given another container.
NOT_TRIED = {"privileged", "windows-host-process", "foreign-source", "ephemeral-containers", "own-target"}


@pytest.fixture(scope="module")
def findings(proved: ProvedWorld) -> Any:
    """One whole proof."""
    return proved.prove()


def test_nothing_gets_through_and_every_control_works(findings: Any) -> None:
    assert [f"{one.about.id}: {one.verdict}" for one in problems(findings)] == []
    assert {one.about.area for one in findings} == set(Area) - {Area.PODS}


def test_every_rule_of_the_cluster_blocked_something(findings: Any) -> None:
    rules = {rule.id for rule in RULES if rule.enforcement is Enforcement.ADMISSION_POLICY}
    blocked = {one.verdict.by.rule for one in findings if one.verdict.ending is Ending.BLOCKED}
    assert rules - blocked <= NOT_TRIED
    security = {rule.id for rule in RULES if rule.enforcement is Enforcement.POD_SECURITY}
    tried = {
        one.about.id.rpartition("/")[2].rpartition("-")[0] for one in findings if one.verdict.ending is Ending.BLOCKED
    }
    assert security - tried <= NOT_TRIED


def test_every_role_whose_password_is_delivered_attacked(findings: Any) -> None:
    who = {one.about.id.split("/")[1] for one in findings if one.about.area is Area.DATABASE}
    assert {str(kind) for kind in RoleKind if kind is not RoleKind.OWNER} <= who


def test_both_tenants_can_be_proved_at_the_same_time_and_leave_nothing_behind(proved: ProvedWorld) -> None:
    databases = [name.replace("-", "_") for name in (OWN, NEIGHBOUR)]
    before = traces(proved.api, platform=proved.platform, databases=databases)
    for name in (OWN, NEIGHBOUR):
        assert problems(proved.prove(name)) == ()
    assert traces(proved.api, platform=proved.platform, databases=databases) == before


def test_a_full_quota_neither_stops_a_proof_nor_hides_a_hole(proved: ProvedWorld) -> None:
    quota = proved.guard("ResourceQuota", name="tenant")
    proved.api.merge(proved.path(quota), {"spec": {"hard": {"pods": "0", "count/deployments.apps": "0"}}})
    try:
        found = proved.requests(lambda one: "/Pod/" in one.about.id or "/Deployment/" in one.about.id)
        assert [one.about.id for one in found] == []
    finally:
        proved.put(quota)


def test_objects_of_a_neighbour_are_not_even_seen(proved: ProvedWorld) -> None:
    clients = open_clients(objects_access(proved.platform.objects), environment=os.environ)
    bucket = f"{proved.plan().cluster}-{NEIGHBOUR}"
    made = clients.s3.put_object(Bucket=bucket, Key="accounts/2026", Body=b"theirs")
    try:
        looks = [one for one in proved.prove() if "looks at an object" in one.about.what]
        assert [one.verdict.ending for one in looks] == [Ending.BLOCKED] * 2
    finally:
        clients.s3.delete_object(Bucket=bucket, Key="accounts/2026", VersionId=made["VersionId"])
