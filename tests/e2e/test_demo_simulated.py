"""`make demo` where nodes are simulated: what needs pods is left out, with the reason; all else holds."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.descriptor.estate import Estate
from provisioner.embedded import platform
from tests.conftest import open_temporary_folder
from tests.e2e.conftest import run_demo
from tests.portal_pilots import copy_portal_pilots

pytestmark = [pytest.mark.cluster, pytest.mark.long(seconds=60)]


@pytest.fixture(scope="module")
def estate() -> Iterator[Path]:
    """The demo's estate, its cooperatives with the portal alone; what it started is taken away."""
    with open_temporary_folder() as folder:
        yield copy_portal_pilots(folder / "데모 estate")
        platform.down(Estate(root=folder / "데모 estate"), delete=True, report=print)


def path_without(program: str, *, folder: Path) -> str:
    """A PATH with links to all that PATH has, but for one program."""
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        for file in Path(place).glob("*"):
            if file.name != program:
                (folder / file.name).unlink(missing_ok=True)
                (folder / file.name).symlink_to(file)
    assert shutil.which(program, path=str(folder)) is None
    return str(folder)


def test_what_needs_pods_is_left_out_with_the_reason_and_the_rest_holds(estate: Path) -> None:
    shown = run_demo(estate, "--node", "simulated").must_hold().stdout

    assert "4 of 4 claims hold, 2 are left out;" in shown
    assert shown.count("no pod really runs: the node is simulated, because it was asked for") == 2
    assert "left out  the portal's page comes through the ingress" in shown
    assert "FAILED" not in shown


def test_without_psql_the_database_is_asked_all_the_same(estate: Path, tmp_path: Path) -> None:
    path = path_without("psql", folder=tmp_path / "bin")

    shown = run_demo(estate, "--node", "simulated", path=path).must_hold().stdout

    assert "4 of 4 claims hold, 2 are left out;" in shown
    assert "rice_processing_app in rice_processing (psql is not on PATH: asked with psycopg)" in shown
    assert "permission denied for database" in shown
