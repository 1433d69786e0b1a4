"""Copies a database inside one snapshot.

1. The target is claimed and emptied of what an earlier, unfinished copy left (postgres_target.py); roles are made.
2. The schema is dumped in the snapshot and its first half restored.
3. Tables are copied in pieces by several streams, the largest table first; then large objects.
4. The second half of the schema follows: indexes, constraints, triggers. Triggers that would fire for replicated rows
   too are disabled until the cutover. Settings and rights of the database; ANALYZE.

Cut off anywhere, or with the snapshot lost, the copy is started again from the beginning with a new snapshot. A server
that is down or full for a while is waited for as long as ``patience_seconds`` allows; the pieces that are done stay.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection
from provisioner.datastore.stopping import Stopping
from provisioner.errors import Interrupted, StreamDisturbed
from provisioner.migration.postgres_copy_plan import CopyPiece, bounded_streams, plan_copy
from provisioner.migration.postgres_copy_progress import CopyProgress, Meter, SessionReader
from provisioner.migration.postgres_facts import SourceFacts, TargetFacts, quoted
from provisioner.migration.postgres_large_objects import copy_large_objects
from provisioner.migration.postgres_owners import (
    AS_OWN,
    LATER,
    Owned,
    give_to_owners,
    read_owned,
    rights_alone,
)
from provisioner.migration.postgres_preflight import Route, TableRoute
from provisioner.migration.postgres_role_moves import join_roles, make_roles, read_roles, set_database_properties
from provisioner.migration.postgres_schema import (
    EVERYTHING,
    dump_schema,
    restore_after_rows,
    restore_before_rows,
    restore_chosen,
)
from provisioner.migration.postgres_sides import Clients, Side, session
from provisioner.migration.postgres_snapshot import HeldSnapshot, begin_in
from provisioner.migration.postgres_streams import Running, run_stream
from provisioner.migration.postgres_target import claim_target
from provisioner.naming import CooperativeUid

DATABASE_OWNER = "pg_database_owner"
LOOK_SECONDS = 0.5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 10.0
DEFAULT_STREAMS = 4

Report = Callable[[CopyProgress], None]


@dataclass(frozen=True, kw_only=True)
class CopyWork:
    """What a copy needs: both sides and their facts, how tables go, client programs, a private folder, whom to tell.

    ``outbound`` are the `administrators` of the way there, on the way back.
    """

    uid: CooperativeUid
    source: Side
    target: Side
    source_facts: SourceFacts
    target_facts: TargetFacts
    routes: tuple[TableRoute, ...]
    clients: Clients
    folder: Path
    stopping: Stopping
    report: Report
    streams: int = DEFAULT_STREAMS
    patience_seconds: float = 600.0
    outbound: frozenset[str] | None = None

    @property
    def bounded_streams(self) -> int:
        """Streams at once, within both servers' limits."""
        return bounded_streams(self.streams, source=self.source_facts.server, target=self.target_facts.server)

    @property
    def administrators(self) -> frozenset[str]:
        """Who owns at the target what administrators own at the source, and these; nobody where it is a superuser.

        The schema public belongs to who owns the database, from version 15 on by a role that says so.
        """
        if self.outbound is not None:
            return self.outbound
        if self.target_facts.server.superuser:
            return frozenset()
        return frozenset({*self.source_facts.administrators, self.target.user, DATABASE_OWNER})


def copy_database(work: CopyWork, snapshot: HeldSnapshot, *, route: Route = Route.STREAM) -> None:
    """Everything but what is left for behind the fence, inside ``snapshot``, to the claimed target.

    Raises SnapshotLost if the snapshot's session ended, Interrupted after a signal, NotOurs if the target holds what
    no unfinished copy made, CoopctlError with a program's last words.
    """
    with session(work.source) as source:
        begin_in(source, snapshot)
        wanted = read_roles(source, work.source_facts.role_names)
        with session(work.target) as target:
            claim_target(target, uid=work.uid)
            make_roles(target, wanted, names=work.source_facts.role_names)
            if work.administrators:
                join_roles(target, set(work.source_facts.role_names) - work.administrators)
        archive = dump_schema(work.clients, snapshot=snapshot.name, folder=work.folder)
        owned = read_owned(source, administrators=work.administrators) if work.administrators else ()
        _make_things(work, archive, owned=owned)
        copy_tables(work, snapshot, route=route)
        with session(work.target) as target:
            carry_large_objects(work, source, target, snapshot=snapshot)
            restoring = AS_OWN if work.administrators else EVERYTHING
            restore_after_rows(work.clients, archive, jobs=work.bounded_streams, restoring=restoring)
            give_to_owners(target, [one for one in owned if one.type in LATER])
            _disable_firing_triggers(target, work.source_facts)
            set_database_properties(target, wanted)
            target.execute("ANALYZE")


def _make_things(work: CopyWork, archive: Path, *, owned: Sequence[Owned]) -> None:
    """The first half of the schema, with owners and rights."""
    if not work.administrators:
        restore_before_rows(work.clients, archive)
        return
    restore_before_rows(work.clients, archive, restoring=AS_OWN)
    with session(work.target) as target:
        give_to_owners(target, [one for one in owned if one.type not in LATER])
    restore_chosen(work.clients, archive, restoring=rights_alone(administrators=work.administrators))


def copy_tables(work: CopyWork, snapshot: HeldSnapshot, *, route: Route, again: bool = False) -> None:
    """The rows of all tables that go this ``route``, into empty tables, or instead of what is there (``again``)."""
    pieces = plan_copy(work.source_facts.tables, work.routes, route=route, source=work.source_facts.server, whole=again)
    running, meter = Running(), Meter(pieces, started=time.monotonic())
    with (
        session(work.source) as watcher,
        SessionReader(work.target) as counter,
        ThreadPoolExecutor(work.bounded_streams) as pool,
    ):
        started = [
            pool.submit(
                _copy_piece, work, piece, number=number, snapshot=snapshot, running=running, meter=meter, again=again
            )
            for number, piece in enumerate(pieces)
        ]
        try:
            _watched(started, work=work, snapshot=snapshot, watcher=watcher, counter=counter, meter=meter)
        finally:
            running.stop()
            for future in started:
                future.cancel()
    work.report(meter.progress(now=time.monotonic()))


def carry_large_objects(work: CopyWork, source: Connection, target: Connection, *, snapshot: HeldSnapshot) -> None:
    """Make the target's large objects those of ``snapshot``, in which ``source`` is. Idempotent."""
    copy_large_objects(
        source,
        target,
        clients=work.clients,
        snapshot=snapshot.name,
        running=Running(),
        kept=work.administrators,
    )


def enable_firing_triggers(target: Connection, facts: SourceFacts) -> None:
    """Give the triggers that were disabled on the target the mode that they have on the source. Idempotent."""
    for trigger in facts.firing_triggers:
        mode = "ALWAYS" if trigger.mode == "A" else "REPLICA"
        _alter_trigger(target, f"{trigger.table}", f"ENABLE {mode} TRIGGER {quoted(trigger.name)}")


def _disable_firing_triggers(target: Connection, facts: SourceFacts) -> None:
    for trigger in facts.firing_triggers:
        _alter_trigger(target, f"{trigger.table}", f"DISABLE TRIGGER {quoted(trigger.name)}")


def _alter_trigger(target: Connection, table: str, change: str) -> None:
    statement = f"ALTER TABLE ONLY {table} {change}"
    target.execute(sql.SQL(statement))


def _watched(
    started: Sequence["Future[None]"],
    *,
    work: CopyWork,
    snapshot: HeldSnapshot,
    watcher: Connection,
    counter: SessionReader,
    meter: Meter,
) -> None:
    left = set(started)
    while left:
        done, left = wait(left, timeout=LOOK_SECONDS, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        if work.stopping.signals:
            raise Interrupted("interrupted while tables were copied", why="the source is as it was")
        snapshot.require_alive(watcher)
        meter.saw(counter.read())
        work.report(meter.progress(now=time.monotonic()))


def _copy_piece(
    work: CopyWork,
    piece: CopyPiece,
    *,
    number: int,
    snapshot: HeldSnapshot,
    running: Running,
    meter: Meter,
    again: bool,
) -> None:
    clearing = (piece.clear_statement(),) if again else ()
    label, pause, patience = f"coopctl copy {number}", FIRST_PAUSE_SECONDS, time.monotonic() + work.patience_seconds
    while not running.stopped:
        meter.begins(piece, label=label, now=time.monotonic())
        try:
            run_stream(
                work.clients,
                read=piece.read_statement(),
                write=(*clearing, piece.write_statement()),
                snapshot=snapshot.name,
                label=label,
                running=running,
                replica=work.target_facts.server.superuser or work.target_facts.server.keeps_triggers,
            )
        except StreamDisturbed as error:
            if time.monotonic() > patience:
                raise
            meter.waits(label, why=error.why or error.message)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            meter.ends(label)
            return
