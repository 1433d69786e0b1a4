"""A neighbour on the same server works on while a data store moves: it waits for no lock, and WAL stays bounded.

What would show a disturbance is tried first: a lock that somebody really takes is seen by the sampler and felt by the
neighbour.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
import pytest

from provisioner.migration.postgres_sides import Side, conninfo
from provisioner.naming import replication_names
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import NAME, Switching

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=180)]

ROWS = 300_000
PAUSE_SECONDS = 0.02
SAMPLE_SECONDS = 0.02
KEPT_BYTES_MOST = 64 * 1024 * 1024
# A transaction is late if it takes so many times what it takes without a migration, and longer than any copy's I/O.
LATE_FACTOR, LATE_SECONDS = 20, 0.5
_WAITING = """
    SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE NOT l.granted AND d.datname = current_database()
"""
_KEPT = """
    SELECT coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::bigint FROM pg_replication_slots
    WHERE slot_name = %(name)s
"""


@dataclass
class Neighbour:
    """Somebody else's database: ``seconds`` is what each of its transactions took, ``waits`` how often one waited."""

    side: Side
    seconds: list[float] = field(default_factory=list)
    waits: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """Rows, and now and then a change of the schema, which takes the heaviest locks."""
        with psycopg.connect(conninfo(self.side), autocommit=True) as connection:
            number = 0
            while not self.stopping.wait(PAUSE_SECONDS):
                number += 1
                begun = time.monotonic()
                with connection.transaction():
                    connection.execute("INSERT INTO orders (what) VALUES (%s)", (f"order {number}",))
                    connection.execute("UPDATE orders SET what = what || '!' WHERE id = %s", (number,))
                    if number % 25 == 0:
                        connection.execute("ALTER TABLE orders ADD COLUMN IF NOT EXISTS note text")
                        connection.execute("ALTER TABLE orders DROP COLUMN note")
                self.seconds.append(time.monotonic() - begun)

    def watch(self) -> None:
        """Look for somebody who waits for a lock in the database."""
        with psycopg.connect(conninfo(self.side), autocommit=True) as connection:
            while not self.stopping.wait(SAMPLE_SECONDS):
                found = connection.execute(_WAITING).fetchone()
                self.waits += found[0] if found else 0

    def taken(self) -> tuple[list[float], int]:
        """What was seen since the last call."""
        found = self.seconds, self.waits
        self.seconds, self.waits = [], 0
        return found


@contextmanager
def neighbour(world: Switching) -> Iterator[Neighbour]:
    """It works while the block runs."""
    side = world.source_server.new_database("neighbour")
    world.source_server.execute(
        "CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text)", database=side.database
    )
    found = Neighbour(side=side)
    threads = [threading.Thread(target=work, daemon=True) for work in (found.work, found.watch)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stopping.set()
        for thread in threads:
            thread.join()


def _kept(world: Switching, slot: str) -> int:
    with psycopg.connect(conninfo(world.source), autocommit=True) as connection:
        row = connection.execute(_KEPT, {"name": slot}).fetchone()
    return int(row[0]) if row else 0


def _flood(side: Side) -> None:
    """The neighbour writes a lot at once."""
    with psycopg.connect(conninfo(side), autocommit=True) as connection:
        connection.execute("CREATE TABLE flood AS SELECT n, repeat('x', 500) FROM generate_series(1, 300000) n")
        connection.execute("CHECKPOINT")


def test_a_neighbour_under_load_waits_for_no_lock_and_wal_stays_bounded(switching: Switching) -> None:
    world = switching
    slot = replication_names(world.bucket.tenant.names.uid).slot
    world.on_source(f"INSERT INTO lots (code) SELECT 'L-' || n FROM generate_series(1, {ROWS}) n")  # noqa: S608
    with neighbour(world) as other, writing(world.source, world.target) as client:
        with psycopg.connect(conninfo(other.side)) as rude:
            rude.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
            time.sleep(1)
        time.sleep(0.5)
        felt, seen = other.taken()
        assert seen > 0, "the sampler sees who waits"
        assert max(felt) > LATE_SECONDS, "and the neighbour feels it"
        time.sleep(5)
        alone, seen = other.taken()
        assert seen == 0

        world.prepare()
        _flood(other.side)
        world.wait_for(lambda: _kept(world, slot) < KEPT_BYTES_MOST)
        assert world.run("migrate", "verify", NAME)[0] == 0
        assert world.run("migrate", "cutover", NAME, "--yes")[0] == 0
        client.until(50)
        assert world.run("migrate", "relay", NAME)[0] == 0
        assert world.run("migrate", "finalise", NAME, "--yes")[0] == 0
        moving, waits = other.taken()
    assert_each_once(client, world.on_target(WRITTEN))
    assert waits == 0, "nobody waited for a lock in the neighbour's database"
    late = max(LATE_SECONDS, LATE_FACTOR * statistics.median(alone))
    delayed = [seconds for seconds in moving if seconds > late]
    assert len(moving) > len(alone)
    assert len(delayed) <= len(moving) // 100, f"{len(delayed)} of {len(moving)} were late, up to {max(moving):.2f} s"
    assert world.leftovers() == []
    with suppress(psycopg.Error):
        world.source_server.execute(f"DROP DATABASE {other.side.database} WITH (FORCE)")
