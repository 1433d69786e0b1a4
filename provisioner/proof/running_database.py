"""Runs the attempts on the database server, as the tenant's roles with the passwords that its Secrets deliver.

A session of the administrator's stays open meanwhile, to be looked at. Attacks on others' sessions aim at another one,
which is opened again where they get through: the proof goes on.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, assert_never

import psycopg

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres import PostgresAccess
from provisioner.datastore.postgres_connection import MAINTENANCE_DATABASE, Connection, connect, rows, scalar
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.naming import TenantNames
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole, RoleKind
from provisioner.proof.attempts import About, Connect, DatabaseAttempt, Sql, StoreLook
from provisioner.proof.planning_database import POSTGRES
from provisioner.proof.tenant import Neighbour
from provisioner.proof.verdicts import Verdict, allowed, not_attempted, refused

_CONNECT_TIMEOUT_SECONDS = 10
_DENIED = "42501"
_SESSION = "{session}"
_DATABASES = "SELECT datname::text FROM pg_database WHERE datname = ANY (%(names)s)"
_ROLES = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY (%(names)s)"
# Nothing here may wait, and so hold up the tenant. That a reader only reads is a default that it may change: no guard.
_OPTIONS = "-c lock_timeout=5s -c statement_timeout=20s -c default_transaction_read_only=off"
# libpq's words: without a session there is no SQLSTATE.
_FOR_OTHER_HOSTS = "no pg_hba.conf entry"
_FULL = ("too many connections", "remaining connection slots")


def standing(
    neighbours: Sequence[Neighbour], *, access: PostgresAccess, environment: Mapping[str, str]
) -> tuple[Neighbour, ...]:
    """The neighbours whose databases and roles are all there: of one whose apply failed there is nothing to get at.

    Raises Unreachable or NotPermitted.
    """
    names = [name for one in neighbours for name in (one.names.database, *one.names.roles)]
    with connect(access, environment=environment, database=MAINTENANCE_DATABASE) as session:
        asked = {"names": names}
        databases = {name for (name,) in rows(session, _DATABASES, asked)}
        roles = {name for (name,) in rows(session, _ROLES, asked)}
    return tuple(one for one in neighbours if one.names.database in databases and roles.issuperset(one.names.roles))


class DatabaseRunner:
    """Makes attempts with the roles of one tenant; for one thread. To be entered and left."""

    def __init__(
        self,
        access: PostgresAccess,
        *,
        names: TenantNames,
        mark: Mark,
        passwords: Mapping[RoleKind, Secret],
        environment: Mapping[str, str],
    ) -> None:
        self._access = access
        self._names = names
        self._mark = mark
        self._passwords = passwords
        self._environment = environment
        self._opened = contextlib.ExitStack()
        self._sessions: dict[RoleKind, Connection] = {}
        self._target: Connection | None = None

    def __enter__(self) -> Self:
        """Open the administrator's sessions. Raises Unreachable or NotPermitted."""
        opening = (self._administrator(MAINTENANCE_DATABASE), self._administrator(self._names.database))
        self._watched, self._inside = (self._opened.enter_context(session) for session in opening)
        self._watched.execute("SELECT 'what only the administrator may see'")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every session."""
        self._opened.close()

    def run(self, attempt: DatabaseAttempt) -> Verdict:
        """Make the attempt. Raises Unreachable if the server does not answer the administrator."""
        match attempt:
            case Connect():
                return self._connected(attempt)
            case Sql():
                return self._executed(attempt)
            case StoreLook():
                return self._looked_at(attempt)
            case _:
                assert_never(attempt)

    def _connected(self, attempt: Connect) -> Verdict:
        about = attempt.about
        try:
            self._open(attempt.role, database=attempt.database, replication=attempt.replication).close()
        except psycopg.OperationalError as error:
            said = _last_line(error)
            if about.guard is None:
                return _cannot_log_in(about, said=said)
            return refused(about, by=POSTGRES if self._lacks_right(attempt) else None, said=said)
        return allowed(about)

    def _lacks_right(self, attempt: Connect) -> bool:
        """Whether it is for a right that the role lacks: a refusal's words may be in any language."""
        role = self._role(attempt.role)
        if attempt.replication:
            found = "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = %(role)s"
        else:
            found = """SELECT has_database_privilege(r.oid, d.oid, 'CONNECT') FROM pg_roles r, pg_database d
                       WHERE r.rolname = %(role)s AND d.datname = %(database)s"""
        return scalar(self._watched, found, {"role": role, "database": attempt.database}) is False

    def _executed(self, attempt: Sql) -> Verdict:
        about = attempt.about
        try:
            session = self._inside if attempt.role is None else self._session(attempt.role)
        except psycopg.OperationalError as error:
            return not_attempted(f"the role cannot log in: {_last_line(error)}")
        try:
            found = self._result(session, attempt)
        except psycopg.Error as error:
            return _failed(attempt, error)
        if attempt.finds_nothing:
            return allowed(about, str(found)) if found else refused(about, by=POSTGRES, said="finds nothing")
        return allowed(about) if found or about.guard else refused(about, by=None, said="finds nothing")

    def _result(self, session: Connection, attempt: Sql) -> Any:
        """The first row, or True where the statement has none by its nature."""
        if attempt.alone:
            return self._run_all(session, attempt)
        with session.transaction(force_rollback=True):
            return self._run_all(session, attempt)

    def _run_all(self, session: Connection, attempt: Sql) -> Any:
        for statement in attempt.before:
            try:
                session.execute(statement.encode())
            except psycopg.Error as error:
                if attempt.role is None:
                    raise _Unprepared(str(error.diag.message_primary)) from error
                raise
        text = attempt.statement
        if _SESSION in text:
            text = text.replace(_SESSION, str(self._aimed_at()))
        cursor = session.execute(text.encode())
        return cursor.fetchone() if cursor.description else True

    def _aimed_at(self) -> int:
        """The process number of a session of the administrator's that may be ended."""
        try:
            if self._target is not None:
                self._target.execute("SELECT 1")
                return self._target.info.backend_pid
        except psycopg.OperationalError:
            pass
        self._target = self._opened.enter_context(self._administrator(MAINTENANCE_DATABASE))
        return self._target.info.backend_pid

    def _looked_at(self, attempt: StoreLook) -> Verdict:
        deviation = next(self._deviations(attempt), None)
        return refused(attempt.about, by=None, said=deviation) if deviation else allowed(attempt.about)

    def _deviations(self, attempt: StoreLook) -> Iterator[str]:
        admin = PostgresServerAdmin(self._access, environment=self._environment)
        match attempt.wanted:
            case PostgresRole() as role:
                yield from _role_deviations(role, admin=admin, mark=self._mark)
            case PostgresDatabase() as database:
                yield from _database_deviations(database, admin=admin, mark=self._mark)
            case PostgresGrants() as grants:
                yield from admin.read_deviations(grants)
            case PostgresMembers() as members:
                yield from _member_deviations(members, admin=admin, mark=self._mark)

    def _session(self, role: RoleKind) -> Connection:
        if role not in self._sessions:
            opened = self._open(role, database=self._names.database)
            self._sessions[role] = self._opened.enter_context(contextlib.closing(opened))
        return self._sessions[role]

    def _open(self, role: RoleKind, *, database: str, replication: bool = False) -> Connection:
        access = self._access
        return psycopg.connect(
            host=access.host,
            port=access.port,
            user=self._role(role),
            password=self._passwords[role].reveal(),
            dbname=database,
            sslmode=access.sslmode,
            sslrootcert=str(access.ca_file) if access.ca_file else None,
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            application_name="coopctl prove",
            autocommit=True,
            options=None if replication else _OPTIONS,
            replication="database" if replication else None,
        )

    def _administrator(self, database: str) -> contextlib.AbstractContextManager[Connection]:
        return connect(self._access, environment=self._environment, database=database)

    def _role(self, kind: RoleKind) -> str:
        return dict(zip(RoleKind, self._names.roles, strict=True))[kind]


class _Unprepared(psycopg.Error):
    """The administrator could not prepare an attempt."""


def _failed(attempt: Sql, error: psycopg.Error) -> Verdict:
    about, code = attempt.about, error.sqlstate
    if isinstance(error, _Unprepared):
        return not_attempted(f"the administrator cannot prepare it: {error}")
    said = f"{code}: {error.diag.message_primary}"
    if code == _DENIED:
        return refused(about, by=POSTGRES, said=said)
    if code in attempt.permitted:
        return allowed(about, said)
    if code in attempt.absent:
        return not_attempted(f"the server does not have it: {error.diag.message_primary}")
    return refused(about, by=None, said=said)


def _cannot_log_in(about: About, *, said: str) -> Verdict:
    if _FOR_OTHER_HOSTS in said:
        return not_attempted(f"the server lets the role in from other addresses than coopctl's: {said}")
    if any(words in said for words in _FULL):
        return not_attempted(f"all its connections are in use: {said}")
    return refused(about, by=None, said=said)


def _member_deviations(wanted: PostgresMembers, *, admin: PostgresServerAdmin, mark: Mark) -> Iterator[str]:
    found = admin.read_members(wanted, mark=mark)
    if found is None:
        yield "it is missing"
        return
    yield from found.deviations
    yield from (f"the member {one} is missing" for one in sorted(set(wanted.members) - set(found.provisioned)))


def _role_deviations(wanted: PostgresRole, *, admin: PostgresServerAdmin, mark: Mark) -> Iterator[str]:
    found = admin.read_role(wanted.name)
    if found is None:
        yield "it is missing"
        return
    if found.attributes:
        yield f"it has {', '.join(found.attributes)}"
    if found.mark != mark:
        yield f"its mark is {found.mark}"
    for field in ("login", "connection_limit", "member_of"):
        if getattr(found, field) != getattr(wanted, field):
            yield f"{field} is {getattr(found, field)}, not {getattr(wanted, field)}"


def _database_deviations(wanted: PostgresDatabase, *, admin: PostgresServerAdmin, mark: Mark) -> Iterator[str]:
    found = admin.read_database(wanted.name)
    if found is None:
        yield "it is missing"
        return
    if found.mark != mark:
        yield f"its mark is {found.mark}"
    for field in ("owner", "connection_limit"):
        if getattr(found, field) != getattr(wanted, field):
            yield f"{field} is {getattr(found, field)}, not {getattr(wanted, field)}"
    if unknown := sorted(set(found.extensions) - set(wanted.extensions)):
        yield f"it has the extension {unknown[0]}"


def _last_line(error: psycopg.Error) -> str:
    lines = [line for line in str(error).splitlines() if "FATAL" in line] or str(error).splitlines() or [""]
    return lines[-1].rpartition("failed: ")[2] or lines[-1]
