"""A migration's pod as a process here: it has the pod's estate and credentials, and nothing of who made them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from provisioner.datastore.postgres_connection import Connection
from provisioner.migration.postgres_sides import conninfo
from provisioner.operations.migration_pod_access import PodAccess
from provisioner.operations.migration_site import IN_PLATFORM
from tests.integration.conftest import Between
from tests.integration.migration_commands.conftest import AWorld, World
from tests.postgres_servers import as_user


def reach_as_pods(world: World, between: Between) -> None:
    """Say in the estate that pods reach the servers where this process does."""
    platform = world.root / "platform.yaml"
    text = platform.read_text().replace("10.0.5.10, port: 5432", f"127.0.0.1, port: {between.source.port}")
    port = between.objects.objects_url.rpartition(":")[2]
    platform.write_text(text.replace("10.0.5.20, port: 8333", f"127.0.0.1, port: {port}"))


def pod_of(world: AWorld, files: Mapping[str, str], *, folder: Path) -> AWorld:
    """The pod: its estate is ``files``, and its environment has none of the credentials."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return replace(world, root=folder, environment={IN_PLATFORM: "1"})


def as_job(world: World, access: PodAccess) -> Connection:
    """A session of the Job's login."""
    side = as_user(world.source, access.login, access.password.reveal())
    return psycopg.connect(conninfo(side), autocommit=True)


def now() -> datetime:
    """The time, with a zone."""
    return datetime.now(UTC)
