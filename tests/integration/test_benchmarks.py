"""Every benchmark still works: run small, each says what it measured. Nobody looks at the numbers here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import BENCHMARKS, PAGE
from tests.conftest import open_temporary_folder
from tests.network_namespace import new_network_namespace
from tests.portal_pilots import build_images, copy_pilots

ROOT = Path(__file__).parents[2]
MARKS = {
    "start": [],
    "members": [pytest.mark.servers],
    "copy": [pytest.mark.servers, pytest.mark.long(seconds=25)],
    "outage": [pytest.mark.servers, pytest.mark.long(seconds=25)],
    "verify": [pytest.mark.servers],
    "objects": [pytest.mark.servers, pytest.mark.long(seconds=25)],
    "tenant": [pytest.mark.cluster, pytest.mark.servers, pytest.mark.long(seconds=60)],
    "prove": [pytest.mark.node, pytest.mark.long(seconds=120)],
    # Most of it goes by where the Tryton server's image was never built.
    "onboarding": [pytest.mark.node, pytest.mark.long(seconds=600), pytest.mark.timeout(7200)],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def where_it_runs(request: pytest.FixtureRequest) -> Iterator[None]:
    """A network namespace for a benchmark with a real node, whose images were built outside; else here."""
    if request.node.get_closest_marker("node") is None:
        yield
        return
    network = new_network_namespace()
    with open_temporary_folder() as folder:
        build_images(copy_pilots(folder / "images"))
    with network.inside():
        yield


@pytest.mark.usefixtures("where_it_runs")
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in BENCHMARKS])
def test_a_benchmark_run_small_says_what_it_measured_and_writes_no_page(name: str) -> None:
    page = PAGE.read_bytes()

    done = run("--small", name)

    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines
    for line in lines:
        result: dict[str, Any] = json.loads(line)
        assert set(result) == {"benchmark", "result", "unit", "baseline", "ratio", "runs"}
        assert result["benchmark"].startswith(f"{name}: ")
        assert result["result"] > 0
        assert result["ratio"] > 0
    assert len(done.stdout.splitlines()) > len(lines), "a table for people follows"
    assert PAGE.read_bytes() == page


def test_every_benchmark_is_run_by_make_bench() -> None:
    modules = {path.stem for path in (ROOT / "bench").glob("*.py")} - {"__init__", "__main__"}

    assert modules == set(BENCHMARKS)


def test_an_unknown_benchmark_is_refused_with_the_names_there_are() -> None:
    done = run("--small", "strat")

    assert done.returncode == 2
    assert "start" in done.stderr
