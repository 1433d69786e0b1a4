"""How fast a database is copied to another server: its rows alone, and all of it with indexes and constraints.

On two PostgreSQL servers of its own in a temporary folder. Rows alone are held against a raw pipe (psql COPY to psql
COPY, binary, the same tables, as many at once), the whole against `pg_dump -Fc | pg_restore` and, where it is
installed, against `pgcopydb clone` with as many jobs. Every copy goes into a new database. Aims: at least 0.9 of the
raw pipe's rate, and the whole faster than both tools.
"""

import argparse
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.members import running_postgres, seconds_of, show
from provisioner.datastore.credentials import Secret, resolve_secret
from provisioner.datastore.dump_programs import find_tools
from provisioner.datastore.stopping import NeverStopped
from provisioner.embedded.ports import LOOPBACK
from provisioner.embedded.postgres import ADMIN
from provisioner.migration.postgres_copying import CopyWork, copy_database, copy_tables
from provisioner.migration.postgres_preflight import Route, preflight
from provisioner.migration.postgres_schema import dump_schema, restore_before_rows
from provisioner.migration.postgres_sides import Clients, Side, service_file, session
from provisioner.migration.postgres_snapshot import plain_snapshot
from provisioner.migration.postgres_streams import SOURCE, TARGET
from provisioner.migration.postgres_survey import survey_source, survey_target
from provisioner.naming import CooperativeUid

ROWS, FEW = 4_000_000, 20_000
TABLES = ("lots", "weighings", "invoices", "notes")
STREAMS = 2
MIB = 1024 * 1024
SCHEMA = """
CREATE TABLE {name} (id bigint PRIMARY KEY, code text NOT NULL, at timestamptz NOT NULL, amount numeric, note text);
INSERT INTO {name} SELECT n, 'L-' || n, now() - n * interval '1 second', n / 7.0, repeat(md5(n::text), 3)
FROM generate_series(1, {rows}) n;
CREATE INDEX ON {name} (code); CREATE INDEX ON {name} (at);
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A PostgreSQL of its own."""

    port: int
    password: Secret

    def side(self, database: str) -> Side:
        """The administrator's way to a database."""
        return Side(
            host=LOOPBACK,
            port=self.port,
            user=ADMIN,
            database=database,
            password=self.password,
            extra=(("sslmode", "require"),),
        )

    def new_database(self) -> Side:
        """An empty database."""
        name = f"bench_{secrets.token_hex(4)}"
        with session(self.side("postgres")) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self.side(name)


@contextmanager
def running_server() -> Iterator[Server]:
    """A server while the block runs, with logical WAL; nobody waits for the disk."""
    with running_postgres(max_wal_size="4GB") as access:
        password = resolve_secret(access.password, environment=os.environ, what="the bench's password")
        yield Server(port=access.port, password=password)


def fill(side: Side, *, rows: int) -> int:
    """Make the tables with ``rows`` in all; gives their bytes."""
    with session(side) as connection:
        connection.execute("SET search_path = public")
        for name in TABLES:
            connection.execute(SCHEMA.format(name=name, rows=rows // len(TABLES)).encode())
        connection.execute("VACUUM ANALYZE")
        sizes = connection.execute(
            "SELECT sum(pg_relation_size(oid))::bigint FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchone()
    return int(sizes[0]) if sizes else 0


@contextmanager
def work_for(source: Side, target: Side) -> Iterator[CopyWork]:
    """What a copy of ``source`` to ``target`` needs."""
    with session(source) as connection:
        facts = survey_source(connection)
    with session(target) as connection:
        target_facts = survey_target(connection)
    tools = find_tools(server_version=facts.server.major, search_path=os.environ["PATH"])
    folder = Path(tempfile.mkdtemp(prefix="coopctl-bench-"))
    try:
        with service_file({SOURCE: source, TARGET: target}, folder=folder / "work") as services:
            yield CopyWork(
                uid=CooperativeUid(secrets.token_hex(8)),
                source=source,
                target=target,
                source_facts=facts,
                target_facts=target_facts,
                routes=preflight(facts, target_facts).routes,
                clients=Clients(tools=tools, service_file=services, environment=os.environ),
                folder=services.parent,
                stopping=NeverStopped(),
                report=lambda _: None,
                streams=STREAMS,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rows_by_coopctl(work: CopyWork) -> float:
    """Seconds of copying the rows into tables without indexes."""
    with plain_snapshot(work.source) as snapshot:
        restore_before_rows(work.clients, dump_schema(work.clients, snapshot=snapshot.name, folder=work.folder))
        return seconds_of(lambda: copy_tables(work, snapshot, route=Route.STREAM))


def rows_by_pipe(work: CopyWork) -> float:
    """The same by a raw pipe for each table, as many at once."""
    with plain_snapshot(work.source) as snapshot:
        restore_before_rows(work.clients, dump_schema(work.clients, snapshot=snapshot.name, folder=work.folder))
    return seconds_of(lambda: _pipe_all(work))


def all_by_coopctl(work: CopyWork) -> float:
    """Seconds of copying everything, indexes and constraints too."""
    with plain_snapshot(work.source) as snapshot:
        return seconds_of(lambda: copy_database(work, snapshot))


def all_by_dump(work: CopyWork) -> float:
    """The same by `pg_dump -Fc | pg_restore`."""
    return seconds_of(lambda: _dump_and_restore(work))


def all_by_pgcopydb(work: CopyWork) -> float:
    """The same by `pgcopydb clone`, which finds both servers in the service file."""
    with tempfile.TemporaryDirectory(prefix="coopctl-bench-") as folder:
        command = ["pgcopydb", "clone", "--dir", f"{folder}/work", "--source", f"service={SOURCE}"]
        command += ["--target", f"service={TARGET}", "--table-jobs", str(STREAMS), "--index-jobs", str(STREAMS)]
        variables = _variables(work, SOURCE)
        return seconds_of(lambda: subprocess.run(command, check=True, env=variables, capture_output=True))


def measure(*, rows: int, runs: int) -> list[dict[str, object]]:
    """Measure each way in turn, ``runs`` times, and take the best of each: what else ran is not ours."""
    ways: dict[str, Callable[[CopyWork], float]] = {
        "pipe": rows_by_pipe,
        "rows": rows_by_coopctl,
        "dump": all_by_dump,
        "all": all_by_coopctl,
        **({"pgcopydb": all_by_pgcopydb} if shutil.which("pgcopydb") else {}),
    }
    best = dict.fromkeys(ways, float("inf"))
    with running_server() as here, running_server() as there:
        source = here.new_database()
        size = fill(source, rows=rows)
        for _ in range(runs):
            for name, way in ways.items():
                with work_for(source, there.new_database()) as work:
                    best[name] = min(best[name], way(work))
    rates = {name: size / MIB / seconds for name, seconds in best.items()}
    return [
        _result("rows alone", rates["rows"], "raw binary COPY pipe", rates["pipe"], runs=runs),
        _result("with indexes", rates["all"], "pg_dump -Fc | pg_restore", rates["dump"], runs=runs),
        *(
            _result("with indexes", rates["all"], "pgcopydb clone", rates[tool], runs=runs)
            for tool in rates
            if tool == "pgcopydb"
        ),
    ]


def result_of(name: str, seconds: float, baseline: str, against: float, *, runs: int) -> dict[str, object]:
    """A result in seconds, against a baseline of so many."""
    return {
        "benchmark": name,
        "result": seconds,
        "unit": "s",
        "baseline": f"{baseline}: {against:.3f} s",
        "ratio": seconds / against,
        "runs": runs,
    }


def _result(what: str, result: float, baseline: str, rate: float, *, runs: int) -> dict[str, object]:
    return {
        "benchmark": f"copy: {what}",
        "result": result,
        "unit": "MiB/s",
        "baseline": f"{baseline}: {rate:.1f} MiB/s",
        "ratio": result / rate,
        "runs": runs,
    }


def _pipe_all(work: CopyWork) -> None:
    with ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(lambda name: _pipe(work, name), TABLES))


def _pipe(work: CopyWork, table: str) -> None:
    psql = [str(work.clients.psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    options = "(FORMAT binary)"
    read = [*psql, f"--command=COPY public.{table} TO STDOUT {options}"]
    write = [*psql, f"--command=COPY public.{table} FROM STDIN {options}"]
    _piped(read, write, work)


def _dump_and_restore(work: CopyWork) -> None:
    read = [str(work.clients.tools.pg_dump), "-Fc", "--no-password"]
    _piped(read, [str(work.clients.tools.pg_restore), "--no-password", f"--dbname=service={TARGET}"], work)


def _piped(read: list[str], write: list[str], work: CopyWork) -> None:
    with subprocess.Popen(read, stdout=subprocess.PIPE, env=_variables(work, SOURCE)) as reader:
        subprocess.run(write, stdin=reader.stdout, check=True, env=_variables(work, TARGET), stdout=subprocess.DEVNULL)
    if reader.returncode:
        raise subprocess.CalledProcessError(reader.returncode, read)


def _variables(work: CopyWork, service: str) -> dict[str, str]:
    variables = work.clients.variables(service)
    # The settings of our sessions are left out: a search path of theirs would not find what people find.
    return {name: value for name, value in variables.items() if name != "PGOPTIONS"}


def main(arguments: Sequence[str]) -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows in all (default: {ROWS})")
    parser.add_argument("--small", action="store_true", help=f"{FEW} rows, once: does it still work?")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    show(measure(rows=FEW if options.small else options.rows, runs=1 if options.small else 2))
    print(f"in {time.perf_counter() - began:.0f} s, {STREAMS} streams")


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
