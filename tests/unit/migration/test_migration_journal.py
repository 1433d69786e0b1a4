"""A journal only grows, holds no credential, survives a kill, and refuses a plan that it did not begin with."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.datastore.credentials import Secret
from provisioner.errors import CoopctlError, ExitCode, MigrationLocked, PlanRefused
from provisioner.migration.journal import Journal, read, writing
from provisioner.migration.journal_entries import EntryKind, Phase, RunEnding, RunKind, StepState, last_ended

START = datetime(2026, 12, 5, 13, tzinfo=UTC)
PLAN = "a" * 64


def ticking() -> Iterator[datetime]:
    """A clock that goes on by a second each time it is asked."""
    moment = START
    while True:
        yield moment
        moment += timedelta(seconds=1)


class Book:
    """A journal's file, and its writer with a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "migrations" / "rice-out.journal"
        self._clock = ticking()

    def writing(self, *secrets: Secret) -> AbstractContextManager[Journal]:
        return writing(self.file, migration="rice-out", clock=lambda: next(self._clock), secrets=secrets)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def begun(journal: Journal) -> None:
    journal.begin(RunKind.MIGRATION, fingerprint=PLAN)


def test_what_was_recorded_is_read_in_its_order(book: Book) -> None:
    with book.writing() as journal:
        journal.begin(RunKind.PREFLIGHT, fingerprint="", content={"tables": 3})
        journal.step_begun(Phase.SURVEY, "source")
        journal.step_done(Phase.SURVEY, "source", {"tables": 3})
        journal.step_begun(Phase.SURVEY, "target")
        journal.step_failed(Phase.SURVEY, "target", why="it does not answer")
        journal.end(RunEnding.PROBLEMS, {"problems": 1})
        begun(journal)
    record = read(book.file)
    assert record is not None
    assert [entry.sequence for entry in record.entries] == list(range(1, 8))
    assert [entry.at for entry in record.entries] == [START + timedelta(seconds=n) for n in range(1, 8)]
    preflight, migration = record.runs
    assert (preflight.kind, preflight.ending, preflight.result) == (
        RunKind.PREFLIGHT,
        RunEnding.PROBLEMS,
        {"problems": 1},
    )
    assert preflight.content == {"tables": 3}
    assert [(one.step, one.state, one.result) for one in preflight.steps] == [
        ("source", StepState.DONE, {"tables": 3}),
        ("target", StepState.FAILED, {"why": "it does not answer"}),
    ]
    assert (migration.open, migration.fingerprint, migration.number) == (True, PLAN, 2)
    assert last_ended(record.runs, RunKind.PREFLIGHT) == preflight
    assert last_ended(record.runs, RunKind.MIGRATION) is None


def test_the_same_plan_goes_on_and_knows_what_is_done(book: Book) -> None:
    with book.writing() as journal:
        begun(journal)
        journal.step_begun(Phase.COPY, "tables")
        journal.step_done(Phase.COPY, "tables", {"bytes": 5})
        journal.step_begun(Phase.COPY, "indexes")
    with book.writing() as journal:
        run = journal.begin(RunKind.MIGRATION, fingerprint=PLAN)
        assert (run.is_done(Phase.COPY, "tables"), run.is_done(Phase.COPY, "indexes")) == (True, False)
        journal.step_begun(Phase.COPY, "indexes")
        journal.step_done(Phase.COPY, "indexes", {})
        current = journal.current
    assert current is not None
    assert [one.step for one in current.steps] == ["tables", "indexes"]
    assert all(one.state is StepState.DONE for one in current.steps)


def test_another_plan_is_refused_and_nothing_recorded(book: Book) -> None:
    with book.writing() as journal:
        begun(journal)
        with pytest.raises(PlanRefused, match="another plan") as caught:
            journal.begin(RunKind.MIGRATION, fingerprint="b" * 64)
        with pytest.raises(PlanRefused, match="a migration is open"):
            journal.begin(RunKind.REHEARSAL, fingerprint=PLAN)
    assert "aaaaaaaaaaaa" in str(caught.value.why)
    record = read(book.file)
    assert record is not None
    assert len(record.entries) == 1


def test_after_a_run_has_ended_another_plan_may_begin(book: Book) -> None:
    with book.writing() as journal:
        begun(journal)
        journal.end(RunEnding.ABORTED)
        assert journal.begin(RunKind.REHEARSAL, fingerprint="b" * 64).number == 2


def test_without_an_open_run_nothing_is_recorded(book: Book) -> None:
    with book.writing() as journal, pytest.raises(CoopctlError, match="no run is open"):
        journal.step_begun(Phase.COPY, "tables")


def test_one_process_writes_and_the_other_is_told_who(book: Book) -> None:
    with book.writing(), pytest.raises(MigrationLocked, match=str(os.getpid())) as caught, book.writing():
        pass
    assert caught.value.exit_code is ExitCode.LOCKED
    with book.writing() as journal:
        begun(journal)


def test_it_is_read_while_it_is_written(book: Book) -> None:
    seen: list[int] = []
    with book.writing() as journal:
        begun(journal)
        stop = threading.Event()

        def look() -> None:
            while not stop.is_set():
                record = read(book.file)
                seen.append(len(record.entries) if record else 0)

        reader = threading.Thread(target=look)
        reader.start()
        for number in range(50):
            journal.note({"number": number})
        stop.set()
        reader.join()
        assert [entry.content for entry in read(book.file, after=50).entries] == [{"number": 49}]  # type: ignore[union-attr]
    assert seen == sorted(seen)
    assert seen[-1] > 0


KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from provisioner.migration.journal import writing
from provisioner.migration.journal_entries import Phase, RunKind
with writing(Path(sys.argv[1]), migration="rice-out", clock=lambda: datetime.now(UTC)) as journal:
    journal.begin(RunKind.MIGRATION, fingerprint="a" * 64)
    number = 0
    while True:
        journal.step_begun(Phase.COPY, f"table {number}")
        journal.step_done(Phase.COPY, f"table {number}", {"number": number})
        number += 1
        print(number, flush=True)
"""


def test_a_killed_writer_leaves_a_journal_that_goes_on(book: Book) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(book.file)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(20)][-1]
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=60)
    record = read(book.file)
    assert record is not None
    [run] = record.runs
    done = [one for one in run.steps if one.state is StepState.DONE]
    assert len(done) >= said, "what was said to be done is on the disk"
    assert [one.result for one in done] == [{"number": number} for number in range(len(done))]
    with book.writing() as journal:
        assert journal.begin(RunKind.MIGRATION, fingerprint=PLAN).steps == run.steps
        journal.end(RunEnding.FINALISED)
    after = read(book.file)
    assert after is not None
    assert [one.sequence for one in after.entries] == list(range(1, len(record.entries) + 2))


def test_entries_are_neither_changed_nor_deleted(book: Book) -> None:
    with book.writing() as journal:
        begun(journal)
    with sqlite3.connect(book.file) as connection:
        for statement in ("UPDATE entries SET kind = 'note'", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="of a journal are not"):
                connection.execute(statement)
    connection.close()


def test_no_credential_is_in_any_of_its_files(book: Book) -> None:
    password, key = Secret("sehr-geheim-1"), Secret("AKIA/geheim+2")
    with book.writing(password, key) as journal:
        journal.begin(RunKind.MIGRATION, fingerprint=PLAN, content={"dsn": "postgres://rice:unknown-3@db/rice"})
        journal.step_begun(Phase.PREPARE, "subscription")
        journal.step_failed(Phase.PREPARE, "subscription", why=f"could not connect: password={password.reveal()} db")
        journal.note({"said": [f"the key {key.reveal()} was refused"], key.reveal(): 1})
        journal.step_done(Phase.PREPARE, "subscription", {"why": "host=db password='unknown 4' user=rice"})
        files = [file.read_bytes() for file in book.file.parent.iterdir()]
    for content in [*files, *(file.read_bytes() for file in book.file.parent.iterdir())]:
        for word in (b"sehr-geheim-1", b"AKIA/geheim+2", b"unknown-3", b"unknown 4"):
            assert word not in content


def test_only_its_owner_reads_it(book: Book) -> None:
    with book.writing() as journal:
        begun(journal)
        modes = {
            stat.S_IMODE(file.stat().st_mode) for file in book.file.parent.iterdir() if not file.name.endswith("lock")
        }
    assert modes == {0o600}


def test_a_journal_of_another_migration_or_a_newer_coopctl_is_refused(book: Book) -> None:
    with book.writing():
        pass
    with (
        pytest.raises(CoopctlError, match="journal of the migration rice-out"),
        writing(book.file, migration="other", clock=lambda: START),
    ):
        pass
    with sqlite3.connect(book.file) as connection:
        connection.execute("UPDATE journal SET version = 99")
    connection.close()
    with pytest.raises(CoopctlError, match="newer coopctl"):
        read(book.file)


def test_what_is_no_journal_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "x.journal"
    assert read(file) is None
    file.touch()
    assert read(file) is None, "killed before its schema was made"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(CoopctlError, match="cannot be used"):
        read(file)


def test_every_kind_of_entry_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "migration-journal.md").read_text(encoding="utf-8")
    for word in (*EntryKind, *Phase, *RunKind, *RunEnding):
        assert f"`{word}`" in page, word
