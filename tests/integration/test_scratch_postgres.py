"""The scratch server that tables are made in: nothing of it is left, whatever ends it; what it makes can be loaded."""

import gzip
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from provisioner.datastore.table_script import TableSource, write_script
from provisioner.embedded.scratch_postgres import PREFIX, ScratchServer, remove_leftover, scratch_postgres
from provisioner.plan.resources import RoleKind
from tests.conftest import Servers
from tests.data_stores import make_data_store, new_tenant, postgres_of, session
from tests.prepared import LoaderCursor, loader

pytestmark = pytest.mark.servers
WAIT_SECONDS = 60
# What a script must bear: names in capitals and with hyphens, text with every special sign of COPY, no rows, no key.
TABLES = r"""
    CREATE TABLE "a-b" (id serial PRIMARY KEY, "Name" varchar DEFAULT 'it''s', made timestamp(6), parent integer);
    COMMENT ON TABLE "a-b" IS 'a comment;
-- of two lines, it''s all';
    INSERT INTO "a-b" ("Name", made, parent) VALUES
        (E'tab\t, line\nand \\ back\\. 회원사', '1970-01-01 00:00:00.000001', NULL),
        ('\.', NULL, 1), ('\N', NULL, 1), (NULL, '2026-01-02 03:04:05', 2);
    DELETE FROM "a-b" WHERE id = 4;
    CREATE INDEX ON "a-b" (upper("Name"));
    CREATE TABLE empty (id serial PRIMARY KEY, of integer REFERENCES "a-b" ON DELETE CASCADE CHECK (of > 0));
    CREATE TABLE keyless (x integer, y text);
    INSERT INTO keyless VALUES (2, 'b'), (1, 'a'), (10, NULL);
    ALTER TABLE "a-b" ADD CONSTRAINT own FOREIGN KEY (parent) REFERENCES "a-b" (id);
"""
# Keeps a server until it is killed, and says where it is.
KEEPER = """
import sys, time
from pathlib import Path
from provisioner.embedded.scratch_postgres import scratch_postgres
with scratch_postgres(record=Path(sys.argv[1])) as server:
    print(server.sockets.parent, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScratchServer]:
    """A scratch server for the tests that only use it."""
    with scratch_postgres(record=tmp_path_factory.mktemp("scratch") / "record") as running:
        yield running


def source(server: ScratchServer, database: str) -> TableSource:
    """A database of the server, with the server's own pg_dump."""
    programs = server.programs
    return TableSource(host=server.sockets, user=server.user, database=database, pg_dump=programs / "pg_dump")


def made(server: ScratchServer, database: str, *, statements: str = TABLES) -> TableSource:
    """A new database with the tables that ``statements`` make."""
    server.create_database(database)
    with inside(server, database) as connection:
        connection.execute(statements.encode())
    return source(server, database)


def inside(server: ScratchServer, database: str) -> "psycopg.Connection[Any]":
    """A session of the server's superuser."""
    return psycopg.connect(host=str(server.sockets), user=server.user, dbname=database, autocommit=True)


def load(script: bytes, connection: "psycopg.Connection[Any]", *, folder: Path) -> None:
    """Load the script as the migration does."""
    file = folder / "tables.sql.gz"
    file.write_bytes(gzip.compress(script))
    program = loader()
    one = program.Prepared(name="tables", file=file, modules=frozenset(), own={})
    with connection.transaction():
        program.load(one, cursor=LoaderCursor(connection.cursor()))


def postmasters(folder: str) -> list[psutil.Process]:
    """The processes of a server whose data are in ``folder``."""
    return [one for one in psutil.process_iter() if one.is_running() and folder in " ".join(_command(one))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_the_same_tables_give_the_same_script(server: ScratchServer) -> None:
    assert write_script(made(server, "first")) == write_script(made(server, "second"))


def test_a_loaded_script_is_the_same_tables_again(server: ScratchServer, tmp_path: Path) -> None:
    script = write_script(made(server, "original"))
    assert script.count(b"COPY ") == 2
    server.create_database("copy")
    with inside(server, "copy") as connection:
        load(script, connection, folder=tmp_path)
        # The time of loading stands where no time was told.
        again = "UPDATE \"a-b\" SET made = '1970-01-01 00:00:00.000001' WHERE now() - made < interval '1 hour'"
        assert connection.execute(again.encode()).rowcount == 1
    assert write_script(source(server, "copy")) == script


def test_a_migration_role_loads_a_script_with_no_right_too_many(
    server: ScratchServer, servers: Servers, tmp_path: Path
) -> None:
    script, tenant = write_script(made(server, "shipped")), new_tenant()
    passwords = make_data_store(postgres_of(servers), tenant, member_column="member_id")
    user, password = tenant.role(RoleKind.MIGRATION).name, passwords[RoleKind.MIGRATION]
    with session(servers, database=tenant.names.database, user=user, password=password) as connection:
        connection.execute(f'SET role = "{tenant.names.owner_role}"'.encode())
        load(script, connection, folder=tmp_path)
    assert postgres_of(servers).read_deviations(tenant.grants(member_column="member_id")) == ()
    user, password = tenant.names.application_role, passwords[RoleKind.APPLICATION]
    with session(servers, database=tenant.names.database, user=user, password=password) as connection:
        row = connection.execute('INSERT INTO "a-b" DEFAULT VALUES RETURNING id').fetchone()
        assert row == (5,)


def test_a_script_that_cannot_be_loaded_whole_leaves_nothing(server: ScratchServer, tmp_path: Path) -> None:
    script = write_script(made(server, "whole"))
    server.create_database("half")
    with inside(server, "half") as connection:
        with pytest.raises(psycopg.Error):
            load(script + b"SELECT 1/0;\n", connection, folder=tmp_path)
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert row == (0,)


def interrupted(record: Path, *, seen: list[Path]) -> None:
    """What Ctrl-C is to a block with a server."""
    with scratch_postgres(record=record) as running:
        seen.append(running.sockets.parent)
        assert record.read_text() == str(seen[0])
        raise KeyboardInterrupt


def test_the_server_and_its_folder_go_when_the_block_is_interrupted(tmp_path: Path) -> None:
    seen: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "record", seen=seen)
    assert not seen[0].exists()
    assert not (tmp_path / "record").exists()
    assert postmasters(str(seen[0])) == []


def test_a_server_whose_coopctl_was_killed_ends_and_the_next_one_removes_its_folder(tmp_path: Path) -> None:
    record = tmp_path / "record"
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, record], stdout=subprocess.PIPE, text=True)
    folder = Path(keeper.stdout.readline().strip()) if keeper.stdout else Path()
    assert folder.is_dir()
    os.kill(keeper.pid, signal.SIGKILL)
    keeper.communicate()
    deadline = time.monotonic() + WAIT_SECONDS
    while postmasters(str(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert postmasters(str(folder)) == []
    remove_leftover(record)
    assert not folder.exists()
    assert not record.exists()


def test_a_record_that_names_a_foreign_folder_removes_nothing(tmp_path: Path) -> None:
    foreign, link, record = tmp_path / "foreign", tmp_path / f"{PREFIX}link", tmp_path / "record"
    foreign.mkdir()
    link.symlink_to(foreign)
    for named in (foreign, link, tmp_path / "absent"):
        record.write_text(str(named))
        remove_leftover(record)
        assert foreign.is_dir()
        assert not record.exists()
