"""What the status says about sizes: how much is used, and whether writes are really stopped."""

from typing import Any, cast

import pytest

from provisioner.datastore.objects_memory import MemoryObjects
from provisioner.datastore.postgres_memory import EMPTY_DATABASE_BYTES, MemoryPostgres
from provisioner.datastore.postgres_privileges import ObjectKind, SqlObject
from provisioner.operations.health import Readers, read_health, size_problems
from provisioner.plan.resources import CooperativePlan, RoleKind
from tests.data_stores import Tenant, new_tenant


@pytest.mark.parametrize(
    ("percent", "writable", "problems"),
    [
        (79, True, []),
        (80, True, ["x uses 80% of what it may"]),
        (99, True, ["x uses 99% of what it may"]),
        # The limit itself may be used: writes are stopped past it.
        (100, True, ["x uses 100% of what it may"]),
        (101, True, ["x uses 101% of what it may; the next apply stops writes"]),
        (101, False, ["x uses 101% of what it may; writes are stopped"]),
        (100, False, ["writes to x are stopped although it has room; the next apply gives them back"]),
        (79, False, ["writes to x are stopped although it has room; the next apply gives them back"]),
    ],
)
def test_writes_are_said_to_be_stopped_only_where_they_are(percent: int, writable: bool, problems: list[str]) -> None:
    assert size_problems("x", size=percent * 10, limit=1000, writable=writable) == problems


def test_a_byte_past_the_limit_is_past_it() -> None:
    found = size_problems("x", size=1_000_001, limit=1_000_000, writable=True)

    assert found == ["x uses over 100% of what it may; the next apply stops writes"]


def test_what_is_missing_or_unlimited_has_no_share() -> None:
    assert size_problems("x", size=None, limit=1000, writable=True) == ["x is missing"]
    assert size_problems("x", size=10**12, limit=0, writable=True) == []


def test_the_status_follows_what_apply_did_to_a_full_data_store() -> None:
    tenant, postgres, objects = new_tenant(), MemoryPostgres(), MemoryObjects()
    store(tenant, postgres=postgres, objects=objects)
    small = plan(tenant, storage_bytes=EMPTY_DATABASE_BYTES, quota_bytes=1000)
    readers = Readers(cluster=cast("Any", None), postgres=postgres, objects=objects)
    postgres.tables[tenant.names.database][table(tenant)] = 10
    objects.contents[tenant.names.bucket]["large"] = 1010

    before = read_health(small, readers=readers)
    postgres.ensure_grants(tenant.grants(storage_bytes=EMPTY_DATABASE_BYTES))
    objects.ensure_bucket(tenant.bucket(quota_bytes=1000), mark=tenant.mark)
    after = read_health(small, readers=readers)

    assert [problem.rpartition("; ")[2] for problem in before.problems] == ["the next apply stops writes"] * 2
    assert [problem.rpartition("; ")[2] for problem in after.problems] == ["writes are stopped"] * 2
    assert after.database is not None
    assert after.bucket is not None
    assert (after.database.writable, after.bucket.writable) == (False, False)


def store(tenant: Tenant, *, postgres: MemoryPostgres, objects: MemoryObjects) -> None:
    """Make the tenant's database, with one table, and its bucket."""
    for kind in RoleKind:
        postgres.ensure_role(tenant.role(kind), mark=tenant.mark, password=None)
    postgres.ensure_database(tenant.database(), mark=tenant.mark)
    postgres.tables[tenant.names.database][table(tenant)] = 0
    postgres.ensure_grants(tenant.grants())
    objects.ensure_bucket(tenant.bucket(), mark=tenant.mark)


def table(tenant: Tenant) -> SqlObject:
    """A table of the tenant's owner."""
    return SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner=tenant.names.owner_role)


def plan(tenant: Tenant, *, storage_bytes: int, quota_bytes: int) -> CooperativePlan:
    """A plan of the data store alone, with these limits."""
    return CooperativePlan(
        cooperative=tenant.names.cooperative,
        uid=tenant.names.uid,
        cluster=tenant.mark.cluster,
        domain="rice.example.kr",
        resources=(
            tenant.database(),
            tenant.grants(storage_bytes=storage_bytes),
            tenant.bucket(quota_bytes=quota_bytes),
        ),
    )
