"""The one snapshot of a copy: made with the slot that the target will follow, or alone where nobody follows.

A slot's snapshot shows exactly what was committed before the slot's first change, so that copy and stream neither miss
nor repeat a row. It lives as long as the session that made the slot does nothing else: that session is never used
again, only watched from another one. If it dies, the copy is worthless, since no later snapshot fits the slot.
(PostgreSQL manual, "Streaming Replication Protocol", CREATE_REPLICATION_SLOT.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, scalar
from provisioner.errors import SnapshotLost
from provisioner.migration.postgres_sides import SESSION_OPTIONS, Side, conninfo, session, translating

IDLE_SESSION_TIMEOUT_SINCE = 140000
_ALIVE = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %(pid)s AND backend_start = %(started)s::timestamptz)
"""


@dataclass(frozen=True, kw_only=True)
class HeldSnapshot:
    """A snapshot that other sessions may read; ``lsn`` is where the slot's changes begin, "" without a slot."""

    name: str
    lsn: str
    pid: int
    started: str

    def require_alive(self, watcher: Connection) -> None:
        """Raise SnapshotLost if the session that holds it is gone, seen from another session of the source."""
        try:
            alive = scalar(watcher, _ALIVE, {"pid": self.pid, "started": self.started})
        except psycopg.OperationalError as error:
            raise SnapshotLost("the source ended the sessions of the copy, its snapshot among them") from error
        if not alive:
            raise SnapshotLost("the session that held the copy's snapshot has ended")


@contextmanager
def slot_snapshot(side: Side, *, slot: str) -> Iterator[HeldSnapshot]:
    """Make the logical slot ``slot`` (pgoutput) and hold its snapshot while the block runs; the slot stays.

    Waits for all transactions of the server that have an id. Raises CoopctlError if a slot of this name exists.
    """
    options = f"{SESSION_OPTIONS} -c idle_in_transaction_session_timeout=0"
    with translating(side):
        holder = psycopg.connect(
            conninfo(side, replication="database", options=options),
            autocommit=True,
            cursor_factory=psycopg.ClientCursor,
        )
        try:
            statement = sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'export')")
            row = holder.execute(statement.format(sql.Identifier(slot))).fetchone()
            if row is None:
                raise AssertionError("the server answers with the slot that it made")
            _, lsn, name, _ = row
            yield _held(side, name=name, lsn=lsn, pid=holder.info.backend_pid)
        finally:
            holder.close()


@contextmanager
def plain_snapshot(side: Side) -> Iterator[HeldSnapshot]:
    """Hold a snapshot without a slot, for what is copied while nobody writes."""
    with session(side) as holder:
        if holder.info.server_version >= IDLE_SESSION_TIMEOUT_SINCE:
            holder.execute("SET idle_session_timeout = 0")
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        name = str(scalar(holder, "SELECT pg_export_snapshot()"))
        yield _held(side, name=name, lsn="", pid=holder.info.backend_pid)


def begin_in(connection: Connection, snapshot: HeldSnapshot) -> None:
    """Begin a transaction that reads what the snapshot shows and writes nothing."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot.name)))


def drop_slot(connection: Connection, slot: str) -> bool:
    """Drop a slot that nobody reads from any more; False if there is none."""
    found = scalar(
        connection,
        "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE slot_name = %(slot)s",
        {"slot": slot},
    )
    return bool(found)


def _held(side: Side, *, name: str, lsn: str, pid: int) -> HeldSnapshot:
    with session(side) as watcher:
        started = scalar(watcher, "SELECT backend_start::text FROM pg_stat_activity WHERE pid = %(pid)s", {"pid": pid})
    return HeldSnapshot(name=name, lsn=lsn, pid=pid, started=str(started))
