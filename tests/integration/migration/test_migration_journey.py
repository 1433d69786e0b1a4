"""An awkward database goes to another server while a client writes, comes back, and goes again: nothing is lost."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from examples.writing_client import Connection, WritingClient, writing
from provisioner.migration.postgres_catalogue import read_catalogue
from provisioner.migration.postgres_changes import remember_changes
from provisioner.migration.postgres_cutover import Switched
from provisioner.migration.postgres_preflight import Mode, preflight
from provisioner.migration.postgres_relay import relay_all
from provisioner.migration.postgres_report import Scope
from provisioner.migration.postgres_rollback import abandon, finalise, read_leftovers, return_to_source
from provisioner.migration.postgres_sides import Side, conninfo, session
from provisioner.migration.postgres_target import claimed_by
from tests.integration.migration.awkward import make_awkward
from tests.integration.migration.moving import Move, prepared_move, run
from tests.postgres_servers import PostgresServer, as_user

pytestmark = pytest.mark.servers

# What an application does all day, one transaction each; {n} is the number of the round.
WRITES = '''
INSERT INTO lots (code, grade, note) VALUES ('W-{n}', 'high', 'written {n}');
UPDATE lots SET note = note || '.' WHERE id = 1 + {n} % 3000;
DELETE FROM lots WHERE id = 3001 - {n} AND {n} < 400;
INSERT INTO no_key VALUES ({n}, 'round'); UPDATE no_key SET b = 'seen' WHERE a = {n} - 1;
UPDATE said_nothing SET x = x || '!' WHERE id = 1 + {n} % 10;
INSERT INTO measures VALUES (DATE '2016-03-01' + {n} / 100, 1000 + {n}, {n});
UPDATE "별도 스키마"."주문 ""표""" SET "이름" = '이름 {n}' WHERE "번호" = 1;
INSERT INTO unkeyed_unique VALUES ('w{n}', {n});
'''


@pytest.fixture(params=["same", "newer", pytest.param("managed", marks=pytest.mark.long(seconds=20))])
def move(source_postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Move]:
    server = request.getfixturevalue("target_postgres" if request.param == "same" else "newer_postgres")
    as_managed = request.param == "managed"
    with prepared_move(make_awkward(source_postgres), server, folder=tmp_path, as_managed=as_managed) as made:
        assert not made.judged.refused, made.judged.problems
        yield made


def _client(side: Side, move: Move, *, first: int = 1) -> WritingClient:
    """The application of the moved database, as the owner of its tables."""
    owner = f"-c role={move.source.database}_owner"
    way = partial(psycopg.connect, conninfo(_application(side, move)), autocommit=True, options=owner)
    return WritingClient(ways=(way,), write=_write, per_second=50, first=first)


def _write(connection: Connection, number: int) -> None:
    connection.execute(WRITES.format(n=number).encode())


def _application(side: Side, move: Move) -> Side:
    return as_user(side, f"{move.source.database}_app", "app-secret")


def _written(side: Side) -> list[int]:
    return [int(code[2:]) for (code,) in run(side, "SELECT code FROM lots WHERE code LIKE 'W-%' ORDER BY id")]


def _leftovers(side: Side, move: Move) -> list[str]:
    own = move.names.slot
    with session(side) as connection:
        return [f"{one.kind} {one.name}" for one in read_leftovers(connection) if one.name.startswith(own)]


@pytest.mark.parametrize("relayed", [False, True], ids=["subscribed", "relayed"])
def test_every_acknowledged_write_is_on_the_target_exactly_once_and_comes_back(move: Move, relayed: bool) -> None:
    with writing(_client(move.source, move)) as client:
        switched = _there(move, rehearsed=True, relayed=relayed)
    _has_arrived(move, client, switched)

    with writing(_client(move.target, move, first=10_000)) as later:
        later.stopping.wait(2)
        work = move.cutover(**({"target_as_seen": None} if relayed else {}))
        if relayed:
            assert relay_all(work.relay).transactions > 0
        report = return_to_source(
            work, fence=switched.fence, reverse_clients=move.reverse_clients, record=move.fences.append
        )
    assert report.clean
    assert report.scope is (Scope.CHANGED if relayed else Scope.FULL)
    assert later.acknowledged, "the client wrote on the target"
    assert _written(move.source)[len(client.acknowledged) :] == list(later.acknowledged)
    assert _leftovers(move.source, move) == []
    assert _leftovers(move.target, move) == []
    identity = "SELECT relreplident::text FROM pg_class WHERE oid = 'said_nothing'::regclass"
    assert run(move.source, identity) == [("n",)]
    with writing(_client(move.source, move, first=20_000)) as home:
        home.stopping.wait(1)
    assert home.acknowledged, "the source is open again"


def _there(move: Move, *, rehearsed: bool, relayed: bool = False) -> Switched:
    move.start()
    if rehearsed:
        with session(move.source) as connection:
            remember_changes(connection, move.names.watch_slot)
    rehearsal = move.rehearse()
    assert rehearsal.differences == ()
    assert rehearsal.scope is Scope.REHEARSAL
    return move.cut_over(rehearsed=rehearsed, **({"target_as_seen": None} if relayed else {}))


def _has_arrived(move: Move, client: WritingClient, switched: Switched) -> None:
    assert switched.report.scope is Scope.CHANGED
    assert '"public"."lots"' in [table.table for table in switched.report.tables if not table.whole]
    assert len(client.acknowledged) > 10, "the client wrote while its database moved"
    assert _written(move.target) == list(client.acknowledged)
    assert _written(move.source) == list(client.acknowledged), "nothing was acknowledged after the fence"
    with session(move.target) as connection:
        assert claimed_by(connection) is None
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(conninfo(_application(move.source, move)))


def _take_every_slot(side: Side) -> None:
    for number in range(1000):
        run(side, f"SELECT pg_create_physical_replication_slot('filler_{number}')")


@pytest.mark.long(seconds=20)
def test_where_the_target_has_no_slot_left_the_way_back_compares_everything_behind_its_fence(move: Move) -> None:
    with writing(_client(move.source, move)):
        switched = _there(move, rehearsed=True, relayed=True)
    fillers = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name LIKE 'filler%'"
    try:
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            _take_every_slot(move.target)
        work = move.cutover(target_as_seen=None)
        report = return_to_source(
            work, fence=switched.fence, reverse_clients=move.reverse_clients, record=move.fences.append
        )
    finally:
        run(move.target, fillers)
    assert report.clean
    assert report.scope is Scope.FULL
    assert _leftovers(move.target, move) == []


def test_a_finished_move_leaves_nothing_on_either_server(move: Move) -> None:
    switched = _there(move, rehearsed=False)
    assert switched.report.scope is Scope.FULL
    finalise(move.cutover())
    finalise(move.cutover())
    assert _leftovers(move.source, move) == []
    assert _leftovers(move.target, move) == []
    # What is no stream's matter has come, too: positions of sequences, unlogged rows, views, large objects.
    assert run(move.target, "SELECT nextval('batches.free')") == [(15,)]
    assert run(move.target, "TABLE scratch") == [(1, "not logged")]
    assert run(move.target, "TABLE outer_sums") == [(3000,)]
    assert run(move.target, "SELECT lo_get(424242, 100000, 17)") == [(b"far behind a hole",)]
    assert run(move.target, "SELECT of_table::text FROM described") == [("lots",)]


def test_offline_everything_goes_behind_the_fence_and_comes_back_the_same_way(move: Move) -> None:
    move.judged = preflight(move.facts, move.target_facts, wanted=Mode.OFFLINE)
    with session(move.source) as connection:
        move.catalogue = read_catalogue(connection, names=move.names)
    with writing(_client(move.source, move)) as client:
        client.stopping.wait(1)
        switched = move.cut_over(online=False)
    assert switched.report.scope is Scope.FULL
    assert _written(move.target) == list(client.acknowledged) == _written(move.source)
    run(move.target, "INSERT INTO lots (code) VALUES ('W-777777'); DELETE FROM no_key; SELECT nextval('batches.free')")
    work = move.cutover(online=False)
    return_to_source(work, fence=switched.fence, reverse_clients=move.reverse_clients, record=move.fences.append)
    assert _written(move.source) == [*client.acknowledged, 777777]
    assert run(move.source, "SELECT count(*) FROM no_key") == [(0,)]
    assert _leftovers(move.source, move) == _leftovers(move.target, move) == []


def test_a_move_that_is_given_up_leaves_the_source_as_it_was(move: Move) -> None:
    move.start()
    abandon(move.cutover(), fence=None)
    abandon(move.cutover(), fence=None)
    assert _leftovers(move.source, move) == []
    assert _leftovers(move.target, move) == []
    assert run(move.source, "SELECT relreplident::text FROM pg_class WHERE oid = 'said_nothing'::regclass") == [("n",)]
    assert run(move.source, "SELECT relreplident::text FROM pg_class WHERE oid = 'no_key'::regclass") == [("d",)]
