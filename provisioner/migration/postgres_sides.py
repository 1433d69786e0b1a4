"""The two databases of a migration: how each is reached, by ourselves and by client programs.

A password is handed to libpq in memory, and to programs in a service file that only we may read (PostgreSQL manual,
"The Connection Service File"); neither an argument, an environment nor ``repr`` shows it.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from provisioner.datastore.credentials import Secret, resolve_secret
from provisioner.datastore.dump_programs import PostgresTools
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import CONNECT_TIMEOUT_SECONDS, Connection
from provisioner.descriptor.platform import Endpoint
from provisioner.errors import CoopctlError, NotPermitted, Unreachable, UsageError

APPLICATION_NAME = "coopctl migrate"
# No object of the tenant can catch our calls, no policy hides a row, and no limit of the database ends a long copy.
SESSION_OPTIONS = (
    "-c search_path=pg_catalog -c row_security=off -c lock_timeout=60s -c statement_timeout=0 "
    "-c idle_in_transaction_session_timeout=0"
)
PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
SERVICE_FILE = "pg_service.conf"
DEFAULT_PORT = 5432


@dataclass(frozen=True, kw_only=True)
class Side:
    """A database on a server and the login that moves it; ``extra`` are further libpq parameters, such as sslmode.

    ``via`` is where the server is reached from here, if not at its own address: in a pod of the platform.
    """

    host: str
    port: int
    user: str
    database: str
    password: Secret
    extra: tuple[tuple[str, str], ...] = ()
    via: Endpoint | None = None

    def __str__(self) -> str:
        return f"PostgreSQL at {self.host}:{self.port}, database {self.database}"

    @property
    def parameters(self) -> dict[str, str]:
        """All libpq parameters but the password."""
        own = {"host": self.host, "port": str(self.port), "user": self.user, "dbname": self.database}
        # The certificate is still held to the host's own name (PostgreSQL manual, "Parameter Key Words", hostaddr).
        way = {"hostaddr": self.via.host, "port": str(self.via.port)} if self.via else {}
        return dict(self.extra) | own | way


@dataclass(frozen=True, kw_only=True)
class Clients:
    """What client programs need: where they lie, the folder for the service file, and the variables of ours."""

    tools: PostgresTools
    service_file: Path
    environment: Mapping[str, str]

    @property
    def psql(self) -> Path:
        """The psql beside pg_dump."""
        return self.tools.pg_dump.with_name("psql")

    def variables(self, service: str, *, application: str = APPLICATION_NAME) -> dict[str, str]:
        """The whole environment of a program that connects to ``service``; it holds no secret."""
        return {
            "PATH": self.environment.get("PATH", os.defpath),
            "PGSERVICEFILE": str(self.service_file),
            "PGSERVICE": service,
            "PGAPPNAME": application,
            "PGOPTIONS": SESSION_OPTIONS,
            "LC_ALL": "C.UTF-8",
        }


def side_of_access(access: PostgresAccess, *, database: str, environment: Mapping[str, str]) -> Side:
    """The side that the Platform's administrator reaches. Raises NotFound without its password."""
    password = resolve_secret(access.password, environment=environment, what="the PostgreSQL administrator's password")
    tls = (("sslmode", access.sslmode), *((("sslrootcert", str(access.ca_file)),) if access.ca_file else ()))
    return Side(host=access.host, port=access.port, user=access.user, database=database, password=password, extra=tls)


def side_from_dsn(dsn: Secret) -> Side:
    """The side that a libpq connection string or URI names. Raises UsageError; the message does not show the string."""
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(dsn.reveal()).items() if value is not None}
    except psycopg.Error:
        # The parser's message may quote the string, which holds a password: the chain ends here.
        raise UsageError("the target's DSN is not a PostgreSQL connection string") from None
    if missing := [name for name in ("host", "user", "dbname") if name not in found]:
        raise UsageError(f"the target's DSN lacks {', '.join(missing)}")
    own = {"host", "port", "user", "dbname", "password"}
    return Side(
        host=found["host"],
        port=int(found.get("port", DEFAULT_PORT)),
        user=found["user"],
        database=found["dbname"],
        password=Secret(found.get("password", "")),
        extra=tuple(sorted((name, value) for name, value in found.items() if name not in own)),
    )


@contextmanager
def session(side: Side) -> Iterator[Connection]:
    """An autocommit session; closed at the end. PostgreSQL's errors leave translated."""
    with translating(side):
        connection = psycopg.connect(conninfo(side, options=SESSION_OPTIONS), autocommit=True)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def translating(side: Side) -> Iterator[None]:
    """PostgreSQL's errors, as errors of ours that say the same without statement or secret."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(error, side) from error


def conninfo(side: Side, **changes: str) -> str:
    """The libpq connection string, with the password: for a server's or libpq's own hands alone."""
    defaults = {"connect_timeout": str(CONNECT_TIMEOUT_SECONDS), "application_name": APPLICATION_NAME}
    return make_conninfo(**(defaults | side.parameters | {"password": side.password.reveal()} | changes))


def translated(error: psycopg.Error, side: Side) -> CoopctlError:
    """The error of ours that says the same."""
    if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
        lines = str(error).strip().splitlines() or [""]
        return Unreachable(f"{side} cannot be reached", why=lines[0].rpartition("failed: ")[2] or lines[0])
    said = error.diag.message_primary or type(error).__name__
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return NotPermitted(f"{side} does not permit this to {side.user}", why=said + detail)
    return CoopctlError(f"{side} refused a statement", why=said + detail)


@contextmanager
def service_file(services: Mapping[str, Side], *, folder: Path) -> Iterator[Path]:
    """A service file of its own folder, which only we may read; both are gone after the block."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
    file = folder / SERVICE_FILE
    try:
        file.touch(mode=PRIVATE_FILE)
        file.write_text("".join(_section(name, side) for name, side in services.items()))
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _section(name: str, side: Side) -> str:
    values = side.parameters | {"password": side.password.reveal()}
    if any("\n" in value for value in values.values()):
        raise UsageError(f"a parameter of {side} holds a line break, which a service file cannot")
    return "\n".join([f"[{name}]", *(f"{key}={value}" for key, value in values.items())]) + "\n"
