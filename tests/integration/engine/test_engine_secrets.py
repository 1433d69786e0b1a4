"""No secret shows in clear anywhere: state, working folders, plans, logs, answers, events, `ps`, environments."""

import base64
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.engine.conftest import CliEstate
from tests.integration.engine.killing import Boundary, Kill, kill, reach, working_folder
from tests.integration.engine.secrecy import Secret, Sweep, all_secrets, pulumi_home

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
APPLY = ("apply", "--yes", "--events", "--output", "json", "--timeout", "0")
MIDDLE = Boundary(resource="objects-identity", kind="Identity", moment="Done")
PLACES = {
    "command lines",
    "environments",
    "estate",
    "logs",
    "outputs of children",
    "Pulumi's home",
    "stderr",
    "stdout",
    "temporary files",
}
# Shows a secret in every place that is watched while a command runs: its form, its parent's folder for temporary files.
PLANTER = """
import os, pathlib, subprocess, sys, time, urllib.parse, base64
secret, folder = sys.argv[1], pathlib.Path(os.environ["TMPDIR"])
print(secret)
print(base64.b64encode(b"x" + secret.encode()).decode(), file=sys.stderr)
brief = folder / "brief"
brief.write_text(urllib.parse.quote(secret, safe=""))
with (folder / "output").open("w+") as output:
    os.unlink(output.name)
    code = "import time; print('" + secret + "', flush=True); time.sleep(1)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=output, env={"SHOWN": secret})
    child.wait()
brief.unlink()
"""


@pytest.fixture
def sweep(cli_estate: CliEstate, open_folder: Path) -> Sweep:
    """A sweep over an estate whose coopctl keeps temporary files in a folder of its own."""
    temporary = open_folder / f"temporary-{cli_estate.maker.cluster_id}"
    temporary.mkdir()
    cli_estate.variables["TMPDIR"] = str(temporary)
    return Sweep(estate=cli_estate, temporary=temporary)


def applied_after_a_kill(sweep: Sweep, name: str) -> None:
    """Apply ``name``, killed in the middle once."""
    process = sweep.estate.start(*APPLY, name)
    with sweep.watching(process):
        reach(process, MIDDLE, stack=name)
        kill(process, Kill.EVERYTHING, folder=working_folder(sweep.estate, name))
    assert sweep.run(*APPLY, name).returncode == 0


@pytest.mark.long(seconds=70)
def test_no_secret_shows_anywhere_in_the_whole_life_of_a_cooperative(sweep: Sweep) -> None:
    estate, plan = sweep.estate, str(sweep.estate.root / "plan.json")
    estate.write("secretive", solutions=["portal"])
    applied_after_a_kill(sweep, "secretive")
    estate.write("secretive", size="medium", solutions=["portal"])
    done = [
        sweep.run("plan", "secretive", "--out", plan, "--events", "--output", "json"),
        sweep.run("apply", "--plan", plan, "--yes", "--timeout", "0"),
        sweep.run("status", "secretive", "--output", "json"),
        sweep.run("render", "secretive"),
        sweep.run("explain", "secretive", "--output", "json"),
    ]
    in_use = all_secrets(estate, "secretive")
    done.append(sweep.run("destroy", "secretive", "--yes", "--events", "--output", "json"))

    assert [run.returncode for run in done] == [0] * len(done), [run.stderr for run in done]
    assert sweep.found(in_use) == []
    assert set(sweep.seen) >= PLACES - {"temporary files"}


def test_the_sweep_finds_what_shows_in_any_place(sweep: Sweep) -> None:
    planted = Secret(name="planted", value=f"{secrets.token_urlsafe(24)}+/ ")
    files = [
        sweep.estate.root / ".coopctl" / "state" / "planted",
        pulumi_home() / f"planted-{sweep.estate.maker.cluster_id}",
        *(folder / "logs" / "planted.log" for folder in sweep.estate.maker.world.folders),
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", PLANTER, planted.value],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=sweep.estate.environment(),
        encoding="utf-8",
    )
    with sweep.watching(process):
        stdout, stderr = process.communicate()
    sweep.keep("stdout", stdout)
    sweep.keep("stderr", stderr)
    try:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"key={planted.value};")
        found = sweep.found([planted])
    finally:
        for file in files:
            file.unlink(missing_ok=True)

    assert {place for _, _, place in found} == PLACES
    assert {form for _, form, place in found if place == "temporary files"} >= {"URL-quoted"}
    assert {form for _, form, place in found if place == "stderr"} >= {"base64 at 1"}


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", '{"k": "'])
def test_a_secret_is_found_within_base64_wherever_it_begins(before: str) -> None:
    secret = Secret(name="planted", value=secrets.token_urlsafe(24))
    text = base64.b64encode(f"{before}{secret.value} and more".encode()).decode()

    assert [form for form, looked_for in secret.forms().items() if looked_for in text]
