"""When a switch is refused or fails: what stands in the way is named, and the applications work on as before."""

import json
import os
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from provisioner.descriptor.estate import Estate
from provisioner.errors import ProblemsFound
from provisioner.migration.postgres_sides import conninfo
from provisioner.naming import replication_names
from provisioner.operations.migration_returning import roll_back
from provisioner.operations.migration_site import open_migration
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import HOME, NAME, Switching
from tests.postgres_servers import as_user

FENCE_CLOSED = "provisioner.migration.postgres_cutover:close_fence"
pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=120)]


def _works_at_home(world: Switching) -> None:
    """Rows and objects are taken at the source and nothing else moved."""
    side = as_user(world.source, f"{world.source.database}_app", "app-secret")
    with psycopg.connect(conninfo(side), autocommit=True) as connection:
        connection.execute("INSERT INTO lots (code) VALUES ('at home')")
    world.bucket.put("at-home", b"1")
    assert world.led_to()["postgres"] == HOME


def test_a_switch_is_refused_before_a_verification_and_outside_its_window(switching: Switching) -> None:
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 6
    assert switching.run("migrate", "start", NAME)[0] == 0
    assert switching.run("migrate", "cutover", NAME)[0] == 2
    code, _, said = switching.run("migrate", "cutover", NAME, "--yes")
    assert code == 11
    assert "it is not verified yet" in said
    assert f"coopctl migrate verify {NAME}" in said
    assert switching.run("migrate", "verify", NAME)[0] == 0
    window = "{window: {from: 2016-12-05T22:00+09:00, to: 2016-12-06T04:00+09:00}}"
    switching.write_migration(cutover=window)
    code, _, said = switching.run("migrate", "cutover", NAME, "--yes")
    assert code == 11
    assert "now is outside its window, 2016-12-05T22:00:00+09:00 to 2016-12-06T04:00:00+09:00" in said
    _works_at_home(switching)


def test_what_the_applications_would_not_find_again_is_named(switching: Switching) -> None:
    switching.prepare()
    names = switching.bucket.tenant.names
    secret = switching.cluster.objects[f"/api/v1/namespaces/{names.apps_namespace}/secrets/data-store"]["data"]
    secret["AWS_SECRET_ACCESS_KEY"] = "bm90IHRoaXM="  # another key than the target knows
    code, _, said = switching.run("migrate", "cutover", NAME, "--yes")
    assert code == 11
    assert "the applications' access key may not write to" in said
    assert f"make the identity {names.objects_identity} on the target's S3 server" in said
    assert "bm90" not in said
    _works_at_home(switching)


def test_a_target_that_is_too_far_behind_is_not_switched_to(switching: Switching) -> None:
    switching.write_migration(cutover="{maxLag: 1kB}")
    switching.prepare()
    name = replication_names(switching.bucket.tenant.names.uid).subscription
    switching.on_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    switching.on_source("INSERT INTO lots (code) SELECT 'far ' || n FROM generate_series(1, 500) n")
    code, _, said = switching.run("migrate", "cutover", NAME, "--yes")
    assert code == 11
    assert "bytes behind, more than maxLag, " in said
    _works_at_home(switching)


def test_a_difference_before_the_fence_leaves_it_open(switching: Switching) -> None:
    switching.prepare()
    switching.on_target("CREATE TABLE theirs (id int)")
    with writing(switching.source) as client:
        client.until(20)
        code, _, said = switching.run("migrate", "cutover", NAME, "--yes")
        assert code == 11, said
        assert "theirs" in said
        client.until(20)
    assert_each_once(client, switching.on_source(WRITTEN))
    _works_at_home(switching)
    switching.on_target("DROP TABLE theirs")
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0


def test_a_difference_behind_the_fence_lifts_it_and_nothing_is_switched(switching: Switching) -> None:
    switching.prepare()
    with writing(switching.source) as client:
        client.until(20)
        code, said = switching.spoiled("cutover", after=FENCE_CLOSED, statement="CREATE TABLE theirs (id int)")
        assert code == 11, said
        assert "theirs" in said
        client.until(20)
    assert_each_once(client, switching.on_source(WRITTEN))
    _works_at_home(switching)
    assert (switching.record()["moved"], switching.record()["moving"]) == (False, False)
    switching.on_target("DROP TABLE theirs")
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0


def test_after_the_switch_nothing_is_copied_over_what_the_applications_wrote(switching: Switching) -> None:
    switching.prepare()
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
    for command in (("start",), ("abort", "--yes")):
        code, _, said = switching.run("migrate", command[0], NAME, *command[1:])
        assert code == 1
        assert f"{NAME} is switched: the applications write on the target" in said
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
    environment = {**os.environ, **switching.environment}
    site = open_migration(Estate(root=switching.root), NAME, environment=environment)
    with pytest.raises(ProblemsFound, match="the way back was kept until"):
        roll_back(site, now=lambda: datetime.now(UTC) + timedelta(days=31), report=lambda _: None)


def test_a_finished_move_leaves_an_encrypted_dump_and_no_way_back(switching: Switching) -> None:
    switching.prepare()
    assert switching.run("migrate", "finalise", NAME, "--yes")[0] == 11
    assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
    assert switching.killed("finalise", at="before:provisioner.operations.migration_finalising:take_final_dump")[0] < 0
    code, _, said = switching.run("migrate", "rollback", NAME, "--yes")
    assert code == 11
    assert f"the way back of {NAME} was given up" in said
    code, out, said = switching.run("migrate", "finalise", NAME, "--yes", "--output", "json")
    assert code == 0, out + said
    found = json.loads(out)
    assert switching.leftovers() == []
    assert switching.record()["final"]
    database = f"{switching.source.database}_app"
    assert any(database in one for one in found["renewed"])
    assert any("access key of" in one for one in found["renewed"]), "the target's server lets it be changed"
    assert not any(database in one for one in found["rotate"])
    assert switching.record()["place"]["rotation"] == 1
    files = [file for file in (switching.root / "dumps").rglob("*") if file.is_file()]
    assert any(file.read_bytes().startswith(b"age-encryption.org") for file in files)
    assert switching.run("migrate", "rollback", NAME, "--yes")[0] == 6
