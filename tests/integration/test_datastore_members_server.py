"""Members on a real PostgreSQL: what their roles may do and may not, names of every kind, and many at a time."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors, sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import from_comment
from provisioner.datastore.postgres_member_facts import MembersState
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.platform import SecretReference
from provisioner.naming import (
    MEMBER_ID_PATTERN,
    NAME_PATTERN,
    CooperativeName,
    all_member_names,
    member_names,
    name_problem,
    tenant_names,
)
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import CLUSTER, Tenant, make_data_store, new_tenant, postgres_access_of, postgres_of, session

pytestmark = pytest.mark.servers
COLUMN = "member_id"


class Store:
    """A cooperative with two members and a login that belongs to the role of the first."""

    def __init__(self, servers: Servers, *, column: str) -> None:
        self.servers, self.admin = servers, postgres_of(servers)
        self.tenant: Tenant = new_tenant()
        self.passwords = make_data_store(self.admin, self.tenant, member_column=column)
        self.wanted = self.tenant.members("m-1", "m-2", member_column=column)
        self.admin.ensure_members(self.wanted, mark=self.tenant.mark)
        self.login = f"{self.tenant.names.database}_visitor"
        role = member_names("m-1", database=self.tenant.names.database).role
        self.run(f"CREATE ROLE {self.login} LOGIN INHERIT PASSWORD 'sesame'; GRANT {role} TO {self.login}")
        self.run(f"GRANT CONNECT ON DATABASE {self.tenant.names.database} TO {self.login}")

    def run(self, statement: str, *, role: RoleKind | None = None) -> list[tuple[Any, ...]]:
        """As one of the tenant's roles, or as the administrator."""
        user = self.tenant.role(role).name if role else "postgres"
        return self._run(statement, user=user, password=self.passwords[role] if role else None)

    def as_member(self, statement: str) -> list[tuple[Any, ...]]:
        return self._run(statement, user=self.login, password=Secret("sesame"))

    def becoming(self, member: str, statement: str) -> str:
        """What the application does to work as a member."""
        return f"SET ROLE {member_names(member, database=self.tenant.names.database).role}; {statement}"

    def migrate(self, statement: str) -> None:
        self.run(f"SET ROLE {self.tenant.names.owner_role}; {statement}", role=RoleKind.MIGRATION)

    def _run(self, statement: str, *, user: str, password: Secret | None) -> list[tuple[Any, ...]]:
        with session(self.servers, database=self.tenant.names.database, user=user, password=password) as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                """The answer to the last statement counts."""
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self.admin.retire_members(self.wanted, mark=self.tenant.mark)
        self.admin.retire_database(self.tenant.names.database, mark=self.tenant.mark, delete_data=True)
        with session(self.servers) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(self.login)))


@pytest.fixture
def by_schema(servers: Servers) -> Iterator[Store]:
    store = Store(servers, column="")
    yield store
    store.close()


@pytest.fixture
def by_column(servers: Servers) -> Iterator[Store]:
    store = Store(servers, column=COLUMN)
    yield store
    store.close()


def test_a_member_works_in_its_own_schema_and_the_application_in_each_by_becoming_the_member(by_schema: Store) -> None:
    by_schema.migrate("CREATE TABLE member_m_1.files (id serial, word text); CREATE TABLE member_m_2.files (word text)")
    by_schema.as_member("INSERT INTO member_m_1.files (word) VALUES ('mine')")
    assert by_schema.as_member("SELECT id, word FROM member_m_1.files") == [(1, "mine")]
    theirs = by_schema.becoming(
        "m-2", "INSERT INTO member_m_2.files VALUES ('theirs'); SELECT word FROM member_m_2.files"
    )
    assert by_schema.run(theirs, role=RoleKind.APPLICATION) == [("theirs",)]
    for statement in ("SELECT word FROM member_m_1.files", by_schema.becoming("m-2", "SELECT * FROM member_m_1.files")):
        with pytest.raises(errors.InsufficientPrivilege):
            by_schema.run(statement, role=RoleKind.APPLICATION)


def test_where_members_share_tables_the_application_becomes_nobody(by_column: Store) -> None:
    for role in (RoleKind.APPLICATION, RoleKind.READER):
        with pytest.raises(errors.InsufficientPrivilege):
            by_column.run(by_column.becoming("m-1", "SELECT 1"), role=role)


def test_an_application_that_may_more_than_become_a_member_is_told_and_mended(by_schema: Store) -> None:
    names = by_schema.tenant.names
    role = member_names("m-1", database=names.database).role
    by_schema.run(f"GRANT {role} TO {names.application_role} WITH ADMIN OPTION")
    assert read(by_schema).deviations == (f"the role {role} is taken by {names.application_role} ADMIN",)
    by_schema.admin.ensure_members(by_schema.wanted, mark=by_schema.tenant.mark)
    assert read(by_schema) == MembersState(provisioned=("m-1", "m-2"))
    found = by_schema.admin.read_role(names.application_role)
    assert found is not None
    assert (found.member_of, found.attributes) == ((), ())
    by_schema.run(by_schema.becoming("m-1", "SELECT 1"), role=RoleKind.APPLICATION)


def test_the_layout_that_was_chosen_last_says_whom_the_application_becomes(by_schema: Store) -> None:
    for column, may in ((COLUMN, False), ("", True)):
        wanted = replace(by_schema.wanted, member_column=column)
        by_schema.admin.ensure_grants(by_schema.tenant.grants(member_column=column))
        by_schema.admin.ensure_members(wanted, mark=by_schema.tenant.mark)
        query = f"SELECT pg_has_role('{by_schema.tenant.names.application_role}', '{{}}', 'MEMBER')"
        role = member_names("m-1", database=by_schema.tenant.names.database).role
        assert by_schema.run(query.format(role)) == [(may,)]


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT * FROM member_m_2.files",
        "SELECT table_to_xml('member_m_2.files', true, false, '')",
        "CREATE TABLE member_m_1.mine (id int)",
        "DROP TABLE member_m_1.files",
        "TRUNCATE member_m_1.files",
        "ALTER SCHEMA member_m_1 RENAME TO mine",
        "CREATE SCHEMA mine",
        "SELECT * FROM public.shared",
        "SET ROLE {database}_member_m_2",
        "SET ROLE {database}_reader",
        "COMMENT ON SCHEMA member_m_1 IS NULL",
    ],
)
def test_a_member_gets_nowhere_else(by_schema: Store, attack: str) -> None:
    by_schema.migrate(
        "CREATE TABLE member_m_1.files (w text); CREATE TABLE member_m_2.files (w text); CREATE TABLE shared (w text)"
    )
    with pytest.raises((errors.InsufficientPrivilege, errors.InvalidSchemaName)):
        by_schema.as_member(attack.format(database=by_schema.tenant.names.database))


def test_the_reader_sees_no_member_s_schema_also_not_by_a_detour(by_schema: Store) -> None:
    by_schema.migrate("CREATE TABLE member_m_1.files (word text)")
    for statement in (
        "SELECT * FROM member_m_1.files",
        "SELECT query_to_xml('TABLE member_m_1.files', true, false, '')",
        "SELECT currval('member_m_1.files_id_seq')",
    ):
        with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedTable)):
            by_schema.run(statement, role=RoleKind.READER)


def test_a_login_of_a_member_s_role_sees_its_rows_of_shared_tables(by_column: Store) -> None:
    by_column.migrate(
        "CREATE TABLE lots (id int PRIMARY KEY, member_id text); CREATE TABLE notes (lot int REFERENCES lots);"
        "INSERT INTO lots VALUES (1, 'm-1'), (2, 'm-2'); INSERT INTO notes VALUES (1), (2)"
    )
    assert by_column.as_member("SELECT id FROM lots") == [(1,)]
    assert by_column.as_member("SELECT lot FROM notes") == [(1,)]
    assert by_column.run("SELECT id FROM lots", role=RoleKind.READER) == []
    both = member_names("m-2", database=by_column.tenant.names.database).role
    by_column.run(f"GRANT {both} TO {by_column.login}")
    assert by_column.as_member("SELECT id FROM lots ORDER BY 1") == [(1,), (2,)]
    by_column.admin.ensure_members(replace(by_column.wanted, members=("m-2",)), mark=by_column.tenant.mark)
    assert by_column.as_member("SELECT id FROM lots") == [(2,)], "a member that left is let in no more"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("ALTER ROLE {role} LOGIN PASSWORD 'x'", "not wanted: the role {role} logs in, does not inherit"),
        ("ALTER ROLE {role} CREATEDB", "not wanted: the role {role} logs in, does not inherit"),
        ("GRANT {owner} TO {role}", "the role {role} has the rights of {owner}"),
        ("ALTER SCHEMA member_m_1 OWNER TO postgres", "the schema member_m_1 belongs to postgres"),
        ("GRANT CREATE ON SCHEMA member_m_1 TO {app}", "not wanted: {app} CREATE on schema member_m_1"),
        ("GRANT USAGE ON SCHEMA member_m_1 TO {app}", "not wanted: {app} USAGE on schema member_m_1"),
        ("REVOKE {role} FROM {app}", "the role {role} is taken by nobody"),
        ("GRANT SELECT (w) ON member_m_1.files TO PUBLIC", "not wanted: PUBLIC SELECT on column member_m_1.files.w"),
        ("REVOKE INSERT ON member_m_1.files FROM {role}", "missing: {role} INSERT on table member_m_1.files"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA member_m_1 GRANT SELECT ON TABLES TO PUBLIC",
            "not wanted: PUBLIC SELECT on future tables of {owner}.member_m_1",
        ),
    ],
)
def test_what_somebody_changes_by_hand_is_told_and_mended(by_schema: Store, change: str, told: str) -> None:
    by_schema.migrate("CREATE TABLE member_m_1.files (w text)")
    names = by_schema.tenant.names
    role = member_names("m-1", database=names.database).role
    words = {"role": role, "owner": names.owner_role, "app": names.application_role}
    by_schema.run(change.format(**words))
    deviations = read(by_schema).deviations
    assert any(one.startswith(told.format(**words)) for one in deviations), deviations
    by_schema.admin.ensure_members(by_schema.wanted, mark=by_schema.tenant.mark)
    assert read(by_schema) == MembersState(provisioned=("m-1", "m-2"))


def test_who_left_is_closed_to_everybody_but_the_administrator(by_schema: Store) -> None:
    by_schema.migrate("CREATE TABLE member_m_1.files AS SELECT 1 AS id")
    names, fewer = by_schema.tenant.names, replace(by_schema.wanted, members=("m-2",))
    by_schema.admin.ensure_members(fewer, mark=by_schema.tenant.mark)
    for role in (RoleKind.APPLICATION, RoleKind.READER):
        with pytest.raises(errors.InsufficientPrivilege):
            by_schema.run("SELECT * FROM member_m_1.files", role=role)
    for statement in ("SELECT * FROM member_m_1.files", "DROP SCHEMA member_m_1 CASCADE"):
        with pytest.raises(errors.InsufficientPrivilege):
            by_schema.migrate(statement)
    by_schema.run(f"ALTER SCHEMA member_m_1 OWNER TO {names.owner_role}")
    found = by_schema.admin.read_members(fewer, mark=by_schema.tenant.mark)
    assert found is not None
    assert found.deviations == (f"the schema member_m_1 belongs to {names.owner_role}",)
    by_schema.admin.ensure_members(fewer, mark=by_schema.tenant.mark)
    by_schema.admin.ensure_members(by_schema.wanted, mark=by_schema.tenant.mark)
    assert read(by_schema) == MembersState(provisioned=("m-1", "m-2"))
    by_schema.migrate("INSERT INTO member_m_1.files VALUES (2)")


def test_a_role_that_something_hangs_on_is_kept_without_any_right_and_goes_later(by_column: Store) -> None:
    role = member_names("m-1", database=by_column.tenant.names.database).role
    by_column.run(f"CREATE SCHEMA elsewhere; GRANT USAGE ON SCHEMA elsewhere TO {role}")
    fewer = replace(by_column.wanted, members=("m-2",))
    for _ in range(2):
        by_column.admin.ensure_members(fewer, mark=by_column.tenant.mark)
        kept = by_column.admin.read_role(role)
        assert kept is not None
        assert (kept.login, kept.member_of) == (False, ())
        assert kept.mark == replace(by_column.tenant.mark, retained=True)
    by_column.run(f"REVOKE ALL ON SCHEMA elsewhere FROM {role}")
    by_column.admin.ensure_members(fewer, mark=by_column.tenant.mark)
    assert by_column.admin.read_role(role) is None


def read(store: Store) -> MembersState:
    found = store.admin.read_members(store.wanted, mark=store.tenant.mark)
    assert found is not None
    return found


def test_roles_bear_the_mark_and_none_can_log_in(by_schema: Store) -> None:
    query = "SELECT rolcanlogin, shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname ~ '^{}_member_'"
    found = by_schema.run(query.format(by_schema.tenant.names.database))
    assert [(login, from_comment(comment)) for login, comment in found] == [(False, by_schema.tenant.mark)] * 2


def test_an_administrator_who_is_no_superuser_makes_and_removes_members(servers: Servers) -> None:
    make_data_store(postgres_of(servers), new_tenant())
    tenant = new_tenant()
    operator = f"operator_{tenant.mark.cooperative}"
    with session(servers) as connection:
        connection.execute(f"CREATE ROLE {operator} LOGIN CREATEROLE CREATEDB PASSWORD 'sesame'".encode())
        connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {operator}".encode())
    access = postgres_access_of(servers, user=operator, password=SecretReference(env="PW"))
    admin = PostgresServerAdmin(access, environment={"PW": "sesame"})
    make_data_store(admin, tenant, administrator=operator)
    wanted = tenant.members("m-1", "m-2")
    admin.ensure_members(wanted, mark=tenant.mark)
    assert admin.read_members(wanted, mark=tenant.mark) == MembersState(provisioned=("m-1", "m-2"))
    fewer = replace(wanted, members=("m-2",))
    admin.ensure_members(fewer, mark=tenant.mark)
    assert admin.read_members(fewer, mark=tenant.mark) == MembersState(provisioned=("m-2",))


def test_time_grows_with_the_members_and_not_with_their_square(servers: Servers) -> None:
    admin, tenant = postgres_of(servers), new_tenant()
    make_data_store(admin, tenant)

    def seconds_for(number: int) -> float:
        ids = [f"n{number}-{place}" for place in range(number)]
        began = time.perf_counter()
        admin.ensure_members(tenant.members(*ids), mark=tenant.mark)
        assert read_of(admin, tenant, *ids) == len(ids)
        return time.perf_counter() - began

    few, many = seconds_for(150), seconds_for(1200)
    # Eight times as many, and those from before are dropped too: the square would be sixty-four times as long.
    assert many < few * 32, f"{few:.2f} s for 150, {many:.2f} s for 1200"
    admin.retire_members(tenant.members(), mark=tenant.mark)
    admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)


def read_of(admin: PostgresServerAdmin, tenant: Tenant, *ids: str) -> int:
    found = admin.read_members(tenant.members(*ids), mark=tenant.mark)
    assert found is not None
    assert found.deviations == ()
    return len(found.provisioned)


@pytest.fixture(scope="module")
def shared(servers: Servers) -> Tenant:
    """One cooperative for all examples: making one takes longer than asking it."""
    tenant = new_tenant()
    make_data_store(postgres_of(servers), tenant, member_column=COLUMN)
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(tenant.names.owner_role)))
        connection.execute("CREATE TABLE public.lots (member_id text)")
    return tenant


_ids = st.lists(st.from_regex(MEMBER_ID_PATTERN, fullmatch=True), min_size=1, max_size=4, unique=True)
_cooperatives = st.from_regex(NAME_PATTERN, fullmatch=True).filter(lambda name: name_problem(name) is None)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_cooperatives, ids=_ids, column=st.sampled_from(["", COLUMN]))
def test_every_name_that_may_be_is_one_that_the_server_takes_as_it_is(
    servers: Servers, name: str, ids: list[str], column: str
) -> None:
    tenant = Tenant(names=tenant_names(CooperativeName(name), cluster=CLUSTER))
    admin = postgres_of(servers)
    try:
        make_data_store(admin, tenant, member_column=column)
        wanted = tenant.members(*ids, member_column=column)
        admin.ensure_members(wanted, mark=tenant.mark)
        assert admin.read_members(wanted, mark=tenant.mark) == MembersState(provisioned=tuple(sorted(ids)))
        names = all_member_names(ids, database=tenant.names.database).values()
        with session(servers, database=tenant.names.database) as connection:
            roles = connection.execute("SELECT rolname FROM pg_roles").fetchall()
            schemas = connection.execute("SELECT nspname FROM pg_namespace").fetchall()
        assert {(one.role,) for one in names} <= set(roles), "not cut off, not folded"
        assert not ({(one.schema,) for one in names} - set(schemas)) or column
    finally:
        admin.retire_members(tenant.members(member_column=column), mark=tenant.mark)
        admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)
        for role in reversed(tenant.names.roles):
            admin.drop_role(role, mark=tenant.mark)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.lists(
        st.text(
            alphabet=st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), min_size=1, max_size=20
        ).filter(lambda word: len(word.encode()) <= 60),
        min_size=1,
        max_size=3,
        unique=True,
    )
)
def test_rows_of_a_member_whose_id_is_any_text_are_told_apart(
    servers: Servers, shared: Tenant, words: list[str]
) -> None:
    """The member column belongs to the solutions: whatever stands in it, an id is compared with it as a value."""
    admin, tenant = postgres_of(servers), shared
    wanted = tenant.members("m-1", member_column=COLUMN)
    with session(servers, database=tenant.names.database) as connection:
        connection.execute("TRUNCATE public.lots")
        connection.execute("INSERT INTO public.lots SELECT unnest(%s::text[])", [words])
    assert admin.members_with_rows(wanted, tuple(words)) == tuple(sorted(words))
    assert admin.members_with_rows(wanted, ("'; DROP TABLE lots; --",)) == ()
