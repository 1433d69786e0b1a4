"""How long a full verification of two databases takes, beside `count(*)` of the same tables on both sides.

On two PostgreSQL servers of its own in a temporary folder, after a copy: both sides hold the same, so that nothing is
bisected. The baseline counts the rows of both sides at the same time, with as many sessions. Aim: below 8 x count(*).
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from psycopg import sql

from bench.copy import FEW, ROWS, STREAMS, TABLES, all_by_coopctl, fill, result_of, running_server, work_for
from bench.members import seconds_of, show
from provisioner.migration.postgres_copying import CopyWork
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.postgres_verification import Comparison, verify_everything
from provisioner.naming import CooperativeUid, replication_names

COUNT = sql.SQL("SELECT count(*) FROM public.{}")


def count_all(work: CopyWork) -> float:
    """Seconds of counting the rows of both sides."""
    wanted = [(side, table) for table in TABLES for side in (work.source, work.target)]

    def everything() -> None:
        with ThreadPoolExecutor(2 * STREAMS) as pool:
            list(pool.map(lambda one: _count(*one), wanted))

    return seconds_of(everything)


def verify_all(work: CopyWork) -> float:
    """Seconds of comparing both sides. Exits if they differ: then nothing was measured."""
    comparison = Comparison(
        source=work.source,
        target=work.target,
        tables=work.source_facts.tables,
        names=replication_names(CooperativeUid("0" * 16)),
        # A claim, and CONNECT for PUBLIC, belong to a migration that is under way.
        ignored=frozenset({"database"}),
        workers=STREAMS,
    )
    report = verify_everything(comparison)
    if report.differences:
        raise SystemExit(f"the copy differs: {report.differences[:3]}")
    return report.seconds


def measure(*, rows: int, runs: int) -> list[dict[str, object]]:
    """Copy once, then count and verify in turn; the best of each counts."""
    counted, verified = float("inf"), float("inf")
    with running_server() as here, running_server() as there:
        source = here.new_database()
        fill(source, rows=rows)
        with work_for(source, there.new_database()) as work:
            all_by_coopctl(work)
            for _ in range(runs):
                counted = min(counted, count_all(work))
                verified = min(verified, verify_all(work))
    return [result_of("verify: everything", verified, "count(*) of both sides", counted, runs=runs)]


def _count(side: Side, table: str) -> None:
    with session(side) as connection:
        connection.execute(COUNT.format(sql.Identifier(table)))


def main(arguments: Sequence[str]) -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows in all (default: {ROWS})")
    parser.add_argument("--small", action="store_true", help=f"{FEW} rows, once: does it still work?")
    options = parser.parse_args(arguments)
    show(measure(rows=FEW if options.small else options.rows, runs=1 if options.small else 3))


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
