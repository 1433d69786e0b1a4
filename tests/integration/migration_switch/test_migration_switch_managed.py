"""A target whose login is no superuser, as those of managed servers are: there, back, and there again for good."""

from dataclasses import replace

import pytest

from tests.integration.migration_commands.conftest import environment_of
from tests.integration.migration_switch.client import WRITTEN, assert_each_once, writing
from tests.integration.migration_switch.conftest import HOME, NAME, Switching
from tests.postgres_servers import as_user

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=200)]
RIGHTS = "LOGIN CREATEROLE CREATEDB REPLICATION"


@pytest.fixture
def managed(switching_to_newer: Switching) -> Switching:
    """The login owns its database, makes roles and subscriptions, replicates, and has no other right."""
    world = switching_to_newer
    login, server = f"{world.target.database}_mover", world.target_server
    server.execute(f"CREATE ROLE {login} {RIGHTS} PASSWORD 'mover-secret'")
    server.execute(f"GRANT pg_create_subscription TO {login}")
    server.execute(f"ALTER DATABASE {world.target.database} OWNER TO {login}")
    target = as_user(world.target, login, "mover-secret")
    dsn = environment_of(world.source_server, target, key=world.bucket.key)["TARGET_DSN"]
    return replace(world, environment=world.environment | {"TARGET_DSN": dsn})


def test_a_data_store_goes_to_a_managed_server_and_comes_back(managed: Switching) -> None:
    world = managed
    code, found = world.json("migrate", "preflight", NAME)
    assert code == 0, found["problems"]
    assert not [one for one in found["problems"] if "offline" in one["consequence"]], found["problems"]
    world.prepare()
    with writing(world.source, world.target) as client:
        client.until(100)
        code, shown, said = world.run("migrate", "cutover", NAME, "--yes")
        assert code == 0, shown + said
        client.until(100)
        code, shown, said = world.run("migrate", "rollback", NAME, "--yes")
        assert code == 0, shown + said
        client.until(100)
    assert_each_once(client, world.on_source(WRITTEN))
    assert world.led_to()["postgres"] == HOME
    assert world.leftovers() == []
