"""What is there: names in use on every server, for finding orphans, and each thing as it is, for finding changes."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_buckets import read_tags, versions
from provisioner.datastore.objects_clients import ABSENT, Clients, open_clients, unless
from provisioner.engine.foreign import FIELD_MANAGER
from provisioner.naming import LABEL_CLUSTER, LABEL_MANAGED_BY, MANAGED_BY
from tests.integration.engine.conftest import SiteMaker

Snapshot = Mapping[str, Any]
# They come and go by themselves.
FLEETING_KINDS = frozenset({"events", "events.events.k8s.io", "leases.coordination.k8s.io"})
_SETTLE_SECONDS = 60.0

_ROLES = """
    SELECT r.rolname, r.oid, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
           r.rolbypassrls, r.rolconnlimit, r.rolpassword, shobj_description(r.oid, 'pg_authid'),
           (SELECT array_agg(s.setdatabase::text || s.setconfig::text ORDER BY s.setdatabase)
            FROM pg_db_role_setting s WHERE s.setrole = r.oid),
           (SELECT array_agg(m.roleid::regrole::text || m.admin_option ORDER BY 1)
            FROM pg_auth_members m WHERE m.member = r.oid)
    FROM pg_authid r WHERE r.rolname !~ '^pg_' ORDER BY 1
"""
_DATABASES = """
    SELECT datname, oid, datdba::regrole::text, datconnlimit, datacl::text, shobj_description(oid, 'pg_database')
    FROM pg_database WHERE datallowconn ORDER BY 1
"""
# Who may do what inside a database: schemas, relations, functions, future objects; and its extensions.
_INSIDE = """
    SELECT 'schema', nspname::text, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
    UNION ALL SELECT 'relation', oid::regclass::text, relacl::text FROM pg_class WHERE relnamespace::regnamespace::text
        NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND relkind IN ('r', 'v', 'm', 'S', 'p', 'f')
    UNION ALL SELECT 'function', oid::regprocedure::text, proacl::text FROM pg_proc
        WHERE pronamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT 'future', defaclrole::regrole::text || defaclnamespace::text || defaclobjtype::text,
        defaclacl::text FROM pg_default_acl
    UNION ALL SELECT 'extension', extname::text, extversion FROM pg_extension
    ORDER BY 1, 2
"""


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of all things on the servers, whoever they belong to."""

    databases: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    buckets: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()

    def __sub__(self, other: "Names") -> "Names":
        """What is here and not in ``other``."""
        return Names(**{field.name: getattr(self, field.name) - getattr(other, field.name) for field in fields(self)})


def names_in_use(maker: SiteMaker) -> Names:
    """Everything that has a name now, so also what was begun under a working name and left."""
    clients = _clients(maker)
    listed = json.loads(maker.world.kubectl("get", "namespaces", "-o", "json"))["items"]
    return Names(
        databases=frozenset(name for (name,) in maker.sql("SELECT datname FROM pg_database")),
        roles=frozenset(name for (name,) in maker.sql("SELECT rolname FROM pg_roles")),
        buckets=frozenset(bucket["Name"] for bucket in clients.s3.list_buckets()["Buckets"]),
        identities=frozenset(_identities(clients)),
        namespaces=frozenset(item["metadata"]["name"] for item in listed),
    )


def snapshot(maker: SiteMaker) -> Snapshot:
    """Each thing of the estate's cluster and of the servers by kind and name, as far as anybody could change it."""
    parts = (_kubernetes, _roles, _databases, _buckets, _identity_states)
    return {key: value for part in parts for key, value in part(maker)}


def settled_snapshot(maker: SiteMaker) -> Snapshot:
    """A snapshot in which Kubernetes' controllers have come to rest."""
    until, before = time.monotonic() + _SETTLE_SECONDS, snapshot(maker)
    while (now := snapshot(maker)) != before:
        assert time.monotonic() < until, f"still changing: {changed(before, now)}"
        before = now
    return now


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    """What differs between two snapshots."""
    return {key for key in {*before, *after} if before.get(key) != after.get(key)}


def access_keys(maker: SiteMaker, identity: str) -> list[str]:
    """The ids of an S3 identity's access keys."""
    found = _clients(maker).iam.list_access_keys(UserName=identity)["AccessKeyMetadata"]
    return [key["AccessKeyId"] for key in found]


def _clients(maker: SiteMaker) -> Clients:
    return open_clients(objects_access(maker.platform().objects), environment=os.environ)


def _kubernetes(maker: SiteMaker) -> Iterator[tuple[str, Any]]:
    """All objects in the estate's namespaces, and what coopctl made beside them: uid, generation, our fields, content.

    Some kinds, such as quotas, have no generation: only their content tells that they changed.

    An object that we manage without an entry of ours would compare equal whatever happened to it: that fails here.
    """
    cluster_wide = _listed(maker, "--namespaced=false", selector=f"{LABEL_CLUSTER}={maker.cluster_id}")
    namespaces = {item["metadata"]["name"] for item in cluster_wide if item["kind"] == "Namespace"}
    inside = [item for item in _listed(maker, "--namespaced=true") if item["metadata"]["namespace"] in namespaces]
    for item in [*cluster_wide, *inside]:
        metadata = item["metadata"]
        key = f"{item['apiVersion']} {item['kind']} {metadata.get('namespace', '')}/{metadata['name']}"
        ours = [entry for entry in metadata.get("managedFields", ()) if entry["manager"] == FIELD_MANAGER]
        managed = metadata.get("labels", {}).get(LABEL_MANAGED_BY) == MANAGED_BY
        assert ours or not managed or _is_derived(item), f"{key} has no field of ours"
        fields_of_ours = [{name: value for name, value in entry.items() if name != "time"} for entry in ours]
        content = {name: value for name, value in item.items() if name not in {"metadata", "status"}}
        about = {name: metadata.get(name) for name in ("uid", "generation", "labels")}
        yield key, (about, fields_of_ours, content)


def _is_derived(item: dict[str, Any]) -> bool:
    """Whether a controller made it of another object, whose labels it copied."""
    return bool(item["metadata"].get("ownerReferences")) or item["kind"] == "Endpoints"


def _listed(maker: SiteMaker, scope: str, *, selector: str = "") -> list[dict[str, Any]]:
    """All objects of every kind that the cluster has, so that none is forgotten."""
    kubectl = maker.world.kubectl
    known = set(kubectl("api-resources", scope, "--verbs=list", "-o", "name").split())
    kinds = ",".join(sorted(known - FLEETING_KINDS))
    found: list[dict[str, Any]] = json.loads(
        kubectl("get", kinds, "-A", "-l", selector, "-o", "json", "--show-managed-fields")
    )["items"]
    return found


def _roles(maker: SiteMaker) -> Iterator[tuple[str, Any]]:
    for name, *attributes in maker.sql(_ROLES):
        yield f"role {name}", attributes


def _databases(maker: SiteMaker) -> Iterator[tuple[str, Any]]:
    for name, *attributes in maker.sql(_DATABASES):
        yield f"database {name}", (attributes, maker.sql(_INSIDE, database=name))


def _buckets(maker: SiteMaker) -> Iterator[tuple[str, Any]]:
    clients = _clients(maker)
    s3 = clients.s3
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        policy = unless(ABSENT, s3.get_bucket_policy, Bucket=name)
        yield (
            f"bucket {name}",
            (
                str(bucket["CreationDate"]),
                policy and json.loads(policy["Policy"]),
                read_tags(clients, name),
                s3.get_bucket_versioning(Bucket=name).get("Status"),
                s3.get_bucket_acl(Bucket=name).get("Grants"),
                list(versions(clients, name)),
            ),
        )


def _identity_states(maker: SiteMaker) -> Iterator[tuple[str, Any]]:
    clients = _clients(maker)
    iam = clients.iam
    # The administrator is made by the server's own settings, and nobody's tenant.
    for name in set(_identities(clients)) - {clients.administrator}:
        inline = iam.list_user_policies(UserName=name)["PolicyNames"]
        keys = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        yield (
            f"identity {name}",
            (
                sorted((tag["Key"], tag["Value"]) for tag in iam.list_user_tags(UserName=name)["Tags"]),
                {one: iam.get_user_policy(UserName=name, PolicyName=one)["PolicyDocument"] for one in sorted(inline)},
                sorted((key["AccessKeyId"], key["Status"]) for key in keys),
                iam.list_attached_user_policies(UserName=name)["AttachedPolicies"],
                iam.list_groups_for_user(UserName=name)["Groups"],
            ),
        )


def _identities(clients: Clients) -> list[str]:
    return [user["UserName"] for page in clients.iam.get_paginator("list_users").paginate() for user in page["Users"]]
