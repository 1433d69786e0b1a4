"""What holds for the whole command line: exit codes, failures in both forms, help, the generated reference."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli import main, reference
from provisioner import errors
from provisioner.errors import ExitCode

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def _commands(command: click.Command, path: str = "coopctl") -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += _commands(child, f"{path} {name}")
    return found


def test_an_unknown_command_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["aply"]) is ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "did you mean 'apply'?" in shown.err


@pytest.mark.parametrize("group", ["", "dev", "migrate"])
def test_a_group_alone_shows_its_commands_and_is_no_answer(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(group.split()) is ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("Usage: coopctl")
    assert "\n\nCommands:\n" in shown.err
    path = f"coopctl {group}".strip()
    assert shown.err.endswith(f"\n\nerror: {path} needs a command\nhint: run `{path} --help`\n")


def test_a_failure_is_one_json_document_where_json_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["validate", "--output", "json", "--estate", "/nonexistent"]) is ExitCode.NOT_FOUND
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert (document["apiVersion"], document["kind"], document["exitCode"]) == ("coopctl.dev/v1", "Error", 6)
    assert "coopctl init" in document["hint"]


@pytest.mark.parametrize(("path", "command"), _commands(main.coopctl))
def test_every_command_has_help_with_an_example(path: str, command: click.Command) -> None:
    text = command.get_help(click.Context(command, info_name=path, parent=reference.root_context()))
    assert "Example" in text
    assert command.get_short_help_str()


@pytest.mark.parametrize(("path", "command"), _commands(main.coopctl))
def test_every_command_answers_as_json_if_asked(path: str, command: click.Command) -> None:
    if isinstance(command, click.Group):
        return
    assert any("--output" in parameter.opts for parameter in command.params), path


LONG_RUNS = (
    "plan",
    "apply",
    "status",
    "destroy",
    "platform plan",
    "platform apply",
    "platform status",
    "drift",
    "prove",
    "unlock",
    "new",
    "dev up",
    "dev down",
    "dev target",
    "toolchain install",
    "toolchain export",
    "toolchain import",
    "images build",
    "images push",
    "catalogue verify",
    "catalogue mirror",
    "migrate preflight",
    "migrate plan",
    "migrate start",
    "migrate verify",
    "migrate rehearse",
    "migrate abort",
    "migrate cutover",
    "migrate relay",
    "migrate rollback",
    "migrate finalise",
    "migrate erase",
    "migrate orphans",
)


@pytest.mark.parametrize("name", LONG_RUNS)
def test_every_long_run_can_tell_itself_as_events(name: str) -> None:
    command = dict(_commands(main.coopctl))[f"coopctl {name}"]
    assert any("--events" in parameter.opts for parameter in command.params)


def test_every_exit_code_has_a_meaning() -> None:
    assert set(errors.EXIT_CODE_MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_the_committed_reference_is_current(name: str) -> None:
    assert (REFERENCE / name).read_text(encoding="utf-8") == reference.pages()[name], "run `make docs`"


@pytest.mark.parametrize("module", ["pulumi", "kubernetes", "boto3", "psycopg", "pydantic", "rich", "jinja2"])
def test_help_imports_nothing_heavy(module: str) -> None:
    code = f"import sys; from cli import main; main.run(['--help']); sys.exit({module!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
