"""A copy of a tenant's database is put back whole: rows, owners, rights and large objects, wherever a kill fell."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pyrage import x25519

from provisioner.datastore import postgres_copies
from provisioner.datastore.dump_folder import FolderPlace
from provisioner.datastore.dump_postgres import DumpWork, holdings
from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_copies import copy_name, drop_copy, has_copy, make_copy, put_back
from provisioner.datastore.stopping import NeverStopped
from provisioner.datastore.upgrade_dump import copy_and_dump
from provisioner.errors import NotOurs
from provisioner.migration.postgres_catalogue import compare, read_catalogue
from provisioner.naming import replication_names
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import foreign_mark, make_data_store, new_tenant, postgres_access_of, postgres_of, session

pytestmark = pytest.mark.servers
NOW = datetime(2017, 5, 31, 12, 0, tzinfo=UTC)


class Store:
    """A cooperative with a table, a large object, and a session that is at work."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers, self.folder, self.tenant = servers, folder, new_tenant()
        self.admin = postgres_of(servers)
        self.passwords = make_data_store(self.admin, self.tenant, member_column="member_id")
        self.run("CREATE TABLE lots (member_id text, kg int); INSERT INTO lots VALUES ('m-1', 7)")
        self.run("SELECT lo_from_bytea(0, 'photo'); COMMENT ON TABLE lots IS 'lots of rice'")

    @property
    def database(self) -> str:
        return self.tenant.names.database

    @property
    def mark(self) -> Mark:
        return self.tenant.mark

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """As the owner of the tables."""
        with session(self.servers, database=self.database) as connection:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.tenant.names.owner_role)))
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def administer(self) -> "psycopg.Connection[psycopg.rows.TupleRow]":
        """A session of the administrator, to be closed."""
        return psycopg.connect(
            host=self.servers.host,
            port=self.servers.postgres_port,
            user=self.servers.postgres_user,
            password=self.servers.postgres_password_file.read_text().strip(),
            dbname="postgres",
            autocommit=True,
        )

    def databases(self) -> set[str]:
        """The tenant's database and what there is beside it."""
        with self.administer() as connection:
            names = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
        return {name for name in names if name == self.database or str(self.mark.cooperative) in name}

    def differences(self, other: str) -> list[str]:
        """How the schema of the tenant's database differs from ``other``."""
        access, names = postgres_access_of(self.servers), replication_names(self.mark.cooperative)
        found = []
        for database in (other, self.database):
            with connect(access, environment=os.environ, database=database) as inside:
                found.append(read_catalogue(inside, names=names))
        return [str(one) for one in compare(*found) if one.kind not in {"database", "setting"}]

    def holdings(self, database: str) -> object:
        return holdings(postgres_access_of(self.servers), database=database, mark=self.mark, work=self.work())

    def work(self) -> DumpWork:
        return DumpWork(folder=self.folder / "secrets", environment=os.environ, stopping=NeverStopped())


@pytest.fixture
def store(servers: Servers, tmp_path: Path) -> Iterator[Store]:
    made = Store(servers, tmp_path)
    yield made
    with made.administer() as connection:
        drop_copy(connection, mark=made.mark)
    made.admin.retire_database(made.database, mark=made.mark, delete_data=True)


def test_what_was_changed_since_the_copy_is_as_it_was_when_it_is_put_back(store: Store) -> None:
    with store.administer() as connection:
        with session(store.servers, database=store.database) as at_work:
            make_copy(connection, store.database, mark=store.mark)
            with pytest.raises(psycopg.OperationalError):
                at_work.execute("SELECT 1")
        assert has_copy(connection, mark=store.mark)
        copy = copy_name(store.mark)
        assert store.differences(copy) == []
        assert store.holdings(copy) == store.holdings(store.database)
        store.run("DELETE FROM lots; ALTER TABLE lots ADD COLUMN price int")
        store.run("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
        changed, gone = store.differences(copy)
        assert changed == "column public.lots.price has come"
        assert gone.startswith("large object ")
        put_back(connection, store.database, mark=store.mark)
    assert store.run("SELECT * FROM lots") == [("m-1", 7)]
    assert store.run("SELECT obj_description('lots'::regclass)") == [("lots of rice",)]
    assert store.run("SELECT count(*) FROM pg_largeobject_metadata") == [(1,)]
    assert store.databases() == {store.database}
    store.admin.ensure_database(store.tenant.database(), mark=store.mark)
    store.admin.ensure_grants(store.tenant.grants(member_column="member_id"))
    assert store.admin.read_deviations(store.tenant.grants(member_column="member_id")) == ()


def test_nobody_of_another_tenant_may_connect_to_the_copy(store: Store) -> None:
    with store.administer() as connection:
        make_copy(connection, store.database, mark=store.mark)
    role, password = store.tenant.role(RoleKind.APPLICATION).name, store.passwords[RoleKind.APPLICATION]
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied for database"),
        session(store.servers, database=copy_name(store.mark), user=role, password=password),
    ):
        pass


@pytest.mark.parametrize("place", ["_set_mark", "_swap", "drop_changed"])
def test_cut_off_anywhere_the_same_calls_go_on(store: Store, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Nothing catches it."""

    def die(*_: object, **__: object) -> None:
        raise Killed

    def copied_and_put_back() -> None:
        with store.administer() as connection:
            if place == "_set_mark" and not has_copy(connection, mark=store.mark):
                make_copy(connection, store.database, mark=store.mark)
            put_back(connection, store.database, mark=store.mark)

    if place != "_set_mark":
        with store.administer() as connection:
            make_copy(connection, store.database, mark=store.mark)
        store.run("DELETE FROM lots")
    with monkeypatch.context() as patched:
        patched.setattr(postgres_copies, place, die)
        with pytest.raises(Killed):
            copied_and_put_back()
    copied_and_put_back()
    copied_and_put_back()
    assert store.run("SELECT * FROM lots") == [("m-1", 7)]
    assert store.databases() == {store.database}


def test_a_database_of_somebody_else_is_neither_copied_nor_dropped(store: Store) -> None:
    with store.administer() as connection:
        with pytest.raises(NotOurs):
            make_copy(connection, store.database, mark=foreign_mark())
        make_copy(connection, store.database, mark=store.mark)
        connection.execute(
            sql.SQL("COMMENT ON DATABASE {} IS {}").format(
                sql.Identifier(copy_name(store.mark)),
                sql.Literal('{"coopctl.dev":{"cluster":"other","cooperative":"ffffffffffffffff"}}'),
            )
        )
        with pytest.raises(NotOurs):
            drop_copy(connection, mark=store.mark)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(copy_name(store.mark))))


def test_the_dump_is_of_the_copy_and_verified(store: Store) -> None:
    report = copy_and_dump(
        postgres_access_of(store.servers),
        store.database,
        mark=store.mark,
        place=FolderPlace(folder=store.folder / "dumps"),
        recipient=str(x25519.Identity.generate().to_public()),
        now=NOW,
        work=store.work(),
    )
    assert report.name.startswith(f"{store.database}-")
    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["public.lots"] == 1
    assert store.databases() == {store.database, copy_name(store.mark)}
