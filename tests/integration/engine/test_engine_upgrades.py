"""A solution's upgrade that fails half-way, or is killed: the version before serves, and nothing written is lost.

Every moment is tried where Pulumi and cluster are played, which is quick: tests/integration/test_upgrading.py.
"""

import itertools
from typing import TYPE_CHECKING

import psycopg
import pytest

from provisioner.datastore.dump_layout import MANIFEST_FILE
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import Kill, close, dying, kill, places, require_killed, working_folder
from tests.integration.engine.tea import TeaEstate

if TYPE_CHECKING:
    import subprocess

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
HALF = ("ALTER TABLE cups ADD COLUMN sugar int", "DELETE FROM cups", "CREATE TABLE saucers (number int)")
PLACES = (
    "provisioner.operations.upgrading:_prepared",
    "provisioner.operations.upgrade_store:copy_and_dump",
    "provisioner.datastore.upgrade_dump:make_copy",
    "provisioner.operations.upgrading:_carried_out",
    "provisioner.operations.upgrading:await_solutions",
    "provisioner.operations.upgrading:note_begun_is_whole",
)
PLACES_OF_RETURNING = (
    "provisioner.operations.upgrading:end_jobs",
    "provisioner.operations.upgrading:_with_database_back",
    "provisioner.datastore.postgres_copies:_swap",
    "provisioner.datastore.postgres_copies:drop_changed",
    "provisioner.operations.upgrade_store:UpgradeStore.release",
    "provisioner.operations.upgrading:_done",
)
_numbers = itertools.count(1)


@pytest.fixture
def tea(cli_estate: CliEstate) -> TeaEstate:
    """Tea 1.0.0 is applied and has written a row."""
    made = TeaEstate(estate=cli_estate, name=f"tea-{next(_numbers)}")
    made.brew("1.0.0")
    return made


def fail_half_way(tea: TeaEstate, process: "subprocess.Popen[str]") -> str:
    """The migration to 2.0.0 fails in the middle; the one of 1.0.0, which comes again, finds nothing to do."""
    pod = tea.wait_for_pod("2.0.0", among=lambda: process.poll() is None)
    tea.as_owner(*HALF)
    with tea.succeeding("1.0.0"):
        tea.end_pod(pod, "Failed")
        _, said = process.communicate()
    return said


def require_as_before(tea: TeaEstate) -> None:
    """Version 1.0.0 serves: its tables, its rows, and it may write; nothing of the upgrade is left."""
    assert tea.columns() == ["cups.number"]
    assert tea.cups() == [1]
    tea.pour(2)
    assert tea.cups() == [1, 2]
    assert tea.jobs() == ["tea-migration-1-0-0"]
    assert [*tea.databases()] == [tea.database]


@pytest.mark.long(seconds=90)
def test_an_upgrade_that_fails_half_way_is_taken_back_and_the_next_one_succeeds(tea: TeaEstate) -> None:
    tea.offer("2.0.0")
    assert "upgrades tea 1.0.0 -> 2.0.0: after a dump" in tea.estate.done("plan", tea.name)
    process = tea.start()
    assert tea.wait_for_pod("2.0.0", among=lambda: process.poll() is None), process.communicate()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        tea.pour(2)

    said = fail_half_way(tea, process)

    assert process.returncode == 4, said
    assert "the upgrade tea 1.0.0 -> 2.0.0 failed; tea 1.0.0 serves again, with all its data" in said
    assert "relation public.saucers has come" in said
    (dump,) = (tea.estate.root / "dumps").iterdir()
    assert str(dump) in said
    assert (dump / MANIFEST_FILE).is_file()
    require_as_before(tea)
    with tea.succeeding("2.0.0"):
        tea.estate.done("apply", tea.name, "--yes", "--timeout", "300")
    assert tea.jobs() == ["tea-migration-2-0-0"]
    tea.pour(3)
    assert tea.cups() == [1, 2, 3]
    assert [*tea.databases()] == [tea.database]


@pytest.mark.long(seconds=60)
def test_a_migration_that_fails_before_it_changed_anything_leaves_the_database_alone(tea: TeaEstate) -> None:
    before = tea.databases()
    tea.offer("2.0.0")
    process = tea.start()
    pod = tea.wait_for_pod("2.0.0")
    with tea.succeeding("1.0.0"):
        tea.end_pod(pod, "Failed")
        _, said = process.communicate()
    assert process.returncode == 4, said
    assert "the database is as it was before" in said
    assert tea.databases() == before
    require_as_before(tea)


@pytest.mark.long(seconds=60)
@pytest.mark.parametrize("what", list(Kill))
def test_an_upgrade_killed_while_it_migrates_goes_on_with_the_same_command(tea: TeaEstate, what: Kill) -> None:
    tea.offer("2.0.0")
    process = tea.start()
    tea.wait_for_pod("2.0.0")
    kill(process, what, folder=working_folder(tea.estate, tea.name))
    assert "its upgrade (tea 1.0.0 -> 2.0.0) is not done" in tea.estate.run("destroy", tea.name, "--yes").stderr
    with tea.succeeding("2.0.0"):
        tea.estate.done("apply", tea.name, "--yes", "--timeout", "300")
    assert tea.jobs() == ["tea-migration-2-0-0"]
    tea.pour(2)
    assert tea.cups() == [1, 2]
    assert [*tea.databases()] == [tea.database]


@pytest.mark.long(seconds=60)
def test_an_upgrade_killed_and_then_no_longer_wanted_is_taken_back(tea: TeaEstate) -> None:
    tea.offer("2.0.0")
    process = tea.start()
    tea.wait_for_pod("2.0.0")
    tea.as_owner(*HALF)
    kill(process, Kill.EVERYTHING, folder=working_folder(tea.estate, tea.name))
    tea.offer("1.0.0")
    with tea.succeeding("1.0.0"):
        tea.estate.done("apply", tea.name, "--yes", "--timeout", "300")
    require_as_before(tea)


@pytest.mark.parametrize(("when", "place"), places(PLACES, sample=(), seconds=60))
def test_an_upgrade_killed_anywhere_is_finished_by_the_same_command(tea: TeaEstate, when: str, place: str) -> None:
    tea.offer("2.0.0")
    with tea.succeeding("2.0.0"):
        require_killed(tea.start(program=dying(place, when)))
        tea.estate.done("apply", tea.name, "--yes", "--timeout", "300")
    assert tea.jobs() == ["tea-migration-2-0-0"]
    tea.pour(2)
    assert tea.cups() == [1, 2]
    assert [*tea.databases()] == [tea.database]


@pytest.mark.parametrize(("when", "place"), places(PLACES_OF_RETURNING, sample=(), seconds=60))
def test_going_back_killed_anywhere_is_finished_by_the_same_command(tea: TeaEstate, when: str, place: str) -> None:
    tea.offer("2.0.0")
    process = tea.start(program=dying(place, when))
    pod = tea.wait_for_pod("2.0.0", among=lambda: process.poll() is None)
    assert pod, process.communicate()
    tea.as_owner(*HALF)
    with tea.succeeding("1.0.0"):
        tea.end_pod(pod, "Failed")
        assert close(process) < 0
        again = tea.estate.run("apply", tea.name, "--yes", "--timeout", "300")
        if place.endswith(":_done") and when == "after":
            # It was done but for telling: the same command begins the upgrade anew.
            return
    assert again.returncode == 4, again.stderr
    assert "tea 1.0.0 serves again, with all its data" in again.stderr
    require_as_before(tea)
