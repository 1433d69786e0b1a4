"""What servers hold of a data store, its deletion, and the look afterwards whether anything of it is left.

Who else is on the servers is noted, too: an erasure that took a neighbour along would be none. Deleting is repeatable:
what is gone already is no error. Before it both parts must bear the name of a verified dump (final_dump.py); whoever
calls this has looked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import LiteralString

from provisioner.datastore.final_dump import DataStore
from provisioner.datastore.marks import from_tags, require_own
from provisioner.datastore.objects_buckets import read_bucket_tags, versions
from provisioner.datastore.objects_clients import ABSENT, Clients, open_clients, translating, unless
from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.datastore.postgres_connection import Connection, connect, rows, scalar
from provisioner.datastore.postgres_databases import read_database, read_usage
from provisioner.datastore.postgres_roles import drop_marked_roles, is_superuser, marked_roles
from provisioner.datastore.postgres_server import PostgresServerAdmin

_OID = "SELECT oid::bigint FROM pg_database WHERE datname = %(name)s"
_DATABASES = "SELECT datname::text FROM pg_database"
_ROLES = "SELECT rolname::text FROM pg_roles"
# The folder of a database's files (PostgreSQL manual, "Database File Layout").
_FOLDER = "SELECT (pg_stat_file('base/' || %(oid)s::text, true)).modification IS NOT NULL"


@dataclass(frozen=True, kw_only=True)
class HeldDatabase:
    """A database: its object id and its bytes on disk. What was in it says the dump."""

    name: str
    oid: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class HeldBucket:
    """A bucket: versions with their bytes, delete markers, and uploads that nobody has finished."""

    name: str
    versions: int
    size_bytes: int
    markers: int
    uploads: int


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What is there of a data store; None for a part that is gone."""

    database: HeldDatabase | None
    bucket: HeldBucket | None
    roles: tuple[str, ...]
    identity: str | None


Others = Mapping[str, frozenset[str]]
"""The names of what is somebody else's, by kind."""


def read_holdings(store: DataStore, *, identity: str, environment: Mapping[str, str]) -> Holdings:
    """Read all of it. Raises NotOurs, Unreachable or NotPermitted."""
    with connect(store.postgres, environment=environment) as connection:
        own = marked_roles(connection, mark=store.mark)
        oid, usage = _oid(connection, store), read_usage(connection, store.database)
    database = None
    if oid is not None and usage is not None:
        database = HeldDatabase(name=store.database, oid=oid, size_bytes=usage.size_bytes)
    clients = open_clients(store.objects, environment=environment)
    with translating(store.objects):
        known = identity in _users(clients)
        return Holdings(
            database=database, bucket=_bucket(clients, store), roles=own, identity=identity if known else None
        )


def read_others(store: DataStore, before: Holdings, *, identity: str, environment: Mapping[str, str]) -> Others:
    """What is on the servers and not of the data store that held ``before``. Raises Unreachable or NotPermitted."""
    with connect(store.postgres, environment=environment) as connection:
        found = {"databases": _names(connection, _DATABASES), "roles": _names(connection, _ROLES)}
    clients = open_clients(store.objects, environment=environment)
    with translating(store.objects):
        found |= {"buckets": _buckets(clients), "identities": _users(clients)}
    own = {store.database, store.bucket, identity, *before.roles}
    return {kind: frozenset(names - own) for kind, names in found.items()}


def erase(store: DataStore, *, identity: str, environment: Mapping[str, str]) -> None:
    """Delete database, bucket, identity and roles for good. Raises NotOurs, Unreachable or NotPermitted."""
    postgres = PostgresServerAdmin(store.postgres, environment=environment)
    objects = ObjectsServerAdmin(store.objects, environment=environment)
    postgres.retire_database(store.database, mark=store.mark, delete_data=True)
    objects.retire_bucket(store.bucket, mark=store.mark, delete_data=True)
    objects.drop_identity(identity, mark=store.mark)
    with connect(store.postgres, environment=environment) as connection:
        drop_marked_roles(connection, mark=store.mark)


def look_for_remains(
    store: DataStore, before: Holdings, *, identity: str, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """What is still there of ``before``, in words. Raises Unreachable or NotPermitted."""
    with connect(store.postgres, environment=environment) as connection:
        found = list(_database_remains(connection, store, before=before))
    clients = open_clients(store.objects, environment=environment)
    with translating(store.objects):
        listed = store.bucket in _buckets(clients)
        if listed or unless(ABSENT, clients.s3.head_bucket, Bucket=store.bucket) is not None:
            found.append(f"the bucket {store.bucket}")
        if identity in _users(clients):
            found.append(f"the S3 identity {identity}")
    return tuple(found)


def _database_remains(connection: Connection, store: DataStore, *, before: Holdings) -> Iterator[str]:
    if scalar(connection, _OID, {"name": store.database}) is not None:
        yield f"the database {store.database}"
    yield from (f"the role {name}" for name in marked_roles(connection, mark=store.mark))
    present = _names(connection, _ROLES)
    yield from (f"the role {name}" for name in before.roles if name in present)
    # Only a superuser may look at files.
    if before.database is not None and is_superuser(connection):
        oid = {"oid": str(before.database.oid)}
        if scalar(connection, _FOLDER, oid):
            yield f"files of the database {store.database}"


def _oid(connection: Connection, store: DataStore) -> int | None:
    found = read_database(connection, store.database)
    if found is None:
        return None
    require_own(found.mark, own=store.mark, what=f"the database {store.database}")
    return int(scalar(connection, _OID, {"name": store.database}))


def _names(connection: Connection, query: LiteralString) -> set[str]:
    return {name for (name,) in rows(connection, query)}


def _buckets(clients: Clients) -> set[str]:
    return {one["Name"] for one in clients.s3.list_buckets()["Buckets"]}


def _bucket(clients: Clients, store: DataStore) -> HeldBucket | None:
    tags = read_bucket_tags(clients, store.bucket)
    if tags is None:
        return None
    require_own(from_tags(tags), own=store.mark, what=f"the bucket {store.bucket}")
    sizes = [size for _, _, size in versions(clients, store.bucket)]
    kept = [size for size in sizes if size is not None]
    pages = clients.s3.get_paginator("list_multipart_uploads").paginate(Bucket=store.bucket)
    uploads = sum(len(page.get("Uploads", ())) for page in pages)
    return HeldBucket(
        name=store.bucket, versions=len(kept), size_bytes=sum(kept), markers=len(sizes) - len(kept), uploads=uploads
    )


def _users(clients: Clients) -> set[str]:
    pages = clients.iam.get_paginator("list_users").paginate()
    return {user["UserName"] for page in pages for user in page["Users"]}
