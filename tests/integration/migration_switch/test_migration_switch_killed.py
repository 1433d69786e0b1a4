"""The commands of the switch are killed at every boundary, while an application writes: the same command goes on."""

import signal

import pytest

from examples.writing_client import WritingClient
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import AWAY, HOME, NAME, Switching

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=240)]

POSTGRES = "provisioner.migration.postgres_cutover"
CUTTING = "provisioner.operations.migration_cutting"
RETURNING = "provisioner.operations.migration_returning"
BACK = "provisioner.migration.postgres_rollback"
TENANCY = "provisioner.operations.migration_tenancy"
CUTOVER_BOUNDARIES = (
    f"after:{TENANCY}:Tenancy.widen",
    f"after:{TENANCY}:Tenancy.note",
    f"after:{CUTTING}:_last_objects",
    f"after:{CUTTING}:look_ahead",
    f"after:{POSTGRES}:refresh_roles",
    f"after:{POSTGRES}:compare_ahead",
    f"before:{POSTGRES}:close_fence",
    f"after:{POSTGRES}:close_fence",
    f"after:{POSTGRES}:drain",
    f"after:{POSTGRES}:carry_rest",
    f"after:{POSTGRES}:_verification",
    f"after:{POSTGRES}:start_reverse",
    f"before:{POSTGRES}:open_target",
    f"after:{POSTGRES}:open_target",
    f"before:{TENANCY}:Tenancy.lead",
    f"after:{TENANCY}:Tenancy.lead",
    f"after:{POSTGRES}:unsubscribe",
    f"after:{POSTGRES}:unpublish",
    f"before:{CUTTING}:_lead_away",
    f"before:{TENANCY}:Tenancy.narrow",
    f"after:{TENANCY}:Tenancy.narrow",
)
ROLLBACK_BOUNDARIES = (
    f"after:{RETURNING}:bring_rows_back",
    f"after:{BACK}:remember_changes",
    f"after:{RETURNING}:look_back",
    f"after:{TENANCY}:Tenancy.widen",
    f"after:{RETURNING}:_compared",
    f"before:{BACK}:close_fence",
    f"after:{BACK}:close_fence",
    f"after:{BACK}:_drain_back",
    f"after:{BACK}:verify_changed",
    f"after:{RETURNING}:prove_return",
    f"before:{RETURNING}:complete_return",
    f"after:{BACK}:end_reverse",
    f"after:{RETURNING}:complete_return",
    f"after:{TENANCY}:Tenancy.lead",
    f"before:{TENANCY}:Tenancy.narrow",
    f"after:{TENANCY}:Tenancy.narrow",
)


def _walk(switching: Switching, command: str, boundaries: tuple[str, ...], client: WritingClient) -> None:
    """Killed at each boundary in turn, the next run goes on or begins again; the last one ends."""
    for boundary in boundaries:
        code, said = switching.killed(command, at=boundary)
        assert code == -signal.SIGKILL, f"{boundary}: {said}"
    code, shown, said = switching.run("migrate", command, NAME, "--yes")
    assert code == 0, shown + said
    client.until(20)


def test_a_switch_that_is_killed_everywhere_loses_and_doubles_nothing(switching: Switching) -> None:
    switching.prepare()
    with writing(switching.source, switching.target, per_second=20) as client:
        client.until(20)
        _walk(switching, "cutover", CUTOVER_BOUNDARIES, client)
    assert_each_once(client, switching.on_target(WRITTEN))
    assert switching.led_to()["postgres"] == AWAY
    assert set(switching.reachable()) == {"to-postgres", "to-objects"}
    assert (switching.record()["moved"], switching.record()["moving"]) == (True, False)
    switching.target_app.s3.put_object(Bucket=switching.bucket.name, Key="there", Body=b"1")


def test_a_return_that_is_killed_everywhere_loses_and_doubles_nothing(switching: Switching) -> None:
    switching.prepare()
    with writing(switching.source, switching.target, per_second=20) as client:
        assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
        client.until(20)
        switching.target_app.s3.put_object(Bucket=switching.bucket.name, Key="there", Body=b"1")
        _walk(switching, "rollback", ROLLBACK_BOUNDARIES, client)
    assert_each_once(client, switching.on_source(WRITTEN))
    assert switching.led_to()["postgres"] == HOME
    assert set(switching.reachable()) == {"to-postgres", "to-objects"}
    assert switching.leftovers() == []
    assert (switching.record()["moved"], switching.record()["moving"]) == (False, False)
    assert switching.bucket.bodies()["there"] == [b"1"]
    switching.bucket.put("home", b"1")


@pytest.mark.parametrize("boundary", [f"after:{TENANCY}:Tenancy.note", f"after:{POSTGRES}:start_reverse"])
def test_a_cutover_that_was_killed_is_undone_by_a_rollback(switching: Switching, boundary: str) -> None:
    switching.prepare()
    with writing(switching.source, switching.target, per_second=20) as client:
        client.until(20)
        assert switching.killed("cutover", at=boundary)[0] == -signal.SIGKILL
        assert switching.record()["moving"]
        code, shown, said = switching.run("migrate", "rollback", NAME, "--yes")
        assert code == 0, shown + said
        client.until(20)
    assert_each_once(client, switching.on_source(WRITTEN))
    assert switching.led_to()["postgres"] == HOME
    assert switching.leftovers() == []
    assert not switching.record()["moving"]
    switching.bucket.put("home", b"1")


def test_offline_a_switch_that_was_killed_begins_again_and_comes_back(switching: Switching) -> None:
    switching.write_migration(mode="offline")
    switching.prepare()
    with writing(switching.source, switching.target, per_second=20) as client:
        client.until(20)
        for boundary in (f"after:{POSTGRES}:close_fence", f"after:{POSTGRES}:copy_database"):
            code, said = switching.killed("cutover", at=boundary)
            assert code == -signal.SIGKILL, said
        code, shown, said = switching.run("migrate", "cutover", NAME, "--yes")
        assert code == 0, shown + said
        client.until(20)
        assert_each_once(client, switching.on_target(WRITTEN))
        code, shown, said = switching.run("migrate", "rollback", NAME, "--yes")
        assert code == 0, shown + said
        client.until(20)
    assert_each_once(client, switching.on_source(WRITTEN))
    assert switching.led_to()["postgres"] == HOME
    assert switching.leftovers() == []
