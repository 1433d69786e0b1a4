"""Killed or interrupted at any moment, the same destroy finishes: nothing is left but what holds data."""

import itertools
import json
import signal
from collections.abc import Iterator

import pytest

from provisioner.engine.lease import mark_of
from provisioner.engine.leftovers import marked_processes
from tests.integration.engine.completeness import names_of, require_gone
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import (
    Boundary,
    Kill,
    close,
    cooperative_boundaries,
    dying,
    finish,
    kill,
    locks,
    pending,
    places,
    reach,
    reach_cli,
    require_killed,
    walk,
    working_folder,
)
from tests.integration.engine.snapshots import Names, names_in_use

pytestmark = [pytest.mark.cluster, pytest.mark.servers]

APPLY = ("apply", "--yes", "--timeout", "0")
DESTROY = ("destroy", "--yes", "--events")
# Where nothing is told: before the first resource, after the last one, when the stack is gone but its record is not.
PLACES = (
    "provisioner.engine.lease:_sign",
    "provisioner.engine.quiet:QuietStack.destroy",
    "pulumi.automation:LocalWorkspace.remove_stack",
    "provisioner.operations.history:History.append",
    "cli.views.destroyed:show",
)
MIDDLE = Boundary(resource="postgres-database", kind="Database", moment="Started")
_numbers = itertools.count(1)


@pytest.fixture
def before(walked: CliEstate) -> Names:
    """What there is before the cooperative is made."""
    return names_in_use(walked.maker)


@pytest.fixture
def name(walked: CliEstate, before: Names) -> Iterator[str]:
    """A cooperative with a solution, applied, without data; what it leaves is taken away afterwards."""
    made = f"leaving-{next(_numbers)}"
    walked.write(made, solutions=["portal"])
    walked.done(*APPLY, made)
    yield made
    walked.forget(made)


@pytest.mark.parametrize(("boundary", "what"), walk(cooperative_boundaries(), sample=(), seconds=30))
def test_destroy_killed_at_a_resource_boundary_is_finished_by_the_same_command(
    walked: CliEstate, before: Names, name: str, boundary: Boundary, what: Kill
) -> None:
    process = walked.start(*DESTROY, name)
    reach(process, boundary, stack=name)

    kill(process, what, folder=working_folder(walked, name))
    finish(walked, *DESTROY, name, stack=name)

    require_gone(walked, name, before=before)


@pytest.mark.parametrize(("when", "place"), places(PLACES, sample=(), seconds=30))
def test_destroy_killed_where_nothing_is_told_is_finished_by_the_same_command(
    walked: CliEstate, before: Names, name: str, when: str, place: str
) -> None:
    process = walked.start(*DESTROY, name, program=dying(place, when))

    require_killed(process)
    finish(walked, *DESTROY, name, stack=name)

    require_gone(walked, name, before=before)


@pytest.mark.long(seconds=30)
@pytest.mark.parametrize("words", [("destroy",), ("stack", "rm")], ids=" ".join)
def test_destroy_killed_while_the_cli_begins_is_finished_by_the_same_command(
    walked: CliEstate, before: Names, name: str, words: tuple[str, ...]
) -> None:
    process = walked.start(*DESTROY, name)
    reach_cli(process, *words)

    kill(process, Kill.EVERYTHING, folder=working_folder(walked, name))
    finish(walked, *DESTROY, name, stack=name)

    require_gone(walked, name, before=before)


@pytest.mark.long(seconds=50)
def test_the_lock_of_a_killed_destroy_is_released_with_a_message_and_data_are_kept(
    walked: CliEstate, name: str
) -> None:
    maker, names = walked.maker, names_of(walked.maker, name)
    maker.sql("CREATE TABLE kept AS SELECT 'something' AS word", database=names.database)
    maker.put_object(names.bucket, key="kept", content=b"something")
    process = walked.start(*DESTROY, name)
    reach(process, MIDDLE, stack=name)
    kill(process, Kill.EVERYTHING, folder=working_folder(walked, name))
    held, begun = locks(walked, name), pending(walked, name)

    said = finish(walked, *DESTROY, name, stack=name)

    assert len(held) == 1
    assert begun
    assert f"released the lock of {name} that process" in said
    assert maker.sql("SELECT word FROM kept", database=names.database) == [("something",)]
    assert names.bucket in maker.buckets()
    assert "namespace/" + names.apps_namespace not in maker.world.kubectl("get", "namespaces", "-o", "name").split()


@pytest.mark.long(seconds=30)
@pytest.mark.parametrize(
    ("number", "boundary"),
    [
        (number, boundary)
        for number in (signal.SIGINT, signal.SIGTERM)
        for boundary in (MIDDLE, cooperative_boundaries()[0], cooperative_boundaries()[-1])
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else str(value),
)
def test_one_signal_lets_a_destroy_finish_what_is_in_flight_and_the_same_command_goes_on(
    walked: CliEstate, before: Names, name: str, number: signal.Signals, boundary: Boundary
) -> None:
    process = walked.start(*DESTROY, name)
    reach(process, boundary, stack=name)

    process.send_signal(number)
    code = close(process)
    left, held = pending(walked, name), locks(walked, name)
    finish(walked, *DESTROY, name, stack=name)

    assert code == 12
    assert (left, held) == ([], [])
    require_gone(walked, name, before=before)


@pytest.mark.long(seconds=30)
def test_two_signals_end_a_destroy_at_once_and_the_same_command_goes_on(
    walked: CliEstate, before: Names, name: str
) -> None:
    process = walked.start(*DESTROY, name)
    reach(process, MIDDLE, stack=name)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    code = close(process)
    left = marked_processes(mark_of(working_folder(walked, name)))
    finish(walked, *DESTROY, name, stack=name)

    assert code == 12
    assert left == []
    require_gone(walked, name, before=before)


@pytest.mark.long(seconds=15)
def test_what_is_gone_already_is_done_with_a_message_and_what_never_was_is_unknown(walked: CliEstate) -> None:
    walked.write("never-there")

    described = walked.run("destroy", "never-there")
    told = json.loads(walked.done("destroy", "never-there", "--output", "json"))
    misspelt = walked.run("destroy", "never-ther", "--yes")
    deleting = walked.run("destroy", "never-there", "--delete-data", "--yes")

    assert described.returncode == 0
    assert "nothing was left to take away" in described.stdout
    assert (told["resources"], told["dataDeleted"], told["dump"]) == ([], False, None)
    assert (misspelt.returncode, deleting.returncode) == (6, 6)
