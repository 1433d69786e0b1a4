"""`coopctl new --apply`: a cooperative that is described, made and opened with one command."""

import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.images import estate_images
from provisioner.cluster import objects
from provisioner.datastore.credentials import Secret
from provisioner.errors import ExitCode
from provisioner.operations import onboarding
from provisioner.operations.first_logins import derived_password
from tests.unit.cli.without_servers import PlayedEstate, failing, played_estate

NEW = ("new", "millers", "--template", "food-processing", "--display-name", "제분조합")
KEY = Secret("a key of the test")


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """An estate without cooperatives, in whose cluster the Secret appears that a data store brings."""
    with played_estate(tmp_path / "estate", monkeypatch, cooperatives={}) as played:
        secret = {
            "metadata": {"name": "data-store-migration", "namespace": "millers-data"},
            "data": {"PGPASSWORD": base64.b64encode(KEY.reveal().encode()).decode()},
        }
        played.cluster.objects["Secret"] = [secret]
        monkeypatch.setattr(objects, "open_cluster", lambda _: played.cluster)
        monkeypatch.setattr(onboarding, "prove_applied", lambda *_, **__: ())
        yield played


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that were built, which takes a package archive."""
    names: list[str] = []

    def build(wanted: Sequence[str], **_: Any) -> list[Any]:
        names.extend(wanted)
        return []

    monkeypatch.setattr(estate_images, "build_images", build)
    return names


def descriptor(estate: PlayedEstate) -> Path:
    """Where the cooperative is described."""
    return estate.root / "cooperatives" / "millers.yaml"


def test_one_command_ends_with_a_first_login(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    assert estate.run(*NEW, "--apply", "--output", "json") is ExitCode.DONE

    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["name"], document["failed"]) == ("NewCooperative", "millers", 0)
    assert document["files"][0] == str(descriptor(estate))
    assert [stack["stack"] for stack in document["stacks"]] == ["platform", "millers"]
    [login] = document["logins"]
    assert (login["solution"], login["user"]) == ("ledger", "admin")
    assert login["url"].startswith("http://ledger.millers.example.kr")
    assert login["password"] == derived_password(KEY, user="admin").reveal()
    assert [one for one in estate.engine.called if one[0] == "up"] == [("up", "platform"), ("up", "millers")]


def test_people_see_files_changes_and_the_login(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    assert estate.run(*NEW, "--apply") is ExitCode.DONE

    shown = capsys.readouterr().out
    assert shown.startswith("made the cooperative millers:\n")
    assert "millers: 1 created" in shown
    assert derived_password(KEY, user="admin").reveal() in shown


def test_only_images_that_the_lock_does_not_have_are_built(estate: PlayedEstate, built: list[str]) -> None:
    """The lock has those of the solutions, and not the probe's."""
    estate.run(*NEW, "--apply")

    assert built == ["probe"]


def test_what_fails_leaves_the_descriptor_and_apply_goes_on(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    estate.engine.at_up["millers"] = failing("no room")

    assert estate.run(*NEW, "--apply", "--output", "json") is ExitCode.FAILED

    shown = capsys.readouterr()
    assert json.loads(shown.out)["logins"] == []
    assert "no room" in shown.err
    assert descriptor(estate).is_file()
    del estate.engine.at_up["millers"]
    assert estate.run("apply", "millers", "--yes") is ExitCode.DONE


def test_without_apply_only_files_are_written(
    estate: PlayedEstate, built: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run(*NEW) is ExitCode.DONE

    assert "Next: list its members" in capsys.readouterr().err
    assert (estate.engine.called, built) == ([], [])
    assert descriptor(estate).is_file()


def test_events_of_what_is_not_applied_are_refused(estate: PlayedEstate, capsys: pytest.CaptureFixture[str]) -> None:
    assert estate.run(*NEW, "--events") is ExitCode.USAGE

    assert "--events is for --apply" in capsys.readouterr().err
    assert not descriptor(estate).exists()


def test_a_solution_that_needs_members_schemas_has_them_from_the_first_line(estate: PlayedEstate) -> None:
    arguments = ("new", "bakers", "--template", "services", "--display-name", "제과조합")
    assert estate.run(*arguments, "--solution", "portal", "--solution", "member-files") is ExitCode.DONE
    written = (estate.root / "cooperatives" / "bakers.yaml").read_text()
    assert "  dataStore: {postgres: {memberLayout: schema}}\n" in written
    assert estate.run("validate", "bakers") is ExitCode.DONE


def test_solutions_that_keep_members_apart_in_two_ways_are_refused_and_nothing_is_written(
    estate: PlayedEstate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert estate.run(*NEW, "--solution", "ledger", "--solution", "member-files") is ExitCode.USAGE
    assert "choose either member-files or ledger" in capsys.readouterr().err
    assert not descriptor(estate).exists()
