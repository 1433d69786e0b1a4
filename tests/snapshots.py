"""What an estate's platform holds at one moment, in a form that can be compared: did a command change anything?

Objects are all that bear coopctl's label, whatever their kind. Controllers write into the status of some of them at any
time (a probe that was late on a busy machine), which raises the resource version; of those kinds all else is compared.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from provisioner.naming import LABEL_CLUSTER, LABEL_COOPERATIVE, MANAGED_BY
from tests.running_estate import RunningEstate

STATUS_IS_WRITTEN_BY_CONTROLLERS = frozenset(
    {"Deployment", "ReplicaSet", "Pod", "Ingress", "PodDisruptionBudget", "ResourceQuota"}
)
Comparable = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Objects by namespace, kind and name; databases, roles and buckets by name."""

    objects: Comparable
    databases: Comparable
    roles: Comparable
    buckets: Comparable


def snapshot(estate: RunningEstate) -> Snapshot:
    """Everything of every cooperative and of the platform's stack, as it is now."""
    return Snapshot(objects=objects(estate), databases=databases(estate), roles=roles(estate), buckets=buckets(estate))


def objects(estate: RunningEstate, *, cooperatives: Iterable[str] | None = None) -> Comparable:
    """All objects of ``cooperatives``; None means all, and the platform's own too."""
    selector = LABEL_CLUSTER if cooperatives is None else f"{LABEL_COOPERATIVE} in ({','.join(cooperatives)})"
    kinds = estate.kubectl("api-resources", "--verbs=list", "--output=name").split()
    found = estate.get(
        ",".join(kinds), "--all-namespaces", f"--selector={selector}", "--show-managed-fields", "--chunk-size=0"
    )
    # What has an owner was made of one of ours by a controller, which copies labels and makes names up.
    ours = [item for item in found["items"] if not item["metadata"].get("ownerReferences")]
    return {_name(item): _comparable(item) for item in ours}


def _name(item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    return f"{metadata.get('namespace', '')}/{item['kind']}/{metadata['name']}"


def _comparable(item: Mapping[str, Any]) -> Comparable:
    metadata = item["metadata"]
    kept = {"uid": metadata["uid"], "generation": metadata.get("generation")}
    # Each entry has the time of its last change.
    kept["ours"] = [entry for entry in metadata.get("managedFields", ()) if entry["manager"] == MANAGED_BY]
    if item["kind"] in STATUS_IS_WRITTEN_BY_CONTROLLERS:
        without = {"metadata", "status"}
        return {**kept, "content": {key: value for key, value in item.items() if key not in without}}
    return {**kept, "resourceVersion": metadata["resourceVersion"]}


def databases(estate: RunningEstate) -> Comparable:
    """Every database: its number, owner, rights, limit, settings and mark."""
    query = """
        SELECT d.datname, d.oid, d.datdba, d.datconnlimit, d.datacl::text, shobj_description(d.oid, 'pg_database'),
               (SELECT array_agg((s.setrole, s.setconfig)::text ORDER BY s.setrole)
                FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
        FROM pg_database d
    """
    return {row[0]: row[1:] for row in estate.rows(query)}


def roles(estate: RunningEstate) -> Comparable:
    """Every role with all its attributes and memberships; of its password a digest, which a new one would change."""
    query = """
        SELECT a.rolname, to_jsonb(a) - 'rolpassword', a.rolpassword, shobj_description(a.oid, 'pg_authid'),
               (SELECT array_agg(m::text ORDER BY m.roleid) FROM pg_auth_members m WHERE m.member = a.oid)
        FROM pg_authid a WHERE a.rolname NOT LIKE 'pg\\_%'
    """
    return {
        name: (attributes, _digest(password), mark, memberships)
        for name, attributes, password, mark, memberships in estate.rows(query)
    }


def buckets(estate: RunningEstate) -> Comparable:
    """Every bucket with its policy, versioning and tags, and the keys of every identity."""
    s3, iam = estate.objects_client(), estate.objects_client("iam")
    found: dict[str, Any] = {}
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        found[f"bucket {name}"] = {
            "made": bucket["CreationDate"].isoformat(),
            "policy": _answer(lambda name=name: json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])),
            "versioning": _answer(lambda name=name: s3.get_bucket_versioning(Bucket=name).get("Status")),
            "tags": _answer(lambda name=name: s3.get_bucket_tagging(Bucket=name)["TagSet"]),
        }
    for user in iam.list_users()["Users"]:
        keys = iam.list_access_keys(UserName=user["UserName"])["AccessKeyMetadata"]
        found[f"identity {user['UserName']}"] = sorted(key["AccessKeyId"] for key in keys)
    return found


def _answer(ask: Any) -> Any:
    """The answer, or the server's code for there being none."""
    try:
        return ask()
    except ClientError as error:
        return error.response["Error"]["Code"]


def _digest(password: str | None) -> str | None:
    return hashlib.sha256(password.encode()).hexdigest() if password else None
