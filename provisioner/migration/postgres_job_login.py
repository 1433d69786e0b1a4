"""The login of a Job that copies in the platform: it reads one database, and writes nothing.

What is made on the source for a migration (publication, replica identities, the subscription's login) is made by the
administrator before the Job begins. What is left is reading, for which no superuser is needed:

- REPLICATION makes the slot of a whole data store and exports its snapshot; a slice has no slot, and notes in TEMPORARY
  tables which rows it takes;
- pg_read_all_data reads tables, large objects and the verifiers of roles that move along;
- BYPASSRLS reads the rows that a policy hides;
- CONNECT is given on this database alone, so that no other tenant's opens.

The password is good until a limit, so that one that was forgotten opens nothing; and whoever has done his work with it
changes it to one that nobody knows, which every role may for itself (PostgreSQL manual, "ALTER ROLE"); before version
16 every role that does not replicate.
"""

from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from provisioner.datastore.credentials import Secret, generate_password
from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_roles import scram_verifier
from provisioner.errors import UsageError

READ_ALL_SINCE = 140000
REPLICATING_CHANGES_OWN_SINCE = 160000
CONNECTIONS = 16
_UNTIL = "SELECT rolvaliduntil FROM pg_roles WHERE rolname = %(name)s"


@dataclass(frozen=True, kw_only=True)
class JobLogin:
    """The role as it is there: its password is good until then."""

    name: str
    until: datetime


def make_job_login(connection: Connection, name: str, *, password: Secret, until: datetime, sliced: bool) -> None:
    """Make the role for the connection's database, or give it another password and limit. Idempotent.

    ``sliced``: it is for a member's slice.

    Raises UsageError before version 14, where nothing gives a role the right to read everything but being a superuser;
    psycopg's InsufficientPrivilege is raised by `session` as NotPermitted.
    """
    if connection.info.server_version < READ_ALL_SINCE:
        raise UsageError(
            "a migration in the platform needs PostgreSQL 14 as the source",
            why="before it, only a superuser may read everything, and no pod is given one",
            hint="start it from here: without --in-platform",
        )
    role = sql.Identifier(name)
    database = sql.Identifier(str(scalar(connection, "SELECT current_database()")))
    with connection.transaction():
        if not rows(connection, _UNTIL, {"name": name}):
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        attributes = sql.SQL("ALTER ROLE {} LOGIN INHERIT {} BYPASSRLS CONNECTION LIMIT {} PASSWORD {} VALID UNTIL {}")
        copying, right = ("NOREPLICATION", "CONNECT, TEMPORARY") if sliced else ("REPLICATION", "CONNECT")
        verifier = sql.Literal(scram_verifier(connection, name, password))
        limit = sql.Literal(until.isoformat())
        connection.execute(attributes.format(role, sql.SQL(copying), sql.Literal(CONNECTIONS), verifier, limit))
        connection.execute(sql.SQL("GRANT {} ON DATABASE {} TO {}").format(sql.SQL(right), database, role))
        connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(role))


def renew_job_login(connection: Connection, name: str, *, until: datetime) -> None:
    """Let the password be good until then; nothing is done where there is no such role."""
    if rows(connection, _UNTIL, {"name": name}):
        statement = sql.SQL("ALTER ROLE {} VALID UNTIL {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(until.isoformat())))


def forget_own_password(connection: Connection) -> None:
    """Give the connection's own login a password that nobody knows: it opens nothing from now on.

    Nothing is done where a login that replicates may not change its password.
    """
    replicates = scalar(connection, "SELECT rolreplication FROM pg_roles WHERE rolname = current_user")
    if replicates and connection.info.server_version < REPLICATING_CHANGES_OWN_SINCE:
        return
    verifier = scram_verifier(connection, connection.info.user, generate_password())
    connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(sql.Literal(verifier)))


def read_job_login(connection: Connection, name: str) -> JobLogin | None:
    """The role, or None if there is none."""
    found = rows(connection, _UNTIL, {"name": name})
    return JobLogin(name=name, until=found[0][0]) if found else None
