"""The audit trail is append-only, and whoever changes it is noticed."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.views import trail
from provisioner.datastore.records import open_records
from provisioner.errors import CoopctlError
from provisioner.operations.authorship import author
from provisioner.operations.history import Action, Author, Ending, Event, History

EVENT = Event(
    action=Action.APPLY,
    ending=Ending.DONE,
    at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    author=Author(user="운영자", host="console", commit="abc", dirty=True),
    coopctl="0.1.0",
    plan="fingerprint",
    changes={"create": 3},
)


@pytest.fixture
def history(tmp_path: Path) -> History:
    """An empty history with a passphrase."""
    (tmp_path / "passphrase").write_text("secret words\n")
    return History(
        records=open_records(f"file://{tmp_path / 'state'}"),
        passphrase_file=tmp_path / "passphrase",
        work=tmp_path / "work",
    )


def _files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "state" / "coopctl" / "history" / "rice").iterdir())


def test_what_was_appended_is_read_back_whole(history: History) -> None:
    failed = replace(EVENT, ending=Ending.FAILED, why="no room", changes={}, details={"data": "kept"})
    history.append("rice", EVENT)
    history.append("rice", failed)

    found = history.read("rice")

    assert [entry.event for entry in found.entries] == [EVENT, failed]
    assert [entry.number for entry in found.entries] == [1, 2]
    assert found.entries[1].previous == found.entries[0].digest
    assert found.problems == ()


def test_stacks_have_trails_of_their_own(history: History) -> None:
    history.append("rice", EVENT)

    assert history.read("plastics").entries == ()


def _change_a_field(files: list[Path]) -> None:
    document = json.loads(files[1].read_text())
    document["event"]["author"]["user"] = "nobody"
    files[1].write_text(json.dumps(document))


def _take_the_middle_away(files: list[Path]) -> None:
    files[1].unlink()


def _take_the_last_away(files: list[Path]) -> None:
    files[-1].unlink()


def _swap_two(files: list[Path]) -> None:
    first, second = files[0].read_bytes(), files[1].read_bytes()
    files[0].write_bytes(second)
    files[1].write_bytes(first)


def _copy_from_another_trail(files: list[Path]) -> None:
    document = json.loads(files[1].read_text())
    document["stack"] = "plastics"
    files[1].write_text(json.dumps(document))


def _tear(files: list[Path]) -> None:
    files[1].write_bytes(files[1].read_bytes()[:40])


def _put_in(text: str) -> Callable[[list[Path]], None]:
    def put(files: list[Path]) -> None:
        files[1].write_text(text)

    return put


def _write(**changed: object) -> Callable[[list[Path]], None]:
    def change(files: list[Path]) -> None:
        document = json.loads(files[1].read_text())
        document["event"] |= changed
        files[1].write_text(json.dumps(document))

    return change


def _add_a_stranger(files: list[Path]) -> None:
    files[1].with_name("notes.json").write_text("{}")


@pytest.mark.parametrize(
    ("tamper", "problem"),
    [
        (_change_a_field, "00000002.json was changed: its seal does not fit"),
        (_take_the_middle_away, "entry 2 of rice is missing"),
        (_take_the_last_away, "entries are missing at the end: this machine wrote number 3, there are 2"),
        (_swap_two, "stands in another place"),
        (_copy_from_another_trail, "its seal does not fit"),
        (_tear, "cannot be read"),
        *((_put_in(text), "it is no JSON object") for text in ("[]", "null", '"entry"')),
        (_put_in("[" * 100_000), "cannot be read"),
        (_put_in("{}"), "it lacks 'seal'"),
        (_write(changes=[1]), "event.changes is not what coopctl writes there"),
        (_write(author={"user": "kim", "host": "h", "commit": 5}), "event.author.commit is not what coopctl writes"),
        (_write(at=None), "event.at is not what coopctl writes there"),
        (_add_a_stranger, "history/rice/notes.json is no entry: somebody put it there"),
    ],
)
def test_tampering_is_named(
    history: History, tmp_path: Path, tamper: Callable[[list[Path]], None], problem: str
) -> None:
    for _ in range(3):
        history.append("rice", EVENT)

    tamper(_files(tmp_path))

    found = history.read("rice")
    assert problem in "; ".join(found.problems)
    for output in ("text", "json"):
        trail.show(found, limit=None, output=output)


def test_the_newest_of_an_action_is_the_one_that_was_done_and_that_nobody_changed(
    history: History, tmp_path: Path
) -> None:
    assert history.last("rice", action=Action.PROVE) is None
    proofs = [replace(EVENT, action=Action.PROVE, details={"proof": name}) for name in ("first", "second", "third")]
    for event in (*proofs, replace(proofs[0], ending=Ending.FAILED), EVENT):
        history.append("rice", event)
    _add_a_stranger(_files(tmp_path))
    assert history.last("rice", action=Action.PROVE) == proofs[2]

    _files(tmp_path)[2].write_text("[]")
    assert history.last("rice", action=Action.PROVE) == proofs[1]

    _change_a_field(_files(tmp_path))
    assert history.last("rice", action=Action.PROVE) == proofs[0]


def test_a_foreign_file_beside_the_entries_stops_no_apply(history: History, tmp_path: Path) -> None:
    history.append("rice", EVENT)
    _add_a_stranger([*_files(tmp_path), *_files(tmp_path)])
    assert history.append("rice", EVENT).number == 2


def test_an_entry_of_somebody_without_the_passphrase_is_named(history: History, tmp_path: Path) -> None:
    history.append("rice", EVENT)
    (tmp_path / "guess").write_text("guessed words\n")
    replace(history, passphrase_file=tmp_path / "guess").append("rice", EVENT)

    assert history.read("rice").problems == ("history/rice/00000002.json was changed: its seal does not fit",)


def test_rewriting_the_whole_trail_is_noticed_where_it_was_written(history: History, tmp_path: Path) -> None:
    history.append("rice", EVENT)
    other = replace(history, records=open_records(f"file://{tmp_path / 'other'}"), work=tmp_path / "elsewhere")
    other.append("rice", replace(EVENT, plan="another"))
    _files(tmp_path)[0].write_bytes((tmp_path / "other/coopctl/history/rice/00000001.json").read_bytes())

    assert history.read("rice").problems == ("entry 1 is not the one that this machine wrote",)


def test_two_writers_at_once_lose_no_entry(history: History) -> None:
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(lambda _: history.append("rice", EVENT), range(4)))

    found = history.read("rice")

    assert len(found.entries) == 4
    assert found.problems == ()


def test_without_the_passphrase_nothing_is_written(history: History, tmp_path: Path) -> None:
    (tmp_path / "passphrase").unlink()

    with pytest.raises(CoopctlError, match="passphrase"):
        history.append("rice", EVENT)
    assert history.records.list("history/rice") == ()


def test_an_estate_outside_git_has_no_commit(tmp_path: Path) -> None:
    assert author(tmp_path, environment={"GITLAB_USER_LOGIN": "kim"}).commit == ""
    assert author(tmp_path, environment={"GITLAB_USER_LOGIN": "kim"}).user == "kim"
