"""Row security for `memberLayout: column`: members and reader see what is theirs, however a table was made."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.postgres_row_security import EVENT_TRIGGER
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import NotOurs
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_access_of, postgres_of, session

pytestmark = pytest.mark.servers
COLUMN = "member_id"
TABLES = """
    CREATE TABLE units (unit text PRIMARY KEY);
    INSERT INTO units VALUES ('kg');
    CREATE TABLE lots (id serial PRIMARY KEY, member_id text NOT NULL, kg int);
    INSERT INTO lots (member_id, kg) SELECT 'm-000' || g, g FROM generate_series(1, 3) g;
    CREATE TABLE weighings (lot int NOT NULL REFERENCES lots, kg int);
    INSERT INTO weighings SELECT id, kg FROM lots;
    CREATE TABLE remarks (weighed int, word text);
    ALTER TABLE weighings ADD COLUMN id serial PRIMARY KEY;
    ALTER TABLE remarks ADD FOREIGN KEY (weighed) REFERENCES weighings;
    INSERT INTO remarks SELECT id, 'of lot ' || lot FROM weighings UNION ALL SELECT NULL, 'of nobody';
    CREATE TABLE invoices (member_id int, amount int) PARTITION BY LIST (member_id);
    CREATE TABLE invoices_1 PARTITION OF invoices DEFAULT;
    INSERT INTO invoices VALUES (1, 10), (2, 20);
    CREATE VIEW all_lots AS SELECT * FROM lots;
    CREATE MATERIALIZED VIEW old_lots AS SELECT * FROM lots;
    CREATE VIEW my_lots WITH (security_invoker = true) AS SELECT * FROM lots;
"""


class Store:
    """A tenant whose members share tables, and a role of one member."""

    def __init__(self, servers: Servers) -> None:
        self.servers, self.admin = servers, postgres_of(servers)
        self.tenant: Tenant = new_tenant()
        self.passwords = make_data_store(self.admin, self.tenant, member_column=COLUMN)
        self.grants = self.tenant.grants(member_column=COLUMN)
        self.member = f"{self.tenant.names.database}_member"
        self.migrate(TABLES)

    def migrate(self, statements: str) -> None:
        """What a solution's migration does."""
        self.query(f"SET ROLE {self.tenant.names.owner_role}; {statements}", role=RoleKind.MIGRATION)

    def query(self, statement: str, *, role: RoleKind | None = None) -> list[tuple[Any, ...]]:
        """As one of the tenant's roles, or as the administrator."""
        user = self.tenant.role(role).name if role else "postgres"
        password = self.passwords[role] if role else None
        return self._run(statement, user=user, password=password)

    def let_in(self, *members: str) -> None:
        """What provisioning a member will do: a role that inherits the reader's rights, and its members."""
        with session(self.servers, database=self.tenant.names.database) as connection:
            role = sql.Identifier(self.member)
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN INHERIT PASSWORD 'sesame'").format(role))
            reader = sql.Identifier(self.tenant.names.reader_role)
            connection.execute(sql.SQL("GRANT {} TO {}").format(reader, role))
            for one in members:
                connection.execute("INSERT INTO coopctl.member_access VALUES (%s, %s)", [self.member, one])

    def as_member(self, statement: str) -> list[tuple[Any, ...]]:
        return self._run(statement, user=self.member, password=Secret("sesame"))

    def _run(self, statement: str, *, user: str, password: Secret | None) -> list[tuple[Any, ...]]:
        with session(self.servers, database=self.tenant.names.database, user=user, password=password) as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                """The answer to the last statement counts."""
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def store(servers: Servers) -> Iterator[Store]:
    made = Store(servers)
    yield made
    made.admin.retire_database(made.tenant.names.database, mark=made.tenant.mark, delete_data=True)
    with session(servers) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(made.member)))
    for role in made.tenant.names.roles:
        made.admin.drop_role(role, mark=made.tenant.mark)


def test_a_member_sees_its_own_rows_in_tables_made_after_the_last_apply(store: Store) -> None:
    store.let_in("m-0002")
    assert store.as_member("SELECT member_id FROM lots") == [("m-0002",)]
    assert store.as_member("SELECT kg FROM weighings") == [(2,)], "through the lot that it refers to"
    assert store.as_member("SELECT word FROM remarks") == [("of lot 2",)], "through two tables; nobody's row is hidden"
    assert store.as_member("SELECT unit FROM units") == [("kg",)], "shared by all members"
    assert store.as_member("SELECT member_id FROM my_lots") == [("m-0002",)]
    assert store.admin.read_deviations(store.grants) == (f"not wanted: {store.member} MEMBER on role {reader(store)}",)


def test_a_column_of_numbers_and_its_partitions_are_secured(store: Store) -> None:
    store.let_in("1")
    assert store.as_member("SELECT amount FROM invoices") == [(10,)]
    assert store.as_member("SELECT amount FROM invoices_1") == [(10,)]


def test_application_and_migration_are_trusted_with_the_whole_cooperative(store: Store) -> None:
    assert store.query("SELECT count(*) FROM lots", role=RoleKind.APPLICATION) == [(3,)]
    store.query("INSERT INTO lots (member_id) VALUES ('m-0009')", role=RoleKind.APPLICATION)
    store.query("UPDATE weighings SET kg = kg + 1; DELETE FROM remarks", role=RoleKind.APPLICATION)
    owner = store.tenant.names.owner_role
    assert store.query(f"SET ROLE {owner}; TABLE lots", role=RoleKind.MIGRATION)[3][1] == "m-0009"


def test_the_reader_sees_no_member_s_row_unless_it_is_given_members(store: Store) -> None:
    for table in ("lots", "weighings", "remarks", "invoices", "my_lots"):
        assert store.query(f"TABLE {table}", role=RoleKind.READER) == []
    assert store.query("SELECT unit FROM units", role=RoleKind.READER) == [("kg",)]
    store.let_in()
    store.query("INSERT INTO coopctl.member_access SELECT rolname, 'm-0001' FROM pg_roles WHERE rolname ~ '_reader$'")
    assert store.query("SELECT member_id FROM lots", role=RoleKind.READER) == [("m-0001",)]


@pytest.mark.parametrize(
    "attack",
    [
        "SET ROLE {reader}; SELECT count(*) FROM lots",
        "SET coopctl.member = 'm-0001'; SELECT count(*) FROM lots",
        "SELECT count(*) FROM lots TABLESAMPLE SYSTEM (100)",
        "SELECT count(*) FROM ONLY lots",
        "SELECT (xpath('count(/lots/row)', table_to_xml('lots', true, false, '')))[1]::text::float::int",
    ],
)
def test_no_way_of_asking_shows_another_member_s_rows(store: Store, attack: str) -> None:
    store.let_in("m-0002")
    assert store.as_member(attack.format(reader=reader(store)))[0][0] == 1


@pytest.mark.parametrize(
    "attack",
    [
        "SET row_security = off; SELECT * FROM lots",
        "SELECT * FROM all_lots",
        "SELECT * FROM old_lots",
        "SELECT * FROM coopctl.member_access",
        "INSERT INTO coopctl.member_access VALUES (current_user, 'm-0001')",
        "ALTER TABLE lots DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON lots USING (true)",
        "SET ROLE {owner}",
        "SET SESSION AUTHORIZATION {app}",
        "INSERT INTO lots (member_id) VALUES ('m-0002')",
        "CREATE OR REPLACE FUNCTION coopctl.my_members() RETURNS text[] LANGUAGE sql AS 'SELECT NULL::text[]'",
    ],
)
def test_a_member_cannot_get_past_the_policies(store: Store, attack: str) -> None:
    store.let_in("m-0002")
    names = store.tenant.names
    with pytest.raises(errors.InsufficientPrivilege):
        store.as_member(attack.format(owner=names.owner_role, app=names.application_role))


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("SET coopctl.restoring = 'on'; ALTER TABLE lots DISABLE ROW LEVEL SECURITY", "public.lots"),
        ("DROP POLICY coopctl_member ON lots", "public.lots"),
        ("ALTER POLICY coopctl_member ON weighings USING (true)", "public.weighings"),
        ("ALTER POLICY coopctl_rows ON lots TO PUBLIC", "public.lots"),
        ("SET coopctl.restoring = 'on'; CREATE TABLE late (member_id text)", "public.late"),
    ],
)
def test_what_was_weakened_is_named_and_mended(store: Store, change: str, table: str) -> None:
    store.migrate(change)
    assert store.admin.read_deviations(store.grants) == (f"missing: row security on table {table}",)
    store.admin.ensure_grants(store.grants)
    assert store.admin.read_deviations(store.grants) == ()


def test_row_security_that_a_migration_switches_off_is_on_again_at_once(store: Store) -> None:
    store.migrate("ALTER TABLE lots DISABLE ROW LEVEL SECURITY")
    assert store.query("SELECT count(*) FROM lots", role=RoleKind.READER) == [(0,)]


def test_a_further_policy_widens_nothing(store: Store) -> None:
    store.let_in("m-0002")
    store.migrate("CREATE POLICY theirs ON lots USING (true)")
    assert store.as_member("SELECT member_id FROM lots") == [("m-0002",)]


def test_a_lost_event_trigger_is_named_and_mended(store: Store) -> None:
    store.query(f"DROP EVENT TRIGGER {EVENT_TRIGGER}")
    assert store.admin.read_deviations(store.grants) == ("missing: the row security of members' rows",)
    store.admin.ensure_grants(store.grants)
    assert store.admin.read_deviations(store.grants) == ()


def test_the_tenant_cannot_touch_the_platform_s_schema(store: Store) -> None:
    for statement in (
        "DROP SCHEMA coopctl CASCADE",
        f"DROP EVENT TRIGGER {EVENT_TRIGGER}",
        f"ALTER EVENT TRIGGER {EVENT_TRIGGER} DISABLE",
        "CREATE OR REPLACE FUNCTION coopctl.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "DROP FUNCTION coopctl.secure(oid)",
        "SELECT * FROM coopctl.member_access",
        "CREATE TABLE coopctl.mine (id int)",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            store.migrate(statement)


def test_a_schema_of_that_name_that_the_tenant_made_is_not_adopted(servers: Servers) -> None:
    admin, tenant = postgres_of(servers), new_tenant()
    make_data_store(admin, tenant)
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(
            sql.SQL("CREATE SCHEMA coopctl AUTHORIZATION {}").format(sql.Identifier(tenant.names.owner_role))
        )
    with pytest.raises(NotOurs, match="the schema coopctl exists already"):
        admin.ensure_grants(tenant.grants(member_column=COLUMN))


def test_tables_that_were_there_before_are_secured_by_an_apply(servers: Servers) -> None:
    admin, tenant = postgres_of(servers), new_tenant()
    passwords = make_data_store(admin, tenant)
    names = tenant.names
    with session(servers, database=names.database) as connection:
        connection.execute(f"SET ROLE {names.owner_role}; {TABLES}".encode())
    admin.ensure_grants(tenant.grants(member_column=COLUMN))
    assert admin.read_deviations(tenant.grants(member_column=COLUMN)) == ()
    with session(
        servers, database=names.database, user=names.reader_role, password=passwords[RoleKind.READER]
    ) as connection:
        assert connection.execute("SELECT count(*) FROM remarks").fetchone() == (0,)
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM all_lots")


def test_without_a_superuser_tables_are_secured_by_the_next_apply(servers: Servers) -> None:
    make_data_store(postgres_of(servers), new_tenant())
    tenant = new_tenant()
    operator = f"operator_{tenant.mark.cooperative}"
    with session(servers) as connection:
        connection.execute(f"CREATE ROLE {operator} LOGIN CREATEROLE CREATEDB PASSWORD 'sesame'".encode())
        connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {operator}".encode())
    access = postgres_access_of(servers, user=operator, password=SecretReference(env="PW"))
    admin = PostgresServerAdmin(access, environment={"PW": "sesame"})
    make_data_store(admin, tenant, administrator=operator, member_column=COLUMN)
    grants = tenant.grants(member_column=COLUMN)
    assert admin.read_deviations(grants) == ()
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(f"SET ROLE {tenant.names.owner_role}; CREATE TABLE lots (member_id text)".encode())
    assert admin.read_deviations(grants) == ("missing: row security on table public.lots",)
    admin.ensure_grants(grants)
    assert admin.read_deviations(grants) == ()


def test_a_plan_of_rows_uses_an_index_of_the_member_column(store: Store) -> None:
    store.let_in("m-0002")
    store.migrate(
        "CREATE INDEX ON lots (member_id); INSERT INTO lots (member_id) SELECT 'x' FROM generate_series(1, 9999)"
    )
    store.query("ANALYZE lots")
    plan = "\n".join(str(line) for (line,) in store.as_member("EXPLAIN SELECT * FROM lots"))
    assert "Index" in plan


def reader(store: Store) -> str:
    return store.tenant.names.reader_role


def test_who_is_no_role_of_the_tenant_does_not_get_in(store: Store) -> None:
    with session(store.servers) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'sesame'").format(sql.Identifier(store.member)))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        store.as_member("SELECT 1")
