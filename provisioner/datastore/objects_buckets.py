"""Buckets: reading, ensuring and retiring them.

A bucket is marked right after it was made; a kill between the two leaves an empty bucket without mark, tags and
policy, and only such a one is adopted without a mark. Before a bucket is deleted it is closed to everybody but the
administrator and then looked at: some servers (SeaweedFS) delete a bucket with all its content when asked to.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from provisioner.datastore.marks import Fate, Mark, from_tags, require_own, to_tags
from provisioner.datastore.objects import BucketState, BucketUsage
from provisioner.datastore.objects_clients import ABSENT, UNSUPPORTED, Clients, code_of, unless
from provisioner.datastore.objects_policies import Policy, bucket_policy, denies_writes, same_policy
from provisioner.naming import API_GROUP
from provisioner.plan.resources import ObjectsBucket

if TYPE_CHECKING:
    from types_boto3_s3.literals import BucketLocationConstraintType
    from types_boto3_s3.type_defs import ObjectIdentifierTypeDef

TAG_QUOTA = f"{API_GROUP}/quota-bytes"
HOME_REGION = "us-east-1"  # the one region whose name CreateBucket refuses to hear (S3 API reference, CreateBucket)
DELETE_BATCH = 1000
PUBLIC_ACCESS_BLOCKS = 4  # S3 API reference, PublicAccessBlockConfiguration


def read_bucket(clients: Clients, wanted: ObjectsBucket) -> BucketState | None:
    """The bucket with every way in which it is open, or None."""
    if unless(ABSENT, clients.s3.head_bucket, Bucket=wanted.name) is None:
        return None
    tags = read_tags(clients, wanted.name)
    versioning = clients.s3.get_bucket_versioning(Bucket=wanted.name).get("Status") == "Enabled"
    return BucketState(
        name=wanted.name,
        versioning=versioning,
        quota_bytes=_number(tags.get(TAG_QUOTA)),
        deviations=tuple(_deviations(clients, wanted)),
        mark=from_tags(tags),
    )


def ensure_bucket(clients: Clients, wanted: ObjectsBucket, *, mark: Mark) -> None:
    """Make the bucket as wanted: first whose it is, then who gets in, then the rest."""
    _create(clients, wanted.name)
    tags = read_tags(clients, wanted.name)
    if tags or not _is_blank(clients, wanted.name):
        require_own(from_tags(tags), own=mark, what=f"the bucket {wanted.name}")
    _write_tags(clients, wanted.name, _tags(tags, mark=mark, quota_bytes=wanted.quota_bytes))
    _ensure_closed(clients, wanted)
    _ensure_versioning(clients, wanted)


def close_bucket(clients: Clients, name: str, *, mark: Mark) -> Fate | None:
    """Let nobody in but the administrator. Gives ABSENT if there is no such bucket, else None.

    Raises NotOurs if it is another's.
    """
    if unless(ABSENT, clients.s3.head_bucket, Bucket=name) is None:
        return Fate.ABSENT
    require_own(from_tags(read_tags(clients, name)), own=mark, what=f"the bucket {name}")
    _put_policy(clients, name, bucket_policy(name, identity="", administrator=clients.administrator, stop_writes=False))
    return None


def retire_bucket(clients: Clients, name: str, *, mark: Mark, delete_data: bool) -> Fate:
    """Delete the bucket if it is empty or ``delete_data``; else close it and mark it retained."""
    if fate := close_bucket(clients, name, mark=mark):
        return fate
    if not delete_data and any(size is not None for _, _, size in versions(clients, name)):
        mark_bucket(clients, name, mark=replace(mark, retained=True))
        return Fate.RETAINED
    delete_bucket(clients, name)
    return Fate.DROPPED


def delete_bucket(clients: Clients, name: str) -> None:
    """Delete a bucket, whosever it is, with every version, delete marker and unfinished upload. Idempotent."""
    if unless(ABSENT, clients.s3.head_bucket, Bucket=name) is not None:
        _empty(clients, name)
        unless(ABSENT, clients.s3.delete_bucket, Bucket=name)


def read_usage(clients: Clients, name: str) -> BucketUsage | None:
    """Bytes and number of all versions, by listing them: 1000 a request."""
    if unless(ABSENT, clients.s3.head_bucket, Bucket=name) is None:
        return None
    sizes = [size for _, _, size in versions(clients, name) if size is not None]
    quota = _number(read_tags(clients, name).get(TAG_QUOTA))
    return BucketUsage(size_bytes=sum(sizes), objects=len(sizes), quota_bytes=quota)


def read_bucket_tags(clients: Clients, name: str) -> dict[str, str] | None:
    """The bucket's tags, or None if there is no such bucket."""
    return None if unless(ABSENT, clients.s3.head_bucket, Bucket=name) is None else read_tags(clients, name)


def mark_bucket(clients: Clients, name: str, *, mark: Mark) -> None:
    """Write the mark beside the bucket's other tags."""
    _write_tags(clients, name, read_tags(clients, name) | to_tags(mark))


def takes_writes(clients: Clients, wanted: ObjectsBucket) -> bool | None:
    """Whether the bucket's policy lets the tenant's identity write now, or None if there is no bucket."""
    if unless(ABSENT, clients.s3.head_bucket, Bucket=wanted.name) is None:
        return None
    return not denies_writes(_read_policy(clients, wanted.name), identity=wanted.identity)


def read_tags(clients: Clients, name: str) -> dict[str, str]:
    """The bucket's tags."""
    found = unless(ABSENT, clients.s3.get_bucket_tagging, Bucket=name)
    return {tag["Key"]: tag["Value"] for tag in found["TagSet"]} if found else {}


def versions(clients: Clients, name: str) -> Iterator[tuple[str, str, int | None]]:
    """Every version of every object: key, version id, size in bytes (None for a delete marker)."""
    for page in clients.s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for version in page.get("Versions", ()):
            yield version["Key"], version["VersionId"], version["Size"]
        for marker in page.get("DeleteMarkers", ()):
            yield marker["Key"], marker["VersionId"], None


def _create(clients: Clients, name: str) -> None:
    # Asked first: SeaweedFS answers a second creation as if the bucket were another's, once its ACL was changed.
    if unless(ABSENT, clients.s3.head_bucket, Bucket=name) is not None:
        return
    region = clients.access.region
    try:
        if region == HOME_REGION:
            clients.s3.create_bucket(Bucket=name)
        else:
            constraint = cast("BucketLocationConstraintType", region)
            clients.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": constraint})
    except ClientError as error:
        if code_of(error) != "BucketAlreadyOwnedByYou":
            raise


def _is_blank(clients: Clients, name: str) -> bool:
    return _read_policy(clients, name) is None and next(versions(clients, name), None) is None


def _tags(present: dict[str, str], *, mark: Mark, quota_bytes: int) -> dict[str, str]:
    kept = {key: value for key, value in present.items() if not key.startswith(f"{API_GROUP}/")}
    return kept | to_tags(mark) | {TAG_QUOTA: str(quota_bytes)}


def _write_tags(clients: Clients, name: str, tags: dict[str, str]) -> None:
    clients.s3.put_bucket_tagging(
        Bucket=name, Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}
    )


def _deviations(clients: Clients, wanted: ObjectsBucket) -> Iterator[str]:
    actual, expected = _read_policy(clients, wanted.name), _wanted_policy(clients, wanted)
    if actual is None:
        yield "the bucket policy is missing"
    elif not same_policy(actual, expected):
        yield "the bucket policy differs"
    yield from (
        f"not wanted: {grantee} {right} in the bucket's ACL" for grantee, right in _foreign_acl(clients, wanted)
    )
    if not _public_access_blocked(clients, wanted.name):
        yield "the public access block is off"


def _ensure_closed(clients: Clients, wanted: ObjectsBucket) -> None:
    expected = _wanted_policy(clients, wanted)
    if not same_policy(_read_policy(clients, wanted.name), expected):
        _put_policy(clients, wanted.name, expected)
    if _foreign_acl(clients, wanted):
        clients.s3.put_bucket_acl(Bucket=wanted.name, ACL="private")
    if not _public_access_blocked(clients, wanted.name):
        clients.s3.put_public_access_block(
            Bucket=wanted.name,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )


def _ensure_versioning(clients: Clients, wanted: ObjectsBucket) -> None:
    status = clients.s3.get_bucket_versioning(Bucket=wanted.name).get("Status")
    if wanted.versioning != (status == "Enabled"):
        clients.s3.put_bucket_versioning(
            Bucket=wanted.name,
            VersioningConfiguration={"Status": "Enabled" if wanted.versioning else "Suspended"},
        )


def _wanted_policy(clients: Clients, wanted: ObjectsBucket) -> Policy:
    return bucket_policy(
        wanted.name,
        identity=wanted.identity,
        administrator=clients.administrator,
        stop_writes=_is_past_quota(clients, wanted),
        fenced=wanted.fenced,
    )


def _is_past_quota(clients: Clients, wanted: ObjectsBucket) -> bool:
    if wanted.quota_bytes <= 0:
        return False
    total = 0
    for _, _, size in versions(clients, wanted.name):
        total += size or 0
        if total > wanted.quota_bytes:
            return True
    return False


def _read_policy(clients: Clients, name: str) -> Policy | None:
    found = unless(ABSENT, clients.s3.get_bucket_policy, Bucket=name)
    return cast("Policy", json.loads(found["Policy"])) if found else None


def _put_policy(clients: Clients, name: str, policy: Policy) -> None:
    clients.s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))


def _foreign_acl(clients: Clients, wanted: ObjectsBucket) -> list[tuple[str, str]]:
    acl = clients.s3.get_bucket_acl(Bucket=wanted.name)
    owner = acl["Owner"].get("ID")
    grants = [(grant.get("Grantee", {}), str(grant.get("Permission", ""))) for grant in acl.get("Grants", ())]
    return sorted(
        (grantee.get("URI") or grantee.get("ID") or "?", right)
        for grantee, right in grants
        if grantee.get("ID") != owner
    )


def _public_access_blocked(clients: Clients, name: str) -> bool:
    """Whether the block is on; a server without such a thing counts as blocked: the bucket's policy is the guard."""
    try:
        found = clients.s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    except ClientError as error:
        if code_of(error) in UNSUPPORTED:
            return True
        if code_of(error) in ABSENT:
            return False
        raise
    return len(found) == PUBLIC_ACCESS_BLOCKS and all(found.values())


def _empty(clients: Clients, name: str) -> None:
    pages = clients.s3.get_paginator("list_multipart_uploads").paginate(Bucket=name)
    for upload in [one for page in pages for one in page.get("Uploads", ())]:
        clients.s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    batch: list[ObjectIdentifierTypeDef] = []
    for key, version, _ in list(versions(clients, name)):
        batch.append({"Key": key, "VersionId": version})
        if len(batch) == DELETE_BATCH:
            clients.s3.delete_objects(Bucket=name, Delete={"Objects": batch, "Quiet": True})
            batch = []
    if batch:
        clients.s3.delete_objects(Bucket=name, Delete={"Objects": batch, "Quiet": True})


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
