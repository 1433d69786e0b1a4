"""A cooperative switches while its application writes, goes back with what it wrote there, and goes again for good."""

import pytest

from provisioner.migration.journal import journal_file, read
from provisioner.migration.journal_entries import RunEnding
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import (
    AWAY,
    AWAY_OBJECTS,
    HOME,
    HOME_OBJECTS,
    NAME,
    Switching,
)

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=120)]


def test_applications_go_on_at_the_target_and_come_back_with_what_they_wrote(switching: Switching) -> None:
    switching.prepare()
    with writing(switching.source, switching.target) as client:
        client.until(200)
        switching.bucket.put("scans/late", b"late")
        code, found = switching.json("migrate", "cutover", NAME, "--yes")
        assert code == 0
        assert found["outageSeconds"] > 0
        client.until(50)
    assert_each_once(client, switching.on_target(WRITTEN))
    assert switching.led_to() == {"postgres": AWAY, "objects": AWAY_OBJECTS}
    assert switching.reachable() == {"to-postgres": [f"{AWAY[0]}/32"], "to-objects": [f"{AWAY_OBJECTS[0]}/32"]}
    assert switching.target_bodies() == switching.bucket.bodies()
    assert (switching.record()["moved"], switching.record()["moving"]) == (True, False)


def test_what_was_written_at_the_target_comes_home(switching: Switching) -> None:
    # As in every tenant's database nobody enters the schema unasked, and an administrator has a table in it.
    application = f"{switching.source.database}_app"
    switching.on_source(f"REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {application}")
    switching.on_source("CREATE TABLE administrators (id int PRIMARY KEY)")
    switching.prepare()
    with writing(switching.source, switching.target) as client:
        client.until(20)
        assert switching.run("migrate", "cutover", NAME, "--yes")[0] == 0
        client.until(100)
        switching.on_target("INSERT INTO administrators VALUES (1)")
        switching.target_app.s3.put_object(Bucket=switching.bucket.name, Key="scans/there", Body=b"there")
        switching.target_app.s3.delete_object(Bucket=switching.bucket.name, Key="scans/1")
        code, found = switching.json("migrate", "relay", NAME)
        assert code == 0
        assert found["rows"]["transactions"] >= 100
        client.until(100)
        code, found = switching.json("migrate", "rollback", NAME, "--yes")
        assert (code, found["returned"]) == (0, True)
        client.until(50)
    assert_each_once(client, switching.on_source(WRITTEN))
    assert switching.on_source("SELECT id FROM administrators") == [(1,)]
    assert switching.led_to() == {"postgres": HOME, "objects": HOME_OBJECTS}
    assert switching.reachable() == {"to-postgres": [f"{HOME[0]}/32"], "to-objects": [f"{HOME_OBJECTS[0]}/32"]}
    assert switching.bucket.bodies()["scans/there"] == [b"there"]
    assert switching.bucket.bodies()["scans/1"][-1] is None
    switching.bucket.put("scans/home", b"home")
    assert switching.leftovers() == []
    assert (switching.record()["moved"], switching.record()["moving"]) == (False, False)
    record = read(journal_file(switching.root / ".coopctl", NAME))
    assert record is not None
    assert [run.ending for run in record.runs] == [RunEnding.ROLLED_BACK]
