"""What a lost machine has left on the platform's server is shown, and removed when somebody says so."""

import psycopg
import pytest

from provisioner.datastore.marks import to_comment
from provisioner.migration.journal import journal_file
from provisioner.migration.objects_fence import Application, Fencing
from provisioner.migration.postgres_sides import conninfo
from provisioner.naming import replication_names
from tests.integration.migration_commands.conftest import NAME, World
from tests.integration.migration_objects.worlds import now
from tests.postgres_servers import as_user

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


def test_a_fence_that_nobody_lifted_is_named_and_opened(moving: World) -> None:
    names, bucket = moving.bucket.tenant.names, moving.bucket
    role, mark = names.application_role, moving.bucket.tenant.mark
    moving.source_server.execute(f"COMMENT ON ROLE {role} IS '{to_comment(mark)}'")
    moving.source_server.execute(f"ALTER ROLE {role} NOLOGIN")
    application = Application(identity=bucket.identity, bucket=bucket.app)
    Fencing(of=bucket.admin, applications=(application,), clock=now).put()

    _, found = moving.json("migrate", "orphans")
    [own] = _own(moving, found["orphans"])
    assert own["left"] == [
        {"kind": "fenced bucket", "name": names.bucket, "database": ""},
        {"kind": "fenced role", "name": role, "database": names.database},
    ]
    code, found = moving.json("doctor")
    assert code == 11
    told = [one["found"] for one in found["findings"] if one["subject"] == "migrations"]
    assert any(role in one and f"fenced bucket {names.bucket}" in one for one in told)

    assert moving.run("migrate", "orphans", "--remove", "--yes")[0] == 0
    _, found = moving.json("migrate", "orphans")
    assert _own(moving, found["orphans"]) == []
    bucket.put("open again", b"1")
    with psycopg.connect(conninfo(as_user(moving.source, role, "app-secret"))):
        """It is let in."""
