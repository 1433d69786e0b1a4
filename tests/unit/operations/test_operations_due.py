"""What is due: by date, with what each cooperative chose, and with all that is missing before its data can go."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from cli import main
from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.loading import load_estate, load_migrations
from provisioner.errors import ExitCode
from provisioner.migration.journal import Journal, journal_file, writing
from provisioner.migration.journal_entries import Phase, RunEnding, RunKind
from provisioner.operations.due import DueCooperative, Lack, Stage, due
from tests.unit.descriptor.test_descriptor_migrations import MIGRATION, WINDOW
from tests.unit.descriptor.worlds import COOPERATIVE, PLATFORM, World, world

NOW = datetime(2026, 12, 1, tzinfo=UTC)
DUMPS = "  dumps: {location: dumps, recipient: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}\n"


def cooperative(name: str, *, end: str, afterwards: str = "own-infrastructure") -> str:
    text = COOPERATIVE.replace("name: rice,", f"name: {name},").replace("rice.example.kr", f"{name}.example.kr")
    return text.replace("end: 2017-05-31, afterwards: leave", f"end: {end}, afterwards: {afterwards}")


@dataclass(frozen=True, kw_only=True)
class Book:
    """An estate with journals."""

    world: World

    def record(self, *runs: tuple[RunKind, RunEnding | None, int], days_ago: int, name: str = "rice-out") -> None:
        """Runs that were begun and ended so many days before NOW; the last number is that of problems."""

        def clock() -> datetime:
            return NOW - timedelta(days=days_ago)

        with writing(journal_file(self.world.estate.local, name), migration=name, clock=clock) as journal:
            for kind, ending, problems in runs:
                self._run(journal, kind, ending, problems)

    def _run(self, journal: Journal, kind: RunKind, ending: RunEnding | None, problems: int) -> None:
        journal.begin(kind, fingerprint="f")
        journal.step_begun(Phase.COPY, "tables")
        if ending is not None:
            journal.end(ending, {"problems": problems})

    def due(self, *, within: timedelta | None = None) -> tuple[DueCooperative, ...]:
        platform, cooperatives = load_estate(self.world.estate, endpoints=EmbeddedEndpoints())
        migrations = load_migrations(self.world.estate, platform=platform, cooperatives=cooperatives)
        return due(
            self.world.estate,
            platform=platform,
            cooperatives=cooperatives,
            migrations=migrations,
            now=NOW,
            within=within,
        )

    def lacks(self) -> list[Lack]:
        return [missing.lack for one in self.due() for missing in one.missing]


@pytest.fixture
def rice(tmp_path: Path) -> Book:
    """A cooperative that moves to its own infrastructure at the end of the year, with a migration document."""
    made = world(tmp_path, {"rice": cooperative("rice", end="2026-12-31")})
    made.write("migrations/rice-out.yaml", MIGRATION)
    return Book(world=made)


def test_they_come_by_date_and_within_what_was_asked_for(tmp_path: Path) -> None:
    ends = {"rice": "2027-05-31", "plastics": "2026-12-31", "lp-gas": "2026-11-30"}
    book = Book(world=world(tmp_path, {name: cooperative(name, end=end) for name, end in ends.items()}))
    assert [(one.cooperative.name, one.ends, one.days) for one in book.due()] == [
        ("lp-gas", date(2026, 11, 30), -1),
        ("plastics", date(2026, 12, 31), 30),
        ("rice", date(2027, 5, 31), 181),
    ]
    assert [one.cooperative.name for one in book.due(within=timedelta(days=30))] == ["lp-gas", "plastics"]
    assert [one.cooperative.name for one in book.due(within=timedelta(days=29))] == ["lp-gas"]


def test_without_a_document_nothing_else_is_asked(tmp_path: Path) -> None:
    book = Book(world=world(tmp_path, {"rice": cooperative("rice", end="2026-12-31")}))
    assert book.lacks() == [Lack.NO_MIGRATION]


def test_one_member_s_slice_is_not_the_cooperative_s_move(rice: Book) -> None:
    rice.world.write("migrations/rice-out.yaml", MIGRATION.replace("scope: all", "scope: {member: m-1}"))
    [one] = rice.due()
    assert [missing.lack for missing in one.missing] == [Lack.NO_MIGRATION]
    assert [migration.scope for migration in one.migrations] == ["member m-1"]


def test_what_no_journal_tells_was_never_done(rice: Book) -> None:
    assert rice.lacks() == [Lack.PREFLIGHT_NEVER, Lack.REHEARSAL_NEVER]


def test_who_is_ready_lacks_nothing(rice: Book) -> None:
    rice.record((RunKind.PREFLIGHT, RunEnding.PASSED, 0), (RunKind.REHEARSAL, RunEnding.PASSED, 0), days_ago=29)
    assert rice.lacks() == []


def test_a_preflight_that_found_problems_says_how_many(rice: Book) -> None:
    rice.record(
        (RunKind.REHEARSAL, RunEnding.PASSED, 0),
        (RunKind.PREFLIGHT, RunEnding.PASSED, 0),
        (RunKind.PREFLIGHT, RunEnding.PROBLEMS, 3),
        days_ago=2,
    )
    [one] = rice.due()
    [missing] = one.missing
    assert missing.lack is Lack.TARGET_NOT_READY
    assert missing.text == "rice-out: not ready at the preflight of 2026-11-29 (3 problems)"


def test_a_rehearsal_ages_and_a_failed_one_does_not_count(rice: Book) -> None:
    rice.record((RunKind.PREFLIGHT, RunEnding.PASSED, 0), (RunKind.REHEARSAL, RunEnding.PASSED, 0), days_ago=31)
    assert rice.lacks() == [Lack.REHEARSAL_OLD]
    rice.record((RunKind.REHEARSAL, RunEnding.FAILED, 0), days_ago=1)
    assert rice.lacks() == [Lack.REHEARSAL_FAILED]


def test_a_rehearsal_that_was_cut_off_is_none(rice: Book) -> None:
    rice.record((RunKind.PREFLIGHT, RunEnding.PASSED, 0), (RunKind.REHEARSAL, None, 0), days_ago=1)
    assert rice.lacks() == [Lack.REHEARSAL_NEVER]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text, []),
        (lambda text: text.replace("2026-12-0", "2026-11-0"), [Lack.WINDOW_OVER]),
        (lambda text: text.replace("2026-12-0", "2027-01-0"), [Lack.WINDOW_LATE]),
    ],
)
def test_a_window_must_lie_before_the_end_and_not_be_over(
    rice: Book, change: Callable[[str], str], expected: list[Lack]
) -> None:
    rice.record((RunKind.PREFLIGHT, RunEnding.PASSED, 0), (RunKind.REHEARSAL, RunEnding.PASSED, 0), days_ago=1)
    rice.world.write("migrations/rice-out.yaml", MIGRATION + change(WINDOW))
    assert rice.lacks() == expected


def test_one_that_runs_or_has_moved_lacks_nothing(rice: Book) -> None:
    rice.record((RunKind.MIGRATION, None, 0), days_ago=1)
    [one] = rice.due()
    assert (one.missing, one.migrations[0].stage, one.migrations[0].phase) == ((), Stage.RUNNING, Phase.COPY)
    rice.record((RunKind.MIGRATION, RunEnding.FINALISED, 0), days_ago=0)
    [one] = rice.due()
    assert (one.missing, one.migrations[0].stage, one.migrations[0].moved) == ((), Stage.MOVED, NOW)


def test_solutions_that_are_to_follow_are_missing_until_they_are_gone(rice: Book) -> None:
    text = MIGRATION + "    cluster: {kubeconfig: {file: kube/config}}\n"
    rice.world.write("migrations/rice-out.yaml", text)
    rice.record((RunKind.MIGRATION, RunEnding.FINALISED, 0), days_ago=2)
    assert rice.lacks() == [Lack.SOLUTIONS_HERE]
    rice.record((RunKind.HANDOVER, RunEnding.HANDED_OVER, 0), days_ago=1)
    assert rice.lacks() == [Lack.STILL_DESCRIBED]
    [one] = rice.due()
    assert "README.md there" in one.missing[0].hint


def test_one_that_was_rolled_back_waits_again(rice: Book) -> None:
    rice.record((RunKind.MIGRATION, RunEnding.ROLLED_BACK, 0), days_ago=1)
    assert rice.lacks() == [Lack.PREFLIGHT_NEVER, Lack.REHEARSAL_NEVER]


def test_who_leaves_needs_a_place_for_the_final_dump_and_who_pays_nothing(tmp_path: Path) -> None:
    cooperatives = {
        "rice": cooperative("rice", end="2026-12-31", afterwards="leave"),
        "plastics": cooperative("plastics", end="2026-12-31", afterwards="continue-paid"),
    }
    book = Book(world=world(tmp_path, cooperatives))
    assert book.lacks() == [Lack.NO_DUMPS]
    book.world.write("platform.yaml", PLATFORM + DUMPS)
    assert book.lacks() == []


def test_the_command_answers_as_text_and_json_and_with_its_exit_code(
    rice: Book, capsys: pytest.CaptureFixture[str]
) -> None:
    estate = ["--estate", str(rice.world.estate.root)]
    assert main.run(["due", *estate]) is ExitCode.DONE
    shown = capsys.readouterr().out
    assert "own-infrastructure" in shown
    assert "rice-out" in shown
    assert shown.count("never") >= 2
    assert "hint: run `coopctl migrate preflight rice-out`" in shown
    assert main.run(["due", "rice", "--output", "json", "--detailed-exitcode", *estate]) is ExitCode.PROBLEMS
    document = json.loads(capsys.readouterr().out)
    [one] = document["cooperatives"]
    assert (document["kind"], one["ends"], one["afterwards"]) == ("Due", "2026-12-31", "own-infrastructure")
    assert [lack["lack"] for lack in one["missing"]] == ["preflight-never", "rehearsal-never"]
    assert one["migrations"][0]["preflight"] is None


def test_what_cannot_be_meant_is_a_usage_error(rice: Book, capsys: pytest.CaptureFixture[str]) -> None:
    estate = ["--estate", str(rice.world.estate.root)]
    assert main.run(["due", "--within", "soon", *estate]) is ExitCode.USAGE
    assert "not a duration" in capsys.readouterr().err
    assert main.run(["due", "rise", *estate]) is ExitCode.NOT_FOUND
    assert main.run(["due", "--within", "1h", *estate]) is ExitCode.DONE
