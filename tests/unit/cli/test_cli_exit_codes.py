"""Every documented exit code is reached by a command."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.engine.events import Operation
from provisioner.errors import ExitCode, StackLocked
from provisioner.naming import LABEL_SOLUTION
from tests.unit.cli.without_servers import (
    PlayedEngine,
    PlayedEstate,
    cooperative,
    created,
    failing,
    played_estate,
    raising,
    type_at_terminal,
)

PORTAL = "[{name: portal}]"
STRANGER = {"metadata": {"name": "rice-apps", "labels": {"team": "somebody-else"}}}
NEVER_READY = {
    "metadata": {
        "name": "portal",
        "namespace": "rice-apps",
        "generation": 1,
        "labels": {LABEL_SOLUTION: "portal"},
    },
    "spec": {"replicas": 2},
    "status": {"observedGeneration": 1},
}


@pytest.fixture
def estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedEstate]:
    """Two cooperatives, one with a solution; the platform's own stack is applied."""
    texts = {"rice": cooperative("rice", solutions=PORTAL), "tea": cooperative("tea")}
    with played_estate(tmp_path / "우리 estate", monkeypatch, cooperatives=texts) as made:
        assert made.run("platform", "apply", "--yes") is ExitCode.DONE
        yield made


def interrupt(engine: PlayedEngine) -> None:
    """A SIGINT while Pulumi works; it finishes what is in flight."""
    os.kill(os.getpid(), signal.SIGINT)
    # Python hears of it in the main thread; stacks are worked on in others.
    while not engine.interruption.signals:
        time.sleep(0.01)
    engine.interruption.check()


@dataclass(frozen=True, kw_only=True)
class Row:
    """A command, its exit code and what it says; what is arranged before it, and what is typed at a terminal."""

    code: ExitCode
    arguments: str
    said: str
    arrange: Callable[[PlayedEstate], object] = lambda _: None
    typed: str | None = None


ROWS = (
    Row(code=ExitCode.DONE, arguments="apply tea --yes", said="tea: 1 created"),
    Row(
        code=ExitCode.FAILED,
        arguments="apply tea --yes",
        said="error: no room",
        arrange=lambda estate: estate.engine.at_up.update(tea=failing()),
    ),
    Row(code=ExitCode.USAGE, arguments="apply tea --colour red", said="error: No such option"),
    Row(code=ExitCode.USAGE, arguments="apply tea --yes --timeout nan", said="'nan' is not a number of seconds"),
    Row(code=ExitCode.USAGE, arguments="apply tea --yes --timeout -1", said="-1.0 is not in the range"),
    Row(
        code=ExitCode.USAGE,
        arguments="validate",
        said="error: 1 problem in 1 file",
        arrange=lambda estate: estate.world.write("cooperatives/tea.yaml", "kind: ["),
    ),
    Row(
        code=ExitCode.NOT_PERMITTED,
        arguments="apply rice --yes",
        said="the namespace rice-apps exists already and does not belong to rice",
        arrange=lambda estate: estate.cluster.objects.update(Namespace=[STRANGER]),
    ),
    Row(
        code=ExitCode.PARTLY_FAILED,
        arguments="apply rice tea --yes --timeout 0",
        said="rice: 1 created",
        arrange=lambda estate: estate.engine.at_up.update(tea=failing()),
    ),
    Row(
        code=ExitCode.POLICY,
        arguments="plan tea --max-destroy 0",
        said="1 resources would be deleted or replaced; --max-destroy allows 0",
        arrange=lambda estate: estate.engine.changes.update(tea=created("tea", operation=Operation.DELETE)),
    ),
    Row(code=ExitCode.NOT_FOUND, arguments="apply tee --yes", said="hint: did you mean 'tea'?"),
    Row(
        code=ExitCode.CANCELLED,
        arguments="apply tea",
        said="error: answered no; nothing was changed",
        typed="n",
    ),
    Row(
        code=ExitCode.TIMED_OUT,
        arguments="apply rice --yes --timeout 0.01",
        said="Deployment portal: 0 of 2 ready",
        arrange=lambda estate: estate.cluster.objects.update(Deployment=[NEVER_READY]),
    ),
    Row(code=ExitCode.CHANGES, arguments="plan tea --detailed-exitcode", said="tea: 1 to create"),
    Row(code=ExitCode.PROBLEMS, arguments="dev status", said="was never started"),
    Row(
        code=ExitCode.INTERRUPTED,
        arguments="apply tea --yes",
        said="hint: run the same command to go on",
        arrange=lambda estate: estate.engine.at_up.update(tea=interrupt),
    ),
    Row(
        code=ExitCode.LOCKED,
        arguments="apply tea --yes",
        said="coopctl unlock NAME",
        arrange=lambda estate: estate.engine.at_up.update(tea=raising(StackLocked("tea is locked by pid 7"))),
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code} {row.arguments}")
def test_a_command_ends_with_the_documented_code(
    estate: PlayedEstate, row: Row, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    row.arrange(estate)
    if row.typed is not None:
        type_at_terminal(row.typed, monkeypatch)

    code = estate.run(*row.arguments.split())

    shown = capfd.readouterr()
    assert code is row.code, shown.err
    assert row.said in shown.out + shown.err


def test_the_table_reaches_every_documented_code_and_no_other() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    assert documented == set(ExitCode)
    assert {row.code for row in ROWS} == documented
