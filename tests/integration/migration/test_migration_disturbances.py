"""What goes wrong midway: the snapshot's session dies, a stream is cut, the target is down, a fence stays open."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from provisioner.errors import FenceOpen, NotOurs, SnapshotLost, StreamFailed, TimedOut
from provisioner.migration.postgres_copy_plan import plan_copy
from provisioner.migration.postgres_copying import copy_database, copy_tables
from provisioner.migration.postgres_cutover import forward_stream, recover
from provisioner.migration.postgres_fence import close_fence, plan_fence
from provisioner.migration.postgres_following import read_lag, unpublish, why_unreachable
from provisioner.migration.postgres_preflight import Route
from provisioner.migration.postgres_rollback import abandon
from provisioner.migration.postgres_sides import conninfo, session
from provisioner.migration.postgres_snapshot import slot_snapshot
from provisioner.migration.postgres_streams import Running, run_stream
from provisioner.migration.postgres_target import claimed_by, release_target
from tests.integration.migration.moving import Move, prepared_move, run
from tests.postgres_servers import PostgresServer, as_user, running_postgres

pytestmark = pytest.mark.servers

ROWS = 60_000
PLAIN = f"""
CREATE ROLE {{db}}_app LOGIN PASSWORD 'app-secret';
GRANT CONNECT ON DATABASE {{db}} TO {{db}}_app;
CREATE TABLE lots (id int PRIMARY KEY, note text);
GRANT ALL ON lots TO {{db}}_app;
INSERT INTO lots SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, {ROWS}) n;
ANALYZE;
"""  # noqa: S608 - a constant
SLOW = "COPY (SELECT id, note, pg_sleep(0.002)::text FROM public.lots) TO STDOUT (FORMAT binary)"


@pytest.fixture
def move(source_postgres: PostgresServer, target_postgres: PostgresServer, tmp_path: Path) -> Iterator[Move]:
    side = source_postgres.new_database("plain")
    run(side, PLAIN.format(db=side.database))
    with prepared_move(side, target_postgres, folder=tmp_path) as made:
        made.publish()
        yield made
        abandon(made.cutover(), fence=None)


def _slot_gone(move: Move) -> bool:
    with session(move.source) as connection:
        return read_lag(connection, move.names.slot) is None


def test_a_table_is_copied_by_several_streams_and_progress_is_told(move: Move) -> None:
    pieces = plan_copy(
        move.facts.tables, move.judged.routes, route=Route.STREAM, source=move.facts.server, chunk_pages=1000
    )
    assert len(pieces) > 4
    move.copy()
    assert run(move.target, "SELECT count(*), count(DISTINCT id) FROM lots") == [(ROWS, ROWS)]
    last = move.events[-1]
    assert last.total.done_bytes == last.total.total_bytes > 0
    assert last.total.eta_seconds == 0
    assert last.total.rate > 0


def test_a_second_attempt_begins_with_empty_tables_and_a_new_slot(move: Move) -> None:
    move.copy()
    with session(move.source) as connection:
        unpublish(connection, forward_stream(move.names))
    move.publish()
    move.copy()
    assert run(move.target, "SELECT count(*) FROM lots") == [(ROWS,)]


def test_a_lost_snapshot_ends_the_copy_and_nothing_more_is_copied(move: Move) -> None:
    with slot_snapshot(move.source, slot=move.names.slot) as snapshot:
        run(move.source, f"SELECT pg_terminate_backend({snapshot.pid})")
        time.sleep(0.2)
        with session(move.source) as watcher, pytest.raises(SnapshotLost):
            snapshot.require_alive(watcher)


def test_a_reader_that_is_cut_off_leaves_no_row(move: Move) -> None:
    run(move.target, "CREATE TABLE lots (id int, note text, slept text)")
    failures: list[BaseException] = []

    def stream(snapshot: str) -> None:
        try:
            run_stream(
                move.clients,
                read=SLOW,
                write=("COPY public.lots FROM STDIN (FORMAT binary)",),
                snapshot=snapshot,
                label="cut off",
                running=Running(),
                replica=True,
            )
        except StreamFailed as error:
            failures.append(error)

    with slot_snapshot(move.source, slot=move.names.slot) as snapshot:
        thread = threading.Thread(target=stream, args=(snapshot.name,))
        thread.start()
        _until(move, "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'cut off' AND query ~ 'COPY'")
        run(move.source, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut off'")
        thread.join(60)
    assert failures
    assert run(move.target, "SELECT count(*) FROM lots") == [(0,)]


def test_what_an_application_may_have_written_is_never_copied_over(move: Move) -> None:
    move.copy()
    with session(move.target) as connection:
        assert claimed_by(connection) == move.uid
        release_target(connection)
    with slot_snapshot(move.source, slot=f"{move.names.slot}_again") as snapshot, pytest.raises(NotOurs):
        copy_database(move.copy_work, snapshot)
    run(move.source, f"SELECT pg_drop_replication_slot('{move.names.slot}_again')")


def test_a_target_that_is_down_for_a_while_is_waited_for(
    source_postgres: PostgresServer, open_folder: Path, tmp_path: Path
) -> None:
    side = source_postgres.new_database("patient")
    run(side, PLAIN.format(db=side.database))
    with (
        running_postgres(open_folder / "restarted") as target,
        prepared_move(side, target, folder=tmp_path) as move,
    ):
        move.publish()
        run(move.target, "CREATE TABLE lots (id int PRIMARY KEY, note text)")
        target.stop()
        later = threading.Timer(1.0, target.start)
        later.start()
        with slot_snapshot(side, slot=move.names.slot) as snapshot:
            copy_tables(move.copy_work, snapshot, route=Route.STREAM)
        later.join()
        assert [event for event in move.events if "Connection refused" in event.waiting]
        assert run(move.target, "SELECT count(*), count(DISTINCT id) FROM lots") == [(ROWS, ROWS)]
        abandon(move.cutover(), fence=None)


def test_a_drain_that_takes_too_long_lifts_the_fence(move: Move) -> None:
    move.copy()
    move.follow()
    move.catch_up()
    run(move.target, f"ALTER SUBSCRIPTION {move.names.subscription} DISABLE")
    with pytest.raises(TimedOut, match="did not apply"):
        move.cut_over(drain_seconds=0.5)
    assert _application_may_write(move)


def test_a_prepared_transaction_keeps_the_fence_open_and_is_named(move: Move) -> None:
    move.copy()
    move.follow()
    app = as_user(move.source, f"{move.source.database}_app", "app-secret")
    with psycopg.connect(conninfo(app), autocommit=True) as connection:
        connection.execute("BEGIN; INSERT INTO lots VALUES (0, 'later'); PREPARE TRANSACTION 'held'")
    try:
        with pytest.raises(FenceOpen) as caught:
            move.cut_over(fence_seconds=0.5)
        assert "the prepared transaction held of" in str(caught.value.why)
        assert _application_may_write(move)
    finally:
        run(move.source, "ROLLBACK PREPARED 'held'")


def test_a_cutover_that_was_killed_behind_the_fence_is_recovered_from_what_was_recorded(move: Move) -> None:
    move.copy()
    with session(move.source) as connection:
        fence = plan_fence(connection, move.facts.role_names)
        close_fence(connection, fence, timeout_seconds=10)
        assert plan_fence(connection, move.facts.role_names).logins == (), "a closed fence cannot be read again"
    with pytest.raises(psycopg.OperationalError):
        _application_may_write(move)
    assert recover(move.cutover(), fence=fence) is False
    assert _application_may_write(move)
    with session(move.target) as connection:
        release_target(connection)
    assert recover(move.cutover(), fence=fence) is True


def test_whether_the_target_reaches_the_source_is_tried_without_a_trace(move: Move) -> None:
    publisher = as_user(move.source, move.names.login, move.password.reveal())
    with session(move.target) as connection:
        assert why_unreachable(connection, publisher) is None
        wrong = why_unreachable(connection, as_user(move.source, move.names.login, "wrong"))
        assert wrong is not None
        assert "password authentication failed" in wrong
        assert run(move.target, "SELECT count(*) FROM pg_subscription WHERE subname ~ 'probe'") == [(0,)]


def _application_may_write(move: Move) -> bool:
    app = as_user(move.source, f"{move.source.database}_app", "app-secret")
    run(app, "INSERT INTO lots VALUES (-1, 'goes on'); DELETE FROM lots WHERE id = -1")
    return True


def _until(move: Move, query: str) -> None:
    deadline = time.monotonic() + 60
    while run(move.target, query) != [(True,)]:
        assert time.monotonic() < deadline, query
        time.sleep(0.05)


def test_the_password_of_the_stream_is_seen_by_nobody_and_gone_with_it(
    move: Move, source_postgres: PostgresServer, target_postgres: PostgresServer
) -> None:
    move.copy()
    move.follow()
    move.catch_up()
    secret = move.password.reveal()
    seen = f"SELECT count(*) FROM pg_stat_activity WHERE strpos(query, '{secret}') > 0 AND pid <> pg_backend_pid()"  # noqa: S608 - our own secret
    for side, server in ((move.source, source_postgres), (move.target, target_postgres)):
        assert run(side, seen) == [(0,)]
        assert secret not in (server.folder / "log").read_text()
    kept = f"SELECT count(*) FROM pg_subscription WHERE strpos(subconninfo, '{secret}') > 0"  # noqa: S608 - our own secret
    assert run(move.target, kept) == [(1,)], "the server that subscribes must know it"
    abandon(move.cutover(), fence=None)
    assert run(move.target, kept) == [(0,)]
