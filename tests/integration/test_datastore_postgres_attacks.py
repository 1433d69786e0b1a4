"""Attacks of a tenant's roles on a real server: each is refused for lack of a right, and for nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import errors

from provisioner.datastore.credentials import Secret
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_of, session

pytestmark = pytest.mark.servers
LOGINS = (RoleKind.APPLICATION, RoleKind.READER, RoleKind.MIGRATION)
BY_ANY_ROLE = {
    "password verifiers": "SELECT rolpassword FROM pg_authid",
    "passwords by their view": "SELECT passwd FROM pg_shadow",
    "samples of columns": "SELECT stavalues1 FROM pg_statistic",
    "credentials of foreign servers": "SELECT umoptions FROM pg_user_mapping",
    "who may log in": "SELECT * FROM pg_hba_file_rules",
    "a file": "SELECT pg_read_file('PG_VERSION')",
    "a binary file": "SELECT pg_read_binary_file('PG_VERSION')",
    "a folder": "SELECT pg_ls_dir('.')",
    "a file's size": "SELECT pg_stat_file('PG_VERSION')",
    "a file into a large object": "SELECT lo_import('/etc/passwd')",
    "a large object into a file": "SELECT lo_export(1, '/tmp/coopctl-attack')",
    "a query into a file": "COPY (SELECT 1) TO '/tmp/coopctl-attack'",
    "a query into a program": "COPY (SELECT 1) TO PROGRAM 'true'",
    "the configuration": "ALTER SYSTEM SET work_mem = '1MB'",
    "what is logged": "SET log_statement = 'all'",
    "no triggers": "SET session_replication_role = 'replica'",
    "a role": "CREATE ROLE attacker",
    "a database": "CREATE DATABASE attacker",
    "no limit of its sessions": "ALTER ROLE CURRENT_USER CONNECTION LIMIT -1",
    "a superuser": "ALTER ROLE CURRENT_USER SUPERUSER",
    "a role past row security": "ALTER ROLE CURRENT_USER BYPASSRLS",
    "every table of the server": "GRANT pg_read_all_data TO CURRENT_USER",
    "the server's files": "SET ROLE pg_read_server_files",
    "a neighbour's role": "SET ROLE {neighbour_app}",
    "the administrator": "SET ROLE postgres",
    "the administrator's session": "SET SESSION AUTHORIZATION postgres",
    "the end of another's session": "SELECT pg_terminate_backend({pid})",
    "the end of another's statement": "SELECT pg_cancel_backend({pid})",
    "a neighbour's size": "SELECT pg_database_size('{neighbour}')",
    "a neighbour's database": "DROP DATABASE {neighbour}",
    "dblink": "CREATE EXTENSION dblink",
    "files as tables": "CREATE EXTENSION file_fdw",
    "other servers as tables": "CREATE EXTENSION postgres_fdw",
    "a trusted extension": "CREATE EXTENSION hstore",
    "a schema": "CREATE SCHEMA attacker",
    "a publication": "CREATE PUBLICATION attacker",
    "a replication slot": "SELECT pg_create_logical_replication_slot('attacker', 'pgoutput')",
    "no limit of its database": "ALTER DATABASE {database} CONNECTION LIMIT -1",
    "no mark on its database": "COMMENT ON DATABASE {database} IS NULL",
    "another name of its database": "ALTER DATABASE {database} RENAME TO attacker",
    "other defaults of its database": "ALTER DATABASE {database} SET role = 'postgres'",
}
AS_OWNER = {
    **{
        name: BY_ANY_ROLE[name]
        for name in (
            "a trusted extension",
            "a schema",
            "a publication",
            "no limit of its database",
            "no mark on its database",
            "another name of its database",
            "other defaults of its database",
        )
    },
    "a function in C": "CREATE FUNCTION attack() RETURNS int LANGUAGE c AS '/tmp/attack', 'attack'",
    "a function of the server's insides": "CREATE FUNCTION attack() RETURNS int LANGUAGE internal AS 'lo_import'",
    "a trigger on every statement": "CREATE EVENT TRIGGER attack ON sql_drop EXECUTE FUNCTION unique_key_recheck()",
    "a table from a file": "COPY lots FROM '/etc/passwd'",
    "a table from a program": "COPY lots FROM PROGRAM 'true'",
    "the schema public": "DROP SCHEMA public CASCADE",
    "a role's place as owner": "REASSIGN OWNED BY postgres TO CURRENT_USER",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Two tenants, the first one's passwords, and the process of the neighbour's session."""

    servers: Servers
    tenant: Tenant
    neighbour: Tenant
    passwords: dict[RoleKind, Secret]
    pid: int

    def run(self, statement: str, *, role: RoleKind, before: str = "") -> list[Any]:
        """Run a statement as one of the first tenant's roles."""
        names = self.tenant.names
        text = statement.format(
            database=names.database,
            neighbour=self.neighbour.names.database,
            neighbour_app=self.neighbour.names.application_role,
            pid=self.pid,
        )
        login = self.tenant.role(role).name
        with session(self.servers, database=names.database, user=login, password=self.passwords[role]) as connection:
            if before:
                connection.execute(before.encode())
            cursor = connection.execute(text.encode())
            return cursor.fetchall() if cursor.description else []

    def as_owner(self, statement: str) -> list[Any]:
        """Run a statement as the migration role that became the owner."""
        return self.run(statement, role=RoleKind.MIGRATION, before=f"SET ROLE {self.tenant.names.owner_role}")


@pytest.fixture(scope="module")
def place(servers: Servers) -> Iterator[Place]:
    """The tenants; the neighbour's application is in the middle of a query that nobody else should read."""
    admin, tenant, neighbour = postgres_of(servers), new_tenant(), new_tenant("plastics")
    passwords, theirs = make_data_store(admin, tenant), make_data_store(admin, neighbour)
    names = neighbour.names
    with session(
        servers, database=names.database, user=names.application_role, password=theirs[RoleKind.APPLICATION]
    ) as busy:
        busy.execute("SELECT 'a secret of the neighbour'")
        made = Place(
            servers=servers, tenant=tenant, neighbour=neighbour, passwords=passwords, pid=busy.info.backend_pid
        )
        made.as_owner("CREATE TABLE lots (line text)")
        yield made
    for one in (tenant, neighbour):
        admin.retire_database(one.names.database, mark=one.mark, delete_data=True)
        for role in one.names.roles:
            admin.drop_role(role, mark=one.mark)


@pytest.mark.parametrize("role", LOGINS)
@pytest.mark.parametrize("attack", BY_ANY_ROLE)
def test_no_role_reaches(place: Place, role: RoleKind, attack: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        place.run(BY_ANY_ROLE[attack], role=role)


@pytest.mark.parametrize("attack", AS_OWNER)
def test_not_even_as_owner_does_the_migration_role_reach(place: Place, attack: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        place.as_owner(AS_OWNER[attack])


def test_what_each_role_is_for_works(place: Place) -> None:
    place.as_owner("CREATE TABLE more (line text)")
    assert place.run("SELECT count(*) FROM lots", role=RoleKind.READER) == [(0,)]
    place.run("INSERT INTO more VALUES ('one')", role=RoleKind.APPLICATION)
    assert place.run("SELECT line FROM more", role=RoleKind.READER) == [("one",)]


@pytest.mark.parametrize("role", LOGINS)
def test_others_sessions_are_seen_without_what_they_do(place: Place, role: RoleKind) -> None:
    query = "SELECT query, client_addr FROM pg_stat_activity WHERE pid = {pid}"
    assert place.run(query, role=role) == [("<insufficient privilege>", None)]


def test_a_right_that_the_owner_gives_on_its_database_has_no_effect(place: Place) -> None:
    place.as_owner("GRANT CONNECT ON DATABASE {database} TO PUBLIC, {neighbour_app}")  # PostgreSQL only warns
    granted = place.as_owner("SELECT has_database_privilege('{neighbour_app}', '{database}', 'CONNECT')")
    assert granted == [(False,)]


@pytest.mark.parametrize("role", LOGINS)
def test_no_other_database_lets_a_role_in(place: Place, role: RoleKind) -> None:
    login, password = place.tenant.role(role).name, place.passwords[role]
    for database in ("postgres", "template1", place.neighbour.names.database):
        with (
            pytest.raises(psycopg.OperationalError, match="permission denied for database"),
            session(place.servers, database=database, user=login, password=password),
        ):
            pass
    may = "SELECT datname FROM pg_database WHERE datallowconn AND has_database_privilege(oid, 'CONNECT')"
    assert (place.tenant.names.database,) in place.run(may, role=role)
    assert not {("postgres",), ("template1",), (place.neighbour.names.database,)} & set(place.run(may, role=role))


def test_the_migration_role_cannot_reach_what_the_owner_of_another_tenant_owns(place: Place) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        place.run(f"SET ROLE {place.neighbour.names.owner_role}", role=RoleKind.MIGRATION)
