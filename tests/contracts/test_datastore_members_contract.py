"""What every PostgresAdmin promises of a cooperative's members: in memory and on real servers alike."""

from dataclasses import replace
from typing import Protocol

import pytest
from psycopg import sql

from provisioner.datastore.marks import Fate, Mark, to_comment
from provisioner.datastore.postgres import PostgresAdmin
from provisioner.datastore.postgres_grants import grant
from provisioner.datastore.postgres_member_facts import MemberRole, MemberSchema, MembersState
from provisioner.datastore.postgres_memory import MemoryPostgres
from provisioner.datastore.postgres_privileges import ObjectKind, Privilege, SqlObject
from provisioner.errors import NotOurs
from provisioner.naming import member_names
from provisioner.plan.resources import PostgresMembers
from tests.conftest import Servers
from tests.data_stores import Tenant, foreign_mark, make_data_store, new_tenant, postgres_of, session

COLUMN = "member_id"
LAYOUTS = ["", COLUMN]


class Hand(Protocol):
    """Somebody who changes things on the server past coopctl."""

    def make_role(self, name: str, *, mark: Mark | None) -> None: ...

    def make_schema(self, tenant: Tenant, name: str, *, mark: Mark | None) -> None: ...

    def fill_schema(self, tenant: Tenant, member: str, *, rows: int) -> None: ...

    def fill_shared_table(self, tenant: Tenant, *, members: list[str]) -> None: ...

    def drop_role(self, tenant: Tenant, member: str) -> None: ...

    def give(self, tenant: Tenant, privilege: Privilege) -> None: ...

    def give_access(self, tenant: Tenant, role: str, member: str) -> None: ...


class MemoryHand:
    def __init__(self, admin: MemoryPostgres) -> None:
        self.admin = admin

    def make_role(self, name: str, *, mark: Mark | None) -> None:
        self.admin.member_roles[name] = MemberRole(name=name, closed=True, groups=frozenset(), mark=mark)

    def make_schema(self, tenant: Tenant, name: str, *, mark: Mark | None) -> None:
        made = MemberSchema(name=name, owner=tenant.names.owner_role, mark=mark)
        self.admin.members[tenant.names.database].schemas[name] = made

    def fill_schema(self, tenant: Tenant, member: str, *, rows: int) -> None:
        names, table = tenant.names, table_of(tenant, member)
        self.admin.tables[names.database][table] = rows
        own = member_names(member, database=names.database).role
        every = ("DELETE", "INSERT", "SELECT", "UPDATE")
        rights = [(who, right) for who in (names.application_role, own) for right in every]
        for grantee, right in [*rights, (names.reader_role, "SELECT")]:
            self.give(tenant, Privilege(object=table, grantee=grantee, right=right))

    def fill_shared_table(self, tenant: Tenant, *, members: list[str]) -> None:
        table = SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner=tenant.names.owner_role)
        self.admin.members[tenant.names.database].rows[table] = members

    def drop_role(self, tenant: Tenant, member: str) -> None:
        role = member_names(member, database=tenant.names.database).role
        del self.admin.member_roles[role]
        privileges = self.admin.privileges[tenant.names.database]
        privileges -= {one for one in privileges if one.grantee == role}

    def give(self, tenant: Tenant, privilege: Privilege) -> None:
        self.admin.privileges[tenant.names.database].add(privilege)

    def give_access(self, tenant: Tenant, role: str, member: str) -> None:
        self.admin.members[tenant.names.database].access.add((role, member))


class ServerHand:
    def __init__(self, servers: Servers) -> None:
        self.servers = servers

    def make_role(self, name: str, *, mark: Mark | None) -> None:
        with session(self.servers) as connection:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
            if mark:
                comment = sql.SQL("COMMENT ON ROLE {} IS {}")
                connection.execute(comment.format(sql.Identifier(name), sql.Literal(to_comment(mark))))

    def make_schema(self, tenant: Tenant, name: str, *, mark: Mark | None) -> None:
        owner = sql.Identifier(tenant.names.owner_role)
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(sql.Identifier(name), owner))
            if mark:
                comment = sql.SQL("COMMENT ON SCHEMA {} IS {}")
                connection.execute(comment.format(sql.Identifier(name), sql.Literal(to_comment(mark))))

    def fill_schema(self, tenant: Tenant, member: str, *, rows: int) -> None:
        table = sql.Identifier(*table_of(tenant, member).path)
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(tenant.names.owner_role)))
            connection.execute(sql.SQL("CREATE TABLE {} (id int)").format(table))
            connection.execute(sql.SQL("INSERT INTO {} SELECT generate_series(1, %s)").format(table), [rows])

    def fill_shared_table(self, tenant: Tenant, *, members: list[str]) -> None:
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(tenant.names.owner_role)))
            connection.execute("CREATE TABLE public.lots (member_id text)")
            connection.execute("INSERT INTO public.lots SELECT unnest(%s::text[])", [members])

    def drop_role(self, tenant: Tenant, member: str) -> None:
        role = sql.Identifier(member_names(member, database=tenant.names.database).role)
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))

    def give(self, tenant: Tenant, privilege: Privilege) -> None:
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute(grant(privilege))

    def give_access(self, tenant: Tenant, role: str, member: str) -> None:
        with session(self.servers, database=tenant.names.database) as connection:
            connection.execute("INSERT INTO coopctl.member_access VALUES (%s, %s)", [role, member])


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


def table_of(tenant: Tenant, member: str) -> SqlObject:
    schema = member_names(member, database=tenant.names.database).schema
    return SqlObject(kind=ObjectKind.TABLE, path=(schema, "files"), owner=tenant.names.owner_role)


def made(admin: PostgresAdmin, *ids: str, column: str = "") -> tuple[Tenant, PostgresMembers]:
    """A tenant with members."""
    tenant = new_tenant()
    make_data_store(admin, tenant, member_column=column)
    wanted = tenant.members(*ids, member_column=column)
    admin.ensure_members(wanted, mark=tenant.mark)
    return tenant, wanted


def state_of(admin: PostgresAdmin, tenant: Tenant, wanted: PostgresMembers) -> MembersState:
    found = admin.read_members(wanted, mark=tenant.mark)
    assert found is not None
    return found


def usage(tenant: Tenant, member: str, *, grantee: str) -> Privilege:
    schema = member_names(member, database=tenant.names.database).schema
    about = SqlObject(kind=ObjectKind.SCHEMA, path=(schema,), owner=tenant.names.owner_role)
    return Privilege(object=about, grantee=grantee, right="USAGE")


def grants_deviations(admin: PostgresAdmin, tenant: Tenant, **changes: str) -> list[str]:
    """Without what all databases of the server share: other tests run beside this one."""
    shared = ("database postgres", "database template")
    found = admin.read_deviations(tenant.grants(**changes))
    return [one for one in found if not any(word in one for word in shared)]


def test_without_a_database_there_are_no_members(admin: PostgresAdmin) -> None:
    tenant = new_tenant()
    assert admin.read_members(tenant.members("m-1"), mark=tenant.mark) is None
    assert admin.members_with_rows(tenant.members("m-1"), ("m-1",)) == ()
    admin.retire_members(tenant.members("m-1"), mark=tenant.mark)


@pytest.mark.parametrize("column", LAYOUTS)
def test_members_read_back_as_wanted_and_making_them_twice_is_harmless(admin: PostgresAdmin, column: str) -> None:
    tenant, wanted = made(admin, "m-1", "m-2", "0" * 40, column=column)
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=("0" * 40, "m-1", "m-2"))
    assert grants_deviations(admin, tenant, member_column=column) == [], "the grants leave members alone"


@pytest.mark.parametrize("column", LAYOUTS)
def test_members_are_added_beside_those_that_are_there(admin: PostgresAdmin, column: str) -> None:
    tenant, wanted = made(admin, "m-1", column=column)
    more = replace(wanted, members=("m-1", *(f"n-{number}" for number in range(300))))
    assert state_of(admin, tenant, more).provisioned == ("m-1",)
    admin.ensure_members(more, mark=tenant.mark)
    assert state_of(admin, tenant, more) == MembersState(provisioned=tuple(sorted(more.members)))


def test_a_table_made_later_is_usable_by_its_member_and_the_application(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1")
    hand.fill_schema(tenant, "m-1", rows=1)
    assert state_of(admin, tenant, wanted).deviations == ()


@pytest.mark.parametrize("grantee", ["PUBLIC", "reader"])
def test_an_extra_right_in_a_member_s_schema_is_seen_and_taken_back(
    admin: PostgresAdmin, hand: Hand, grantee: str
) -> None:
    tenant, wanted = made(admin, "m-1")
    whom = tenant.names.reader_role if grantee == "reader" else grantee
    hand.give(tenant, usage(tenant, "m-1", grantee=whom))
    assert state_of(admin, tenant, wanted).deviations == (f"not wanted: {whom} USAGE on schema member_m_1",)
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted).deviations == ()


@pytest.mark.parametrize("column", LAYOUTS)
def test_a_member_whose_role_is_gone_is_missing_and_made_again(admin: PostgresAdmin, hand: Hand, column: str) -> None:
    tenant, wanted = made(admin, "m-1", "m-2", column=column)
    hand.drop_role(tenant, "m-1")
    assert state_of(admin, tenant, wanted).provisioned == ("m-2",)
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=("m-1", "m-2"))


def test_access_to_another_member_s_rows_is_seen_and_taken_back(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1", "m-2", column=COLUMN)
    role = member_names("m-1", database=tenant.names.database).role
    hand.give_access(tenant, role, "m-2")
    assert state_of(admin, tenant, wanted).deviations == (f"not wanted: {role} sees the rows of m-2",)
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=("m-1", "m-2"))


@pytest.mark.parametrize("mark", [None, foreign_mark()], ids=["unmarked", "foreign"])
@pytest.mark.parametrize("column", LAYOUTS)
def test_a_role_of_somebody_else_is_refused_and_no_member_is_made(
    admin: PostgresAdmin, hand: Hand, mark: Mark | None, column: str
) -> None:
    tenant, wanted = made(admin, column=column)
    role = member_names("m-2", database=tenant.names.database).role
    hand.make_role(role, mark=mark)
    more = replace(wanted, members=("m-1", "m-2"))
    with pytest.raises(NotOurs, match=role):
        admin.ensure_members(more, mark=tenant.mark)
    found = state_of(admin, tenant, more)
    assert found.provisioned == ()
    assert f"the role {role} is named as a member's and does not bear the mark" in found.deviations


@pytest.mark.parametrize("mark", [None, foreign_mark()], ids=["unmarked", "foreign"])
def test_a_schema_of_somebody_else_is_refused_and_told(admin: PostgresAdmin, hand: Hand, mark: Mark | None) -> None:
    tenant, wanted = made(admin)
    hand.make_schema(tenant, "member_m_1", mark=mark)
    more = replace(wanted, members=("m-1",))
    with pytest.raises(NotOurs, match="the schema member_m_1"):
        admin.ensure_members(more, mark=tenant.mark)
    assert state_of(admin, tenant, wanted).deviations == (
        "the schema member_m_1 is named as a member's and does not bear the mark",
    )


def test_a_member_without_rows_leaves_nothing_behind(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1", "m-2")
    hand.fill_schema(tenant, "m-1", rows=0)
    fewer = replace(wanted, members=("m-2",))
    assert admin.members_with_rows(fewer, ("m-1", "m-2")) == ()
    admin.ensure_members(fewer, mark=tenant.mark)
    assert state_of(admin, tenant, fewer) == MembersState(provisioned=("m-2",))


def test_rows_of_a_member_that_left_are_kept_closed_and_taken_up_again(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1", "m-2")
    hand.fill_schema(tenant, "m-1", rows=3)
    fewer = replace(wanted, members=("m-2",))
    assert admin.members_with_rows(fewer, ("m-1", "m-2")) == ("m-1",)
    for _ in range(2):
        admin.ensure_members(fewer, mark=tenant.mark)
        assert state_of(admin, tenant, fewer) == MembersState(provisioned=("m-2",), retained=("m-1",))
    hand.give(tenant, usage(tenant, "m-1", grantee=tenant.names.application_role))
    application = tenant.names.application_role
    assert state_of(admin, tenant, fewer).deviations == (f"not wanted: {application} USAGE on schema member_m_1",)
    admin.ensure_members(fewer, mark=tenant.mark)
    assert state_of(admin, tenant, fewer) == MembersState(provisioned=("m-2",), retained=("m-1",))
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=("m-1", "m-2"))
    assert admin.members_with_rows(wanted, ("m-1",)) == ("m-1",)


def test_rows_in_shared_tables_stay_and_their_member_s_role_goes(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1", "m-2", column=COLUMN)
    hand.fill_shared_table(tenant, members=["m-1", "m-3"])
    fewer = replace(wanted, members=("m-2",))
    assert admin.members_with_rows(fewer, ("m-1", "m-2", "m-4")) == ("m-1",)
    admin.ensure_members(fewer, mark=tenant.mark)
    assert state_of(admin, tenant, fewer) == MembersState(provisioned=("m-2",))
    assert admin.members_with_rows(fewer, ("m-1",)) == ("m-1",)


def test_another_layout_keeps_what_has_rows(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1", "m-2")
    hand.fill_schema(tenant, "m-1", rows=3)
    shared = replace(wanted, member_column=COLUMN)
    admin.ensure_grants(tenant.grants(member_column=COLUMN))
    admin.ensure_members(shared, mark=tenant.mark)
    assert state_of(admin, tenant, shared) == MembersState(provisioned=("m-1", "m-2"), retained=("m-1",))
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=("m-1", "m-2"))


def test_past_its_storage_members_only_read(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1")
    hand.fill_schema(tenant, "m-1", rows=3)
    small = replace(wanted, storage_bytes=1000)
    role = member_names("m-1", database=tenant.names.database).role
    assert f"not wanted: {role} INSERT on table member_m_1.files" in state_of(admin, tenant, small).deviations
    admin.ensure_members(small, mark=tenant.mark)
    assert state_of(admin, tenant, small).deviations == ()
    missing = state_of(admin, tenant, wanted).deviations
    assert f"missing: {tenant.names.application_role} INSERT on table member_m_1.files" in missing
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted).deviations == ()


@pytest.mark.parametrize("column", LAYOUTS)
def test_members_of_a_kept_database_are_taken_up_again(admin: PostgresAdmin, hand: Hand, column: str) -> None:
    tenant, wanted = made(admin, "m-1", column=column)
    if not column:
        hand.fill_schema(tenant, "m-1", rows=3)
    admin.retire_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted).provisioned == ()
    admin.ensure_members(wanted, mark=tenant.mark)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=("m-1",))


@pytest.mark.parametrize("column", LAYOUTS)
def test_members_without_a_row_are_no_data_for_which_a_database_is_kept(admin: PostgresAdmin, column: str) -> None:
    tenant, wanted = made(admin, "m-1", column=column)
    admin.retire_members(wanted, mark=tenant.mark)
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False) is Fate.DROPPED


def test_roles_of_members_go_with_the_database(admin: PostgresAdmin, hand: Hand) -> None:
    tenant, wanted = made(admin, "m-1", "m-2")
    hand.fill_schema(tenant, "m-1", rows=3)
    admin.retire_members(wanted, mark=tenant.mark)
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=True) is Fate.DROPPED
    make_data_store(admin, tenant)
    assert state_of(admin, tenant, wanted) == MembersState(provisioned=())
