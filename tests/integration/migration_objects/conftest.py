"""A cooperative's bucket on one with an empty bucket on the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.integration.migration_objects.worlds import Move


@pytest.fixture
def move(source_objects: Servers, target_objects: Servers, tmp_path: Path) -> Iterator[Move]:
    """A bucket that keeps versions, and an empty one to move to."""
    made = Move(source_objects, target_objects, folder=tmp_path, versioning=True)
    yield made
    made.remove()


@pytest.fixture
def plain(source_objects: Servers, target_objects: Servers, tmp_path: Path) -> Iterator[Move]:
    """A bucket that never kept versions, and an empty one to move to."""
    made = Move(source_objects, target_objects, folder=tmp_path, versioning=False)
    yield made
    made.remove()
