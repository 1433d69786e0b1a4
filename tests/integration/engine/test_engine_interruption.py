"""Killed or interrupted at any moment, the same command finishes: nothing is left over, doubled or unknown."""

import json
import signal

import psutil
import pytest

from provisioner.engine.lease import mark_of
from provisioner.engine.leftovers import marked_processes
from tests.integration.engine.completeness import require_complete
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import (
    Boundary,
    close,
    locks,
    pending,
    reach,
    session_leader,
    working_folder,
)
from tests.integration.engine.snapshots import Names, names_in_use

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
APPLY = ("apply", "--yes", "--events", "--output", "json")
# Other resources are in flight then, and more are to come.
MIDDLE = Boundary(resource="postgres-role-owner", kind="Role", moment="Done")


@pytest.fixture
def before(cli_estate: CliEstate) -> Names:
    """What there is before the cooperative is made."""
    return names_in_use(cli_estate.maker)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long(seconds=20))])
def test_one_signal_finishes_what_is_in_flight_and_the_same_command_goes_on(
    cli_estate: CliEstate, before: Names, number: signal.Signals
) -> None:
    name = f"interrupted-{number.name[3:].lower()}"
    cli_estate.write(name)
    process = cli_estate.start(*APPLY, name)
    reach(process, MIDDLE, stack=name)

    process.send_signal(number)
    code = close(process)
    left, held = pending(cli_estate, name), locks(cli_estate, name)
    cli_estate.done("apply", name, "--yes")

    assert code == 12
    assert (left, held) == ([], [])
    require_complete(cli_estate, name, before=before)


@pytest.mark.long(seconds=30)
def test_two_signals_end_everything_at_once(cli_estate: CliEstate, before: Names) -> None:
    cli_estate.write("hurried")
    process = cli_estate.start(*APPLY, "hurried")
    reach(process, MIDDLE, stack="hurried")

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    code = close(process)

    assert code == 12
    assert marked_processes(mark_of(working_folder(cli_estate, "hurried"))) == []
    cli_estate.done("apply", "hurried", "--yes")
    require_complete(cli_estate, "hurried", before=before)


@pytest.mark.long(seconds=60)
def test_a_cli_left_by_a_killed_coopctl_is_ended_and_its_lock_released_with_a_message(
    cli_estate: CliEstate, before: Names
) -> None:
    name = "left-over"
    cli_estate.write(name)
    folder = working_folder(cli_estate, name)
    process = cli_estate.start(*APPLY, name)
    reach(process, MIDDLE, stack=name)
    cli = session_leader(folder)
    # A CLI that hangs: it neither finishes nor hears that its owner is gone.
    cli.send_signal(signal.SIGSTOP)
    process.kill()
    close(process)

    try:
        locked = cli_estate.run("plan", name)
        run = cli_estate.run("apply", name, "--yes")
    finally:
        if psutil.pid_exists(cli.pid):
            cli.kill()

    assert locked.returncode == 0
    assert run.returncode == 0, run.stderr
    assert f"ended what an earlier coopctl left running on {name}" in run.stderr
    require_complete(cli_estate, name, before=before)


@pytest.mark.long(seconds=20)
def test_a_stack_that_a_living_coopctl_works_on_is_locked(cli_estate: CliEstate) -> None:
    cli_estate.write("busy")
    process = cli_estate.start(*APPLY, "busy")
    reach(process, MIDDLE, stack="busy")
    folder = working_folder(cli_estate, "busy")
    cli = session_leader(folder)
    cli.send_signal(signal.SIGSTOP)

    second = cli_estate.run("apply", "busy", "--yes")
    unlocked = cli_estate.run("unlock", "busy", "--yes")
    still_running = process.poll() is None
    cli.send_signal(signal.SIGCONT)
    code = close(process)

    assert second.returncode == 13, second.stderr
    assert "coopctl unlock" in second.stderr
    assert (unlocked.returncode, still_running) == (13, True)
    assert code == 0


@pytest.mark.long(seconds=30)
def test_a_lock_of_another_machine_is_kept_until_it_is_unlocked(cli_estate: CliEstate) -> None:
    cli_estate.write("remote")
    cli_estate.done("apply", "remote", "--yes")
    folder = cli_estate.root / ".coopctl/state/.pulumi/locks/organization/coopctl/remote"
    folder.mkdir(parents=True, exist_ok=True)
    lock = {"pid": 1, "username": "somebody", "hostname": "elsewhere", "timestamp": "2026-01-01T00:00:00Z"}
    (folder / "11111111-1111-1111-1111-111111111111.json").write_text(json.dumps(lock))

    refused = cli_estate.run("apply", "remote", "--yes")
    cli_estate.done("unlock", "remote", "--yes")

    assert refused.returncode == 13
    assert "somebody on elsewhere" in refused.stderr
    cli_estate.done("apply", "remote", "--yes")
