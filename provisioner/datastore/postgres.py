"""What is asked of a PostgreSQL server, as a protocol, and the values that it answers with.

``wanted`` values are the plan's own; a state says what the server really holds, so that comparing the two is
all that a resource provider needs to see drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Fate, Mark
from provisioner.datastore.postgres_member_facts import MembersState
from provisioner.descriptor.platform import PostgresServer, SecretReference
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole

DEVIATIONS_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class PostgresAccess:
    """How the administrator reaches a server; the password is a reference, resolved when connecting."""

    host: str
    port: int
    user: str
    password: SecretReference
    sslmode: str = "prefer"
    ca_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class RoleState:
    """A role as the server has it.

    ``attributes`` are rights that a tenant's role must not have (SUPERUSER, CREATEDB, INHERIT ...): none is right.
    """

    name: str
    login: bool
    connection_limit: int
    member_of: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    attributes: tuple[str, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class DatabaseState:
    """A database as the server has it."""

    name: str
    owner: str
    connection_limit: int
    extensions: tuple[str, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class DatabaseUsage:
    """What a database uses: bytes on disk, sessions now, and how many it may have (-1 for no limit)."""

    size_bytes: int
    sessions: int
    connection_limit: int


class PostgresAdmin(Protocol):
    """An administrator's view of one PostgreSQL server.

    Every ``ensure`` is idempotent, and adopts only what bears ``mark``. All raise Unreachable, NotPermitted,
    NotOurs or CoopctlError, without any secret in the message.
    """

    def read_role(self, name: str) -> RoleState | None:
        """The role, or None."""

    def ensure_role(self, wanted: PostgresRole, *, mark: Mark, password: Secret | None) -> None:
        """Make the role as wanted; ``password`` None leaves the password as it is."""

    def has_password(self, name: str, password: Secret) -> bool:
        """Whether ``password`` opens the role; True also where the administrator may not see that."""

    def drop_role(self, name: str, *, mark: Mark) -> Fate:
        """Drop the role; while the cooperative has a database it is kept instead, without login and password."""

    def read_database(self, name: str) -> DatabaseState | None:
        """The database, or None."""

    def ensure_database(self, wanted: PostgresDatabase, *, mark: Mark) -> None:
        """Make the database as wanted; lifts the mark ``retained``."""

    def drop_extensions(self, database: str, names: tuple[str, ...]) -> None:
        """Drop extensions that nothing depends on and that hold no table; raises PolicyViolated for others."""

    def retire_database(self, name: str, *, mark: Mark, delete_data: bool) -> Fate:
        """Drop the database if it holds no row or ``delete_data``; else close it and mark it retained."""

    def read_deviations(self, wanted: PostgresGrants) -> tuple[str, ...]:
        """Every way in which privileges differ from the wanted ones, in words; none is right."""

    def ensure_grants(self, wanted: PostgresGrants) -> None:
        """Bring privileges to exactly the wanted ones."""

    def revoke_grants(self, wanted: PostgresGrants) -> None:
        """Take all privileges in the database from application, reader and migration role."""

    def may_write(self, wanted: PostgresGrants) -> bool | None:
        """Whether the application may change rows, as its privileges are now; None if there is no database."""

    def read_members(self, wanted: PostgresMembers, *, mark: Mark) -> MembersState | None:
        """The members as the database has them, wanted or not; None if there is no database."""

    def ensure_members(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Make the members as wanted. Others lose their roles; what holds rows of theirs is closed and marked."""

    def retire_members(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Close all that members have and mark it as kept; no row is deleted."""

    def members_with_rows(self, wanted: PostgresMembers, members: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``members`` (ids) that have a row, by the layout of ``wanted``, sorted."""

    def holds_data(self, database: str) -> bool:
        """Whether any table of the database has a row; False where there is no database."""

    def read_usage(self, database: str) -> DatabaseUsage | None:
        """What the database uses now, or None if there is none."""


def postgres_access(server: PostgresServer) -> PostgresAccess:
    """How coopctl reaches the Platform's server."""
    return PostgresAccess(
        host=server.admin.host,
        port=server.admin.port,
        user=server.admin_user,
        password=server.admin_password,
        sslmode=server.sslmode,
        ca_file=server.ca_file,
    )
