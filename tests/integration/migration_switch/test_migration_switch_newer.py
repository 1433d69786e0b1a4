"""From PostgreSQL 15 to 18 by the commands alone: there, back with what was written, there again, for good."""

from dataclasses import replace

import pytest

from examples.writing_client import WritingClient
from provisioner.migration.journal import journal_file, read
from provisioner.migration.journal_entries import RunEnding
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import AWAY, HOME, NAME, Switching

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=150)]


def _succeed(world: Switching, command: str, *options: str) -> None:
    code, shown, said = world.run("migrate", command, NAME, *options)
    assert code == 0, shown + said


def _until_now(client: WritingClient) -> WritingClient:
    """What it was told so far, while it writes on."""
    return replace(client, acknowledged=dict(list(client.acknowledged.items())))


def _empty_target(world: Switching) -> None:
    """What the cooperative does on its own servers before its data store comes a second time."""
    database, bucket, s3 = world.target.database, world.bucket.name, world.target_admin.s3
    world.target_server.execute(f"DROP DATABASE {database} WITH (FORCE)")
    world.target_server.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    world.target_server.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    listed = s3.list_object_versions(Bucket=bucket)
    for one in (*listed.get("Versions", ()), *listed.get("DeleteMarkers", ())):
        s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
    s3.delete_bucket_policy(Bucket=bucket)


def test_a_data_store_goes_to_18_comes_back_and_goes_again_for_good(switching_to_newer: Switching) -> None:
    world = switching_to_newer
    world.prepare()
    with writing(world.source, world.target) as client:
        client.until(100)
        _succeed(world, "cutover", "--yes")
        client.until(100)
        _succeed(world, "verify")
        assert_each_once(_until_now(client), world.on_target(WRITTEN))
        _succeed(world, "rollback", "--yes")
        client.until(100)
        assert_each_once(_until_now(client), world.on_source(WRITTEN))
        assert world.led_to()["postgres"] == HOME
        code, shown, said = world.run("migrate", "start", NAME)
        assert code != 0
        assert "not empty" in shown + said, "nothing is copied over what the target has kept"
        _empty_target(world)
        world.prepare()
        _succeed(world, "cutover", "--yes")
        client.until(100)
        _succeed(world, "finalise", "--yes")
    assert_each_once(client, world.on_target(WRITTEN))
    assert {told.server // 10_000 for told in client.acknowledged.values()} == {15, 18}
    assert world.led_to()["postgres"] == AWAY
    assert world.leftovers() == []
    record = read(journal_file(world.root / ".coopctl", NAME))
    assert record is not None
    assert [run.ending for run in record.runs] == [RunEnding.ROLLED_BACK, RunEnding.FINALISED]
