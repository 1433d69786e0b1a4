"""Pure: the two policy documents of a tenant's bucket, and comparing them with what a server gives back.

The identity's own policy lets it work on its one bucket. The bucket's policy denies everybody else: it holds even
for identities with wide rights, for ACLs that make an object public, and for anonymous callers (who have no
``aws:username``), so it is the guard also where a server has no public access block (SeaweedFS). It denies only
work on data, never the management of the bucket: a policy that denied that could not be taken back by anybody.
"""

import json
from collections.abc import Collection, Iterable
from typing import Any

READS = ("s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion", "s3:GetObjectVersionTagging")
WRITES = ("s3:PutObject", "s3:PutObjectTagging")
DELETES = ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectTagging", "s3:DeleteObjectVersion")
LISTS = ("s3:ListBucket", "s3:ListBucketVersions")
LOOKS = ("s3:GetBucketLocation", "s3:GetBucketVersioning")
# SeaweedFS 4.48 takes these in a bucket's policy, and refuses them as unknown in an identity's.
DENIED_TO_OTHERS_ONLY = (
    "s3:DeleteObjectVersionTagging",
    "s3:GetObjectAcl",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionTagging",
)

POLICY_VERSION = "2012-10-17"
FENCE = "MigrationFence"
# All that changes what a bucket holds, and no management of the bucket: whoever could not take a policy back would have
# shut everybody out for good.
FENCED_ACTIONS = (*WRITES, *DELETES, "s3:DeleteObjectVersionTagging", "s3:PutObjectAcl", "s3:PutObjectVersionTagging")
Policy = dict[str, Any]


def identity_policy(bucket: str) -> Policy:
    """What a tenant's identity may do: all work on the data of its bucket, nothing on the bucket itself."""
    actions = sorted((*READS, *WRITES, *DELETES, *LISTS, *LOOKS))
    return _policy({"Sid": "OwnBucket", "Effect": "Allow", "Action": actions, "Resource": _resources(bucket)})


def fence_statement(bucket: str, *, identities: Collection[str]) -> dict[str, Any]:
    """A Deny of writes and deletes for ``identities`` (IAM user names) and for nobody else.

    An explicit Deny wins over every Allow (IAM user guide, "Policy evaluation logic"). The identities are named by
    condition, as the other statements of a tenant's bucket name them: a Deny for ``*`` would shut out who moves the
    bucket's contents too.
    """
    return {
        "Sid": FENCE,
        "Effect": "Deny",
        "Principal": "*",
        "Action": sorted(FENCED_ACTIONS),
        "Resource": _resources(bucket),
        "Condition": {"StringEquals": {"aws:username": sorted(identities)}},
    }


def bucket_policy(bucket: str, *, identity: str, administrator: str, stop_writes: bool, fenced: bool = False) -> Policy:
    """Who may work on the bucket's data: ``identity`` and ``administrator``; with ``stop_writes`` the
    identity may only read and delete, of a ``fenced`` bucket only read."""
    names = sorted({name for name in (identity, administrator) if name})
    data = sorted((*READS, *WRITES, *DELETES, *LISTS, *DENIED_TO_OTHERS_ONLY))
    statements = [_deny_others("TenantAlone", data, names, bucket)]
    if stop_writes:
        statements.append(_deny_others("QuotaExceeded", sorted(WRITES), [administrator], bucket))
    if fenced and identity:
        statements.append(fence_statement(bucket, identities=(identity,)))
    return _policy(*statements)


def denies_writes(policy: Policy | None, *, identity: str) -> bool:
    """Whether a bucket's policy, as a server gives it back, keeps ``identity`` from writing."""
    statements = (policy or {}).get("Statement", [])
    return any(
        statement.get("Effect") == "Deny"
        and set(WRITES) <= set(_listed(statement.get("Action")))
        and identity not in _listed((statement.get("Condition") or {}).get("StringNotEquals", {}).get("aws:username"))
        for statement in (statements if isinstance(statements, list) else [statements])
    )


def same_policy(one: Policy | None, other: Policy | None) -> bool:
    """Whether two documents say the same: servers turn lists of one into scalars, reorder them and drop spaces."""
    return _canonical(one) == _canonical(other)


def _deny_others(sid: str, actions: list[str], names: list[str], bucket: str) -> dict[str, Any]:
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": actions,
        "Resource": _resources(bucket),
        "Condition": {"StringNotEquals": {"aws:username": names}},
    }


def _policy(*statements: dict[str, Any]) -> Policy:
    return {"Version": POLICY_VERSION, "Statement": list(statements)}


def _resources(bucket: str) -> list[str]:
    return [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def _canonical(policy: Policy | None) -> str:
    return json.dumps(_sorted(policy), sort_keys=True)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        # "*" and {"AWS": "*"} name the same principal (IAM reference, "Principal element").
        return {key: "*" if key == "Principal" and content == {"AWS": "*"} else _sorted(content)
                for key, content in value.items()}  # fmt: skip
    if isinstance(value, list):
        return _scalar_if_one(sorted((_sorted(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True)))
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _scalar_if_one(values: Iterable[Any]) -> Any:
    found = list(values)
    return found[0] if len(found) == 1 else found
