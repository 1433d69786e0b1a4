"""How long an application waits at most while its database is switched, beside the same without a switch.

On two PostgreSQL servers of its own in a temporary folder. The application commits 400 times a second, wherever it is
let in; the longest gap between two commits that it was told of is what counts. The rows are copied, followed and
verified before. Aim: below 1 s.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import psycopg

from bench.copy import FEW, Server, fill, result_of, running_server, work_for
from bench.members import show
from examples.writing_client import CREATE_TABLE, TABLE, WritingClient, insert, longest_gap, writing
from provisioner.datastore.credentials import Secret
from provisioner.migration.postgres_catalogue import read_catalogue
from provisioner.migration.postgres_changes import remember_changes
from provisioner.migration.postgres_copying import CopyWork, copy_database
from provisioner.migration.postgres_cutover import Cutover, cut_over, forward_stream
from provisioner.migration.postgres_following import drain, publish, subscribe
from provisioner.migration.postgres_sides import Side, conninfo, session
from provisioner.migration.postgres_snapshot import slot_snapshot
from provisioner.migration.postgres_verification import rehearse_verification
from provisioner.naming import CooperativeUid, ReplicationNames, replication_names

ROWS = 400_000
QUIET_SECONDS = 5.0
PATIENCE_SECONDS = 600.0
APPLICATION, PASSWORD = "bench_app", Secret("bench")
GRANTS = """
CREATE ROLE bench_app LOGIN PASSWORD 'bench'; GRANT CONNECT ON DATABASE {database} TO bench_app;
REVOKE CONNECT ON DATABASE {database} FROM PUBLIC; SET search_path = public; {create};
GRANT SELECT, INSERT ON {table} TO bench_app;
"""


@contextmanager
def application_on(*sides: Side) -> Iterator[WritingClient]:
    """The application works while the block runs, wherever it is let in."""
    logins = (replace(side, user=APPLICATION, password=PASSWORD) for side in sides)
    ways = tuple(partial(psycopg.connect, conninfo(one), autocommit=True) for one in logins)
    with writing(WritingClient(ways=ways, write=insert)) as client:
        yield client


def gap(client: WritingClient, *, since: float) -> float:
    """The longest time between two commits that it was told of after ``since``, in seconds."""
    return longest_gap((one.moment for one in list(client.acknowledged.values())), since=since)[0]


def followed(work: CopyWork, names: ReplicationNames) -> Cutover:
    """Copy, follow and verify while the application works; gives what a cutover needs."""
    stream, password = forward_stream(names), PASSWORD
    with session(work.source) as source, session(work.target) as target:
        publish(source, stream, work.routes, password=password)
        catalogue = read_catalogue(source, names=names)
        with slot_snapshot(work.source, slot=names.slot) as snapshot:
            copy_database(work, snapshot)
        subscribe(target, stream, replace(work.source, user=names.login, password=password))
        cutover = Cutover(
            copy=work,
            names=names,
            catalogue=catalogue,
            record=lambda _: None,
            reverse_password=password,
            rehearsed=True,
        )

        def catch_up() -> None:
            drain(source, target, slot=names.slot, timeout_seconds=PATIENCE_SECONDS)

        catch_up()
        remember_changes(source, names.watch_slot)
        if found := rehearse_verification(cutover.rehearsal(catch_up)).differences:
            raise SystemExit(f"the copy differs: {found[:3]}")
    return cutover


def once(here: Server, there: Server, *, rows: int) -> tuple[float, float]:
    """The longest gap in quiet times and that of a cutover, in seconds."""
    source, target = here.new_database(), there.new_database()
    fill(source, rows=rows)
    with session(source) as connection:
        connection.execute(GRANTS.format(database=source.database, create=CREATE_TABLE, table=TABLE).encode())
    with application_on(source, target) as client, work_for(source, target) as work:
        cutover = followed(work, replication_names(CooperativeUid("0" * 16)))
        quiet = time.time()
        time.sleep(QUIET_SECONDS)
        baseline, begun = gap(client, since=quiet), time.time()
        cut_over(cutover)
        time.sleep(1.0)
        return baseline, gap(client, since=begun)


def measure(*, rows: int) -> list[dict[str, object]]:
    """One switch: a second one would meet the roles of the first."""
    with running_server() as here, running_server() as there:
        quiet, gap = once(here, there, rows=rows)
    return [result_of("outage: longest gap at 400 tps", gap, "without a switch", quiet, runs=1)]


def main(arguments: Sequence[str]) -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows beside the application's (default: {ROWS})")
    parser.add_argument("--small", action="store_true", help=f"{FEW} rows: does it still work?")
    options = parser.parse_args(arguments)
    show(measure(rows=FEW if options.small else options.rows))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
