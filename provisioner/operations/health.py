"""How a cooperative is: each part read from the server that has it, problems in words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.cluster.objects import ClusterClient
from provisioner.datastore.objects import BucketUsage, ObjectsAdmin
from provisioner.datastore.postgres import DatabaseUsage, PostgresAdmin
from provisioner.operations.workloads import Workload, pod_problems, read_workloads
from provisioner.plan.resources import (
    CooperativePlan,
    KubernetesObject,
    ObjectsBucket,
    PostgresDatabase,
    PostgresGrants,
    PostgresRole,
)
from provisioner.rules.quantities import parse_quantity

# A shared server cannot limit sizes: past this part of a quota people are warned.
WARN_FRACTION = 0.8


@dataclass(frozen=True, kw_only=True)
class QuotaUse:
    """One line of a namespace's quota, as Kubernetes writes quantities.

    ``fraction`` is what is used of it, 0 to 1; None if what the server says is no quantity.
    """

    resource: str
    used: str
    hard: str
    fraction: float | None


@dataclass(frozen=True, kw_only=True)
class NamespaceHealth:
    """A namespace: its phase (`Missing` if there is none) and its quota."""

    name: str
    phase: str
    quota: tuple[QuotaUse, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DatabaseHealth:
    """The database: None for what it uses if it is missing; ``storage_bytes`` is the size it may have, 0 unlimited.

    ``writable`` is whether the application may write now, by its privileges.
    """

    name: str
    usage: DatabaseUsage | None
    storage_bytes: int
    writable: bool = True


@dataclass(frozen=True, kw_only=True)
class BucketHealth:
    """The bucket: None for what it holds if it is missing; ``quota_bytes`` is the size it may have.

    ``writable`` is whether the tenant may write now, by the bucket's policy.
    """

    name: str
    usage: BucketUsage | None
    quota_bytes: int
    writable: bool = True


@dataclass(frozen=True, kw_only=True)
class Health:
    """Each part of a cooperative, and all that is wrong with them."""

    namespaces: tuple[NamespaceHealth, ...]
    database: DatabaseHealth | None
    bucket: BucketHealth | None
    workloads: tuple[Workload, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Readers:
    """The servers that health is read from."""

    cluster: ClusterClient
    postgres: PostgresAdmin
    objects: ObjectsAdmin


def read_health(plan: CooperativePlan, *, readers: Readers) -> Health:
    """Read every part of the cooperative. Raises Unreachable or NotPermitted."""
    names = [
        item.manifest["metadata"]["name"]
        for item in plan.resources
        if isinstance(item, KubernetesObject) and item.manifest["kind"] == "Namespace"
    ]
    namespaces = tuple(_namespace(name, reader=readers.cluster) for name in names)
    present = [namespace.name for namespace in namespaces if namespace.phase != "Missing"]
    workloads = read_workloads(readers.cluster, namespaces=present)
    database, bucket = _database(plan, admin=readers.postgres), _bucket(plan, admin=readers.objects)
    return Health(
        namespaces=namespaces,
        database=database,
        bucket=bucket,
        workloads=workloads,
        problems=(
            *_namespace_problems(namespaces),
            *_quota_problems(namespaces),
            *_store_problems(database, bucket),
            *(str(workload) for workload in workloads if not workload.is_ready),
            *pod_problems(readers.cluster, namespaces=present),
        ),
    )


def _namespace(name: str, *, reader: ClusterClient) -> NamespaceHealth:
    found = reader.get(api_version="v1", kind="Namespace", name=name)
    if found is None:
        return NamespaceHealth(name=name, phase="Missing")
    quotas = reader.list(api_version="v1", kind="ResourceQuota", namespace=name)
    phase = (found.get("status") or {}).get("phase", "Unknown")
    return NamespaceHealth(name=name, phase=phase, quota=_tightest(use for quota in quotas for use in _uses(quota)))


def _tightest(uses: Iterable[QuotaUse]) -> tuple[QuotaUse, ...]:
    """Each resource once: by the quota that leaves the least of it, or that cannot be read."""
    found: dict[str, QuotaUse] = {}
    for use in uses:
        known = found.setdefault(use.resource, use)
        if known.fraction is not None and (use.fraction is None or use.fraction > known.fraction):
            found[use.resource] = use
    return tuple(found[resource] for resource in sorted(found))


def _uses(quota: Mapping[str, Any]) -> list[QuotaUse]:
    hard = (quota.get("spec") or {}).get("hard") or {}
    used = (quota.get("status") or {}).get("used") or {}
    return [_use(resource, used=str(used.get(resource, "0")), hard=str(hard[resource])) for resource in sorted(hard)]


def _use(resource: str, *, used: str, hard: str) -> QuotaUse:
    return QuotaUse(resource=resource, used=used, hard=hard, fraction=_fraction(used, hard))


def _fraction(used: str, hard: str) -> float | None:
    try:
        limit = parse_quantity(hard)
        return float(parse_quantity(used) / limit) if limit else 0.0
    except ValueError:
        return None


def _database(plan: CooperativePlan, *, admin: PostgresAdmin) -> DatabaseHealth | None:
    databases = [item for item in plan.resources if isinstance(item, PostgresDatabase)]
    grants = [item for item in plan.resources if isinstance(item, PostgresGrants)]
    if not databases:
        return None
    name = databases[0].name
    return DatabaseHealth(
        name=name,
        usage=admin.read_usage(name),
        storage_bytes=grants[0].storage_bytes if grants else 0,
        writable=_is_fenced(plan) or not grants or admin.may_write(grants[0]) is not False,
    )


def _is_fenced(plan: CooperativePlan) -> bool:
    """Whether the data store lives elsewhere: that nothing is written here is as it must be."""
    return any(isinstance(item, PostgresRole) and item.fenced for item in plan.resources)


def _bucket(plan: CooperativePlan, *, admin: ObjectsAdmin) -> BucketHealth | None:
    buckets = [item for item in plan.resources if isinstance(item, ObjectsBucket)]
    if not buckets:
        return None
    wanted = buckets[0]
    return BucketHealth(
        name=wanted.name,
        usage=admin.read_usage(wanted.name),
        quota_bytes=wanted.quota_bytes,
        writable=wanted.fenced or admin.takes_writes(wanted) is not False,
    )


def _namespace_problems(namespaces: Sequence[NamespaceHealth]) -> list[str]:
    return [f"namespace {item.name} is {item.phase.lower()}" for item in namespaces if item.phase != "Active"]


def _quota_problems(namespaces: Sequence[NamespaceHealth]) -> list[str]:
    return [
        f"namespace {item.name}: quota {use.resource} cannot be read: {use.used!r} of {use.hard!r}"
        for item in namespaces
        for use in item.quota
        if use.fraction is None
    ]


def _store_problems(database: DatabaseHealth | None, bucket: BucketHealth | None) -> list[str]:
    problems: list[str] = []
    if database is not None:
        size = database.usage.size_bytes if database.usage else None
        what, limit = f"database {database.name}", database.storage_bytes
        problems += size_problems(what, size=size, limit=limit, writable=database.writable)
    if bucket is not None:
        size = bucket.usage.size_bytes if bucket.usage else None
        what, limit = f"bucket {bucket.name}", bucket.quota_bytes
        problems += size_problems(what, size=size, limit=limit, writable=bucket.writable)
    return problems


def size_problems(what: str, *, size: int | None, limit: int, writable: bool) -> list[str]:
    """What is wrong with the size of ``what``: bytes, of as many as it may have (0: unlimited).

    Past the limit an apply stops writes, and below it an apply gives them back; until then all stays as it is.
    """
    if size is None:
        return [f"{what} is missing"]
    past = 0 < limit < size
    if not writable and not past:
        return [f"writes to {what} are stopped although it has room; the next apply gives them back"]
    if not limit or size < limit * WARN_FRACTION:
        return []
    use = f"{what} uses {_percent(size, limit=limit)} of what it may"
    if not past:
        return [use]
    return [f"{use}; the next apply stops writes" if writable else f"{use}; writes are stopped"]


def _percent(size: int, *, limit: int) -> str:
    """How much of ``limit`` is used; what is past it is never rounded down to it."""
    percent = size * 100 // limit
    return "over 100%" if size > limit and percent == 100 else f"{percent}%"
