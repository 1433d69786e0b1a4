"""The commands that work on stacks, called as processes: answers, exit codes, JSON, questions."""

import json
import os
import pty
from pathlib import Path

import pytest

from tests.integration.engine.conftest import CliEstate, World, new_maker

pytestmark = [pytest.mark.cluster, pytest.mark.servers]


@pytest.mark.long(seconds=90)
def test_the_whole_life_of_a_cooperative_on_the_command_line(cli_estate: CliEstate) -> None:
    cli_estate.write("lively")
    planned = cli_estate.run("plan", "lively", "--detailed-exitcode", "--output", "json")
    refused = cli_estate.run("apply", "lively")
    applied = json.loads(cli_estate.done("apply", "lively", "--yes", "--output", "json"))
    settled = cli_estate.run("plan", "lively", "--detailed-exitcode")
    compared = cli_estate.run("plan", "lively", "--detailed-exitcode", "--refresh")
    status = json.loads(cli_estate.done("status", "lively", "--detailed-exitcode", "--output", "json"))
    platform = cli_estate.done("platform", "plan", "--detailed-exitcode")
    not_typed = cli_estate.run("destroy", "lively")
    destroyed = cli_estate.done("destroy", "lively", "--yes")
    again = cli_estate.done("destroy", "lively", "--yes")

    assert planned.returncode == 10
    assert json.loads(planned.stdout)["changes"] is True
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert [stack["stack"] for stack in applied["stacks"]] == ["platform", "lively"]
    assert applied["failed"] == 0
    assert (settled.returncode, compared.returncode) == (0, 0)
    assert "not compared with the world" in settled.stdout
    assert "not compared" not in compared.stdout
    assert status["stacks"][0]["healthy"] is True
    assert {part["name"] for part in status["stacks"][0]["namespaces"]} == {"lively-apps", "lively-data"}
    assert "platform: no changes" in platform
    assert not_typed.returncode == 2
    assert "data are kept" in destroyed
    assert "nothing was left to take away" in again


def test_mistakes_are_refused_with_their_codes(cli_estate: CliEstate) -> None:
    cli_estate.write("known")

    nothing = cli_estate.run("plan")
    unknown = cli_estate.run("plan", "knwon", "--output", "json")
    selector = cli_estate.run("plan", "-l", "colour=red")
    nobody = cli_estate.run("plan", "-l", "sector=plastics")
    platform = cli_estate.run("destroy", "platform", "--yes")
    unapplied = cli_estate.run("unlock", "known")

    assert [run.returncode for run in (nothing, unknown, selector, nobody, platform, unapplied)] == [2, 6, 2, 6, 2, 6]
    assert json.loads(unknown.stdout)["hint"]
    assert "known" in json.loads(unknown.stdout)["hint"]


def test_a_server_that_does_not_answer_is_named_with_the_remedy(cli_estate: CliEstate) -> None:
    cli_estate.write("lonely")
    platform = cli_estate.root / "platform.yaml"
    port = str(cli_estate.maker.world.servers.postgres_port)
    platform.write_text(platform.read_text().replace(f"port: {port}", "port: 1"))

    run = cli_estate.run("apply", "lonely", "--yes")

    assert run.returncode == 1
    assert "PostgreSQL" in run.stderr
    assert "hint:" in run.stderr


@pytest.mark.long(seconds=50)
def test_a_saved_plan_is_applied_once_and_refused_after_any_change(cli_estate: CliEstate) -> None:
    cli_estate.write("planned")
    file = cli_estate.root / "plan.json"
    cli_estate.done("plan", "planned", "--out", str(file))
    text = file.read_text()

    cli_estate.done("apply", "--plan", str(file), "--yes", "--timeout", "0")
    stale = cli_estate.run("apply", "--plan", str(file), "--yes")
    cli_estate.done("plan", "planned", "--out", str(file))
    cli_estate.write("planned", size="large")
    changed = cli_estate.run("apply", "--plan", str(file), "--yes")

    assert json.loads(text)["kind"] == "SavedPlan"
    assert (stale.returncode, changed.returncode) == (11, 11)
    assert "applied since" in stale.stderr
    assert "descriptor" in changed.stderr
    assert [secret for secret in cli_estate.maker.admin_secrets() if secret in text] == []


@pytest.mark.long(seconds=30)
def test_a_failed_cooperative_does_not_stop_the_others(cli_estate: CliEstate) -> None:
    cli_estate.write("first-good", "second-bad", "third-good")

    with cli_estate.maker.foreign_database("second_bad"):
        run = cli_estate.run("apply", "--all", "--yes", "--output", "json")

    stacks = {stack["stack"]: stack for stack in json.loads(run.stdout)["stacks"]}
    assert run.returncode == 4
    assert "error" in stacks["second-bad"]
    assert "error" not in stacks["first-good"]
    assert "error" not in stacks["third-good"]
    assert "belongs to" in run.stderr or "bears no mark" in run.stderr


@pytest.mark.long(seconds=40)
def test_more_deletions_than_allowed_stop_the_run_before_any_change(cli_estate: CliEstate) -> None:
    cli_estate.write("limited")
    descriptor = cli_estate.root / "cooperatives" / "limited.yaml"
    text = descriptor.read_text()
    egress = "egress: [{cidr: 203.0.113.0/24, ports: [443], why: office}]"
    descriptor.write_text(text.replace("domain: limited.example.kr", f"domain: limited.example.kr, {egress}"))
    cli_estate.done("apply", "limited", "--yes")
    descriptor.write_text(text)

    refused = cli_estate.run("apply", "limited", "--yes", "--max-destroy", "0")
    allowed = cli_estate.run("apply", "limited", "--yes", "--max-destroy", "1")

    assert refused.returncode == 5
    assert "--max-destroy" in refused.stderr
    assert allowed.returncode == 0


def test_events_are_json_lines_and_hold_no_secret(cli_estate: CliEstate) -> None:
    cli_estate.write("eventful")

    run = cli_estate.run("apply", "eventful", "--yes", "--events", "--output", "json")

    events = [json.loads(line) for line in run.stderr.splitlines()]
    assert {"StackStarted", "ResourceStarted", "ResourceDone", "StackFinished"} <= {event["event"] for event in events}
    secrets = cli_estate.maker.secret_values("eventful-apps", "data-store", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY")
    told = run.stdout + run.stderr
    assert [secret for secret in [*secrets, *cli_estate.maker.admin_secrets()] if secret in told] == []


@pytest.mark.long(seconds=60)
def test_an_estate_lives_at_any_path_and_leaves_nothing_beside_it(
    world: World, open_folder: Path, request: pytest.FixtureRequest
) -> None:
    folder = open_folder / "any path"
    estate = CliEstate(
        maker=new_maker(world, folder, nodeid=request.node.nodeid, name="쌀 {} 100%25 #1?metadata=a&'b' $HOME ~")
    )
    estate.write("anywhere")
    plan = estate.root / "계획 #1.json"

    estate.done("plan", "anywhere", "--out", str(plan))
    estate.done("apply", "--plan", str(plan), "--yes")
    settled = estate.run("plan", "anywhere", "--refresh", "--detailed-exitcode")
    healthy = json.loads(estate.done("status", "anywhere", "--output", "json"))["stacks"][0]["healthy"]
    kept = [path.name for path in (estate.root / ".coopctl" / "state" / ".pulumi" / "stacks").rglob("anywhere.json")]
    estate.done("destroy", "anywhere", "--yes")

    assert settled.returncode == 0, settled.stderr
    assert healthy is True
    assert kept == ["anywhere.json"]
    assert list(folder.iterdir()) == [estate.root]


def answered(cli_estate: CliEstate, answer: str, *arguments: str) -> tuple[int, str]:
    """Run coopctl on a terminal, answer its question, and give its exit code and what it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = cli_estate.command(arguments)
        os.execve(command[0], command, {**cli_estate.environment(), "TERM": "dumb", "NO_COLOR": "1"})  # noqa: S606 - a child on a terminal
    shown = b""
    while b"[y/N]" not in shown and b"to go on" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, f"{answer}\n".encode())
    while chunk := _read(terminal):
        shown += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


@pytest.mark.long(seconds=30)
def test_apply_shows_the_plan_and_asks_and_no_changes_nothing(cli_estate: CliEstate) -> None:
    cli_estate.write("asked")

    refused, shown = answered(cli_estate, "n", "apply", "asked")
    stacks = cli_estate.maker.site().engine.stacks()
    agreed, _ = answered(cli_estate, "y", "apply", "asked")
    misspelt, question = answered(cli_estate, "askde", "destroy", "asked")

    assert refused == 8
    assert "+ apps-namespace" in shown
    assert stacks == ()
    assert agreed == 0
    assert misspelt == 8
    assert "This takes away asked" in question
    assert "asked" in cli_estate.maker.site().engine.stacks()
