"""Transactions in the cooperative's database, each as one member or as the cooperative's office.

The application logs in as a role that may use no member's schema, but may become each member's role. A transaction for
a member does so before anything else, and until its end (SET LOCAL ROLE): only what that role may do can be done in it.
Statements go to the server with their values apart, one at a time (PostgreSQL manual, "Extended Query"), so that no
value can end a role.

Which members there are, the database says: a schema whose member's role may use it, and whose role the application may
become. Of a member that has left nobody may use the schema: it is nobody's here.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors, sql

from member_files.refusals import Reason, Refused

SCHEMA_PREFIX = "member_"
MEMBER = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
# Who means the member that is called like the office writes this before its id.
MEMBER_PREFIX = "member/"
CONNECT_SECONDS = 5
_PLACES = """
    SELECT n.nspname::text, r.rolname::text FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
    JOIN pg_roles r ON r.oid = a.grantee
    WHERE starts_with(n.nspname::text, 'member_') AND a.privilege_type = 'USAGE' AND r.rolname <> session_user
      AND pg_has_role(session_user, r.oid, 'MEMBER')
"""

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Realm:
    """Whose tables a transaction sees: those of ``schema``, as ``role``; the office's as the application itself.

    ``member`` is the member's id, empty for the office.
    """

    schema: str
    role: str = ""
    member: str = ""


OFFICE = Realm(schema="public")


class Database:
    """The database that libpq's variables name, or ``conninfo`` does; each thread has one connection at the most."""

    def __init__(self, conninfo: str = "") -> None:
        self._conninfo = conninfo
        self._own = threading.local()

    @contextmanager
    def within(self, realm: Realm) -> Iterator[Connection]:
        """A transaction in ``realm``. Raises Refused where the server does not answer, or takes no writes."""
        try:
            with self._connected().transaction() as transaction:
                connection = transaction.connection
                _enter(connection, realm)
                yield connection
        except (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction) as error:
            raise Refused(Reason.STOPPED) from error
        except psycopg.OperationalError as error:
            # Its server may be gone, or have moved.
            self.close()
            raise Refused(Reason.AWAY) from error

    def members(self) -> tuple[Realm, ...]:
        """Every member that has a place, by its id."""
        with self.within(OFFICE) as connection:
            found = [_realm(schema, role) for schema, role in connection.execute(_PLACES).fetchall()]
        return tuple(sorted(found, key=lambda one: one.member))

    def member(self, member: str) -> Realm | None:
        """The member with this id, or None."""
        if not MEMBER.fullmatch(member):
            return None
        wanted = {"schema": f"{SCHEMA_PREFIX}{member.replace('-', '_')}"}
        with self.within(OFFICE) as connection:
            found = connection.execute(f"{_PLACES} AND n.nspname = %(schema)s", wanted).fetchone()
        return _realm(*found) if found else None

    def _connected(self) -> Connection:
        found: Connection | None = getattr(self._own, "connection", None)
        if found is None or not _answers(found):
            found = psycopg.connect(self._conninfo, autocommit=True, connect_timeout=CONNECT_SECONDS)
            self._own.connection = found
        return found

    def close(self) -> None:
        """Close this thread's connection; its next transaction begins with another one."""
        found: Connection | None = getattr(self._own, "connection", None)
        if found is not None:
            found.close()
        self._own.connection = None


def _answers(connection: Connection) -> bool:
    """Whether the server at the other end is there still: a data store may have moved since the last transaction."""
    try:
        connection.execute("SELECT")
    except psycopg.OperationalError:
        connection.close()
        return False
    return True


def _enter(connection: Connection, realm: Realm) -> None:
    if realm.role:
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(realm.role)))
    # Last of all temporary tables, else they would come first.
    connection.execute(sql.SQL("SET LOCAL search_path TO {}, pg_temp").format(sql.Identifier(realm.schema)))


def _realm(schema: str, role: str) -> Realm:
    return Realm(schema=schema, role=role, member=schema.removeprefix(SCHEMA_PREFIX).replace("_", "-"))
