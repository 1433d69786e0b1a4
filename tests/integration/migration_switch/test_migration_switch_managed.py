"""Servers whose administrators are no superusers, as those of managed ones: there, and back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.integration.migration.moving import managed
from tests.integration.migration_commands.conftest import environment_of
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import AWAY, HOME, NAME, Switching, switching_between
from tests.postgres_servers import PostgresServer, as_user, running_postgres

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=200)]
# No more than a migration needs where nothing awkward is in the database.
RIGHTS = "LOGIN CREATEROLE CREATEDB REPLICATION"


@pytest.fixture
def to_managed(switching_to_newer: Switching) -> Switching:
    """The target's login owns its database, makes roles and subscriptions, replicates, and has no other right."""
    world = switching_to_newer
    login, server = f"{world.target.database}_mover", world.target_server
    server.execute(f"CREATE ROLE {login} {RIGHTS} PASSWORD 'mover-secret'")
    server.execute(f"GRANT pg_create_subscription TO {login}")
    server.execute(f"ALTER DATABASE {world.target.database} OWNER TO {login}")
    target = as_user(world.target, login, "mover-secret")
    dsn = environment_of(world.source_server, target, key=world.bucket.key)["TARGET_DSN"]
    return replace(world, environment=world.environment | {"TARGET_DSN": dsn})


@pytest.fixture
def between_managed(
    newer_postgres: PostgresServer, source_objects: Servers, target_objects: Servers, open_folder: Path, tmp_path: Path
) -> Iterator[Switching]:
    """Both administrators are such logins, the platform's, too; both servers are of version 18."""
    programs = newer_postgres.programs
    with (
        running_postgres(open_folder / "managed-postgres", programs=programs) as source,
        switching_between(source, newer_postgres, source_objects, target_objects, root=tmp_path) as world,
    ):
        here, there = managed(world.source, source), managed(world.target, newer_postgres)
        source.execute(f"GRANT {world.source.database}_owner TO {here.user} WITH INHERIT TRUE, SET TRUE, ADMIN TRUE")
        source.execute(f"GRANT SET ON PARAMETER session_replication_role TO {here.user} WITH GRANT OPTION")
        source.execute(f"GRANT {world.source.database}_app TO {here.user} WITH ADMIN TRUE")
        platform = world.root / "platform.yaml"
        platform.write_text(platform.read_text().replace("user: postgres", f"user: {here.user}"))
        variables = environment_of(source, there, key=world.bucket.key)
        known = {"TARGET_DSN": variables["TARGET_DSN"], "SOURCE_PASSWORD": here.password.reveal()}
        path = {"PATH": f"{programs}:{world.environment.get('PATH', '/usr/bin:/bin')}"}
        yield replace(world, environment=world.environment | known | path)


@pytest.mark.parametrize("way", ["to_managed", "between_managed"])
def test_a_data_store_goes_to_a_managed_server_and_comes_back(way: str, request: pytest.FixtureRequest) -> None:
    world: Switching = request.getfixturevalue(way)
    code, found = world.json("migrate", "preflight", NAME)
    assert code == 0, found["problems"]
    assert not [one for one in found["problems"] if "offline" in one["consequence"]], found["problems"]
    world.prepare()
    with writing(world.source, world.target) as client:
        client.until(100)
        _succeed(world, "cutover", "--yes")
        assert world.led_to()["postgres"] == AWAY
        client.until(100)
        _succeed(world, "verify")
        _succeed(world, "rollback", "--yes")
        client.until(100)
    assert_each_once(client, world.on_source(WRITTEN))
    assert world.led_to()["postgres"] == HOME
    assert world.leftovers() == []


def _succeed(world: Switching, command: str, *options: str) -> None:
    code, shown, said = world.run("migrate", command, NAME, *options)
    assert code == 0, shown + said
