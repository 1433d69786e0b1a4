"""The tutorials' commands, run one after the other as they stand in the pages."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform
from tests.conftest import open_temporary_folder
from tests.network_namespace import NetworkNamespace
from tests.portal_pilots import build_images, copy_portal_pilots

pytestmark = pytest.mark.node
PAGES = Path(__file__).parents[2] / "docs" / "tutorials"
FIRST, MOVING = "first-cooperative.md", "move-a-data-store.md"
PASSWORD = Path(".coopctl/embedded/secrets/postgres-admin-password")
SHOWN_ESTATE = "/srv/estate"
# These ask; the reader answers, the test says yes beforehand.
ASKING = (
    "coopctl apply",
    "coopctl destroy",
    "coopctl dev down --delete",
    "coopctl migrate cutover",
    "coopctl migrate rollback",
)


@pytest.fixture
def estate(network: NetworkNamespace) -> Iterator[Path]:
    """The folder that stands for the tutorial's, where a real node is possible; what was started is taken away."""
    with open_temporary_folder() as folder:
        build_images(copy_portal_pilots(folder / "images"))
        with network.inside():
            yield folder / "estate"
            platform.down(Estate(root=folder / "estate"), delete=True, report=lambda _: None)


def _commands(page: str) -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(("coopctl ", "psql "))]


def _run(command: str, *, estate: Path) -> str:
    """Run a line in a shell, as the reader does, with the password that the page has put into the environment."""
    password = estate / PASSWORD
    line = command.replace(SHOWN_ESTATE, shlex.quote(str(estate)))
    done = subprocess.run(
        ["/bin/bash", "-c", f"{line} --yes" if command.startswith(ASKING) else line],
        cwd=estate if estate.exists() else estate.parent,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PGPASSWORD": password.read_text().strip() if password.exists() else "",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.long(seconds=150)
def test_the_tutorial_runs_as_it_is_written(estate: Path) -> None:
    descriptor = estate / "cooperatives" / "bakers.yaml"
    plans: list[str] = []
    for command in _commands(FIRST):
        if command == "coopctl plan bakers" and plans:
            text = descriptor.read_text(encoding="utf-8")
            assert "size: small" in text
            descriptor.write_text(text.replace("size: small", "size: medium"), encoding="utf-8")
        shown = _run(command, estate=estate)
        if command == "coopctl plan bakers":
            plans.append(shown)
    create, resize = plans
    assert "postgres-database" in create
    assert "resourcequota" in resize
    assert "postgres-database" not in resize
    assert not (estate / ".coopctl" / "embedded").exists()


@pytest.mark.long(seconds=300)
def test_a_data_store_moves_and_comes_back_as_the_second_tutorial_says(estate: Path) -> None:
    first = _commands(FIRST)
    for command in first[: first.index("coopctl status bakers") + 1]:
        _run(command, estate=estate)
    shown = {command: _run(command, estate=estate) for command in _commands(MOVING)}

    assert "moved by bakers-target" in shown["coopctl status bakers"]
    [found] = (said for command, said in shown.items() if "SELECT" in command)
    assert ("1 | 사워도우" in found, "2 | 단팥빵" in found) == (True, True)
    assert "bakers-target" in shown["coopctl migrate report bakers-target --language ko"]
