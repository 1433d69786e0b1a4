"""Servers that a data store moves between: the platform's and a cooperative's own, running for the whole session."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples.postgres_18 import unpack_programs
from provisioner.embedded.objects import ObjectsPart
from tests.conftest import Servers, running_servers
from tests.postgres_servers import PostgresServer, running_postgres


@dataclass(frozen=True, kw_only=True)
class Between:
    """The servers of both sides; one S3 server has both buckets."""

    source: PostgresServer
    target: PostgresServer
    objects: Servers


@pytest.fixture
def unclosed_collected() -> Iterator[None]:
    """What Pulumi leaves unclosed in a test is collected in it, where that is known, and not in some later test."""
    yield
    gc.collect()


@pytest.fixture(scope="session")
def source_postgres(open_folder: Path) -> Iterator[PostgresServer]:
    """The platform's PostgreSQL server, version 15."""
    with running_postgres(open_folder / "source-postgres") as server:
        yield server


@pytest.fixture(scope="session")
def target_postgres(open_folder: Path) -> Iterator[PostgresServer]:
    """A cooperative's PostgreSQL server of the same version."""
    with running_postgres(open_folder / "target-postgres") as server:
        yield server


@pytest.fixture(scope="session")
def newer_postgres(open_folder: Path) -> Iterator[PostgresServer]:
    """A cooperative's PostgreSQL server of version 18."""
    programs = unpack_programs(open_folder / "postgres-18")
    with running_postgres(open_folder / "newer-postgres", programs=programs) as server:
        yield server


@pytest.fixture(scope="session")
def source_objects(open_folder: Path) -> Iterator[Servers]:
    """The platform's S3 server."""
    folder = open_folder / "source-objects"
    with running_servers(folder, run=open_folder / "run-source-objects", parts=(ObjectsPart(),)) as running:
        yield running


@pytest.fixture(scope="session")
def target_objects(open_folder: Path) -> Iterator[Servers]:
    """A cooperative's own S3 server."""
    folder = open_folder / "target-objects"
    with running_servers(folder, run=open_folder / "run-target-objects", parts=(ObjectsPart(),)) as running:
        yield running


@pytest.fixture(scope="session")
def between(source_postgres: PostgresServer, target_postgres: PostgresServer, source_objects: Servers) -> Between:
    """Two PostgreSQL servers of one version, and an S3 server."""
    return Between(source=source_postgres, target=target_postgres, objects=source_objects)
