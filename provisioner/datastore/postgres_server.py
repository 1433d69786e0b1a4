"""The real PostgreSQL adapter: each call opens a connection of its own and closes it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from provisioner.datastore import postgres_databases, postgres_grants, postgres_members, postgres_roles
from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Fate, Mark
from provisioner.datastore.postgres import (
    DEVIATIONS_SHOWN,
    DatabaseState,
    DatabaseUsage,
    PostgresAccess,
    RoleState,
)
from provisioner.datastore.postgres_connection import MAINTENANCE_DATABASE, Connection, connect
from provisioner.datastore.postgres_facts import open_entrances
from provisioner.datastore.postgres_member_facts import MembersState
from provisioner.datastore.postgres_member_rows import members_with_rows
from provisioner.datastore.postgres_row_security import row_security_deviations
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole


class PostgresServerAdmin:
    """An administrator of the server at ``access``; fulfils PostgresAdmin. May be used by several threads."""

    def __init__(self, access: PostgresAccess, *, environment: Mapping[str, str]) -> None:
        self._access = access
        self._environment = environment

    def read_role(self, name: str) -> RoleState | None:
        """The role, or None."""
        with self._connect() as connection:
            return postgres_roles.read_role(connection, name)

    def ensure_role(self, wanted: PostgresRole, *, mark: Mark, password: Secret | None) -> None:
        """Make the role as wanted."""
        with self._connect() as connection:
            postgres_roles.ensure_role(connection, wanted, mark=mark, password=password)

    def has_password(self, name: str, password: Secret) -> bool:
        """Whether the password opens the role, as far as the administrator can see."""
        with self._connect() as connection:
            return postgres_roles.has_password(connection, name, password)

    def drop_role(self, name: str, *, mark: Mark) -> Fate:
        """Drop the role, or disable it while the cooperative has a database."""
        with self._connect() as connection:
            return postgres_roles.drop_role(connection, name, mark=mark)

    def read_database(self, name: str) -> DatabaseState | None:
        """The database with its extensions, or None."""
        with self._connect() as connection:
            found = postgres_databases.read_database(connection, name)
        if found is None:
            return None
        with self._connect(name) as inside:
            return replace(found, extensions=postgres_databases.read_extensions(inside))

    def ensure_database(self, wanted: PostgresDatabase, *, mark: Mark) -> None:
        """Make the database as wanted."""
        with self._connect() as connection:
            postgres_databases.ensure_database(connection, wanted, mark=mark)
        if wanted.extensions:
            with self._connect(wanted.name) as inside:
                postgres_databases.ensure_extensions(inside, wanted.extensions)

    def drop_extensions(self, database: str, names: tuple[str, ...]) -> None:
        """Drop what nobody uses."""
        with self._connect(database) as inside:
            postgres_databases.drop_extensions(inside, names)

    def retire_database(self, name: str, *, mark: Mark, delete_data: bool) -> Fate:
        """Drop the database, or keep it, closed and marked."""
        with self._connect() as connection:
            if fate := postgres_databases.close_database(connection, name, mark=mark):
                return fate
            if not delete_data and self._holds_data(name):
                postgres_databases.mark_database(connection, name, mark=replace(mark, retained=True))
                return Fate.RETAINED
            postgres_databases.drop_database(connection, name)
            postgres_roles.drop_retained_roles(connection, mark=mark)
            return Fate.DROPPED

    def drop_retained_roles(self, *, mark: Mark) -> None:
        """Drop the cooperative's disabled roles, unless it has a database still."""
        with self._connect() as connection:
            postgres_roles.drop_retained_roles(connection, mark=mark)

    def read_deviations(self, wanted: PostgresGrants) -> tuple[str, ...]:
        """How privileges differ, in words."""
        with self._connect() as connection:
            entrances = open_entrances(connection)
        with self._connect(wanted.database) as inside:
            found = postgres_grants.read_deviations(inside, wanted)
            rows_open = row_security_deviations(inside, wanted)
        sentences = (*(f"not wanted: {one}" for one in entrances), *found.sentences(), *rows_open)
        return _first(sentences)

    def ensure_grants(self, wanted: PostgresGrants) -> None:
        """Bring privileges to exactly the wanted ones."""
        with self._connect() as connection:
            postgres_grants.close_entrances(connection)
        with self._connect(wanted.database) as inside:
            postgres_grants.ensure_grants(inside, wanted)

    def revoke_grants(self, wanted: PostgresGrants) -> None:
        """Take the privileges away; nothing is left to do where the database is gone."""
        if self.read_database(wanted.database) is None:
            return
        with self._connect(wanted.database) as inside:
            postgres_grants.revoke_grants(inside, wanted)

    def may_write(self, wanted: PostgresGrants) -> bool | None:
        """Whether the application may change rows now, or None."""
        if self.read_database(wanted.database) is None:
            return None
        with self._connect(wanted.database) as inside:
            return postgres_grants.may_write(inside, wanted)

    def read_members(self, wanted: PostgresMembers, *, mark: Mark) -> MembersState | None:
        """The members as they are, or None; of very many deviations the first are told."""
        if not self._has_database(wanted.database):
            return None
        with self._connect(wanted.database) as inside:
            found = postgres_members.read_members(inside, wanted, mark=mark)
        return replace(found, deviations=_first(found.deviations))

    def ensure_members(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Make the members as wanted."""
        with self._connect(wanted.database) as inside:
            postgres_members.ensure_members(inside, wanted, mark=mark)

    def retire_members(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Close all that members have; nothing is left to do where the database is gone."""
        if self._has_database(wanted.database):
            with self._connect(wanted.database) as inside:
                postgres_members.retire_members(inside, wanted, mark=mark)

    def members_with_rows(self, wanted: PostgresMembers, members: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``members`` that have a row; nobody where the database is gone."""
        if not self._has_database(wanted.database):
            return ()
        with self._connect(wanted.database) as inside:
            return members_with_rows(inside, wanted, members)

    def holds_data(self, database: str) -> bool:
        """Whether any table of the database has a row."""
        return self._has_database(database) and self._holds_data(database)

    def read_usage(self, database: str) -> DatabaseUsage | None:
        """Bytes and sessions, or None."""
        with self._connect() as connection:
            return postgres_databases.read_usage(connection, database)

    def _has_database(self, name: str) -> bool:
        with self._connect() as connection:
            return postgres_databases.read_database(connection, name) is not None

    def _holds_data(self, name: str) -> bool:
        with self._connect(name) as inside:
            return postgres_databases.holds_data(inside)

    @contextmanager
    def _connect(self, database: str = MAINTENANCE_DATABASE) -> Iterator[Connection]:
        with connect(self._access, environment=self._environment, database=database) as connection:
            yield connection


def _first(sentences: tuple[str, ...]) -> tuple[str, ...]:
    more = len(sentences) - DEVIATIONS_SHOWN
    return (*sentences[:DEVIATIONS_SHOWN], f"and {more} more") if more > 0 else sentences
