"""A migration that a team works on: one of them at a time, on what was done last; who was taken for dead stops."""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.datastore.records import FileRecords
from provisioner.datastore.shared_records import FileSharedRecords
from provisioner.errors import CoopctlError, ExitCode, MigrationLocked
from provisioner.migration.journal import Journal, read, writing
from provisioner.migration.journal_entries import EntryKind, Phase, RunKind
from provisioner.migration.shared_files import SharedMigration, is_unsure
from provisioner.migration.shared_head import Head, Holder, read_head

TERM = 60.0
PLAN = "a" * 64


class Machine:
    """A machine with an estate of its own, whose state all machines share."""

    def __init__(self, folder: Path, *, name: str, term: float = TERM) -> None:
        root = folder / name / "migrations"
        root.mkdir(parents=True, exist_ok=True)
        self.shared = SharedMigration(
            records=FileSharedRecords(records=FileRecords(root=folder / "state")),
            name="rice-out",
            journal=root / "rice-out.journal",
            ledger=root / "rice-out.objects",
            ledger_back=root / "rice-out.objects-back",
            others=(root / "rice-out.survey.json",),
            term_seconds=term,
        )

    @property
    def survey(self) -> Path:
        return self.shared.others[0]

    @contextmanager
    def writing(self) -> Iterator[Journal]:
        with writing(
            self.shared.journal, migration="rice-out", clock=lambda: datetime.now(UTC), held=self.shared.held
        ) as journal:
            yield journal

    def steps(self) -> list[str]:
        record = read(self.shared.journal)
        assert record is not None
        return [f"{one.kind} {one.step}" for one in record.entries if one.step]

    def seen_from_here(self) -> list[str]:
        """The same as it is read from the state."""
        record = self.shared.read()
        return [f"{one.kind} {one.step}" for one in record.entries if one.step] if record else []


@pytest.fixture
def here(tmp_path: Path) -> Machine:
    return Machine(tmp_path, name="here")


@pytest.fixture
def there(tmp_path: Path) -> Machine:
    return Machine(tmp_path, name="there")


def begun(journal: Journal) -> None:
    journal.begin(RunKind.MIGRATION, fingerprint=PLAN)


def ledger_of(file: Path, *keys: str) -> None:
    """A database in WAL mode, as a ledger is, with so many rows."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS copies (key TEXT)")
    connection.executemany("INSERT INTO copies VALUES (?)", [(key,) for key in keys])
    connection.close()


def keys_in(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    found = [key for (key,) in connection.execute("SELECT key FROM copies ORDER BY key")]
    connection.close()
    return found


def test_another_machine_goes_on_with_all_files_as_they_were_at_the_last_entry(here: Machine, there: Machine) -> None:
    with here.writing() as journal:
        here.survey.write_text("{}")
        begun(journal)
        journal.step_begun(Phase.COPY, "objects")
        ledger_of(here.shared.ledger, "a", "b")
        journal.step_done(Phase.COPY, "objects", {})

    with there.writing() as journal:
        journal.begin(RunKind.MIGRATION, fingerprint=PLAN)
        journal.step_begun(Phase.VERIFY, "rows")

    assert there.steps() == ["step-begun objects", "step-done objects", "step-begun rows"]
    assert there.survey.read_text() == "{}"
    assert keys_in(there.shared.ledger) == ["a", "b"]
    assert not is_unsure(there.shared.ledger)
    assert here.seen_from_here() == there.steps()
    assert here.steps() == ["step-begun objects", "step-done objects"]


def test_every_entry_is_in_the_state_before_the_next_thing_is_done(here: Machine, there: Machine) -> None:
    with here.writing() as journal:
        begun(journal)
        journal.step_begun(Phase.CUTOVER, "fence")
        assert there.seen_from_here() == ["step-begun fence"]


def test_what_is_uploaded_of_a_journal_that_is_written_is_whole_and_has_no_companions(here: Machine) -> None:
    with here.writing() as journal:
        begun(journal)
        head = here.shared.head()
        assert head is not None
        record = head[0].files["rice-out.journal"].record
        copy = here.shared.journal.parent / "copy"
        assert here.shared.records.download(record, copy)
        # The journal here is in its WAL still.
        assert here.shared.journal.with_name("rice-out.journal-wal").stat().st_size > 0
    connection = sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True)
    assert connection.execute("SELECT kind FROM entries").fetchall() == [(str(EntryKind.RUN_BEGUN),)]
    connection.close()


def test_a_second_machine_is_refused_with_the_holders_name_while_the_lease_holds(here: Machine, there: Machine) -> None:
    with here.writing() as journal, pytest.raises(MigrationLocked) as refused, there.writing():
        begun(journal)

    holder = here.shared.head()
    assert refused.value.exit_code is ExitCode.LOCKED
    assert "is being worked on by" in refused.value.message
    assert f"process {os.getpid()}" in refused.value.message
    assert "its lease ends by itself in" in str(refused.value.hint)
    assert holder is not None
    assert holder[0].holder is None, "the lease is given back at the end"
    with there.writing() as journal:
        begun(journal)


def test_who_died_with_the_lease_is_followed_after_its_term_and_stops_should_it_live(
    here: Machine, there: Machine
) -> None:
    short = replace(here.shared, term_seconds=0.4)
    with (
        writing(short.journal, migration="rice-out", clock=lambda: datetime.now(UTC), held=short.held) as journal,
    ):
        begun(journal)
        journal.step_begun(Phase.COPY, "tables")
        dead = _silenced(journal)
        with pytest.raises(MigrationLocked), there.writing():
            raise AssertionError("the lease still holds")
        time.sleep(0.6)

        with there.writing() as other:
            other.step_begun(Phase.COPY, "tables")
            assert dead.signals, "long work is told"
            with pytest.raises(MigrationLocked, match="has taken over the migration rice-out"):
                journal.step_done(Phase.COPY, "tables", {})
            with pytest.raises(MigrationLocked, match="has taken over"):
                journal.require_own()
            other.step_done(Phase.COPY, "tables", {})
    assert there.seen_from_here() == ["step-begun tables", "step-begun tables", "step-done tables"]

    # It comes back: what it had written after it was taken for dead does not count.
    with here.writing():
        assert here.steps() == there.steps()


def _silenced(journal: Journal) -> "Silence":
    """As if the machine were suspended: nothing renews the lease any more."""
    lease = journal.stopping
    lease.renew = lambda: None  # type: ignore[attr-defined]
    return Silence(lease)


class Silence:
    """A lease that nobody renews."""

    def __init__(self, lease: object) -> None:
        self._lease = lease

    @property
    def signals(self) -> int:
        return int(self._lease.signals)  # type: ignore[attr-defined]


def test_a_lease_is_renewed_for_as_long_as_a_step_takes(here: Machine, there: Machine) -> None:
    short = replace(here.shared, term_seconds=0.4)
    with writing(short.journal, migration="rice-out", clock=lambda: datetime.now(UTC), held=short.held) as journal:
        begun(journal)
        time.sleep(1.0)
        with pytest.raises(MigrationLocked), there.writing():
            raise AssertionError("it is held")
        journal.step_begun(Phase.COPY, "tables")


def test_of_many_who_try_one_takes_the_lease(tmp_path: Path) -> None:
    machines = [Machine(tmp_path, name=f"machine-{number}") for number in range(8)]
    barrier, done = threading.Barrier(8), threading.Event()
    took: list[str] = []
    refused: list[str] = []

    def try_it(machine: Machine) -> None:
        barrier.wait()
        try:
            with machine.shared.held():
                took.append(machine.shared.journal.parent.parent.name)
                done.wait(5)
        except MigrationLocked as error:
            refused.append(error.message)
            if len(refused) == 7:
                done.set()

    threads = [threading.Thread(target=try_it, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(took), len(refused)) == (1, 7)


def test_entries_that_were_not_uploaded_any_more_are_kept_where_nobody_went_on(here: Machine, there: Machine) -> None:
    with here.writing() as journal:
        begun(journal)
    # Cut off between the disk and the state.
    with writing(here.shared.journal, migration="rice-out", clock=lambda: datetime.now(UTC)) as journal:
        journal.step_begun(Phase.COPY, "tables")
    assert here.seen_from_here() == ["step-begun tables"]
    assert there.seen_from_here() == []

    with here.writing() as journal:
        journal.step_done(Phase.COPY, "tables", {})

    assert there.seen_from_here() == ["step-begun tables", "step-done tables"]


def test_entries_of_a_machine_that_lost_its_lease_are_kept_aside_where_another_went_on(
    here: Machine, there: Machine
) -> None:
    with here.writing() as journal:
        begun(journal)
    with writing(here.shared.journal, migration="rice-out", clock=lambda: datetime.now(UTC)) as journal:
        journal.step_begun(Phase.COPY, "tables")
    with there.writing() as journal:
        journal.step_begun(Phase.COPY, "objects")

    with here.writing():
        assert here.steps() == ["step-begun objects"]

    aside = read(here.shared.journal.with_name("rice-out.journal.aside"))
    assert aside is not None
    assert [one.step for one in aside.entries if one.step] == ["tables"]


def test_a_ledger_is_not_trusted_where_a_copy_was_cut_off_on_another_machine(here: Machine, there: Machine) -> None:
    with here.writing() as journal:
        begun(journal)
        journal.step_begun(Phase.COPY, "objects")
        ledger_of(here.shared.ledger, "a")

    with there.writing():
        # It was never uploaded, and the bucket is not empty for all that.
        assert not there.shared.ledger.exists()
        assert is_unsure(there.shared.ledger)
        # Of the way back nothing is made up.
        assert not is_unsure(there.shared.ledger_back)


def test_files_that_went_here_are_gone_everywhere_and_copies_of_before_are_deleted(
    here: Machine, there: Machine
) -> None:
    with here.writing() as journal:
        here.survey.write_text("old")
        begun(journal)
    with there.writing() as journal:
        assert there.survey.read_text() == "old"
        there.survey.unlink()
        journal.step_begun(Phase.SURVEY, "again")

    with here.writing():
        assert not here.survey.exists()
    found = here.shared.records.list("migrations/rice-out")
    assert sorted(name.rpartition("/")[2].rpartition(".")[0] for name in found) == ["lease", "rice-out.journal"]


def test_a_damaged_or_newer_head_is_named(here: Machine) -> None:
    with pytest.raises(CoopctlError, match=r"lease\.json is damaged"):
        read_head(b"{}", where="lease.json")
    newer = json.dumps({"version": 2}).encode()
    with pytest.raises(CoopctlError, match="newer coopctl"):
        read_head(newer, where="lease.json")
    holder = Holder(id="1", host="h", pid=1, user="u")
    head = Head(migration="rice-out", holder=holder, expires=datetime(2026, 12, 1, tzinfo=UTC), seconds=60).turned()
    assert read_head(head.to_bytes(), where="x") == head
    assert head.turned().to_bytes() != head.to_bytes()
