"""A stream applied by ourselves, where the subscriber must not: as a role that owns the tables and is no superuser.

Before version 16 a subscription belongs to a superuser, who would apply a stranger's stream on the platform's server.
So the way back is relayed there: changes are read from the slot by queries and written by a role of the migration's own
that has the rights of the tables' owners and nothing else on the server.

1. The slot's changes are read, whole transactions at a time, without taking them off the slot.
2. They are applied in one transaction, which also notes how far they go.
3. Only then the slot is moved on. Cut off in between, what was applied is known from the note and left out: no change
   is lost, none is applied twice.

The session fires no ordinary trigger and checks no foreign key, as a subscription's does (session_replication_role);
the right to say so can be given since PostgreSQL 15.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_roles import scram_verifier
from provisioner.errors import CoopctlError, NotPermitted
from provisioner.migration.postgres_changes import RowChange, Truncation, decoded
from provisioner.migration.postgres_facts import TableFacts, TableName
from provisioner.migration.postgres_following import nudge
from provisioner.migration.postgres_relay_statements import statement
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_sides import Side, session
from provisioner.naming import MIGRATION_SCHEMA, ReplicationNames

CHANGES_AT_ONCE = 5000
PARAMETER_RIGHTS_SINCE = 150000
_NOTE_TABLE = "relayed"
_PEEK = """
    SELECT data FROM pg_logical_slot_peek_binary_changes(
        %(slot)s, NULL, %(most)s, 'proto_version', '1', 'publication_names', %(publication)s)
"""
_OWNERS = """
    SELECT DISTINCT pg_get_userbyid(c.relowner)::text, r.rolsuper FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname, c.relname) IN (SELECT * FROM unnest(%(schemas)s::text[], %(names)s::text[])) ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """The changes of one commit, and the LSN behind it."""

    end: int
    changes: tuple[RowChange | Truncation, ...]


@dataclass(frozen=True, kw_only=True)
class Relayed:
    """What was applied, and the LSN up to which."""

    transactions: int
    changes: int
    until: int

    def plus(self, later: "Relayed") -> "Relayed":
        """Both together."""
        return Relayed(
            transactions=self.transactions + later.transactions,
            changes=self.changes + later.changes,
            until=later.until,
        )


@dataclass(frozen=True, kw_only=True)
class Relay:
    """From whose slot to which database: ``subscriber`` is the login of the relay's own role."""

    publisher: Side
    subscriber: Side
    slot: str
    publication: str
    tables: tuple[TableFacts, ...]


def make_relay_role(
    connection: Connection, *, names: ReplicationNames, tables: Sequence[TableFacts], password: Secret
) -> None:
    """Make the role that applies, and the note, in the database that is written to. Idempotent.

    Raises NotPermitted before version 15, where only a superuser could keep triggers from firing.
    """
    if connection.info.server_version < PARAMETER_RIGHTS_SINCE:
        raise NotPermitted("only a superuser could apply changes here without firing triggers", hint="move offline")
    role = sql.Identifier(names.relay_login)
    with connection.transaction():
        if not scalar(connection, "SELECT true FROM pg_roles WHERE rolname = %(name)s", {"name": names.relay_login}):
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        verifier = sql.Literal(scram_verifier(connection, names.relay_login, password))
        attributes = sql.SQL("ALTER ROLE {} LOGIN INHERIT BYPASSRLS CONNECTION LIMIT 2 PASSWORD {}")
        connection.execute(attributes.format(role, verifier))
        database = sql.Identifier(str(scalar(connection, "SELECT current_database()")))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
        connection.execute(sql.SQL("GRANT SET ON PARAMETER session_replication_role TO {}").format(role))
        _give_tables(connection, role, tables)
        _make_note(connection, role)


def drop_relay_role(connection: Connection, *, names: ReplicationNames) -> None:
    """Take the role and the note away. Idempotent."""
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(MIGRATION_SCHEMA)))
    drop_made_roles(connection, [names.relay_login])


def relay_all(relay: Relay) -> Relayed:
    """Apply everything that the publisher has committed when this is called, and move the slot on behind it.

    Raises CoopctlError if a row that must be there is not; then nothing of its round is applied.
    """
    with session(relay.publisher) as publisher, session(relay.subscriber) as subscriber:
        subscriber.execute("SET session_replication_role = replica")
        wanted, total = nudge(publisher), Relayed(transactions=0, changes=0, until=0)
        while (one := _round(relay, publisher, subscriber)) is not None:
            total = total.plus(one)
            if one.until >= lsn_number(wanted):
                break
        _advance(publisher, slot=relay.slot, until=wanted)
        return total


def transactions(messages: Iterable[bytes]) -> tuple[Transaction, ...]:
    """Pure: whole transactions; a commit is a flag, its LSN, the LSN behind it and a time."""
    found, open_messages = [], list[bytes]()
    described: list[bytes] = []
    for message in messages:
        if message[:1] == b"C":
            (end,) = struct.unpack_from("!Q", message, 10)
            changes = tuple(decoded([*described, *open_messages]))
            found.append(Transaction(end=end, changes=changes))
            open_messages = []
        elif message[:1] == b"R":
            described.append(message)
            open_messages.append(message)
        else:
            open_messages.append(message)
    return tuple(found)


def _round(relay: Relay, publisher: Connection, subscriber: Connection) -> Relayed | None:
    """Up to some thousand changes, or None if there is nothing left."""
    query = {"slot": relay.slot, "most": CHANGES_AT_ONCE, "publication": f'"{relay.publication}"'}
    read = transactions(bytes(data) for (data,) in rows(publisher, _PEEK, query))
    done = _noted(subscriber, relay.slot)
    fresh = [one for one in read if one.end > done]
    if not read:
        return None
    facts = {table.name: table for table in relay.tables}
    with subscriber.transaction():
        _apply(subscriber, [change for one in fresh for change in one.changes], facts=facts)
        _note(subscriber, relay.slot, max(read[-1].end, done))
    _advance(publisher, slot=relay.slot, until=lsn_text(read[-1].end))
    return Relayed(transactions=len(fresh), changes=sum(len(one.changes) for one in fresh), until=read[-1].end)


def _apply(
    subscriber: Connection, changes: Sequence[RowChange | Truncation], *, facts: Mapping[TableName, TableFacts]
) -> None:
    """All of a round at once: to wait for each transaction would take longer than to apply it."""
    with subscriber.pipeline():
        sent = [(change, subscriber.execute(*statement(change, facts=facts))) for change in changes]
    for change, cursor in sent:
        if isinstance(change, RowChange) and cursor.rowcount != 1:
            raise CoopctlError(
                f"a change of {change.relation.table} met {cursor.rowcount} rows instead of one",
                why="the two sides have come apart",
                hint="verify; then finalise, or move again in the other direction",
            )


def lsn_text(lsn: int) -> str:
    """Pure: a WAL position as PostgreSQL writes it (pg_lsn type)."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_number(text: str) -> int:
    """Pure: a WAL position as a number."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def _give_tables(connection: Connection, role: sql.Identifier, tables: Sequence[TableFacts]) -> None:
    """The rights of the owners; those of a superuser's tables one by one, since nobody becomes one."""
    parameters = {"schemas": [table.name.schema for table in tables], "names": [table.name.name for table in tables]}
    for owner, superuser in rows(connection, _OWNERS, parameters):
        if not superuser:
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner), role))
    for table in tables:
        right = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {} TO {}")
        if _is_a_superusers(connection, table.name):
            schema = sql.Identifier(table.name.schema)
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
            connection.execute(right.format(sql.Identifier(table.name.schema, table.name.name), role))


def _is_a_superusers(connection: Connection, table: TableName) -> bool:
    query = "SELECT r.rolsuper FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = %(name)s::regclass"
    return bool(scalar(connection, query, {"name": str(table)}))


def _make_note(connection: Connection, role: sql.Identifier) -> None:
    schema, note = sql.Identifier(MIGRATION_SCHEMA), sql.Identifier(MIGRATION_SCHEMA, _NOTE_TABLE)
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    connection.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS {} (slot text PRIMARY KEY, position numeric NOT NULL)").format(note)
    )
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
    connection.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE ON {} TO {}").format(note, role))


def _noted(subscriber: Connection, slot: str) -> int:
    note = sql.Identifier(MIGRATION_SCHEMA, _NOTE_TABLE)
    query = sql.SQL("SELECT position FROM {} WHERE slot = %(slot)s").format(note)
    return int(scalar(subscriber, query, {"slot": slot}) or 0)


def _note(subscriber: Connection, slot: str, position: int) -> None:
    note = sql.Identifier(MIGRATION_SCHEMA, _NOTE_TABLE)
    text = sql.SQL("INSERT INTO {} AS n VALUES (%(slot)s, %(at)s) ON CONFLICT (slot) DO UPDATE SET position = %(at)s")
    subscriber.execute(text.format(note), {"slot": slot, "at": position})


def _advance(publisher: Connection, *, slot: str, until: str) -> None:
    # A slot goes forward only: asking for less is an error.
    publisher.execute(
        """SELECT pg_replication_slot_advance(slot_name, %(until)s::pg_lsn) FROM pg_replication_slots
           WHERE slot_name = %(slot)s AND confirmed_flush_lsn < %(until)s::pg_lsn""",
        {"slot": slot, "until": until},
    )
