"""What a lost machine has left on the platform's server is shown, and removed when somebody says so."""

import pytest

from provisioner.migration.journal import journal_file
from provisioner.naming import replication_names
from tests.integration.migration_commands.conftest import NAME, World

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=40)]


def _own(moving: World, found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Those of this test: other tests' worlds are on the same server."""
    return [one for one in found if one["mark"] == moving.bucket.tenant.names.uid]


def test_an_open_migration_has_no_orphans_and_a_lost_one_has(moving: World) -> None:
    assert moving.run("migrate", "start", NAME)[0] == 0
    _, found = moving.json("migrate", "orphans")
    assert _own(moving, found["orphans"]) == []

    journal_file(moving.root / ".coopctl", NAME).unlink()
    code, found = moving.json("migrate", "orphans")
    [own] = _own(moving, found["orphans"])
    assert (code, own["cooperative"]) == (11, moving.bucket.tenant.names.cooperative)
    left = own["left"]
    assert isinstance(left, list)
    assert {one["kind"] for one in left} == {"publication", "role", "slot"}
    assert moving.run("migrate", "orphans", "--remove")[0] == 2

    name = replication_names(moving.bucket.tenant.names.uid).subscription
    moving.on_target(f"ALTER SUBSCRIPTION {name} DISABLE")
    assert moving.run("migrate", "orphans", "--remove", "--yes")[0] == 0
    _, found = moving.json("migrate", "orphans")
    assert _own(moving, found["orphans"]) == []
    assert all(one.startswith("subscription") for one in moving.leftovers())
    moving.on_target(f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
    moving.on_target(f"DROP SUBSCRIPTION {name}")
