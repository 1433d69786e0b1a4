"""Short-lived administrator's connections: opening, retrying what a neighbour's work disturbed, translating errors."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.rows import TupleRow

from provisioner.datastore.credentials import place, resolve_secret
from provisioner.datastore.postgres import PostgresAccess
from provisioner.errors import CoopctlError, NotFound, NotPermitted, Unreachable

MAINTENANCE_DATABASE = "postgres"
CONNECT_TIMEOUT_SECONDS = 10
ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.05
SERVER_WIDE_LOCK = 0x636F6F70  # "coop": one number for all changes of what the whole server shares
# A tenant may create objects in its database: with pg_catalog alone, none of them can catch the administrator's calls.
# With row_security off, rows that a policy would hide are an error: a full table never looks empty.
SESSION_OPTIONS = (
    "-c search_path=pg_catalog -c row_security=off -c lock_timeout=60s -c idle_in_transaction_session_timeout=600s"
)

Connection = psycopg.Connection[TupleRow]
Query = LiteralString | sql.SQL | sql.Composed
Result = TypeVar("Result")


@contextmanager
def connect(
    access: PostgresAccess, *, environment: Mapping[str, str], database: str = MAINTENANCE_DATABASE
) -> Iterator[Connection]:
    """An autocommit connection to ``database``; closed at the end. PostgreSQL's errors leave translated."""
    try:
        connection = _open(access, environment=environment, database=database)
        try:
            yield connection
        finally:
            connection.close()
    except psycopg.Error as error:
        raise translated(error, access) from error


def retrying(work: Callable[[], Result]) -> Result:
    """Do ``work``, again if another session changed the same catalogue rows at the same time.

    PostgreSQL reports that as "tuple concurrently updated" (an internal error), a deadlock, a serialisation failure
    or a template database in use; all of them pass.
    """
    pause = FIRST_PAUSE_SECONDS
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except psycopg.Error as error:
            if not _passes(error):
                raise
            time.sleep(pause)
            pause *= 2
    return work()


def rows(connection: Connection, query: Query, parameters: Mapping[str, Any] | None = None) -> list[TupleRow]:
    """All rows of a query."""
    return connection.execute(query, parameters).fetchall()


def scalar(connection: Connection, query: Query, parameters: Mapping[str, Any] | None = None) -> Any:
    """The first column of the first row, or None without a row."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def lock_server_wide(connection: Connection) -> None:
    """Until the transaction's end, be the only coopctl that changes what all databases of the server share."""
    connection.execute("SELECT pg_advisory_xact_lock(%(key)s)", {"key": SERVER_WIDE_LOCK})


def translated(error: psycopg.Error, access: PostgresAccess) -> CoopctlError:
    """The error of ours that says the same, without statement or secret."""
    server = f"PostgreSQL at {access.host}:{access.port}"
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        return _connection_failure(str(error).strip(), access=access, server=server)
    said = error.diag.message_primary or type(error).__name__
    if isinstance(error, errors.InsufficientPrivilege):
        return NotPermitted(
            f"{server} does not permit this to its user {access.user}",
            why=said,
            hint="the Platform's admin user must be a superuser, or own what it changes with CREATEROLE and CREATEDB",
        )
    return CoopctlError(f"{server} refused a change", why=_with_detail(said, error))


def _open(access: PostgresAccess, *, environment: Mapping[str, str], database: str) -> Connection:
    password = resolve_secret(access.password, environment=environment, what="the PostgreSQL administrator's password")
    return psycopg.connect(
        host=access.host,
        port=access.port,
        user=access.user,
        password=password.reveal(),
        dbname=database,
        sslmode=access.sslmode,
        sslrootcert=str(access.ca_file) if access.ca_file else None,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name="coopctl",
        options=SESSION_OPTIONS,
        autocommit=True,
    )


def _passes(error: psycopg.Error) -> bool:
    if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected | errors.ObjectInUse):
        return True
    said = error.diag.message_primary or ""
    return isinstance(error, errors.InternalError_) and "concurrently" in said


def _connection_failure(text: str, *, access: PostgresAccess, server: str) -> CoopctlError:
    # Without a session there is no SQLSTATE: libpq's text is all there is, and it holds no password.
    if "password authentication failed" in text or "no password supplied" in text or "no pg_hba.conf entry" in text:
        return NotPermitted(
            f"{server} refused the login of {access.user}",
            why=_last_reason(text),
            hint=f"check the password in {place(access.password)} and the server's pg_hba.conf",
        )
    if "too many" in text or "remaining connection slots" in text:
        return Unreachable(f"{server} has no free connection", why=_last_reason(text), hint="raise max_connections")
    if text.endswith("does not exist"):
        return NotFound(f"{server} has no such database or user", why=_last_reason(text))
    return Unreachable(
        f"{server} cannot be reached",
        why=_last_reason(text),
        hint="check that it runs and that host, port and sslmode in the Platform are right",
    )


def _last_reason(text: str) -> str:
    lines = text.splitlines() or [""]
    return lines[0].rpartition("failed: ")[2] or lines[0]


def _with_detail(said: str, error: psycopg.Error) -> str:
    detail = error.diag.message_detail
    return f"{said} ({detail})" if detail else said
