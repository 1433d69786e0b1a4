"""Everything that a proof could leave behind, as one value that can be compared."""

import os
from collections.abc import Iterable, Mapping

from provisioner.cluster.api import ApiServer
from provisioner.cluster.discovery import discover
from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_buckets import versions
from provisioner.datastore.objects_clients import open_clients
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_connection import connect, rows
from provisioner.descriptor.platform import Platform

# What the control plane writes by itself, all the time.
_RESTLESS = frozenset({"events", "leases", "endpoints", "endpointslices"})


def traces(api: ApiServer, *, platform: Platform, databases: Iterable[str]) -> Mapping[str, list[str]]:
    """The names of all objects of the API server, roles, databases and their relations, identities and versions."""
    return {**_objects(api), **_database(platform, databases=databases), **_buckets(platform)}


def sessions(platform: Platform) -> int:
    """How many sessions of proofs the database server has."""
    with connect(postgres_access(platform.postgres), environment=os.environ) as connection:
        ((count,),) = rows(connection, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'coopctl prove'")
    return int(count)


def _objects(api: ApiServer) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in discover(api):
        if item.subresource or "list" not in item.verbs or item.name in _RESTLESS:
            continue
        root = f"/apis/{item.api_version}" if item.group else f"/api/{item.api_version}"
        names = [
            f"{one['metadata'].get('namespace', '')}/{one['metadata']['name']}"
            for one in api.get(f"{root}/{item.name}").get("items") or ()
        ]
        found[str(item)] = sorted(names)
    return found


def _database(platform: Platform, *, databases: Iterable[str]) -> dict[str, list[str]]:
    access = postgres_access(platform.postgres)
    found: dict[str, list[str]] = {}
    with connect(access, environment=os.environ) as connection:
        found["roles"] = [name for (name,) in rows(connection, "SELECT rolname FROM pg_roles ORDER BY 1")]
        found["databases"] = [name for (name,) in rows(connection, "SELECT datname FROM pg_database ORDER BY 1")]
        found["slots"] = [name for (name,) in rows(connection, "SELECT slot_name FROM pg_replication_slots")]
    for database in databases:
        with connect(access, environment=os.environ, database=database) as inside:
            found[f"relations of {database}"] = [
                name for (name,) in rows(inside, "SELECT relname FROM pg_class ORDER BY 1")
            ]
            large = "SELECT oid::text FROM pg_largeobject_metadata ORDER BY 1"
            found[f"large objects of {database}"] = [name for (name,) in rows(inside, large)]
    return found


def _buckets(platform: Platform) -> dict[str, list[str]]:
    clients = open_clients(objects_access(platform.objects), environment=os.environ)
    buckets = [bucket["Name"] for bucket in clients.s3.list_buckets()["Buckets"]]
    uploads = {
        bucket: [item["Key"] for item in clients.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ())]
        for bucket in buckets
    }
    return {
        "buckets": buckets,
        "users": sorted(user["UserName"] for user in clients.iam.list_users()["Users"]),
        **{f"versions of {bucket}": sorted(map(str, versions(clients, bucket))) for bucket in buckets},
        **{f"uploads of {bucket}": listed for bucket, listed in uploads.items()},
    }
