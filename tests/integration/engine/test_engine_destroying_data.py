"""Data are deleted only after a dump of all of it, whatever cuts the destroy off: a kill anywhere, one signal, two."""

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pyrage
import pytest
from pyrage import x25519

from provisioner.datastore.dump_layout import DATABASE_FILE, MANIFEST_FILE
from provisioner.engine.lease import mark_of
from provisioner.engine.leftovers import marked_processes
from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import (
    Boundary,
    Kill,
    close,
    dying,
    kill,
    places,
    reach,
    require_killed,
    working_folder,
)

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
DESTROY = ("destroy", "--delete-data", "--yes", "--output", "json")
TIMEOUT_SECONDS = 60.0
# Restoring one row takes as long as nobody cancels it; where the row was written it took no time.
SLOW = """
    SET ROLE {owner};
    CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
        IF current_database() LIKE 'coopctl_verify%' THEN PERFORM pg_sleep({seconds}); END IF;
        RETURN $1;
    END $$;
    CREATE INDEX slow ON kept (public.slow(id))
"""
QUICK = "CREATE OR REPLACE FUNCTION slow(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'"
PLACES = (
    "provisioner.datastore.final_dump:close_database",
    "provisioner.datastore.final_dump:mark_database",
    "provisioner.datastore.dump_scratch:_make_roles",
    "provisioner.datastore.dump_scratch:_let_read",
    "provisioner.datastore.dump_programs:_require_success",
    "provisioner.datastore.final_dump:close_bucket",
    "provisioner.datastore.final_dump:_require_closed",
    "provisioner.datastore.dump_folder:FolderFiles.complete",
    "provisioner.operations.dumping:_write",
    "provisioner.operations.destroying:ensure_final_dump",
    "provisioner.operations.destroying:settle",
)


def deletion(resource: str, kind: str, moment: str) -> Boundary:
    return Boundary(resource=resource, kind=kind, moment=moment)


BOUNDARIES = (
    deletion("postgres-database", "Database", "Done"),
    deletion("postgres-database", "Database", "Started"),
    deletion("objects-bucket", "Bucket", "Done"),
    deletion("postgres-role-owner", "Role", "Done"),
)


class Filled:
    """A cooperative with a row and an object, in an estate that has a place for dumps."""

    def __init__(self, estate: CliEstate, name: str) -> None:
        self.estate, self.name = estate, name
        self.database = name.replace("-", "_")
        self.key = x25519.Identity.generate()
        dumps = f"  dumps: {{location: dumps, recipient: {self.key.to_public()}}}\n"
        estate.write(name, platform_extra=dumps)
        estate.done("apply", name, "--yes")
        self.sql(f"SET ROLE {self.database}_owner; CREATE TABLE kept AS SELECT 7 AS id")
        estate.maker.put_object(self.bucket, key="kept", content=b"something")

    @property
    def bucket(self) -> str:
        return f"{self.estate.maker.cluster_id}-{self.name}"

    @property
    def folder(self) -> Path:
        return working_folder(self.estate, self.name)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        return self.estate.maker.sql(query, database=self.database)

    def start(self, *options: str, program: Sequence[str] | None = None) -> subprocess.Popen[str]:
        arguments = (*DESTROY, *options, self.name)
        return self.estate.start(*arguments, program=program) if program else self.estate.start(*arguments)

    def left_of_a_dump(self) -> list[Any]:
        """What a dump has while it works: roles, scratch database, secrets, files that are not complete."""
        uids = "SELECT rolname FROM pg_roles WHERE rolname ~ '^coopctl_(dump|restore)_'"
        scratch = "SELECT datname FROM pg_database WHERE datname ~ '^coopctl_verify_'"
        secrets = list((self.folder / "final-dump").glob("*"))
        parts = list((self.estate.root / "dumps").glob("*.part"))
        return [*self.estate.maker.sql(f"{uids} UNION ALL {scratch}"), *secrets, *parts]

    def require_deleted_after_a_whole_dump(self, answer: str) -> None:
        """The last run named a dump with all there was, and nothing else is left."""
        dump = Path(json.loads(answer)["dump"])
        manifest = json.loads((dump / MANIFEST_FILE).read_text())
        assert {one["name"]: one["rows"] for one in manifest["database"]["tables"]}["public.kept"] == 1
        assert manifest["bucket"]["objects"] == 1
        assert pyrage.decrypt((dump / DATABASE_FILE).read_bytes(), [self.key]).startswith(b"PGDMP")
        assert [path for path in dump.parent.iterdir() if path.suffix] == []
        names = self.estate.maker.sql("SELECT datname FROM pg_database UNION ALL SELECT rolname FROM pg_roles")
        assert [name for (name,) in names if name.startswith(self.database)] == []
        assert self.bucket not in self.estate.maker.buckets()
        assert self.left_of_a_dump() == []


def wait_for(found: Callable[[], object]) -> None:
    """Wait until ``found`` finds something."""
    until = time.monotonic() + TIMEOUT_SECONDS
    while not found():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def restoring(filled: Filled) -> list[tuple[Any, ...]]:
    """The restore's session that builds the slow index."""
    return filled.estate.maker.sql(
        "SELECT 1 FROM pg_stat_activity WHERE usename LIKE 'coopctl_restore_%' AND wait_event = 'PgSleep'"
    )


def program(filled: Filled, name: str) -> psutil.Process:
    """The running client program of the dump."""
    return next(item for item in marked_processes(mark_of(filled.folder)) if item.name() == name)


@pytest.mark.parametrize(("when", "place"), places(PLACES, sample=(), seconds=30))
def test_a_kill_beside_the_dump_loses_nothing(cli_estate: CliEstate, when: str, place: str) -> None:
    filled = Filled(cli_estate, f"dumping-{abs(hash((when, place))) % 10**6}")
    require_killed(filled.start(program=dying(place, when)))
    filled.require_deleted_after_a_whole_dump(cli_estate.done(*DESTROY, filled.name))


@pytest.mark.long(seconds=40)
@pytest.mark.parametrize("boundary", BOUNDARIES, ids=str)
def test_a_kill_while_data_are_deleted_keeps_the_dump_of_all_of_it(cli_estate: CliEstate, boundary: Boundary) -> None:
    filled = Filled(cli_estate, f"deleting-{abs(hash(boundary)) % 10**6}")
    process = filled.start("--events")
    reach(process, boundary, stack=filled.name)
    kill(process, Kill.EVERYTHING, folder=filled.folder)

    answer = cli_estate.done(*DESTROY, filled.name)

    filled.require_deleted_after_a_whole_dump(answer)
    assert len(list((cli_estate.root / "dumps").iterdir())) == 1, "the dump of the run that was cut off"


@pytest.mark.long(seconds=35)
def test_what_was_opened_again_after_a_dump_is_dumped_anew(cli_estate: CliEstate) -> None:
    filled = Filled(cli_estate, "opened-again")
    require_killed(filled.start(program=dying("provisioner.operations.dumping:_write", "after")))
    cli_estate.done("apply", filled.name, "--yes")
    filled.sql("SET ROLE opened_again_app; INSERT INTO kept VALUES (8); DELETE FROM kept WHERE id = 7")
    time.sleep(1.1)  # a dump is named by the second

    filled.require_deleted_after_a_whole_dump(cli_estate.done(*DESTROY, filled.name))
    assert len(list((cli_estate.root / "dumps").iterdir())) == 2


@pytest.mark.long(seconds=30)
def test_a_dump_that_is_lost_after_a_part_was_deleted_stops_the_destroy(cli_estate: CliEstate) -> None:
    filled = Filled(cli_estate, "lost-dump")
    process = filled.start("--events")
    reach(process, deletion("postgres-database", "Database", "Done"), stack=filled.name)
    kill(process, Kill.EVERYTHING, folder=filled.folder)
    (dump,) = (cli_estate.root / "dumps").iterdir()
    dump.rename(cli_estate.root / "moved")
    buckets = cli_estate.maker.buckets()

    refused = cli_estate.run(*DESTROY, filled.name)
    (cli_estate.root / "moved").rename(dump)

    assert refused.returncode == 11
    assert str(dump) in refused.stdout
    assert cli_estate.maker.buckets() == buckets
    filled.require_deleted_after_a_whole_dump(cli_estate.done(*DESTROY, filled.name))


@pytest.mark.long(seconds=40)
def test_the_passfile_is_private_and_holds_no_administrator_s_password(cli_estate: CliEstate) -> None:
    filled = Filled(cli_estate, "passfile")
    filled.sql(SLOW.format(owner="passfile_owner", seconds=120))
    process = filled.start()
    wait_for(lambda: restoring(filled))
    passfile = filled.folder / "final-dump" / "pgpass"
    text, mode = passfile.read_text(), stat.S_IMODE(passfile.stat().st_mode)
    named = {variable: program(filled, "pg_restore").environ().get(variable) for variable in ("PGPASSFILE", "PGUSER")}
    process.kill()
    close(process)

    assert mode == 0o600
    assert [secret for secret in cli_estate.maker.admin_secrets() if secret in text] == []
    assert named["PGPASSFILE"] == str(passfile)
    assert str(named["PGUSER"]).startswith("coopctl_restore_")
    assert filled.left_of_a_dump() != [], "what a kill leaves"
    filled.sql(QUICK)
    filled.require_deleted_after_a_whole_dump(cli_estate.done(*DESTROY, filled.name))


@pytest.mark.long(seconds=30)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_slow_dump_in_order(cli_estate: CliEstate, number: signal.Signals) -> None:
    filled = Filled(cli_estate, f"slow-{number.name[3:].lower()}")
    filled.sql(SLOW.format(owner=f"{filled.database}_owner", seconds=300))
    process = filled.start()
    wait_for(lambda: restoring(filled))

    process.send_signal(number)
    code = process.wait(timeout=20)
    close(process)

    assert code == 12
    assert filled.left_of_a_dump() == []
    assert filled.sql("SELECT id FROM kept") == [(7,)]
    filled.sql(QUICK)
    filled.require_deleted_after_a_whole_dump(cli_estate.done(*DESTROY, filled.name))


@pytest.mark.long(seconds=40)
def test_the_second_signal_kills_a_program_that_does_not_hear_the_first(cli_estate: CliEstate) -> None:
    filled = Filled(cli_estate, "deaf")
    filled.sql(SLOW.format(owner="deaf_owner", seconds=300))
    process = filled.start()
    wait_for(lambda: restoring(filled))
    program(filled, "pg_restore").send_signal(signal.SIGSTOP)

    process.send_signal(signal.SIGINT)
    time.sleep(1)
    still_running = process.poll() is None
    process.send_signal(signal.SIGINT)
    code = process.wait(timeout=20)
    close(process)

    assert (still_running, code) == (True, 12)
    assert marked_processes(mark_of(filled.folder)) == []
    assert filled.left_of_a_dump() == []
    assert os.path.lexists(cli_estate.root / "dumps")
