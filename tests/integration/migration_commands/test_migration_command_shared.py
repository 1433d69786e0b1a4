"""A migration of a team, its state in a bucket: another machine is refused, looks on, and goes on after a kill."""

import time
from collections.abc import Iterator

import pytest

from provisioner.migration.journal import journal_file
from tests.integration.conftest import Between
from tests.integration.migration_commands.conftest import NAME, World
from tests.integration.migration_commands.teams import PREFIX, Team
from tests.integration.migration_commands.waiting import slot_waits, until_it_copies

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=200)]
EXPIRES_MOST_SECONDS = 150.0


@pytest.fixture
def team(moving: World, between: Between) -> Iterator[Team[World]]:
    made = Team(between.objects, moving)
    yield made
    made.remove()


def test_another_machine_goes_on_when_the_first_was_killed_in_mid_copy(
    team: Team[World], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, second = team.first, team.machine(tmp_path_factory.mktemp("second") / "estate")
    with slot_waits(first), first.start("migrate", "start", NAME) as process:
        reader = until_it_copies(process)
        code, _, said = second.run("migrate", "start", NAME)
        assert code == 13, said
        assert f"(process {process.pid})" in said
        assert "its lease ends by itself" in said
        code, status = second.json("migrate", "status", NAME)
        assert (code, status["run"]["open"], status["holder"]["pid"]) == (0, True, process.pid)
        assert status["holder"]["holds"]
        process.kill()
        reader.join()

    code, _, said = _when_the_lease_has_ended(second, "migrate", "start", NAME)
    assert code == 0, said
    assert second.on_target("SELECT count(*), count(DISTINCT id) FROM lots") == [(2000, 2000)]
    assert second.on_target("SELECT count(*) FROM notes") == [(3,)]
    assert len(second.target_bucket.bodies()) == 3
    # The first one comes back, and works on what the second has done.
    code, found = first.json("migrate", "verify", NAME)
    assert (code, found["clean"]) == (0, True), found
    code, found = second.json("migrate", "status", NAME)
    assert found["holder"] is None
    assert {"step": "rehearse-verification", "phase": "verify", "state": "done"} in found["run"]["steps"]
    _nothing_is_told(team)
    assert second.run("migrate", "abort", NAME, "--yes")[0] == 0
    assert first.leftovers() == []
    assert first.target_bucket.bodies() == {}
    assert first.run("migrate", "report", NAME)[0] == 0


def test_a_rehearsal_with_its_journal_in_the_state_is_known_to_every_machine(
    team: Team[World], tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, found = team.first.json("migrate", "rehearse", NAME)
    assert (code, found["clean"], found["cleaned"]) == (0, True, True)

    other = team.machine(tmp_path_factory.mktemp("other") / "estate")
    code, found = other.json("migrate", "status", NAME)

    assert (code, found["run"]["kind"], found["run"]["ending"]) == (0, "rehearsal", "passed")
    assert not journal_file(other.root / ".coopctl", NAME).exists(), "who only looks writes nothing"
    names = sorted(key.removeprefix(f"{PREFIX}/coopctl/migrations/{NAME}/") for key in team.contents())
    assert [name.rpartition(".")[0] for name in names] == [
        "lease",
        f"{NAME}.catalogue.json",
        f"{NAME}.journal",
        f"{NAME}.survey.json",
    ]


def _when_the_lease_has_ended(world: World, *arguments: str) -> tuple[int, str, str]:
    deadline = time.monotonic() + EXPIRES_MOST_SECONDS
    while (found := world.run(*arguments))[0] == 13 and time.monotonic() < deadline:
        time.sleep(3)
    return found


def _nothing_is_told(team: Team[World]) -> None:
    """No credential is in the state."""
    world = team.first
    known = [world.environment["SOURCE_PASSWORD"], world.target.password.reveal(), world.environment["TARGET_KEY"]]
    contents = team.contents()
    assert any(key.endswith("lease.json") for key in contents)
    assert not [key for key, content in contents.items() for secret in known if secret.encode() in content]
