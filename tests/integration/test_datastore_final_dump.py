"""Final dumps of a real data store: complete, readable by the recipient alone, and nothing deleted without proof."""

import io
import json
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pyrage
import pytest
from psycopg import sql
from pyrage import x25519

from provisioner.datastore import dump_postgres
from provisioner.datastore.dump_folder import FolderPlace
from provisioner.datastore.dump_layout import DATABASE_FILE, OBJECTS_FILE
from provisioner.datastore.dump_places import DumpPlace
from provisioner.datastore.dump_postgres import DumpWork
from provisioner.datastore.dump_programs import Program, find_tools, piped
from provisioner.datastore.dump_scratch import scratch_of
from provisioner.datastore.final_dump import DataStore, DumpReport, final_dump, is_intact, remains_of
from provisioner.datastore.postgres_connection import connect
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.datastore.stopping import NeverStopped, Stopping, cancelling
from provisioner.descriptor.platform import SecretReference
from provisioner.errors import CoopctlError, Interrupted, NotFound, NotOurs, ProblemsFound, UsageError
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import (
    Tenant,
    client,
    foreign_mark,
    make_data_store,
    new_tenant,
    objects_access_of,
    objects_of,
    postgres_access_of,
    postgres_of,
    session,
)

pytestmark = pytest.mark.servers
NOW = datetime(2017, 5, 31, 12, 0, tzinfo=UTC)
KEY = "한글/로트 1.txt"


@pytest.fixture
def identity() -> x25519.Identity:
    return x25519.Identity.generate()


@pytest.fixture
def tenant(servers: Servers) -> Iterator[Tenant]:
    """A tenant with rows, a sequence, a large object, and an object in two versions."""
    made = new_tenant()
    postgres, objects = postgres_of(servers), objects_of(servers)
    make_data_store(postgres, made)
    objects.ensure_bucket(made.bucket(), mark=made.mark)
    with session(servers, database=made.names.database) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(made.names.owner_role)))
        connection.execute(
            "CREATE TABLE lots (id serial PRIMARY KEY, name text, kg double precision, made timestamptz DEFAULT now());"
            "INSERT INTO lots (name, kg) SELECT '쌀 ' || g, random() FROM generate_series(1, 5000) g;"
            "CREATE TABLE empty (id int); SELECT lo_from_bytea(0, 'photo')"
        )
    s3 = client(servers, "s3")
    for body in (b"one", b"two and more"):
        s3.put_object(Bucket=made.names.bucket, Key=KEY, Body=body, Metadata={"lot": "7"}, ContentType="text/plain")
    yield made
    objects.retire_bucket(made.names.bucket, mark=made.mark, delete_data=True)
    postgres.retire_database(made.names.database, mark=made.mark, delete_data=True)


def store_of(servers: Servers, tenant: Tenant) -> DataStore:
    return DataStore(
        mark=tenant.mark,
        postgres=postgres_access_of(servers),
        database=tenant.names.database,
        objects=objects_access_of(servers),
        bucket=tenant.names.bucket,
    )


def work_in(folder: Path, *, stopping: Stopping | None = None, **environment: str) -> DumpWork:
    return DumpWork(
        folder=folder / "secrets", environment={**os.environ, **environment}, stopping=stopping or NeverStopped()
    )


def dumped(
    store: DataStore,
    folder: Path,
    identity: x25519.Identity,
    *,
    place: DumpPlace | None = None,
    work: DumpWork | None = None,
) -> DumpReport:
    return final_dump(
        store,
        place=place or FolderPlace(folder=folder / "dumps"),
        recipient=str(identity.to_public()),
        now=NOW,
        work=work or work_in(folder),
    )


def left_on_server(servers: Servers, tenant: Tenant) -> list[str]:
    """Databases and roles of the dump that are still there."""
    names = [scratch_of(tenant.mark.cooperative).database, f"%\\_{tenant.mark.cooperative}"]
    with session(servers) as connection:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE datname = %s"
            " UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE %s",
            names,
        )
        return [str(name) for (name,) in found.fetchall()]


def test_the_recipient_restores_everything(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    assert report.database is not None
    counts = {one.name: one.rows for one in report.database.tables}
    assert counts == {"large objects": 1, "public.empty": 0, "public.lots": 5000, "public.lots_id_seq": 1}

    archive = pyrage.decrypt((Path(report.location) / DATABASE_FILE).read_bytes(), [identity])
    tools = find_tools(server_version=15, search_path=os.environ["PATH"])
    listed = subprocess.run([tools.pg_restore, "--list"], input=archive, capture_output=True, check=True)
    assert b"TABLE DATA public lots" in listed.stdout

    objects = pyrage.decrypt((Path(report.location) / OBJECTS_FILE).read_bytes(), [identity])
    with tarfile.open(fileobj=io.BytesIO(objects)) as tar:
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
        bodies = {(tar.extractfile(one["entry"]) or io.BytesIO()).read() for one in manifest["objects"]}
    assert bodies == {b"one", b"two and more"}
    assert {(one["key"], one["metadata"]["lot"], one["contentType"]) for one in manifest["objects"]} == {
        (KEY, "7", "text/plain")
    }


def test_nothing_of_the_tenant_lies_there_in_clear(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    for file in Path(report.location).iterdir():
        content = file.read_bytes()
        assert "쌀".encode() not in content
        assert b"two and more" not in content
    for name in (DATABASE_FILE, OBJECTS_FILE):
        assert stat.S_IMODE((Path(report.location) / name).stat().st_mode) == 0o600


def test_the_data_store_is_closed_from_the_dump_on(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    admin = postgres_of(servers)
    passwords = make_data_store(admin, tenant)
    dumped(store_of(servers, tenant), tmp_path, identity)
    application = tenant.names.application_role
    with (
        pytest.raises(psycopg.OperationalError, match="permission denied for database"),
        session(servers, database=tenant.names.database, user=application, password=passwords[RoleKind.APPLICATION]),
    ):
        pass
    found = objects_of(servers).read_bucket(tenant.bucket())
    assert found is not None
    assert found.deviations == ("the bucket policy differs",), "apply opens it again"


def test_a_copy_that_differs_fails_the_dump_and_leaves_nothing(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pg_restore that leaves a table out stands for a dump that is not complete.
    original = piped

    def incomplete(dump: Program, restore: Program, *, stopping: Stopping) -> Iterator[bytes]:
        return original(dump, replace(restore, argv=[*restore.argv, "--table=empty"]), stopping=stopping)

    monkeypatch.setattr(dump_postgres, "piped", incomplete)
    with pytest.raises(ProblemsFound, match="does not restore to what the database holds") as caught:
        dumped(store_of(servers, tenant), tmp_path, identity)
    assert "public.lots" in str(caught.value.why)
    assert list((tmp_path / "dumps").iterdir()) == []
    assert left_on_server(servers, tenant) == []


def test_what_a_kill_left_behind_is_taken_away(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    left = scratch_of(tenant.mark.cooperative)
    with session(servers) as connection:
        for role in (left.reader.role, left.restorer.role):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        owned = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(owned.format(sql.Identifier(left.database), sql.Identifier(left.restorer.role)))
        right = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(right.format(sql.Identifier(tenant.names.database), sql.Identifier(left.reader.role)))
    part = tmp_path / "dumps" / f"{tenant.names.database}-20170530T120000Z.part"
    other = tmp_path / "dumps" / "another-20170530T120000Z.part"
    for folder in (part, other, tmp_path / "secrets"):
        folder.mkdir(parents=True)
    (tmp_path / "secrets" / "pgpass").write_text("left behind")

    report = dumped(store_of(servers, tenant), tmp_path, identity)

    assert report.database is not None
    assert sorted((tmp_path / "dumps").iterdir()) == sorted([other, Path(report.location)])
    assert not (tmp_path / "secrets").exists()
    assert left_on_server(servers, tenant) == []


def test_what_is_gone_already_is_left_out(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    postgres_of(servers).retire_database(tenant.names.database, mark=tenant.mark, delete_data=True)
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    assert report.database is None
    assert report.bucket is not None
    assert report.bucket.objects == 2


def test_another_s_data_store_is_never_dumped(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    with pytest.raises(NotOurs):
        dumped(replace(store_of(servers, tenant), mark=foreign_mark()), tmp_path, identity)


def test_a_bad_recipient_or_place_is_refused_before_anything_is_closed(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    store = store_of(servers, tenant)
    (tmp_path / "file").write_text("")
    blocked = FolderPlace(folder=tmp_path / "file" / "dumps")
    with pytest.raises(UsageError):
        final_dump(store, place=blocked, recipient="age1x", now=NOW, work=work_in(tmp_path))
    with pytest.raises(CoopctlError, match="cannot be used for the final dump"):
        dumped(store, tmp_path, identity, place=blocked)
    assert postgres_of(servers).read_deviations(tenant.grants()) == ()


def test_client_programs_that_are_too_old_are_not_used() -> None:
    with pytest.raises(NotFound, match="PostgreSQL 99"):
        find_tools(server_version=99, search_path="/usr/bin")


EVIL = "evil_{uid}"
HOSTILE = """
    SET ROLE {owner};
    CREATE FUNCTION attack() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
        BEGIN
            CREATE ROLE {evil} SUPERUSER;
        EXCEPTION WHEN insufficient_privilege OR read_only_sql_transaction THEN NULL;
        END $$;
    -- An immutable function may not create a role, but may call one that may.
    CREATE FUNCTION evil(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN PERFORM public.attack(); RETURN $1; END $$;
    CREATE FUNCTION evil(lots) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT public.evil('x'::text) $$;
    CREATE CAST (lots AS text) WITH FUNCTION evil(lots);
    CREATE INDEX evil ON lots (public.evil(name));
    CREATE MATERIALIZED VIEW evil_view AS SELECT public.evil(name) AS name FROM lots;
    ALTER TABLE lots ADD CONSTRAINT evil CHECK (public.evil(name) IS NOT NULL);
"""


def test_code_of_the_tenant_never_runs_with_the_administrator_s_rights(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    evil = EVIL.format(uid=tenant.mark.cooperative)
    passwords = make_data_store(postgres_of(servers), tenant)
    with session(
        servers,
        database=tenant.names.database,
        user=tenant.names.migration_role,
        password=passwords[RoleKind.MIGRATION],
    ) as connection:
        connection.execute(HOSTILE.format(owner=tenant.names.owner_role, evil=evil).encode())
        hidden = connection.execute("SELECT lots::text FROM lots LIMIT 1").fetchone()
    assert hidden == ("x",), "the positive control: a cast that catches every row"

    report = dumped(store_of(servers, tenant), tmp_path, identity)

    with session(servers) as connection:
        found = connection.execute("SELECT rolname FROM pg_roles WHERE rolname = %s", [evil]).fetchall()
    assert found == []
    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["public.lots"] == 5000


def test_two_databases_that_a_cast_makes_look_the_same_differ(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(
            HOSTILE.format(owner=tenant.names.owner_role, evil=EVIL.format(uid=tenant.mark.cooperative)).encode()
        )
    first = dumped(store_of(servers, tenant), tmp_path / "1", identity)
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(tenant.names.owner_role)))
        connection.execute("UPDATE lots SET kg = kg + 1 WHERE id = 7")
    second = dumped(store_of(servers, tenant), tmp_path / "2", identity)
    assert first.database is not None
    assert second.database is not None
    assert {one.name for one in set(first.database.tables) ^ set(second.database.tables)} == {"public.lots"}


def test_row_security_hides_nothing_from_the_dump(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(
            "ALTER TABLE lots ENABLE ROW LEVEL SECURITY; ALTER TABLE lots FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY few ON lots USING (id = 1)"
        )
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["public.lots"] == 5000


def test_the_dump_holds_no_right_of_the_role_that_read_it(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    archive = pyrage.decrypt((Path(report.location) / DATABASE_FILE).read_bytes(), [identity])
    tools = find_tools(server_version=15, search_path=os.environ["PATH"])
    text = subprocess.run(
        [tools.pg_restore, "--file=-", "--create"], input=archive, capture_output=True, check=True
    ).stdout
    assert tenant.names.reader_role.encode() in text
    assert b"coopctl_dump" not in text


def test_what_an_administrator_made_by_hand_is_dumped_too(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    with session(servers, database=tenant.names.database) as connection:
        connection.execute("CREATE SCHEMA by_hand; CREATE TABLE by_hand.kept AS SELECT 1 AS id")
        connection.execute("CREATE EXTENSION pg_stat_statements SCHEMA public")
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["by_hand.kept"] == 1


def test_large_objects_of_every_role_count(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    passwords = make_data_store(postgres_of(servers), tenant)
    names, password = tenant.names, passwords[RoleKind.APPLICATION]
    with session(servers, database=names.database, user=names.application_role, password=password) as connection:
        connection.execute("SELECT lo_from_bytea(0, decode(repeat('ab', 3000000), 'hex')), lo_create(0)")
    report = dumped(store_of(servers, tenant), tmp_path, identity)
    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["large objects"] == 3


def test_an_administrator_without_superuser_dumps_as_well(
    servers: Servers, identity: x25519.Identity, tmp_path: Path
) -> None:
    made = new_tenant()
    operator = f"operator_{made.mark.cooperative}"
    with session(servers) as connection:
        connection.execute(f"CREATE ROLE {operator} LOGIN CREATEROLE CREATEDB PASSWORD 'sesame'".encode())
        connection.execute(f"GRANT CONNECT ON DATABASE postgres TO {operator}".encode())
    access = postgres_access_of(servers, user=operator, password=SecretReference(env="PW"))
    make_data_store(PostgresServerAdmin(access, environment={"PW": "sesame"}), made, administrator=operator)
    with session(servers, database=made.names.database) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(made.names.owner_role)))
        connection.execute("CREATE TABLE lots AS SELECT g AS id FROM generate_series(1, 10) g")
        connection.execute("ALTER TABLE lots ENABLE ROW LEVEL SECURITY; SELECT lo_from_bytea(0, 'photo')")
    store = replace(store_of(servers, made), postgres=access)

    report = dumped(store, tmp_path, identity, work=work_in(tmp_path, PW="sesame"))

    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables} == {"large objects": 1, "public.lots": 10}
    with session(servers, database=made.names.database) as connection:
        connection.execute("ALTER TABLE lots FORCE ROW LEVEL SECURITY")
    with pytest.raises(CoopctlError, match="does not permit this"):
        dumped(store, tmp_path / "again", identity, work=work_in(tmp_path, PW="sesame"))
    assert left_on_server(servers, made) == [operator]


def test_a_finished_dump_names_itself_on_what_is_left_until_it_is_opened_again(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    store, place = store_of(servers, tenant), FolderPlace(folder=tmp_path / "dumps")
    report = dumped(store, tmp_path, identity, place=place)
    assert remains_of(store, environment=os.environ).all_in(report.name)
    assert is_intact(place, name=report.name, files=report.files)

    postgres_of(servers).ensure_database(tenant.database(), mark=tenant.mark)
    objects_of(servers).ensure_bucket(tenant.bucket(), mark=tenant.mark)

    left = remains_of(store, environment=os.environ)
    assert (left.database, left.bucket) == (tenant.mark, tenant.mark)
    assert not left.all_in(report.name)


def test_a_file_that_was_changed_or_lost_makes_a_dump_not_intact(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    place = FolderPlace(folder=tmp_path / "dumps")
    report = dumped(store_of(servers, tenant), tmp_path, identity, place=place)
    file = Path(report.location) / DATABASE_FILE
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not is_intact(place, name=report.name, files=report.files)
    file.unlink()
    assert not is_intact(place, name=report.name, files=report.files)


def test_a_database_whose_members_share_tables_is_dumped_with_its_policies(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    postgres_of(servers).ensure_grants(tenant.grants(member_column="member_id"))
    with session(servers, database=tenant.names.database) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(tenant.names.owner_role)))
        connection.execute("CREATE TABLE shares (member_id text, kg int); INSERT INTO shares VALUES ('m-0001', 7)")

    report = dumped(store_of(servers, tenant), tmp_path, identity)

    assert report.database is not None
    assert {one.name: one.rows for one in report.database.tables}["public.shares"] == 1
    archive = pyrage.decrypt((Path(report.location) / DATABASE_FILE).read_bytes(), [identity])
    tools = find_tools(server_version=15, search_path=os.environ["PATH"])
    listed = subprocess.run([tools.pg_restore, "--list"], input=archive, capture_output=True, check=True).stdout
    assert b"POLICY public shares coopctl_member" in listed
    assert b"EVENT TRIGGER" not in listed


class StoppedAfter(NeverStopped):
    """A signal comes after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def signals(self) -> int:  # type: ignore[override]  # the parent's is a constant
        return int(time.monotonic() > self._at)


def test_a_signal_cancels_the_query_that_counts_a_table(servers: Servers) -> None:
    begun = time.monotonic()
    with (
        connect(postgres_access_of(servers), environment=os.environ) as connection,
        pytest.raises(Interrupted),
        cancelling(connection, stopping=StoppedAfter(0.5)),
    ):
        connection.execute("SELECT pg_sleep(100)")
    assert time.monotonic() - begun < 50


def test_a_signal_before_anything_is_dumped_leaves_the_data_store_closed_and_nothing_else(
    servers: Servers, tenant: Tenant, identity: x25519.Identity, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        dumped(store_of(servers, tenant), tmp_path, identity, work=work_in(tmp_path, stopping=StoppedAfter(0)))
    assert list((tmp_path / "dumps").iterdir()) == []
    assert left_on_server(servers, tenant) == []
