"""A database's dump: pg_dump's custom format, proved by restoring the very bytes that are written.

1. A transaction of the administrator exports its snapshot. Roles and scratch database are made (dump_scratch.py).
2. In that snapshot, as the reading role, every table is counted and hashed.
3. pg_dump reads the snapshot as the same role; its output goes to the encryption and, at the same time, to
   pg_restore, which fills the scratch database as the restoring role.
4. The scratch database is counted and hashed too, and must be the same.

Neither role can do anything on the server but this, so that code of the tenant which restoring runs can do no harm. No
program is given the administrator's password: the passfile holds those of the two roles, lies in a folder of the estate
and is worth nothing once they are gone.
"""

import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from psycopg import sql

from provisioner.datastore.dump_digests import TableDigest, digests
from provisioner.datastore.dump_programs import Program, find_tools, piped
from provisioner.datastore.dump_scratch import Login, Scratch, made_scratch
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import Connection, connect, scalar
from provisioner.datastore.stopping import Stopping, cancelling
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import ProblemsFound

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
PASSFILE = "pgpass"
_PASSWORD_VARIABLE = "LOGIN_PASSWORD"  # noqa: S105 - a key of a mapping in memory, not a password
# Without what only an owner of the original could restore, or what would do something: comments on extensions,
# grants to roles, publications, subscriptions.
_RESTORE_OPTIONS = (
    "--exit-on-error",
    "--no-owner",
    "--no-privileges",
    "--no-comments",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
)


@dataclass(frozen=True, kw_only=True)
class DumpWork:
    """How the dump is worked on: a folder of this machine for secrets, the environment, and signals.

    ``mark`` is set in the environment of the programs, so that one which a kill left running can be found.
    """

    folder: Path
    environment: Mapping[str, str]
    stopping: Stopping
    mark: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def verified_dump(
    access: PostgresAccess, *, database: str, mark: Mark, work: DumpWork, expected: list[TableDigest]
) -> Generator[bytes, None, None]:
    """The dump, chunk by chunk; after the last one the restored copy was compared.

    ``expected`` is filled with what the database holds. Raises ProblemsFound if the copy differs, CoopctlError if
    a program fails, Interrupted after a signal, NotFound without client programs.
    """
    with connect(access, environment=work.environment, database=database) as connection:
        tools = find_tools(server_version=_version(connection), search_path=work.environment.get("PATH", ""))
        with (
            _snapshot(connection) as exported,
            made_scratch(access, source=database, mark=mark, environment=work.environment) as scratch,
            _passfile(scratch, folder=work.folder) as passfile,
        ):
            expected.extend(_digests_in(access, scratch.reader, database=database, snapshot=exported, work=work))
            dump = [str(tools.pg_dump), "--format=custom", f"--snapshot={exported}", f"--dbname={database}"]
            restore = [str(tools.pg_restore), *_RESTORE_OPTIONS, f"--dbname={scratch.database}"]
            yield from piped(
                Program(argv=dump, environment=_variables(access, scratch.reader, passfile=passfile, work=work)),
                Program(argv=restore, environment=_variables(access, scratch.restorer, passfile=passfile, work=work)),
                stopping=work.stopping,
            )
            copy = _digests_in(access, scratch.restorer, database=scratch.database, snapshot=None, work=work)
            _require_same(expected, copy, database=database)


def holdings(access: PostgresAccess, *, database: str, mark: Mark, work: DumpWork) -> tuple[TableDigest, ...]:
    """What ``database`` holds, as a dump of it would say. Raises Interrupted after a signal, CoopctlError."""
    with made_scratch(access, source=database, mark=mark, environment=work.environment) as scratch:
        return _digests_in(access, scratch.reader, database=database, snapshot=None, work=work)


def sweep_secrets(folder: Path) -> None:
    """Take away what a killed run left of its passfile."""
    shutil.rmtree(folder, ignore_errors=True)


def _version(connection: Connection) -> int:
    return int(scalar(connection, "SELECT current_setting('server_version_num')::int / 10000"))


@contextmanager
def _snapshot(connection: Connection) -> Iterator[str]:
    """A transaction whose snapshot others may read; it may stay idle as long as the dump takes."""
    connection.execute("SET idle_in_transaction_session_timeout = 0")
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield str(scalar(connection, "SELECT pg_export_snapshot()"))
    finally:
        connection.execute("ROLLBACK")


def _digests_in(
    access: PostgresAccess, login: Login, *, database: str, snapshot: str | None, work: DumpWork
) -> tuple[TableDigest, ...]:
    """What ``database`` holds, read as ``login``, in a transaction that can write nothing."""
    as_login = replace(access, user=login.role, password=SecretReference(env=_PASSWORD_VARIABLE))
    environment = {_PASSWORD_VARIABLE: login.password.reveal()}
    with (
        connect(as_login, environment=environment, database=database) as connection,
        cancelling(connection, stopping=work.stopping),
    ):
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        return digests(connection)


def _require_same(expected: list[TableDigest], copy: tuple[TableDigest, ...], *, database: str) -> None:
    if tuple(expected) == copy:
        return
    names = sorted({one.name for one in set(expected).symmetric_difference(copy)})
    raise ProblemsFound(
        f"the dump of {database} does not restore to what the database holds",
        why=f"{len(names)} tables differ, first {', '.join(names[:5])}",
        hint="nothing was deleted; run the same command again when nobody writes to the database",
    )


@contextmanager
def _passfile(scratch: Scratch, *, folder: Path) -> Iterator[Path]:
    """The two roles' passwords in a file that only we may read (PostgreSQL manual, "The Password File")."""
    sweep_secrets(folder)
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
    file = folder / PASSFILE
    try:
        file.touch(mode=PRIVATE_FILE)
        logins = (scratch.reader, scratch.restorer)
        file.write_text("".join(f"*:*:*:{login.role}:{login.password.reveal()}\n" for login in logins))
        yield file
    finally:
        sweep_secrets(folder)


def _variables(access: PostgresAccess, login: Login, *, passfile: Path, work: DumpWork) -> dict[str, str]:
    """What a client program needs to connect as ``login``; nothing else of our environment reaches it."""
    made = {
        "PATH": work.environment.get("PATH", ""),
        "PGHOST": access.host,
        "PGPORT": str(access.port),
        "PGUSER": login.role,
        "PGPASSFILE": str(passfile),
        "PGSSLMODE": access.sslmode,
        "LC_ALL": "C.UTF-8",
        **work.mark,
    }
    return made | ({"PGSSLROOTCERT": str(access.ca_file)} if access.ca_file else {})
