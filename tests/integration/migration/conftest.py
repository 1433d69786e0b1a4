"""Two PostgreSQL servers: the source is version 15, the target 15 or 18."""

import pytest

from provisioner.migration.postgres_sides import Side
from tests.integration.migration.awkward import make_awkward
from tests.postgres_servers import PostgresServer


@pytest.fixture(params=["target_postgres", "newer_postgres"])
def target_server(request: pytest.FixtureRequest) -> PostgresServer:
    """Both in turn."""
    server: PostgresServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def awkward_source(source_postgres: PostgresServer) -> Side:
    """A database with everything awkward, for tests that only read it."""
    return make_awkward(source_postgres)
