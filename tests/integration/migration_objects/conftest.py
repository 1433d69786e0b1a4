"""Two S3 servers that really run, and a cooperative's bucket on one with an empty bucket on the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.embedded.objects import ObjectsPart
from tests.conftest import Servers, running_servers
from tests.integration.migration_objects.worlds import Move


@pytest.fixture(scope="session")
def source_server(open_folder: Path) -> Iterator[Servers]:
    """The platform's S3 server."""
    with running_servers(open_folder / "source", run=open_folder / "run-source", parts=(ObjectsPart(),)) as running:
        yield running


@pytest.fixture(scope="session")
def target_server(open_folder: Path) -> Iterator[Servers]:
    """The cooperative's own S3 server."""
    with running_servers(open_folder / "target", run=open_folder / "run-target", parts=(ObjectsPart(),)) as running:
        yield running


@pytest.fixture
def move(source_server: Servers, target_server: Servers, tmp_path: Path) -> Iterator[Move]:
    """A bucket that keeps versions, and an empty one to move to."""
    made = Move(source_server, target_server, folder=tmp_path, versioning=True)
    yield made
    made.remove()


@pytest.fixture
def plain(source_server: Servers, target_server: Servers, tmp_path: Path) -> Iterator[Move]:
    """A bucket that never kept versions, and an empty one to move to."""
    made = Move(source_server, target_server, folder=tmp_path, versioning=False)
    yield made
    made.remove()
