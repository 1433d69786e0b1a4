"""Casts that a tenant makes on types of its own: the administrator, who reads their values, never runs them."""

from collections.abc import Iterator

import pytest
from psycopg import sql

from provisioner.migration.postgres_facts import ColumnFacts, TableFacts, TableName
from provisioner.migration.postgres_row_sums import pin, read_keyed
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_of, session

pytestmark = pytest.mark.servers
COLUMN = "member_id"
HOSTILE = """
    SET ROLE {owner};
    CREATE FUNCTION public.attack() RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            CREATE ROLE {evil} SUPERUSER;
        EXCEPTION WHEN insufficient_privilege OR duplicate_object THEN NULL;
        END $$;
    CREATE TYPE public.whose AS ENUM ('m-1', 'm-2');
    CREATE FUNCTION public.shown(public.whose) RETURNS text LANGUAGE plpgsql AS $$
        BEGIN PERFORM public.attack(); RETURN 'm-2'; END $$;
    CREATE FUNCTION public.made(text) RETURNS public.whose LANGUAGE plpgsql AS $$
        BEGIN PERFORM public.attack(); RETURN 'm-2'; END $$;
    CREATE CAST (public.whose AS text) WITH FUNCTION public.shown(public.whose);
    CREATE CAST (text AS public.whose) WITH FUNCTION public.made(text);
    CREATE TABLE public.lots (member_id public.whose PRIMARY KEY, kg int);
    INSERT INTO public.lots VALUES ('m-1', 5);
"""
LOTS = TableFacts(
    name=TableName(schema="public", name="lots"),
    pages=1,
    bytes=8192,
    rows=1,
    columns=(ColumnFacts(name=COLUMN, type="public.whose"), ColumnFacts(name="kg", type="integer")),
    key=(COLUMN,),
)


@pytest.fixture
def hostile(servers: Servers) -> Iterator[Tenant]:
    """A tenant whose shared table has a key of such a type."""
    tenant, admin = new_tenant(), postgres_of(servers)
    passwords = make_data_store(admin, tenant, member_column=COLUMN)
    names = tenant.names
    password = passwords[RoleKind.MIGRATION]
    with session(servers, database=names.database, user=names.migration_role, password=password) as connection:
        owner, evil = sql.Identifier(names.owner_role), sql.Identifier(evil_of(tenant))
        connection.execute(sql.SQL(HOSTILE).format(owner=owner, evil=evil))
        shown = connection.execute("SELECT member_id::text, 'm-1'::text::public.whose::text FROM lots").fetchall()
    assert shown == [("m-2", "m-2")], "the positive control: both casts are called where nobody takes care"
    yield tenant
    with session(servers) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(evil_of(tenant))))


def evil_of(tenant: Tenant) -> str:
    """The superuser that the casts make of an administrator's rights."""
    return f"evil_{tenant.mark.cooperative}"


def has_evil(servers: Servers, tenant: Tenant) -> bool:
    """Whether a cast was run by the administrator."""
    with session(servers) as connection:
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [evil_of(tenant)])
        return bool(found.fetchall())


def test_who_looks_for_rows_of_members_runs_no_cast_of_the_tenant(servers: Servers, hostile: Tenant) -> None:
    found = postgres_of(servers).members_with_rows(hostile.members(member_column=COLUMN), ("m-1", "m-2", "m-3"))
    assert not has_evil(servers, hostile)
    assert found == ("m-1",)


def test_who_compares_rows_by_their_keys_runs_no_cast_of_the_tenant(servers: Servers, hostile: Tenant) -> None:
    with session(servers, database=hostile.names.database) as connection:
        connection.execute("SET search_path = pg_catalog")
        pin(connection)
        found = read_keyed(connection, table=LOTS, keys=[("m-1",), ("m-2",)])
    assert not has_evil(servers, hostile)
    assert list(found) == ["(m-1)"]
