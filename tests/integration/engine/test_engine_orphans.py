"""A cooperative whose descriptor is gone, on the command line: listed, taken away, not doubled under another name."""

import json
from pathlib import Path

import pytest

from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.test_engine_command_line import answered

pytestmark = [pytest.mark.cluster, pytest.mark.servers]


def rename(estate: CliEstate, old: str, new: str, *, display_name: str = "시험조합") -> Path:
    """Give a descriptor another name, and with it the default domain; what people call it only if that is given."""
    folder = estate.root / "cooperatives"
    text = (folder / f"{old}.yaml").read_text()
    (folder / f"{old}.yaml").unlink()
    file = folder / f"{new}.yaml"
    file.write_text(text.replace(old, new).replace("시험조합", display_name))
    return file


@pytest.mark.long(seconds=25)
def test_a_rename_that_changes_the_domain_too_is_refused_and_the_old_one_is_listed(cli_estate: CliEstate) -> None:
    cli_estate.write("before")
    cli_estate.done("apply", "before", "--yes")
    rename(cli_estate, "before", "after")

    planned = cli_estate.run("plan", "after", "--output", "json")
    applied = cli_estate.run("apply", "--all", "--yes", "--output", "json")
    status = cli_estate.run("status", "--all", "--detailed-exitcode", "--output", "json")
    shown = cli_estate.done("status", "--all")

    for refused in (planned, applied):
        assert refused.returncode == 2
        failure = json.loads(refused.stdout)
        assert failure["message"].startswith("after is called 시험조합 like before")
        assert "coopctl destroy before" in failure["hint"]
    (orphan,) = json.loads(status.stdout)["orphans"]
    assert status.returncode == 11
    assert (orphan["stack"], orphan["displayName"], orphan["domain"]) == ("before", "시험조합", "before.example.kr")
    assert "coopctl destroy before" in orphan["remedy"]
    assert "has no descriptor" in shown
    assert "coopctl destroy before" in shown
    assert cli_estate.maker.sql("SELECT 1 FROM pg_database WHERE datname = 'after'") == []


@pytest.mark.long(seconds=45)
def test_something_new_beside_an_orphan_is_asked_about_and_destroy_settles_it(cli_estate: CliEstate) -> None:
    cli_estate.write("gone")
    cli_estate.done("apply", "gone", "--yes")
    rename(cli_estate, "gone", "fresh", display_name="새 조합")

    planned = cli_estate.run("plan", "--all", "--output", "json")
    unanswered = cli_estate.run("apply", "fresh")
    denied, question = answered(cli_estate, "n", "apply", "fresh")
    nothing = cli_estate.maker.sql("SELECT 1 FROM pg_database WHERE datname = 'fresh'")
    agreed = cli_estate.run("apply", "--all", "--yes", "--output", "json")
    destroyed = cli_estate.done("destroy", "gone", "--yes")
    settled = json.loads(cli_estate.done("status", "--all", "--detailed-exitcode", "--output", "json"))

    assert planned.returncode == 0
    assert [orphan["stack"] for orphan in json.loads(planned.stdout)["orphans"]] == ["gone"]
    assert "warning: fresh has no stack yet, and gone is applied without a descriptor" in planned.stderr
    assert unanswered.returncode == 2
    assert denied == 8
    assert "Is it new?" in question
    assert nothing == []
    assert agreed.returncode == 0
    assert "warning: fresh has no stack yet" in agreed.stderr
    assert [orphan["stack"] for orphan in json.loads(agreed.stdout)["orphans"]] == ["gone"]
    assert "data are kept" in destroyed
    assert settled["orphans"] == []
    namespaces = cli_estate.maker.world.kubectl("get", "namespaces", "-o", "name")
    assert "namespace/gone-apps" not in namespaces
    assert "namespace/fresh-apps" in namespaces


@pytest.mark.long(seconds=30)
def test_the_only_cooperative_that_is_left_is_shown_and_destroyed_without_its_descriptor(cli_estate: CliEstate) -> None:
    cli_estate.write("lonely-one")
    cli_estate.done("apply", "lonely-one", "--yes")
    (cli_estate.root / "cooperatives" / "lonely-one.yaml").unlink()

    shown = cli_estate.run("status", "--all", "--output", "json")
    cli_estate.done("destroy", "lonely-one", "--yes")
    again = cli_estate.run("status", "--all")

    assert [orphan["stack"] for orphan in json.loads(shown.stdout)["orphans"]] == ["lonely-one"]
    assert json.loads(shown.stdout)["stacks"] == []
    assert again.returncode == 6
