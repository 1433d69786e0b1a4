"""What every PostgresAdmin promises: the in-memory one and the one for real servers alike."""

from dataclasses import replace
from typing import Protocol

import pytest
from psycopg import sql

from provisioner.datastore.credentials import Secret, generate_password
from provisioner.datastore.marks import Fate, Mark, to_comment
from provisioner.datastore.postgres import DatabaseState, DatabaseUsage, PostgresAdmin, RoleState
from provisioner.datastore.postgres_grants import grant, revocation
from provisioner.datastore.postgres_memory import MemoryPostgres
from provisioner.datastore.postgres_privileges import ObjectKind, Privilege, SqlObject
from provisioner.embedded.supervisor import wait_until
from provisioner.errors import CoopctlError, NotOurs
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import ADMINISTRATOR, Tenant, foreign_mark, make_data_store, new_tenant, postgres_of, session


class Hand(Protocol):
    """Somebody who changes things on the server past coopctl."""

    def make_role(self, name: str, *, mark: Mark | None) -> None: ...

    def make_database(self, name: str, *, mark: Mark | None) -> None: ...

    def make_table(self, tenant: Tenant, *, rows: int) -> SqlObject: ...

    def give(self, tenant: Tenant, privilege: Privilege) -> None: ...

    def take(self, tenant: Tenant, privilege: Privilege) -> None: ...


class MemoryHand:
    def __init__(self, admin: MemoryPostgres) -> None:
        self.admin = admin

    def make_role(self, name: str, *, mark: Mark | None) -> None:
        self.admin.roles[name] = RoleState(name=name, login=False, connection_limit=-1, mark=mark)

    def make_database(self, name: str, *, mark: Mark | None) -> None:
        self.admin.databases[name] = DatabaseState(name=name, owner="postgres", connection_limit=-1, mark=mark)

    def make_table(self, tenant: Tenant, *, rows: int) -> SqlObject:
        table = table_of(tenant)
        self.admin.tables[tenant.names.database][table] = rows
        names = tenant.names
        rights = [(names.application_role, right) for right in ("DELETE", "INSERT", "SELECT", "UPDATE")]
        for grantee, right in [*rights, (names.reader_role, "SELECT")]:
            self.give(tenant, Privilege(object=table, grantee=grantee, right=right))
        return table

    def give(self, tenant: Tenant, privilege: Privilege) -> None:
        self.admin.privileges[tenant.names.database].add(privilege)

    def take(self, tenant: Tenant, privilege: Privilege) -> None:
        self.admin.privileges[tenant.names.database].discard(privilege)


class ServerHand:
    def __init__(self, servers: Servers) -> None:
        self.servers = servers

    def make_role(self, name: str, *, mark: Mark | None) -> None:
        with session(self.servers) as connection:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
            if mark:
                comment = sql.SQL("COMMENT ON ROLE {} IS {}")
                connection.execute(comment.format(sql.Identifier(name), sql.Literal(to_comment(mark))))

    def make_database(self, name: str, *, mark: Mark | None) -> None:
        with session(self.servers) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            if mark:
                comment = sql.SQL("COMMENT ON DATABASE {} IS {}")
                connection.execute(comment.format(sql.Identifier(name), sql.Literal(to_comment(mark))))

    def make_table(self, tenant: Tenant, *, rows: int) -> SqlObject:
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(tenant.names.owner_role)))
            connection.execute("CREATE TABLE public.lots (id int)")
            connection.execute("INSERT INTO public.lots SELECT generate_series(1, %s)", [rows])
        return table_of(tenant)

    def give(self, tenant: Tenant, privilege: Privilege) -> None:
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(grant(privilege))

    def take(self, tenant: Tenant, privilege: Privilege) -> None:
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(revocation(privilege))


@pytest.fixture(params=["memory", pytest.param("server", marks=pytest.mark.servers)])
def world(request: pytest.FixtureRequest) -> tuple[PostgresAdmin, Hand]:
    """An administrator and a hand, both of memory or both of a real server."""
    if request.param == "memory":
        memory = MemoryPostgres()
        return memory, MemoryHand(memory)
    servers: Servers = request.getfixturevalue("servers")
    return postgres_of(servers), ServerHand(servers)


@pytest.fixture
def admin(world: tuple[PostgresAdmin, Hand]) -> PostgresAdmin:
    return world[0]


@pytest.fixture
def hand(world: tuple[PostgresAdmin, Hand]) -> Hand:
    return world[1]


def table_of(tenant: Tenant) -> SqlObject:
    return SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner=tenant.names.owner_role)


def on_database(tenant: Tenant, grantee: str, right: str) -> Privilege:
    names = tenant.names
    database = SqlObject(kind=ObjectKind.DATABASE, path=(names.database,), owner=ADMINISTRATOR)
    return Privilege(object=database, grantee=grantee, right=right)


def role_of(admin: PostgresAdmin, name: str) -> RoleState:
    found = admin.read_role(name)
    assert found is not None
    return found


def database_of(admin: PostgresAdmin, tenant: Tenant) -> DatabaseState:
    found = admin.read_database(tenant.names.database)
    assert found is not None
    return found


def own_deviations(admin: PostgresAdmin, tenant: Tenant) -> list[str]:
    """Without what all databases of the server share: other tests run beside this one."""
    shared = ("database postgres", "database template")
    return [one for one in admin.read_deviations(tenant.grants()) if not any(word in one for word in shared)]


def test_what_does_not_exist_reads_as_none(admin: PostgresAdmin) -> None:
    names = new_tenant().names
    assert admin.read_role(names.owner_role) is None
    assert admin.read_database(names.database) is None
    assert admin.read_usage(names.database) is None


def test_a_role_reads_back_as_wanted_and_making_it_twice_is_harmless(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    wanted = tenant.role(RoleKind.APPLICATION)
    for _ in range(2):
        admin.ensure_role(wanted, mark=tenant.mark, password=Secret("one"))
    assert role_of(admin, wanted.name) == RoleState(
        name=wanted.name, login=True, connection_limit=7, settings=wanted.settings, mark=tenant.mark
    )


def test_a_role_changes_in_place(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    admin.ensure_role(tenant.role(RoleKind.OWNER), mark=tenant.mark, password=None)
    before = tenant.role(RoleKind.MIGRATION)
    admin.ensure_role(before, mark=tenant.mark, password=Secret("one"))
    after = replace(before, connection_limit=2, member_of=(), settings={"work_mem": "8MB"})
    admin.ensure_role(after, mark=tenant.mark, password=None)
    found = role_of(admin, before.name)
    assert (found.connection_limit, found.member_of, dict(found.settings)) == (2, (), {"work_mem": "8MB"})
    assert admin.has_password(before.name, Secret("one"))


def test_adopting_an_own_role_replaces_a_password_that_nobody_knows(admin: PostgresAdmin) -> None:
    tenant, lost, known = new_tenant(), generate_password(), generate_password()
    wanted = tenant.role(RoleKind.READER)
    admin.ensure_role(wanted, mark=tenant.mark, password=lost)
    admin.ensure_role(wanted, mark=tenant.mark, password=known)
    assert admin.has_password(wanted.name, known)
    assert not admin.has_password(wanted.name, lost)


def test_a_role_that_no_longer_logs_in_has_no_password(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    wanted = tenant.role(RoleKind.READER)
    admin.ensure_role(wanted, mark=tenant.mark, password=Secret("one"))
    admin.ensure_role(replace(wanted, login=False), mark=tenant.mark, password=None)
    assert not admin.has_password(wanted.name, Secret("one"))


def test_a_fenced_role_keeps_its_password_for_the_day_when_it_may_log_in_again(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    wanted = tenant.role(RoleKind.APPLICATION)
    admin.ensure_role(wanted, mark=tenant.mark, password=Secret("one"))
    admin.ensure_role(replace(wanted, fenced=True), mark=tenant.mark, password=None)
    assert (role_of(admin, wanted.name).login, role_of(admin, wanted.name).attributes) == (False, ())
    assert admin.has_password(wanted.name, Secret("one"))
    admin.ensure_role(wanted, mark=tenant.mark, password=None)
    assert role_of(admin, wanted.name).login


@pytest.mark.parametrize("mark", [None, foreign_mark()], ids=["unmarked", "foreign"])
def test_a_role_of_somebody_else_is_refused_and_untouched(admin: PostgresAdmin, hand: Hand, mark: Mark | None) -> None:
    tenant = new_tenant()
    wanted = tenant.role(RoleKind.APPLICATION)
    hand.make_role(wanted.name, mark=mark)
    with pytest.raises(NotOurs, match=wanted.name):
        admin.ensure_role(wanted, mark=tenant.mark, password=Secret("one"))
    with pytest.raises(NotOurs):
        admin.drop_role(wanted.name, mark=tenant.mark)
    assert not role_of(admin, wanted.name).login


@pytest.mark.parametrize("mark", [None, foreign_mark()], ids=["unmarked", "foreign"])
def test_a_database_of_somebody_else_is_refused_and_untouched(
    admin: PostgresAdmin, hand: Hand, mark: Mark | None
) -> None:
    tenant = new_tenant()
    hand.make_database(tenant.names.database, mark=mark)
    with pytest.raises(NotOurs, match=tenant.names.database):
        admin.ensure_database(tenant.database(), mark=tenant.mark)
    with pytest.raises(NotOurs):
        admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)
    assert database_of(admin, tenant).connection_limit == -1


def test_a_database_reads_back_as_wanted_and_changes_in_place(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    expected = DatabaseState(
        name=tenant.names.database,
        owner=ADMINISTRATOR,
        connection_limit=20,
        extensions=("pgcrypto",),
        mark=tenant.mark,
    )
    assert database_of(admin, tenant) == expected
    admin.ensure_database(tenant.database(connection_limit=31, extensions=("hstore", "pgcrypto")), mark=tenant.mark)
    changed = replace(expected, connection_limit=31, extensions=("hstore", "pgcrypto"))
    assert database_of(admin, tenant) == changed


def test_an_extension_that_the_server_lacks_is_named(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    with pytest.raises(CoopctlError, match="no_such_extension"):
        admin.ensure_database(tenant.database(extensions=("no_such_extension",)), mark=tenant.mark)


def test_privileges_are_exactly_the_wanted_ones_after_ensuring(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    assert own_deviations(admin, tenant) == []
    hand.make_table(tenant, rows=1)
    assert own_deviations(admin, tenant) == [], "default privileges cover new tables"


@pytest.mark.parametrize("grantee", ["PUBLIC", "stranger"])
def test_an_extra_grant_is_seen_and_taken_back(admin: PostgresAdmin, hand: Hand, grantee: str) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    name = grantee if grantee == "PUBLIC" else f"{tenant.names.database}_stranger"
    if name != "PUBLIC":
        hand.make_role(name, mark=None)
    hand.give(tenant, on_database(tenant, name, "CONNECT"))
    assert own_deviations(admin, tenant) == [f"not wanted: {name} CONNECT on database {tenant.names.database}"]
    admin.ensure_grants(tenant.grants())
    assert own_deviations(admin, tenant) == []


def test_a_revoked_grant_is_seen_and_given_back(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.take(tenant, on_database(tenant, tenant.names.reader_role, "CONNECT"))
    expected = [f"missing: {tenant.names.reader_role} CONNECT on database {tenant.names.database}"]
    assert own_deviations(admin, tenant) == expected
    admin.ensure_grants(tenant.grants())
    assert own_deviations(admin, tenant) == []


def test_a_reader_that_may_write_is_seen_and_mended(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    table = hand.make_table(tenant, rows=0)
    hand.give(tenant, Privilege(object=table, grantee=tenant.names.reader_role, right="INSERT"))
    assert own_deviations(admin, tenant) == [f"not wanted: {tenant.names.reader_role} INSERT on table public.lots"]
    admin.ensure_grants(tenant.grants())
    assert own_deviations(admin, tenant) == []


def test_past_its_storage_a_database_is_read_only_for_the_application(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.make_table(tenant, rows=10)
    small = tenant.grants(storage_bytes=1000)
    application = tenant.names.application_role
    assert f"not wanted: {application} INSERT on table public.lots" in admin.read_deviations(small)
    assert admin.may_write(small) is True
    admin.ensure_grants(small)
    assert admin.may_write(small) is False
    assert f"missing: {application} INSERT on table public.lots" in admin.read_deviations(tenant.grants())
    admin.ensure_grants(tenant.grants(storage_bytes=10**12))
    assert admin.may_write(small) is True
    assert own_deviations(admin, tenant) == []


def test_where_writes_are_stopped_a_database_is_read_only_for_the_application(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.make_table(tenant, rows=10)
    stopped = tenant.grants(writes_stopped=True)
    admin.ensure_grants(stopped)
    assert admin.may_write(stopped) is False
    assert "INSERT" not in "".join(admin.read_deviations(stopped))
    admin.ensure_grants(tenant.grants())
    assert admin.may_write(stopped) is True
    assert own_deviations(admin, tenant) == []


def test_an_empty_database_is_dropped_with_all_its_roles(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.make_table(tenant, rows=0)
    admin.revoke_grants(tenant.grants())
    assert admin.drop_role(tenant.names.reader_role, mark=tenant.mark) is Fate.RETAINED, "its database is there yet"
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False) is Fate.DROPPED
    assert admin.read_role(tenant.names.reader_role) is None, "dropped with the database that held it back"
    for role in (tenant.names.application_role, tenant.names.migration_role, tenant.names.owner_role):
        assert admin.drop_role(role, mark=tenant.mark) is Fate.DROPPED
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False) is Fate.ABSENT
    assert admin.drop_role(tenant.names.owner_role, mark=tenant.mark) is Fate.ABSENT


def test_a_database_with_data_is_kept_closed_and_its_roles_cannot_log_in(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.make_table(tenant, rows=3)
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False) is Fate.RETAINED
    fates = {admin.drop_role(role, mark=tenant.mark) for role in tenant.names.roles}
    assert fates == {Fate.RETAINED}
    assert database_of(admin, tenant).mark == replace(tenant.mark, retained=True)
    closed = {f"missing: {role} CONNECT on database {tenant.names.database}" for role in tenant.names.roles[1:]}
    assert closed <= set(own_deviations(admin, tenant))
    assert not any(role_of(admin, role).login for role in tenant.names.roles)


def test_a_kept_database_is_adopted_again_with_its_data(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.make_table(tenant, rows=3)
    admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False)
    for role in tenant.names.roles:
        admin.drop_role(role, mark=tenant.mark)
    passwords = make_data_store(admin, tenant)
    assert database_of(admin, tenant).mark == tenant.mark
    assert database_of(admin, tenant).connection_limit == 20
    assert admin.has_password(tenant.names.application_role, passwords[RoleKind.APPLICATION])
    assert own_deviations(admin, tenant) == []
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False) is Fate.RETAINED


def test_data_are_deleted_only_when_told_so(admin: PostgresAdmin, hand: Hand) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    hand.make_table(tenant, rows=3)
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=True) is Fate.DROPPED
    assert admin.read_database(tenant.names.database) is None


def _usage(admin: PostgresAdmin, tenant: Tenant) -> DatabaseUsage:
    usage = admin.read_usage(tenant.names.database)
    assert usage is not None
    return usage


def test_usage_counts_bytes(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    make_data_store(admin, tenant)
    # A server misses a client a moment after the client has closed its connection.
    assert wait_until(lambda: _usage(admin, tenant).sessions == 0, seconds=30)
    usage = _usage(admin, tenant)
    assert usage.size_bytes > 1_000_000
    assert usage.connection_limit == 20
