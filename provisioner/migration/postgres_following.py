"""Follows the source: what is made on both sides so that the target applies every change, and how far behind it is.

The order matters. First every table gets a replica identity that works, then it is published: a published table without
one refuses the application's UPDATEs. Then the slot is made (its publication must be older than its first change), and
after the copy the target subscribes to that very slot. All of it is taken away again by ``stop_following``.

The subscription's connection string holds the password of a role that can replicate and nothing else, in this database
alone. It reaches the server as a parameter of a query, so that neither pg_stat_activity nor the log shows it.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_roles import scram_verifier
from provisioner.errors import CoopctlError, TimedOut
from provisioner.migration.postgres_facts import ReplicaIdentity, TableName
from provisioner.migration.postgres_preflight import Route, TableRoute
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_sides import Side, conninfo
from provisioner.migration.postgres_snapshot import drop_slot

MESSAGE_PREFIX = "coopctl"
PROBE = "coopctl_move_probe"
LOCK_TIMEOUT = "2s"
LOCK_ATTEMPTS = 10
LOCK_PAUSE_SECONDS = 1.0
LOOK_SECONDS = 0.005
FLUSH_SECONDS = 0.02
_CONNINFO_SETTING = "coopctl.conninfo"
_SUBSCRIBE = """
    DO $coopctl$BEGIN
        EXECUTE format('CREATE SUBSCRIPTION %I CONNECTION %L PUBLICATION %I WITH (copy_data = false, '
                       'create_slot = false, connect = {connect}, enabled = {enabled}, slot_name = %L)',
                       {name}, current_setting('coopctl.conninfo'), {publication}, {slot});
    END$coopctl$
"""
_LAG = """
    SELECT s.active, s.wal_status, s.safe_wal_size,
           pg_wal_lsn_diff(pg_current_wal_flush_lsn(), s.confirmed_flush_lsn)::bigint,
           extract(epoch FROM coalesce(r.replay_lag, '0'::interval))::float8, s.confirmed_flush_lsn::text
    FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
    WHERE s.slot_name = %(slot)s
"""


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far the reader of a slot is behind: bytes of WAL, and seconds as the reader reports them.

    ``kept_bytes`` is how much more WAL may be written before the slot is invalidated (None: without limit).
    """

    bytes: int
    seconds: float
    active: bool
    wal_status: str
    kept_bytes: int | None
    confirmed: str

    @property
    def lost(self) -> bool:
        """Whether the source has thrown away WAL that the reader still needs: only a new copy helps."""
        return self.wal_status == "lost"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One direction: the publication and slot on the publisher, the subscription and the login that it uses."""

    publication: str
    slot: str
    subscription: str
    login: str


def publish(connection: Connection, stream: Stream, routes: Iterable[TableRoute], *, password: Secret) -> None:
    """Give tables their replica identities, publish them, and make the login of the subscription. Idempotent."""
    streamed = [route for route in routes if route.route is Route.STREAM]
    for route in streamed:
        if route.changes_identity:
            _patiently(connection, _identity(route.table, route.identity, route.index))
    publish_tables(connection, stream, [route.table for route in streamed])
    make_login(connection, stream.login, password=password)


def publish_tables(connection: Connection, stream: Stream, tables: Iterable[TableName]) -> None:
    """A publication with exactly these tables (never FOR ALL TABLES: new ones would come in without an identity)."""
    drop_publication(connection, stream.publication)
    named = sql.Identifier(stream.publication)
    listed = [sql.SQL("ONLY {}").format(sql.Identifier(table.schema, table.name)) for table in tables]
    what = sql.SQL(" FOR TABLE {}").format(sql.SQL(", ").join(listed)) if listed else sql.SQL("")
    _patiently(connection, sql.SQL("CREATE PUBLICATION {}{}").format(named, what))


def make_login(connection: Connection, login: str, *, password: Secret) -> None:
    """A role that may replicate from the connection's database and do nothing else. Idempotent."""
    role = sql.Identifier(login)
    with connection.transaction():
        if not scalar(connection, "SELECT true FROM pg_roles WHERE rolname = %(name)s", {"name": login}):
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        verifier = sql.Literal(scram_verifier(connection, login, password))
        connection.execute(
            sql.SQL("ALTER ROLE {} LOGIN REPLICATION CONNECTION LIMIT 4 PASSWORD {}").format(role, verifier)
        )
        database = sql.Identifier(str(scalar(connection, "SELECT current_database()")))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))


def subscribe(connection: Connection, stream: Stream, publisher: Side) -> None:
    """Let the connection's database apply the stream of ``publisher``, as this server reaches it. Idempotent."""
    if is_subscribed(connection, stream):
        return
    _subscribe(connection, stream, publisher, connect=True, enabled=True)


def is_subscribed(connection: Connection, stream: Stream) -> bool:
    """Whether the connection's database has the stream's subscription."""
    query = "SELECT true FROM pg_subscription WHERE subname = %(name)s"
    return bool(scalar(connection, query, {"name": stream.subscription}))


def why_unreachable(connection: Connection, publisher: Side) -> str | None:
    """Whether the connection's server can log in to ``publisher``: None if it can, else why not; leaves nothing."""
    probe = Stream(publication=PROBE, slot=PROBE, subscription=PROBE, login="")
    try:
        with connection.transaction(force_rollback=True):
            _subscribe(connection, probe, publisher, connect=True, enabled=False)
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        # Before version 15 a missing publication is only warned of; either way the login has succeeded.
        return None if PROBE in said and "does not exist" in said else said
    return None


def unsubscribe(connection: Connection, stream: Stream) -> None:
    """Stop applying. The slot is left to its own server, which may be out of reach. Idempotent."""
    if is_subscribed(connection, stream):
        name = sql.Identifier(stream.subscription)
        connection.execute(sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(name))
        connection.execute(sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(name))
        connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(name))


def unpublish(connection: Connection, stream: Stream) -> None:
    """Take slot, publication and login away. Idempotent; raises CoopctlError if a reader keeps the slot."""
    drop_slot_patiently(connection, stream.slot)
    drop_publication(connection, stream.publication)
    drop_made_roles(connection, [stream.login])


def drop_publication(connection: Connection, name: str) -> None:
    """Idempotent."""
    _patiently(connection, sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))


def restore_identities(connection: Connection, routes: Iterable[TableRoute]) -> None:
    """Give tables the replica identity that they had before. Only once nothing publishes them. Idempotent."""
    for route in routes:
        if route.changes_identity:
            _patiently(connection, _identity(route.table, route.was, route.was_index))


def read_lag(connection: Connection, slot: str) -> Lag | None:
    """How far the slot's reader is behind, seen on the publisher; None if there is no such slot."""
    found = rows(connection, _LAG, {"slot": slot})
    if not found:
        return None
    active, status, kept, behind, seconds, confirmed = found[0]
    return Lag(
        bytes=max(0, behind or 0),
        seconds=seconds,
        active=active,
        wal_status=status or "",
        kept_bytes=kept,
        confirmed=confirmed or "",
    )


def nudge(connection: Connection) -> str:
    """Commit a message to the WAL; gives an LSN at or past that commit's end.

    On an idle server the slot's position would not move otherwise. With synchronous_commit on, the commit has been
    flushed when it returns, and with it all that committed before, asynchronous commits too.
    """
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        connection.execute("SELECT pg_logical_emit_message(true, %(prefix)s, 'nudge')", {"prefix": MESSAGE_PREFIX})
    return str(scalar(connection, "SELECT pg_current_wal_flush_lsn()"))


def drain(publisher: Connection, subscriber: Connection, *, slot: str, timeout_seconds: float) -> None:
    """Wait until the subscriber has confirmed all that the publisher has committed by now, to the last commit.

    Meant for behind the fence. Raises TimedOut, with how much is missing.
    """
    wanted, deadline, flushed = nudge(publisher), time.monotonic() + timeout_seconds, 0.0
    confirmed = """SELECT confirmed_flush_lsn >= %(lsn)s::pg_lsn FROM pg_replication_slots WHERE slot_name = %(slot)s"""
    while not scalar(publisher, confirmed, {"slot": slot, "lsn": wanted}):
        if time.monotonic() > deadline:
            lag = read_lag(publisher, slot)
            raise TimedOut(
                f"the target did not apply the last writes within {timeout_seconds:g} s",
                why=f"{lag.bytes} bytes of WAL are left to apply" if lag else f"the slot {slot} is gone",
                hint="nothing was switched; see the target's log, and try again when its lag is small",
            )
        if time.monotonic() - flushed > FLUSH_SECONDS:
            # A subscriber confirms what its own server has flushed, which takes it its time unless somebody asks; and
            # it looks at that only when something arrives, else five times a second (wal_writer_delay).
            nudge(subscriber)
            nudge(publisher)
            flushed = time.monotonic()
        time.sleep(LOOK_SECONDS)


def _subscribe(connection: Connection, stream: Stream, publisher: Side, *, connect: bool, enabled: bool) -> None:
    secret = conninfo(publisher, application_name=stream.subscription)
    statement = sql.SQL(_SUBSCRIBE).format(
        connect=sql.SQL(str(connect).lower()),
        enabled=sql.SQL(str(enabled).lower()),
        name=sql.Literal(stream.subscription),
        publication=sql.Literal(stream.publication),
        slot=sql.Literal(stream.slot),
    )
    with connection.transaction():
        with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
            connection.execute("SET LOCAL log_parameter_max_length = 0")
        connection.execute("SELECT set_config(%(name)s, %(value)s, true)", {"name": _CONNINFO_SETTING, "value": secret})
        connection.execute(statement)
    connection.execute("SELECT set_config(%(name)s, '', false)", {"name": _CONNINFO_SETTING})


def _identity(table: TableName, identity: ReplicaIdentity, index: str | None) -> sql.Composed:
    named = sql.Identifier(table.schema, table.name)
    if identity is ReplicaIdentity.INDEX and index is not None:
        using = sql.SQL("USING INDEX {}").format(sql.Identifier(index))
    else:
        words = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL", "i": "NOTHING"}
        # An index that was chosen and dropped since counts as NOTHING.
        using = sql.SQL(words[identity.value]).format()
    return sql.SQL("ALTER TABLE ONLY {} REPLICA IDENTITY {}").format(named, using)


def _patiently(connection: Connection, statement: sql.Composed) -> None:
    """Run a change of the schema without making others queue behind it for long."""
    for left in reversed(range(LOCK_ATTEMPTS)):
        try:
            with connection.transaction():
                connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
                connection.execute(statement)
        except psycopg.errors.LockNotAvailable:
            if not left:
                raise
            time.sleep(LOCK_PAUSE_SECONDS)
        else:
            return


def drop_slot_patiently(connection: Connection, slot: str) -> None:
    """Drop a slot, if there is one: a walsender whose reader went away a moment ago may still hold it, and is ended.

    Raises CoopctlError if a reader keeps it.
    """
    for _ in range(LOCK_ATTEMPTS):
        connection.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %(slot)s AND active",
            {"slot": slot},
        )
        try:
            drop_slot(connection, slot)
        except psycopg.errors.ObjectInUse:
            time.sleep(LOCK_PAUSE_SECONDS / 4)
        else:
            return
    raise CoopctlError(f"the replication slot {slot} is still read by somebody", hint="end that session and try again")
