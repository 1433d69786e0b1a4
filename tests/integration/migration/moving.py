"""A migration under test, step by step, with everything that its steps need."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from provisioner.datastore.credentials import Secret
from provisioner.datastore.dump_programs import PostgresTools
from provisioner.datastore.stopping import NeverStopped
from provisioner.migration.postgres_catalogue import Catalogue, read_catalogue
from provisioner.migration.postgres_copy_progress import CopyProgress
from provisioner.migration.postgres_copying import CopyWork, copy_database
from provisioner.migration.postgres_cutover import Cutover, Switched, cut_over, forward_stream
from provisioner.migration.postgres_facts import SourceFacts, TargetFacts
from provisioner.migration.postgres_fence import Fence
from provisioner.migration.postgres_following import nudge, publish, subscribe
from provisioner.migration.postgres_preflight import Preflight, preflight
from provisioner.migration.postgres_report import VerificationReport
from provisioner.migration.postgres_sides import Clients, Side, conninfo, service_file, session
from provisioner.migration.postgres_snapshot import slot_snapshot
from provisioner.migration.postgres_streams import SOURCE, TARGET
from provisioner.migration.postgres_survey import survey_source, survey_target
from provisioner.migration.postgres_verification import Comparison, rehearse_verification
from provisioner.naming import CooperativeUid, ReplicationNames, replication_names
from tests.postgres_servers import PostgresServer, as_user

SETTLE_SECONDS = 60.0


@dataclass
class Move:
    """One database on its way, and what was found and recorded."""

    source: Side
    target: Side
    facts: SourceFacts
    target_facts: TargetFacts
    judged: Preflight
    clients: Clients
    reverse_clients: Clients
    folder: Path
    uid: CooperativeUid
    password: Secret = field(default_factory=lambda: Secret(secrets.token_hex(8)))
    events: list[CopyProgress] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    catalogue: Catalogue | None = None
    streams: int = 2

    @property
    def names(self) -> ReplicationNames:
        return replication_names(self.uid)

    @property
    def copy_work(self) -> CopyWork:
        return CopyWork(
            uid=self.uid,
            source=self.source,
            target=self.target,
            source_facts=self.facts,
            target_facts=self.target_facts,
            routes=self.judged.routes,
            clients=self.clients,
            folder=self.folder,
            stopping=NeverStopped(),
            report=self.events.append,
            streams=self.streams,
            patience_seconds=60,
        )

    def cutover(self, **changes: Any) -> Cutover:
        assert self.catalogue is not None
        work = Cutover(
            copy=self.copy_work,
            names=self.names,
            catalogue=self.catalogue,
            record=self.fences.append,
            reverse_password=self.password,
            target_as_seen=replace(self.target, user=self.names.reverse_login, password=self.password),
        )
        return replace(work, **changes)

    def publish(self) -> None:
        with session(self.source) as connection:
            publish(connection, forward_stream(self.names), self.judged.routes, password=self.password)
            self.catalogue = read_catalogue(connection, names=self.names)

    def copy(self) -> None:
        """Slot, snapshot and copy."""
        with slot_snapshot(self.source, slot=self.names.slot) as snapshot:
            copy_database(self.copy_work, snapshot)

    def follow(self) -> None:
        publisher = replace(self.source, user=self.names.login, password=self.password)
        with session(self.target) as connection:
            subscribe(connection, forward_stream(self.names), publisher)

    def start(self) -> None:
        """Everything up to following."""
        self.publish()
        self.copy()
        self.follow()

    def catch_up(self) -> None:
        """Wait until the target has applied what the source has committed by now."""
        with session(self.source) as connection:
            wanted = nudge(connection)
            query = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"
            deadline = time.monotonic() + SETTLE_SECONDS
            while not fetch_one(connection, query, (wanted, self.names.slot)):
                assert time.monotonic() < deadline, "the target does not follow"
                time.sleep(0.05)

    def rehearse(self) -> VerificationReport:
        return rehearse_verification(self.cutover().rehearsal(self.catch_up))

    def comparison(self, **changes: Any) -> Comparison:
        whole = Comparison(source=self.source, target=self.target, tables=self.streamed, names=self.names)
        return replace(whole, **changes)

    @property
    def streamed(self) -> tuple[Any, ...]:
        names = {route.table for route in self.judged.routes if route.route == "stream"}
        return tuple(table for table in self.facts.tables if table.name in names)

    def cut_over(self, **changes: Any) -> Switched:
        return cut_over(self.cutover(**changes))


def fetch_one(connection: psycopg.Connection[Any], query: str, parameters: tuple[Any, ...] = ()) -> Any:
    """The first value of a query."""
    row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def managed(side: Side, server: PostgresServer) -> Side:
    """The same database for a login that owns it and is no superuser, with every right that a migration may need."""
    login = f"{side.database}_mover"
    server.execute(f"CREATE ROLE {login} LOGIN CREATEROLE REPLICATION BYPASSRLS PASSWORD 'mover-secret'")
    server.execute(f"GRANT pg_create_subscription, pg_read_all_data TO {login}")
    server.execute(f"GRANT SET ON PARAMETER session_replication_role TO {login}")
    server.execute(f"ALTER DATABASE {side.database} OWNER TO {login}")
    return as_user(side, login, "mover-secret")


@contextmanager
def prepared_move(
    source: Side, target_server: PostgresServer, *, folder: Path, as_managed: bool = False
) -> Iterator[Move]:
    """Surveyed and judged; service files lie in ``folder`` while the block runs."""
    target = target_server.new_database("moved")
    if as_managed:
        target = managed(target, target_server)
    with session(source) as connection:
        facts = survey_source(connection)
    with session(target) as connection:
        target_facts = survey_target(connection, source=facts)
    programs = target_server.programs
    tools = PostgresTools(pg_dump=programs / "pg_dump", pg_restore=programs / "pg_restore")
    forward, backward = {SOURCE: source, TARGET: target}, {SOURCE: target, TARGET: source}
    with (
        service_file(forward, folder=folder / "forward") as there,
        service_file(backward, folder=folder / "backward") as back,
    ):
        yield Move(
            source=source,
            target=target,
            facts=facts,
            target_facts=target_facts,
            judged=preflight(facts, target_facts),
            clients=Clients(tools=tools, service_file=there, environment={}),
            reverse_clients=Clients(tools=tools, service_file=back, environment={}),
            folder=there.parent,
            uid=CooperativeUid(secrets.token_hex(8)),
        )


def run(side: Side, statement: str) -> list[Any]:
    """Run statements as the administrator of a side; gives the rows of the last one."""
    with psycopg.connect(conninfo(side), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        while cursor.nextset():
            """The answer to the last statement counts."""
        return cursor.fetchall() if cursor.description else []
