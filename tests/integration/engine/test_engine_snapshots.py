"""Snapshots of the servers: what compares equal in them was touched by nobody."""

import os

import pytest

from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_clients import open_clients
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.snapshots import changed, settled_snapshot

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
LABELLED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: touched, namespace: touched-apps, labels: {app.kubernetes.io/managed-by: coopctl}}
data: {word: WORD}
"""


@pytest.mark.long(seconds=30)
def test_a_snapshot_shows_a_change_of_each_sort(cli_estate: CliEstate) -> None:
    cli_estate.write("touched")
    cli_estate.done("apply", "touched", "--yes")
    maker, bucket = cli_estate.maker, f"{cli_estate.maker.cluster_id}-touched"
    clients = open_clients(objects_access(maker.platform().objects), environment=os.environ)
    ours = ("apply", "--server-side", "--field-manager=coopctl", "-f", "-")
    maker.world.kubectl(*ours, stdin=LABELLED)
    before = settled_snapshot(maker)

    # A ConfigMap has no generation: only the fields that we own, and their times, tell.
    maker.world.kubectl(*ours, stdin=LABELLED.replace("data: {word", "data: {other"))
    maker.world.kubectl("-n", "touched-apps", "create", "configmap", "new")
    maker.world.kubectl("-n", "touched-data", "delete", "networkpolicy", "dns")
    maker.sql("GRANT CONNECT ON DATABASE touched TO PUBLIC")
    maker.sql("ALTER ROLE touched_reader CONNECTION LIMIT 99")
    clients.s3.delete_bucket_policy(Bucket=bucket)
    clients.iam.create_access_key(UserName=bucket)

    assert changed(before, settled_snapshot(maker)) == {
        "v1 ConfigMap touched-apps/touched",
        "v1 ConfigMap touched-apps/new",
        "networking.k8s.io/v1 NetworkPolicy touched-data/dns",
        "database touched",
        "role touched_reader",
        f"bucket {bucket}",
        f"identity {bucket}",
    }


@pytest.mark.long(seconds=30)
def test_a_grant_inside_a_database_shows_in_its_snapshot(cli_estate: CliEstate) -> None:
    maker = cli_estate.maker
    with maker.foreign_database("looked_into"):
        before = settled_snapshot(maker)

        maker.sql("CREATE TABLE shown (word text)", database="looked_into")
        between = settled_snapshot(maker)
        maker.sql("GRANT SELECT ON shown TO PUBLIC", database="looked_into")

        assert changed(before, between) == {"database looked_into"}
        assert changed(between, settled_snapshot(maker)) == {"database looked_into"}
