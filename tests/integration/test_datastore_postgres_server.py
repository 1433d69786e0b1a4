"""A tenant's database on a real PostgreSQL: who gets in, who may do what, and what is closed again."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.marks import Fate
from provisioner.datastore.postgres_databases import working_name
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import CoopctlError, NotFound, NotPermitted, PolicyViolated, Unreachable
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import (
    Tenant,
    make_data_store,
    new_tenant,
    postgres_access_of,
    postgres_of,
    session,
)

pytestmark = pytest.mark.servers


class Store:
    """A tenant's data store with its passwords, and sessions in it."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.admin = postgres_of(servers)
        self.tenant: Tenant = new_tenant()
        self.passwords = make_data_store(self.admin, self.tenant)

    def execute(self, statement: str, *, role: RoleKind | None = None, database: str | None = None) -> list[Any]:
        """Run a statement as one of the tenant's roles, or as the administrator."""
        user = self.tenant.role(role).name if role else "postgres"
        password = self.passwords[role] if role else None
        with session(
            self.servers, database=database or self.tenant.names.database, user=user, password=password
        ) as connection:
            cursor = connection.execute(statement)
            while cursor.nextset():
                """The answer to the last statement counts."""
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def session(self, role: RoleKind) -> Iterator[psycopg.Connection[Any]]:
        """A session of one of the tenant's roles."""
        name, password = self.tenant.role(role).name, self.passwords[role]
        with session(self.servers, database=self.tenant.names.database, user=name, password=password) as connection:
            yield connection

    def deviations(self) -> tuple[str, ...]:
        return self.admin.read_deviations(self.tenant.grants())

    def mend(self) -> None:
        self.admin.ensure_grants(self.tenant.grants())


@pytest.fixture
def store(servers: Servers) -> Iterator[Store]:
    """A data store whose owner made a table with a row, as a solution's migration does."""
    made = Store(servers)
    owner = made.tenant.names.owner_role
    made.execute(f"CREATE SCHEMA batches AUTHORIZATION {owner}")
    made.execute(
        f"SET ROLE {owner}; CREATE TABLE lots (id serial, kg int); CREATE TABLE batches.lots (id int)",
        role=RoleKind.MIGRATION,
    )
    made.execute("INSERT INTO lots (kg) VALUES (5)", role=RoleKind.APPLICATION)
    yield made
    made.admin.retire_database(made.tenant.names.database, mark=made.tenant.mark, delete_data=True)
    for role in made.tenant.names.roles:
        made.admin.drop_role(role, mark=made.tenant.mark)


def test_the_application_writes_what_the_migration_made(store: Store) -> None:
    assert store.execute("INSERT INTO lots (kg) VALUES (7) RETURNING id", role=RoleKind.APPLICATION) == [(2,)]
    store.execute("INSERT INTO batches.lots VALUES (1)", role=RoleKind.APPLICATION)
    with pytest.raises(errors.InsufficientPrivilege):
        store.execute("CREATE TABLE mine (id int)", role=RoleKind.APPLICATION)
    with pytest.raises(errors.InsufficientPrivilege):
        store.execute("CREATE TEMPORARY TABLE mine (id int)", role=RoleKind.APPLICATION)


def test_the_reader_only_reads(store: Store) -> None:
    assert store.execute("SELECT kg FROM lots", role=RoleKind.READER) == [(5,)]
    for statement in ("INSERT INTO lots (kg) VALUES (1)", "SELECT nextval('lots_id_seq')", "DELETE FROM lots"):
        with pytest.raises(errors.InsufficientPrivilege):
            store.execute(statement, role=RoleKind.READER)


def test_the_migration_role_has_the_owner_s_rights_only_after_set_role(store: Store) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        store.execute("DROP TABLE lots", role=RoleKind.MIGRATION)
    store.execute(f"SET ROLE {store.tenant.names.owner_role}; DROP TABLE lots", role=RoleKind.MIGRATION)


def test_no_other_tenant_gets_in_and_postgres_and_templates_are_closed(store: Store, servers: Servers) -> None:
    other = Store(servers)
    for database in (other.tenant.names.database, "postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            store.execute("SELECT 1", role=RoleKind.APPLICATION, database=database)


def test_the_owner_cannot_log_in(store: Store) -> None:
    with pytest.raises(psycopg.OperationalError):
        store.execute("SELECT 1", role=RoleKind.OWNER)


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("GRANT CONNECT ON DATABASE template1 TO PUBLIC", "not wanted: PUBLIC CONNECT on database template1"),
        ("GRANT TEMPORARY ON DATABASE {database} TO PUBLIC", "not wanted: PUBLIC TEMPORARY on database {database}"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "not wanted: PUBLIC CREATE on schema public"),
        ("REVOKE INSERT ON lots FROM {app}", "missing: {app} INSERT on table public.lots"),
        ("GRANT SELECT (kg) ON lots TO PUBLIC", "not wanted: PUBLIC SELECT on column public.lots.kg"),
        (
            "GRANT SELECT ON lots TO {app} WITH GRANT OPTION",
            "not wanted: {app} SELECT WITH GRANT OPTION on table public.lots",
        ),
        ("GRANT {owner} TO {app}", "not wanted: {app} MEMBER on role {owner}"),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE SELECT ON TABLES FROM {reader}",
            "missing: {reader} SELECT on future tables of {owner}",
        ),
        (
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA batches GRANT SELECT ON TABLES TO PUBLIC",
            "not wanted: PUBLIC SELECT on future tables of {owner}.batches",
        ),
    ],
)
def test_a_privilege_that_was_changed_by_hand_is_named_and_mended(store: Store, change: str, seen: str) -> None:
    names = store.tenant.names
    known = {
        "database": names.database,
        "owner": names.owner_role,
        "app": names.application_role,
        "reader": names.reader_role,
    }
    store.execute(change.format(**known))
    assert seen.format(**known) in store.deviations()
    store.mend()
    assert store.deviations() == ()


def test_what_a_grantee_passed_on_is_taken_back_too(store: Store) -> None:
    stranger, application = f"{store.tenant.names.database}_stranger", store.tenant.names.application_role
    store.execute(
        f"CREATE ROLE {stranger}; GRANT SELECT ON lots TO {application} WITH GRANT OPTION;"
        f" SET ROLE {application}; GRANT SELECT ON lots TO {stranger}"
    )
    store.mend()
    assert store.deviations() == ()
    assert store.execute(f"SELECT has_table_privilege('{stranger}', 'lots', 'SELECT')") == [(False,)]


def test_attributes_that_a_role_must_not_have_are_named_and_taken(store: Store) -> None:
    wanted = store.tenant.role(RoleKind.APPLICATION)
    store.execute(f"ALTER ROLE {wanted.name} SUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS INHERIT")
    found = store.admin.read_role(wanted.name)
    assert found is not None
    assert set(found.attributes) == {"SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS", "INHERIT"}
    store.admin.ensure_role(wanted, mark=store.tenant.mark, password=None)
    mended = store.admin.read_role(wanted.name)
    assert mended is not None
    assert mended.attributes == ()


def test_a_lost_membership_is_given_back_and_an_extra_one_taken(store: Store) -> None:
    wanted = store.tenant.role(RoleKind.MIGRATION)
    owner = store.tenant.names.owner_role
    store.execute(f"REVOKE {owner} FROM {wanted.name}; GRANT pg_read_all_data TO {wanted.name} WITH ADMIN OPTION")
    store.admin.ensure_role(wanted, mark=store.tenant.mark, password=None)
    found = store.admin.read_role(wanted.name)
    assert found is not None
    assert (found.member_of, found.attributes) == ((owner,), ())


def test_past_its_storage_the_application_cannot_write(store: Store) -> None:
    store.admin.ensure_grants(store.tenant.grants(storage_bytes=1000))
    assert store.execute("SELECT count(*) FROM lots", role=RoleKind.APPLICATION) == [(1,)]
    with pytest.raises(errors.InsufficientPrivilege):
        store.execute("INSERT INTO lots (kg) VALUES (1)", role=RoleKind.APPLICATION)
    store.mend()
    store.execute("INSERT INTO lots (kg) VALUES (1)", role=RoleKind.APPLICATION)


def test_the_session_after_the_last_that_a_limit_allows_is_refused(store: Store) -> None:
    store.admin.ensure_database(store.tenant.database(connection_limit=3), mark=store.tenant.mark)
    with contextlib.ExitStack() as sessions:
        for role in (RoleKind.APPLICATION, RoleKind.READER, RoleKind.MIGRATION):
            sessions.enter_context(store.session(role))
        with pytest.raises(psycopg.OperationalError, match="too many connections for database"):
            store.execute("SELECT 1", role=RoleKind.APPLICATION)
        usage = store.admin.read_usage(store.tenant.names.database)
        assert usage is not None
        assert (usage.sessions, usage.connection_limit) == (3, 3)


def test_the_session_after_the_last_that_a_role_may_have_is_refused(store: Store) -> None:
    reader = store.tenant.role(RoleKind.READER, connection_limit=2)
    store.admin.ensure_role(reader, mark=store.tenant.mark, password=None)
    with (
        store.session(RoleKind.READER),
        store.session(RoleKind.READER),
        pytest.raises(psycopg.OperationalError, match="too many connections for role"),
    ):
        store.execute("SELECT 1", role=RoleKind.READER)


def test_extensions_come_from_the_administrator_alone(store: Store) -> None:
    owner = store.tenant.names.owner_role
    for role, before in (
        (RoleKind.APPLICATION, ""),
        (RoleKind.MIGRATION, ""),
        (RoleKind.MIGRATION, f"SET ROLE {owner};"),
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            store.execute(f"{before} CREATE EXTENSION hstore", role=role)
    store.execute("CREATE EXTENSION hstore")
    found = store.admin.read_database(store.tenant.names.database)
    assert found is not None
    assert found.extensions == ("hstore", "pgcrypto")
    store.admin.drop_extensions(store.tenant.names.database, ("hstore",))
    mended = store.admin.read_database(store.tenant.names.database)
    assert mended is not None
    assert mended.extensions == ("pgcrypto",)


def test_an_extension_in_use_is_never_dropped(store: Store) -> None:
    store.execute("CREATE EXTENSION hstore; CREATE TABLE kept (content hstore)")
    with pytest.raises(PolicyViolated, match="does not allow the extensions hstore") as caught:
        store.admin.drop_extensions(store.tenant.names.database, ("hstore",))
    assert "kept" in str(caught.value.why)


def test_an_extension_brings_in_no_other_that_is_not_wanted(store: Store) -> None:
    with pytest.raises(CoopctlError, match="'earthdistance' needs cube"):
        store.admin.ensure_database(store.tenant.database(extensions=("earthdistance",)), mark=store.tenant.mark)
    store.admin.ensure_database(store.tenant.database(extensions=("earthdistance", "cube")), mark=store.tenant.mark)
    found = store.admin.read_database(store.tenant.names.database)
    assert found is not None
    assert found.extensions == ("cube", "earthdistance", "pgcrypto")


def test_a_database_that_a_tenant_s_role_owned_becomes_the_administrator_s(store: Store) -> None:
    names = store.tenant.names
    store.execute(f"ALTER DATABASE {names.database} OWNER TO {names.owner_role}")
    store.admin.ensure_database(store.tenant.database(), mark=store.tenant.mark)
    store.mend()
    found = store.admin.read_database(names.database)
    assert found is not None
    assert (found.owner, store.deviations()) == ("postgres", ())
    store.execute(f"SET ROLE {names.owner_role}; CREATE TABLE more (id int)", role=RoleKind.MIGRATION)


def test_the_owner_may_use_temporary_tables_and_nobody_else(store: Store) -> None:
    temporary = "CREATE TEMPORARY TABLE scrap (id int)"
    store.execute(f"SET ROLE {store.tenant.names.owner_role}; {temporary}", role=RoleKind.MIGRATION)
    for role in (RoleKind.APPLICATION, RoleKind.READER, RoleKind.MIGRATION):
        with pytest.raises(errors.InsufficientPrivilege):
            store.execute(temporary, role=role)


def test_large_objects_are_written_by_the_application_until_its_storage_is_full(store: Store) -> None:
    made = "SELECT lo_from_bytea(0, 'photo')"
    number = store.execute(made, role=RoleKind.APPLICATION)[0][0]
    assert store.execute(f"SELECT lo_get({number})", role=RoleKind.APPLICATION) == [(b"photo",)]
    for statement in (made, "SELECT lo_create(0)", "SELECT lo_creat(-1)"):
        with pytest.raises(errors.InsufficientPrivilege):
            store.execute(statement, role=RoleKind.READER)
    store.admin.ensure_grants(store.tenant.grants(storage_bytes=1000))
    for statement in (made, f"SELECT lo_put({number}, 0, 'more')"):
        with pytest.raises(errors.InsufficientPrivilege):
            store.execute(statement, role=RoleKind.APPLICATION)
    store.execute(f"SELECT lo_unlink({number})", role=RoleKind.APPLICATION)


def test_without_tls_nobody_is_let_in(store: Store) -> None:
    name, password = store.tenant.names.application_role, store.passwords[RoleKind.APPLICATION].reveal()
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(
            host=store.servers.host,
            port=store.servers.postgres_port,
            dbname=store.tenant.names.database,
            user=name,
            password=password,
            sslmode="disable",
        )
    with store.session(RoleKind.APPLICATION) as connection:
        assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)


def test_passwords_are_stored_by_scram_alone_and_a_changed_one_is_noticed(store: Store) -> None:
    assert store.execute("SHOW password_encryption") == [("scram-sha-256",)]
    name, password = store.tenant.names.application_role, store.passwords[RoleKind.APPLICATION]
    assert store.admin.has_password(name, password)
    store.execute(f"SET password_encryption = 'md5'; ALTER ROLE {name} PASSWORD 'sesame'", role=RoleKind.APPLICATION)
    assert not store.admin.has_password(name, password)
    assert not store.admin.has_password(name, Secret("sesame")), "no SCRAM verifier"


def test_a_creation_that_was_cut_off_before_the_mark_is_finished(servers: Servers) -> None:
    admin, tenant = postgres_of(servers), new_tenant()
    admin.ensure_role(tenant.role(RoleKind.OWNER), mark=tenant.mark, password=None)
    unnamed = sql.Identifier(working_name(tenant.mark))
    with session(servers) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(unnamed))
    admin.ensure_database(tenant.database(), mark=tenant.mark)
    found = admin.read_database(tenant.names.database)
    assert found is not None
    assert (found.owner, found.mark) == ("postgres", tenant.mark)
    assert admin.read_database(working_name(tenant.mark)) is None


def test_a_database_is_closed_to_the_public_from_its_first_moment(servers: Servers) -> None:
    admin, tenant = postgres_of(servers), new_tenant()
    admin.ensure_role(tenant.role(RoleKind.OWNER), mark=tenant.mark, password=None)
    admin.ensure_database(tenant.database(), mark=tenant.mark)
    with session(servers) as connection:
        row = connection.execute("SELECT datacl::text FROM pg_database WHERE datname = %s", [tenant.names.database])
        assert "=Tc" not in str(row.fetchone()).replace("postgres=CTc", "")


def test_many_stacks_at_once_do_not_disturb_each_other(servers: Servers) -> None:
    with session(servers) as connection:
        connection.execute("GRANT CONNECT ON DATABASE template1 TO PUBLIC")
    tenants = [new_tenant() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda tenant: make_data_store(postgres_of(servers), tenant), tenants))
    admin = postgres_of(servers)
    assert [admin.read_deviations(tenant.grants()) for tenant in tenants] == [()] * 6


def operator_name(tenant: Tenant) -> str:
    return f"operator_{tenant.mark.cooperative}"


def operator_of(servers: Servers, tenant: Tenant) -> PostgresServerAdmin:
    """An administrator who is no superuser."""
    name = operator_name(tenant)
    with session(servers) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD 'sesame'")
        connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {name}")
    access = postgres_access_of(servers, user=name, password=SecretReference(env="PW"))
    return PostgresServerAdmin(access, environment={"PW": "sesame"})


def test_an_administrator_without_superuser_is_enough_where_a_superuser_closed_the_entrances(servers: Servers) -> None:
    make_data_store(postgres_of(servers), new_tenant())
    tenant = new_tenant()
    admin = operator_of(servers, tenant)
    make_data_store(admin, tenant, administrator=operator_name(tenant))
    assert admin.read_deviations(tenant.grants()) == ()
    assert admin.retire_database(tenant.names.database, mark=tenant.mark, delete_data=False) is Fate.DROPPED


def test_what_the_administrator_cannot_close_is_an_error_and_not_a_warning(servers: Servers) -> None:
    tenant = new_tenant()
    admin = operator_of(servers, tenant)
    make_data_store(postgres_of(servers), tenant)
    with session(servers) as connection:
        connection.execute("GRANT TEMPORARY ON DATABASE template1 TO PUBLIC")
    with pytest.raises(NotPermitted) as caught:
        admin.ensure_grants(tenant.grants())
    assert "PUBLIC TEMPORARY on database template1" in str(caught.value.why)
    postgres_of(servers).ensure_grants(tenant.grants())


def test_a_right_that_the_administrator_lacks_is_named(servers: Servers) -> None:
    tenant = new_tenant()
    nobody = f"nobody_{tenant.mark.cooperative}"
    with session(servers) as connection:
        connection.execute(f"CREATE ROLE {nobody} LOGIN PASSWORD 'sesame'")
        connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {nobody}")
    access = postgres_access_of(servers, user=nobody, password=SecretReference(env="PW"))
    with pytest.raises(NotPermitted, match=nobody):
        PostgresServerAdmin(access, environment={"PW": "sesame"}).ensure_role(
            tenant.role(RoleKind.OWNER), mark=tenant.mark, password=None
        )


def test_unreachable_refused_and_missing_are_told_apart_without_a_secret(servers: Servers) -> None:
    access = postgres_access_of(servers)
    wrong = replace(access, password=SecretReference(env="PW"))
    closed = replace(access, port=1)
    untrusted = replace(access, ca_file=None, sslmode="verify-full")
    with pytest.raises(NotPermitted, match="refused the login of postgres") as refused:
        PostgresServerAdmin(wrong, environment={"PW": "open-sesame"}).read_role("x")
    with pytest.raises(Unreachable, match=f"{servers.host}:1 cannot be reached") as unreachable:
        PostgresServerAdmin(closed, environment=os.environ).read_role("x")
    with pytest.raises(Unreachable):
        PostgresServerAdmin(untrusted, environment={**os.environ, "HOME": "/nonexistent"}).read_role("x")
    with pytest.raises(NotFound):
        postgres_of(servers).ensure_grants(new_tenant().grants())
    for error in (refused.value, unreachable.value):
        assert error.hint
        assert "open-sesame" not in f"{error} {error.why} {error.hint}"


def test_the_server_stores_a_verifier(servers: Servers) -> None:
    tenant, password = new_tenant(), Secret("sesame-that-must-not-leak")
    postgres_of(servers).ensure_role(tenant.role(RoleKind.READER), mark=tenant.mark, password=password)
    with session(servers) as connection:
        stored = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = %s", [tenant.names.reader_role]
        ).fetchone()
    assert str(stored).startswith("('SCRAM-SHA-256$")
