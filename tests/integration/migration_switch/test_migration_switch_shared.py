"""The state is in a bucket, and every command is called on another machine, which knows nothing but what lies there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.datastore.marks import to_comment
from tests.conftest import Servers
from tests.integration.migration_commands.teams import Team
from tests.integration.migration_switch.conftest import AWAY, AWAY_OBJECTS, HOME, HOME_OBJECTS, NAME, Switching

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=200)]
Machines = tuple[Switching, Switching, Switching]


@pytest.fixture
def machines(
    switching: Switching, source_objects: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machines]:
    """Three of one team; dumps lie where all of them see them."""
    folder, platform = tmp_path_factory.mktemp("machines"), switching.root / "platform.yaml"
    platform.write_text(platform.read_text().replace("location: dumps", f"location: {folder / 'dumps'}"))
    _passphrase(switching.root)
    team = Team(source_objects, switching)
    yield switching, team.machine(folder / "second"), team.machine(folder / "third")
    team.remove()


def test_a_switch_and_the_way_back_go_on_from_what_another_machine_did(machines: Machines) -> None:
    first, second, third = machines
    first.prepare()
    code, found = second.json("migrate", "cutover", NAME, "--yes")
    assert code == 0, found
    assert first.led_to() == {"postgres": AWAY, "objects": AWAY_OBJECTS}
    first.on_target("INSERT INTO lots (code) VALUES ('there')")
    first.target_app.s3.put_object(Bucket=first.bucket.name, Key="scans/there", Body=b"there")

    code, _, said = first.run("migrate", "relay", NAME)
    assert code == 0, said
    first.target_app.s3.delete_object(Bucket=first.bucket.name, Key="scans/1")
    assert third.run("migrate", "verify", NAME)[0] == 0
    code, found = third.json("migrate", "rollback", NAME, "--yes")

    assert (code, found["returned"]) == (0, True)
    assert first.led_to() == {"postgres": HOME, "objects": HOME_OBJECTS}
    assert first.on_source("SELECT count(*) FROM lots WHERE code = 'there'") == [(1,)]
    assert first.bucket.bodies()["scans/there"] == [b"there"]
    assert first.bucket.bodies()["scans/1"][-1] is None
    assert first.leftovers() == []
    assert second.json("migrate", "status", NAME)[1]["run"]["ending"] == "rolled-back"


def test_a_move_that_ended_elsewhere_is_erased_and_reported_from_anywhere(machines: Machines) -> None:
    first, second, third = machines
    names = first.bucket.tenant.names
    for role in (names.application_role, names.owner_role):
        first.source_server.execute(f"COMMENT ON ROLE {role} IS '{to_comment(first.bucket.tenant.mark)}'")
    first.prepare()
    assert second.run("migrate", "cutover", NAME, "--yes")[0] == 0
    code, _, said = third.run("migrate", "finalise", NAME, "--yes")
    assert code == 0, said
    code, _, said = second.run("migrate", "erase", NAME, "--yes")
    assert (code, "the platform's copy is kept until" in said) == (11, True)

    code, shown, said = second.run("migrate", "erase", NAME, "--yes", "--early")

    assert code == 0, shown + said
    code, report = first.json("migrate", "report", NAME)
    assert code == 0
    assert report["erasure"]["proof"]
    databases = [name for (name,) in first.source_server.execute("SELECT datname FROM pg_database")]
    assert names.database not in databases


def test_a_switch_that_was_killed_is_ended_by_another_machine(machines: Machines) -> None:
    first, second, _ = machines
    first.prepare()
    code, said = first.killed("cutover", at="after:provisioner.operations.migration_cutting:cut_over")
    assert code == -9, said
    second.wait_for(lambda: second.run("migrate", "cutover", NAME, "--yes")[0] == 0, seconds=150)
    assert second.led_to() == {"postgres": AWAY, "objects": AWAY_OBJECTS}
    assert second.run("migrate", "rollback", NAME, "--yes")[0] == 0


def _passphrase(root: Path) -> None:
    file = root / ".coopctl" / "passphrase"
    file.parent.mkdir(exist_ok=True)
    file.write_text("secret")
    file.chmod(0o600)
