"""A migration that is started, locked, interrupted, killed, gone on with, verified and given up; and a rehearsal."""

import signal

import pytest

from provisioner.migration.journal import journal_file, read
from provisioner.migration.journal_entries import RunEnding, RunKind
from tests.integration.migration_commands.conftest import NAME, World
from tests.integration.migration_commands.waiting import slot_waits, until_it_copies

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=90)]


def _ended(moving: World) -> list[tuple[RunKind, RunEnding | None]]:
    record = read(journal_file(moving.root / ".coopctl", NAME))
    assert record is not None
    return [(run.kind, run.ending) for run in record.runs]


def test_start_goes_on_after_an_interrupt_and_a_kill_and_nothing_is_left_by_an_abort(moving: World) -> None:
    with slot_waits(moving):
        with moving.start("migrate", "start", NAME) as first:
            reader = until_it_copies(first)
            code, _, said = moving.run("migrate", "start", NAME)
            assert code == 13
            assert f"is being worked on by process {first.pid}" in said
            first.send_signal(signal.SIGINT)
            assert first.wait(timeout=120) == 12
            reader.join()
        with moving.start("migrate", "start", NAME) as second:
            reader = until_it_copies(second)
            second.kill()
            reader.join()
    code, found = moving.json("migrate", "start", NAME)
    assert code == 0
    assert found["lag"] is not None
    assert moving.on_target("SELECT count(*) FROM lots") == [(2000,)]
    assert len(moving.target_bucket.bodies()) == 3
    _follows_and_is_verified(moving)

    code, _, said = moving.run("migrate", "abort", NAME)
    assert code == 2, said
    assert moving.run("migrate", "abort", NAME, "--yes")[0] == 0
    assert moving.leftovers() == []
    assert moving.on_source("SELECT relreplident::text FROM pg_class WHERE oid = 'notes'::regclass") == [("d",)]
    assert moving.on_target("SELECT count(*) FROM pg_tables WHERE schemaname !~ '^(pg_|information)'") == [(0,)]
    assert moving.target_bucket.bodies() == {}
    assert _ended(moving) == [(RunKind.MIGRATION, RunEnding.ABORTED)]
    assert moving.run("migrate", "abort", NAME, "--yes")[0] == 6


def _follows_and_is_verified(moving: World) -> None:
    moving.on_source("INSERT INTO lots (code) VALUES ('later'); UPDATE notes SET text = '둘' WHERE text IS NULL")
    moving.bucket.put("scans/later", b"more")
    code, found = moving.json("migrate", "verify", NAME)
    assert (code, found["clean"]) == (0, True), found
    assert moving.on_target("SELECT count(*) FROM lots WHERE code = 'later'") == [(1,)]
    moving.on_target("SET session_replication_role = replica; UPDATE lots SET code = 'forged' WHERE id = 7")
    code, shown, _ = moving.run("migrate", "verify", NAME)
    assert code == 11
    assert '"public"."lots": row' in shown
    assert "is changed on the target" in shown
    code, found = moving.json("migrate", "status", NAME)
    assert (code, found["run"]["open"], found["orphaned"]) == (0, True, False)
    assert found["lag"]["active"]
    secret = moving.target.password.reveal()
    kept = (moving.root / ".coopctl" / "migrations").rglob("*")
    assert not [file for file in kept if file.is_file() and secret.encode() in file.read_bytes()]


def test_a_rehearsal_passes_measures_and_leaves_both_sides_as_they_were(moving: World) -> None:
    code, found = moving.json("migrate", "rehearse", NAME)
    assert (code, found["clean"], found["cleaned"]) == (0, True, True)
    assert {"publish", "tables", "follow", "objects", "rehearse-verification"} <= set(found["seconds"])
    assert moving.leftovers() == []
    assert moving.target_bucket.bodies() == {}
    assert _ended(moving) == [(RunKind.REHEARSAL, RunEnding.PASSED)]
    code, found = moving.json("migrate", "preflight", NAME)
    assert (code, found["ready"]) == (0, True)
