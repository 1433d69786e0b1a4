"""The in-memory PostgreSQL: what the real adapter does, without a server, for tests of all that stands above it.

It passes the same contract tests (tests/contracts/test_datastore_postgres.py). ``tables`` and ``privileges`` may be
changed by a test, as somebody would by hand.
"""

from dataclasses import replace

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Fate, Mark, require_own
from provisioner.datastore.postgres import DatabaseState, DatabaseUsage, RoleState
from provisioner.datastore.postgres_member_facts import MemberRole, MembersState
from provisioner.datastore.postgres_members_memory import MemoryMembers
from provisioner.datastore.postgres_privileges import (
    ObjectKind,
    Privilege,
    SqlObject,
    deviations,
    future_objects,
    writes,
)
from provisioner.errors import CoopctlError
from provisioner.naming import MEMBER_SCHEMA_PREFIX
from provisioner.plan.resources import PostgresDatabase, PostgresGrants, PostgresMembers, PostgresRole

EMPTY_DATABASE_BYTES = 7_500_000
AVAILABLE_EXTENSIONS = frozenset({"hstore", "pg_trgm", "pgcrypto"})


class MemoryPostgres:
    """Fulfils PostgresAdmin."""

    def __init__(self) -> None:
        self.roles: dict[str, RoleState] = {}
        self.passwords: dict[str, Secret] = {}
        self.databases: dict[str, DatabaseState] = {}
        self.tables: dict[str, dict[SqlObject, int]] = {}  # rows of each table, by database
        self.privileges: dict[str, set[Privilege]] = {}
        self.member_roles: dict[str, MemberRole] = {}
        self.members: dict[str, MemoryMembers] = {}  # by database

    def read_role(self, name: str) -> RoleState | None:
        """The role, or None."""
        return self.roles.get(name)

    def ensure_role(self, wanted: PostgresRole, *, mark: Mark, password: Secret | None) -> None:
        """Make the role as wanted."""
        if wanted.name in self.roles:
            require_own(self.roles[wanted.name].mark, own=mark, what=f"the PostgreSQL role {wanted.name}")
        missing = [group for group in wanted.member_of if group not in self.roles]
        if missing:
            raise CoopctlError("PostgreSQL in memory refused a change", why=f'role "{missing[0]}" does not exist')
        self.roles[wanted.name] = RoleState(
            name=wanted.name,
            login=wanted.login and not wanted.fenced,
            connection_limit=wanted.connection_limit,
            member_of=tuple(sorted(wanted.member_of)),
            settings=dict(sorted(wanted.settings.items())),
            mark=mark,
        )
        if password is not None:
            self.passwords[wanted.name] = password
        elif not wanted.login:
            self.passwords.pop(wanted.name, None)

    def has_password(self, name: str, password: Secret) -> bool:
        """Whether the password opens the role."""
        return self.passwords.get(name) == password

    def drop_role(self, name: str, *, mark: Mark) -> Fate:
        """Drop the role, or disable it while the cooperative has a database."""
        found = self.roles.get(name)
        if found is None:
            return Fate.ABSENT
        require_own(found.mark, own=mark, what=f"the PostgreSQL role {name}")
        self.passwords.pop(name, None)
        if any(mark.owns(one.mark) for one in self.databases.values()):
            self.roles[name] = replace(found, login=False, mark=replace(mark, retained=True))
            return Fate.RETAINED
        del self.roles[name]
        return Fate.DROPPED

    def read_database(self, name: str) -> DatabaseState | None:
        """The database, or None."""
        return self.databases.get(name)

    def ensure_database(self, wanted: PostgresDatabase, *, mark: Mark) -> None:
        """Make the database as wanted."""
        found = self.databases.get(wanted.name)
        if found is not None:
            require_own(found.mark, own=mark, what=f"the PostgreSQL database {wanted.name}")
        unknown = sorted(set(wanted.extensions) - AVAILABLE_EXTENSIONS)
        if unknown:
            raise CoopctlError(f"the PostgreSQL server has no extension {unknown[0]!r}")
        self.databases[wanted.name] = DatabaseState(
            name=wanted.name,
            owner=wanted.owner,
            connection_limit=wanted.connection_limit,
            extensions=tuple(sorted({*wanted.extensions, *(found.extensions if found else ())})),
            mark=mark,
        )
        self.tables.setdefault(wanted.name, {})
        self.privileges.setdefault(wanted.name, {_public_usage()})
        own = MemoryMembers(
            tables=self.tables[wanted.name], privileges=self.privileges[wanted.name], roles=self.member_roles
        )
        self.members.setdefault(wanted.name, own)

    def drop_extensions(self, database: str, names: tuple[str, ...]) -> None:
        """Drop extensions; in memory nothing ever depends on one."""
        found = self.databases[database]
        left = tuple(one for one in found.extensions if one not in names)
        self.databases[database] = replace(found, extensions=left)

    def retire_database(self, name: str, *, mark: Mark, delete_data: bool) -> Fate:
        """Drop the database, or keep it, closed and marked."""
        found = self.databases.get(name)
        if found is None:
            return Fate.ABSENT
        require_own(found.mark, own=mark, what=f"the PostgreSQL database {name}")
        if any(self.tables[name].values()) and not delete_data:
            self.databases[name] = replace(found, mark=replace(mark, retained=True))
            self.privileges[name] -= {one for one in self.privileges[name] if one.object.kind is ObjectKind.DATABASE}
            return Fate.RETAINED
        for store in (self.databases, self.tables, self.privileges, self.members):
            store.pop(name, None)
        for member in [one for one in self.member_roles.values() if one.mark and one.mark.retained]:
            if mark.owns(member.mark):
                del self.member_roles[member.name]
        for role in [one for one in self.roles.values() if one.mark and one.mark.retained and mark.owns(one.mark)]:
            self.drop_role(role.name, mark=mark)
        return Fate.DROPPED

    def read_deviations(self, wanted: PostgresGrants) -> tuple[str, ...]:
        """How privileges differ, in words."""
        return deviations(
            wanted,
            objects=self._objects(wanted),
            actual=self._actual(wanted),
            read_only=self._is_read_only(wanted),
            exempt=frozenset(),
        ).sentences()

    def ensure_grants(self, wanted: PostgresGrants) -> None:
        """Bring privileges to exactly the wanted ones."""
        found = deviations(
            wanted,
            objects=self._objects(wanted),
            actual=self._actual(wanted),
            read_only=self._is_read_only(wanted),
            exempt=frozenset(),
        )
        self.privileges[wanted.database] -= set(found.extra)
        self.privileges[wanted.database] |= {one for one in found.missing if one.object.kind is not ObjectKind.ROLE}

    def revoke_grants(self, wanted: PostgresGrants) -> None:
        """Take the privileges away."""
        roles = {wanted.application, wanted.reader, wanted.migration}
        found = self.privileges.get(wanted.database, set())
        found -= {one for one in found if one.grantee in roles and not _is_a_member_s(one.object)}

    def may_write(self, wanted: PostgresGrants) -> bool | None:
        """Whether the application may change rows now, or None."""
        found = self.privileges.get(wanted.database) if wanted.database in self.databases else None
        return None if found is None else writes(found, grantee=wanted.application)

    def read_members(self, wanted: PostgresMembers, *, mark: Mark) -> MembersState | None:
        """The members, or None."""
        if wanted.database not in self.databases:
            return None
        return self.members[wanted.database].read(wanted, mark=mark, read_only=self._is_read_only(wanted))

    def ensure_members(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Make the members as wanted."""
        self.members[wanted.database].ensure(wanted, mark=mark, read_only=self._is_read_only(wanted))

    def retire_members(self, wanted: PostgresMembers, *, mark: Mark) -> None:
        """Close all that members have."""
        if wanted.database in self.databases:
            self.members[wanted.database].retire(wanted, mark=mark)

    def members_with_rows(self, wanted: PostgresMembers, members: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``members`` that have a row."""
        found = self.members.get(wanted.database)
        return found.with_rows(wanted, members) if found else ()

    def holds_data(self, database: str) -> bool:
        """Whether any table has a row."""
        return any(self.tables.get(database, {}).values())

    def read_usage(self, database: str) -> DatabaseUsage | None:
        """Bytes and sessions, or None; a row counts as one kilobyte."""
        found = self.databases.get(database)
        if found is None:
            return None
        size = EMPTY_DATABASE_BYTES + 1000 * sum(self.tables[database].values())
        return DatabaseUsage(size_bytes=size, sessions=0, connection_limit=found.connection_limit)

    def _is_read_only(self, wanted: PostgresGrants | PostgresMembers) -> bool:
        usage = self.read_usage(wanted.database)
        is_past_storage = usage is not None and 0 < wanted.storage_bytes < usage.size_bytes
        return wanted.writes_stopped or is_past_storage

    def _objects(self, wanted: PostgresGrants) -> set[SqlObject]:
        fixed = {
            SqlObject(kind=ObjectKind.DATABASE, path=(wanted.database,), owner=self.databases[wanted.database].owner),
            _public_usage().object,
            SqlObject(kind=ObjectKind.ROLE, path=(wanted.owner,), owner=wanted.owner),
        }
        tables = {one for one in self.tables[wanted.database] if not _is_a_member_s(one)}
        return fixed | tables | set(future_objects(wanted.owner))

    def _actual(self, wanted: PostgresGrants) -> set[Privilege]:
        owner = SqlObject(kind=ObjectKind.ROLE, path=(wanted.owner,), owner=wanted.owner)
        members = {
            Privilege(object=owner, grantee=one.name, right="MEMBER")
            for one in self.roles.values()
            if wanted.owner in one.member_of
        }
        return {one for one in self.privileges[wanted.database] if not _is_a_member_s(one.object)} | members


def _public_usage() -> Privilege:
    schema = SqlObject(kind=ObjectKind.SCHEMA, path=("public",), owner="pg_database_owner")
    return Privilege(object=schema, grantee="PUBLIC", right="USAGE")


def _is_a_member_s(one: SqlObject) -> bool:
    return any(part.startswith(MEMBER_SCHEMA_PREFIX) for part in one.path[:2])
