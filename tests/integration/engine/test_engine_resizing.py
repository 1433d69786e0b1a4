"""Another size: the plan names exactly the fields that change, apply changes those, and all else stays as it is."""

import json
from typing import Any

import pytest

from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.snapshots import changed, settled_snapshot

pytestmark = [pytest.mark.cluster, pytest.mark.servers]

# What the template `services` says of medium beside small, for one member with nine employees. A pod may have twice
# what a container may; the complete quota has room for four probe pods of 250m, 128Mi and 1Mi of scratch as well.
LARGER_CONTAINERS = {
    "spec.limits[0].max.cpu": ("2", "4"),
    "spec.limits[0].max.memory": ("2Gi", "4Gi"),
    "spec.limits[1].max.cpu": ("4", "8"),
    "spec.limits[1].max.memory": ("4Gi", "8Gi"),
    "spec.limits[2].max.storage": ("10Gi", "50Gi"),
}
EXPECTED = {
    "apps-limitrange-tenant": LARGER_CONTAINERS,
    "data-limitrange-tenant": LARGER_CONTAINERS,
    "apps-resourcequota-solutions": {
        "spec.hard.pods": ("18", "30"),
        'spec.hard["limits.cpu"]': ("4", "8"),
        'spec.hard["limits.memory"]': ("6Gi", "12Gi"),
        'spec.hard["requests.cpu"]': ("2", "4"),
        'spec.hard["requests.memory"]': ("4Gi", "8Gi"),
    },
    "apps-resourcequota-tenant": {
        "spec.hard.pods": ("22", "34"),
        'spec.hard["count/deployments.apps"]': ("12", "20"),
        'spec.hard["count/replicasets.apps"]': ("120", "200"),
        'spec.hard["limits.cpu"]': ("5", "9"),
        'spec.hard["limits.ephemeral-storage"]': ("12292Mi", "24580Mi"),
        'spec.hard["limits.memory"]': ("6656Mi", "12800Mi"),
        'spec.hard["requests.cpu"]': ("3", "5"),
        'spec.hard["requests.ephemeral-storage"]': ("4Gi", "8Gi"),
        'spec.hard["requests.memory"]': ("4608Mi", "8704Mi"),
        'spec.hard["requests.storage"]': ("20Gi", "50Gi"),
    },
}


def told(document: str) -> dict[str, dict[str, tuple[str, str]]]:
    """The changed fields of each resource in an answer about one stack; all of them are updates."""
    (stack,) = json.loads(document)["stacks"]
    assert {resource["operation"] for resource in stack["resources"]} == {"update"}
    return {resource["resource"]: _fields(resource) for resource in stack["resources"]}


def _fields(resource: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {field["path"]: (field["before"], field["after"]) for field in resource["fields"]}


@pytest.mark.long(seconds=50)
def test_another_size_changes_exactly_the_fields_that_the_plan_names_and_nothing_else(cli_estate: CliEstate) -> None:
    cli_estate.write("growing", size="small", solutions=["portal"])
    cli_estate.done("apply", "growing", "--yes", "--timeout", "0")
    before = settled_snapshot(cli_estate.maker)

    cli_estate.write("growing", size="medium", solutions=["portal"])
    planned = told(cli_estate.done("plan", "growing", "--output", "json"))
    unchanged = settled_snapshot(cli_estate.maker)
    applied = told(cli_estate.done("apply", "growing", "--yes", "--timeout", "0", "--output", "json"))
    after = settled_snapshot(cli_estate.maker)

    assert planned == EXPECTED
    assert unchanged == before
    assert applied == EXPECTED
    assert changed(before, after) == {
        "v1 LimitRange growing-apps/tenant",
        "v1 LimitRange growing-data/tenant",
        "v1 ResourceQuota growing-apps/solutions",
        "v1 ResourceQuota growing-apps/tenant",
    }
    # What is compared is there: objects of every kind, database, roles, bucket and identity.
    assert {"apps/v1 Deployment growing-apps/portal", "database growing", "role growing_app"} <= set(after)
    bucket = f"{cli_estate.maker.cluster_id}-growing"
    assert {f"bucket {bucket}", f"identity {bucket}"} <= set(after)
    quota = cli_estate.maker.world.kubectl("-n", "growing-apps", "get", "quota", "tenant", "-o", "json")
    assert json.loads(quota)["spec"]["hard"]["pods"] == "34"
