"""Data of members that left are deleted after a dump of the whole database, and only what was not opened since."""

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
import pytest
from psycopg import errors, sql
from pyrage import x25519

from provisioner.datastore import final_dump, members_dump
from provisioner.datastore.dump_folder import FolderPlace
from provisioner.datastore.dump_layout import DATABASE_FILE
from provisioner.datastore.dump_postgres import DumpWork, verified_dump
from provisioner.datastore.dump_programs import find_tools
from provisioner.datastore.final_dump import DumpReport
from provisioner.datastore.members_dump import delete_members
from provisioner.datastore.postgres_member_facts import MembersState
from provisioner.datastore.stopping import NeverStopped
from provisioner.errors import NotOurs, ProblemsFound, UsageError
from provisioner.naming import member_names
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import Tenant, make_data_store, new_tenant, postgres_access_of, postgres_of, session

pytestmark = pytest.mark.servers
NOW = datetime(2017, 5, 31, 12, 0, tzinfo=UTC)


class Store:
    """A cooperative with three members, each with a schema and a row; two of them have left the list."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers, self.folder, self.admin = servers, folder, postgres_of(servers)
        self.tenant: Tenant = new_tenant()
        self.passwords = make_data_store(self.admin, self.tenant)
        self.before = self.tenant.members("m-1", "m-2", "m-3")
        self.after = replace(self.before, members=("m-3",))
        self.admin.ensure_members(self.before, mark=self.tenant.mark)
        self.key = x25519.Identity.generate()
        self.dumps = 0
        for schema in ("member_m_1", "member_m_2", "member_m_3"):
            self.run(
                f"SET ROLE {self.tenant.names.owner_role}; CREATE TABLE {schema}.files AS SELECT '{schema}' AS word"
            )

    def run(self, statement: str, *, role: RoleKind | None = None) -> list[tuple[object, ...]]:
        """As one of the tenant's roles, or as the administrator."""
        user = self.tenant.role(role).name if role else "postgres"
        password = self.passwords[role] if role else None
        database = self.tenant.names.database
        with session(self.servers, database=database, user=user, password=password) as connection:
            cursor = connection.execute(statement.encode())
            while cursor.nextset():
                """The answer to the last statement counts."""
            return cursor.fetchall() if cursor.description else []

    def becoming(self, member: str, statement: str) -> str:
        """What the application does to work as a member."""
        return f"SET ROLE {member_names(member, database=self.tenant.names.database).role}; {statement}"

    def delete(self, *members: str, recipient: str = "") -> DumpReport:
        self.dumps += 1
        return delete_members(
            postgres_access_of(self.servers),
            self.before,
            members,
            mark=self.tenant.mark,
            place=FolderPlace(folder=self.folder / "dumps"),
            recipient=recipient or str(self.key.to_public()),
            now=NOW + timedelta(seconds=self.dumps),
            work=DumpWork(folder=self.folder / "secrets", environment=os.environ, stopping=NeverStopped()),
        )

    def state(self) -> MembersState:
        found = self.admin.read_members(self.after, mark=self.tenant.mark)
        assert found is not None
        return found


@pytest.fixture
def store(servers: Servers, tmp_path: Path) -> Iterator[Store]:
    made = Store(servers, tmp_path)
    yield made
    made.admin.retire_members(made.before, mark=made.tenant.mark)
    made.admin.retire_database(made.tenant.names.database, mark=made.tenant.mark, delete_data=True)


def test_what_is_deleted_is_in_the_dump_and_others_work_on(store: Store) -> None:
    report = store.delete("m-1", "m-2")
    assert report.database is not None
    assert report.bucket is None
    assert {one.name for one in report.database.tables} >= {"member_m_1.files", "member_m_2.files"}
    archive = pyrage.decrypt((Path(report.location) / DATABASE_FILE).read_bytes(), [store.key])
    tools = find_tools(server_version=15, search_path=os.environ["PATH"])
    command = [str(tools.pg_restore), "--data-only", "--schema=member_m_2", "--file=-"]
    restored = subprocess.run(command, input=archive, capture_output=True, check=True)
    assert b"\nmember_m_2\n" in restored.stdout

    store.admin.ensure_members(store.after, mark=store.tenant.mark)
    assert store.state() == MembersState(provisioned=("m-3",))
    assert store.run(store.becoming("m-3", "SELECT word FROM member_m_3.files"), role=RoleKind.APPLICATION) == [
        ("member_m_3",)
    ]
    assert store.run("SELECT nspname FROM pg_namespace WHERE nspname ~ '^member_'") == [("member_m_3",)]


def test_deleting_who_is_gone_already_is_harmless(store: Store) -> None:
    store.delete("m-1")
    store.delete("m-1", "m-2")
    assert store.run("SELECT nspname FROM pg_namespace WHERE nspname ~ '^member_'") == [("member_m_3",)]


def test_while_the_dump_is_made_the_application_is_kept_out_of_what_leaves(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = verified_dump
    seen: list[str] = []

    def looked_at(*arguments: object, **options: object) -> object:
        for member, statement in (("m-1", "DELETE FROM member_m_1.files"), ("m-3", "DELETE FROM member_m_3.files")):
            try:
                store.run(store.becoming(member, statement), role=RoleKind.APPLICATION)
                seen.append(statement)
            except errors.InsufficientPrivilege:
                continue
        return really(*arguments, **options)  # type: ignore[arg-type]  # passed through as they came

    monkeypatch.setattr(final_dump, "verified_dump", looked_at)
    store.delete("m-1")
    assert seen == ["DELETE FROM member_m_3.files"]


def test_what_was_begun_before_the_closing_is_in_the_dump(store: Store) -> None:
    names = store.tenant.names
    password = store.passwords[RoleKind.APPLICATION]
    database, user = names.database, names.application_role
    with (
        session(store.servers, database=database, user=user, password=password) as early,
        ThreadPoolExecutor() as pool,
    ):
        with early.transaction():
            early.execute(store.becoming("m-1", "INSERT INTO member_m_1.files VALUES ('at the last moment')").encode())
            deleting = pool.submit(store.delete, "m-1")
            while not store.run("SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"):
                assert not deleting.done()
                time.sleep(0.05)
        report = deleting.result()
    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["member_m_1.files"] == 2


def test_a_dump_that_fails_deletes_nothing_and_the_next_one_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ProblemsFound("the copy differs")

    with monkeypatch.context() as patch:
        patch.setattr(final_dump, "verified_dump", fail)
        with pytest.raises(ProblemsFound):
            store.delete("m-1", "m-2")
    with pytest.raises(UsageError):
        store.delete("m-1", "m-2", recipient="nobody")
    assert store.state().retained == ("m-1", "m-2")
    assert list((store.folder / "dumps").glob("*")) == [], "no dump that is not whole"
    store.admin.ensure_members(store.before, mark=store.tenant.mark)
    assert store.run(store.becoming("m-1", "SELECT word FROM member_m_1.files"), role=RoleKind.APPLICATION) == [
        ("member_m_1",)
    ]
    store.delete("m-1", "m-2")
    assert store.run("SELECT nspname FROM pg_namespace WHERE nspname ~ '^member_'") == [("member_m_3",)]


def test_what_was_opened_again_since_the_dump_is_not_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*arguments: object, **options: object) -> object:
        report = final_dump.dump_database(*arguments, **options)  # type: ignore[arg-type]  # passed through as they came
        store.admin.ensure_members(replace(store.before, members=("m-1", "m-3")), mark=store.tenant.mark)
        return report

    monkeypatch.setattr(members_dump, "dump_database", opened)
    with pytest.raises(ProblemsFound, match=r"the schema member_m_1 of .* is not deleted: it was opened again"):
        store.delete("m-1", "m-2")
    found = store.run("SELECT nspname FROM pg_namespace WHERE nspname ~ '^member_' ORDER BY 1")
    assert found == [("member_m_1",), ("member_m_2",), ("member_m_3",)], "not even those that stayed closed"


def test_a_mark_of_somebody_else_is_left_alone(store: Store) -> None:
    with session(store.servers, database=store.tenant.names.database) as connection:
        connection.execute(sql.SQL("COMMENT ON SCHEMA member_m_1 IS NULL"))
    with pytest.raises(NotOurs, match="the schema member_m_1"):
        store.delete("m-1")
    assert store.run("SELECT word FROM member_m_1.files") == [("member_m_1",)]
