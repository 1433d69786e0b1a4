"""Every coopctl command that the documentation shows is one that coopctl accepts."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click
import pytest

from cli.main import coopctl
from provisioner.engine.events import Event

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
# Pages that coopctl writes itself.
PAGES += sorted((ROOT / "provisioner").rglob("*.md.j2"))
_FILLED = re.compile(r"{{[^}]*}}")


def _shown_commands() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", _FILLED.sub("rice", page.read_text("utf-8")), flags=re.DOTALL):
            for line in block.splitlines():
                command = line.removeprefix("$ ").partition(" | ")[0].partition(" > ")[0].partition(" # ")[0]
                for part in command.split(" && "):
                    if part.startswith("coopctl "):
                        yield str(page.relative_to(ROOT)), part


def _parse(command: click.Command, arguments: list[str], parent: click.Context | None) -> None:
    """Parse as click does, without running anything."""
    name = command.name
    if not isinstance(command, click.Group):
        command.make_context(name, list(arguments), parent=parent)
        return
    context = command.make_context(name, list(arguments), parent=parent)
    child_name, child, remaining = command.resolve_command(context, [*context._protected_args, *context.args])
    assert child is not None, child_name
    _parse(child, remaining, context)


@pytest.mark.parametrize(("page", "line"), sorted(set(_shown_commands())))
def test_a_documented_command_is_accepted(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    if not {"--help", "--version"} & set(words):
        _parse(coopctl, words, None)


def test_every_event_that_a_run_may_tell_is_described() -> None:
    calls = re.compile(r'events_view\.(?:write|line)\(\s*"(\w+)"')
    told = {name for file in (ROOT / "cli").rglob("*.py") for name in calls.findall(file.read_text(encoding="utf-8"))}
    told |= {kind.__name__ for kind in get_args(Event)}
    page = (ROOT / "docs" / "how-to" / "pipelines.md").read_text(encoding="utf-8")
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert told == set(re.findall(r"`([A-Z]\w+)`", rows))
