"""Identities: reading, ensuring and deleting them over the IAM API.

The order of making one is: user, mark, rights, and the access key last. A kill before the key leaves a user that can
do nothing; a kill after it leaves a key that nobody knows, and the next create replaces it.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.marks import Fate, Mark, from_tags, require_own, to_tags
from provisioner.datastore.objects import IdentityState, ObjectsAccess
from provisioner.datastore.objects_clients import ABSENT, Clients, code_of, open_clients, translating, unless
from provisioner.datastore.objects_policies import Policy, identity_policy, same_policy
from provisioner.plan.resources import ObjectsIdentity

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_iam.type_defs import AccessKeyMetadataTypeDef


POLICY_NAME = "own-bucket"


def read_identity(clients: Clients, wanted: ObjectsIdentity, *, key: str | None) -> IdentityState | None:
    """The identity with every right that it lacks or has too many, or None."""
    if not _exists(clients, wanted.name):
        return None
    keys = _keys(clients, wanted.name)
    active = tuple(sorted(one["AccessKeyId"] for one in keys if one["Status"] == "Active"))
    return IdentityState(
        name=wanted.name,
        access_key_ids=active,
        deviations=(*_rights_deviations(clients, wanted), *_key_deviations(active, key)),
        mark=_mark(clients, wanted.name),
    )


def ensure_identity(clients: Clients, wanted: ObjectsIdentity, *, mark: Mark, key: str | None) -> AccessKey | None:
    """Make the identity as wanted; gives the new access key if one was made."""
    name = wanted.name
    _create(clients, name)
    found = _mark(clients, name)
    if found is not None or not _is_powerless(clients, name):
        require_own(found, own=mark, what=f"the S3 identity {name}")
    if found != mark:
        mark_identity(clients, name, mark=mark)
    _ensure_rights(clients, wanted)
    return _ensure_key(clients, name, key=key)


def drop_identity(clients: Clients, name: str, *, mark: Mark) -> Fate:
    """Delete the identity: its keys first, so that it is powerless at once."""
    if not _exists(clients, name):
        return Fate.ABSENT
    require_own(_mark(clients, name), own=mark, what=f"the S3 identity {name}")
    _delete_keys(clients, name, but=None)
    for policy in _inline_policies(clients, name):
        clients.iam.delete_user_policy(UserName=name, PolicyName=policy)
    _leave_foreign(clients, name)
    unless(ABSENT, clients.iam.delete_user, UserName=name)
    return Fate.DROPPED


def require_manager(access: ObjectsAccess, *, environment: Mapping[str, str]) -> None:
    """Raise NotPermitted, or whatever stands in the way, unless the access key manages identities."""
    clients = open_clients(access, environment=environment)
    with translating(access):
        # Nobody else may see all of them.
        clients.iam.list_users(MaxItems=1)


def has_identity(clients: Clients, name: str) -> bool:
    """Whether there is one of this name."""
    return _exists(clients, name)


def read_identity_mark(clients: Clients, name: str) -> Mark | None:
    """The mark of the identity, which is there."""
    return _mark(clients, name)


def mark_identity(clients: Clients, name: str, *, mark: Mark) -> None:
    """Write the mark of the identity, which is there."""
    clients.iam.tag_user(UserName=name, Tags=[{"Key": k, "Value": v} for k, v in to_tags(mark).items()])


def may_replace_key(iam: "IAMClient", name: str) -> bool:
    """Whether the server knows the identity ``name`` and lets us see its keys. Raises what botocore raises for a server
    that does not answer."""
    try:
        iam.list_access_keys(UserName=name)
    except (ClientError, ResponseParserError):
        # No IAM API, no right, no such user: servers say it in many ways.
        return False
    return True


def replace_key(iam: "IAMClient", name: str, *, known: str | None) -> AccessKey:
    """Give the identity a new key. What nobody knows goes first, ``known`` last: it may have two at a time."""
    for one in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        if one["AccessKeyId"] != known:
            iam.delete_access_key(UserName=name, AccessKeyId=one["AccessKeyId"])
    made = iam.create_access_key(UserName=name)["AccessKey"]
    if known is not None:
        unless(ABSENT, iam.delete_access_key, UserName=name, AccessKeyId=known)
    return AccessKey(id=made["AccessKeyId"], secret=Secret(made["SecretAccessKey"]))


def _exists(clients: Clients, name: str) -> bool:
    return unless(ABSENT, clients.iam.get_user, UserName=name) is not None


def _create(clients: Clients, name: str) -> None:
    try:
        clients.iam.create_user(UserName=name)
    except ClientError as error:
        if code_of(error) != "EntityAlreadyExists":
            raise


def _mark(clients: Clients, name: str) -> Mark | None:
    tags = clients.iam.list_user_tags(UserName=name)["Tags"]
    return from_tags({tag["Key"]: tag["Value"] for tag in tags})


def _is_powerless(clients: Clients, name: str) -> bool:
    return not any((_keys(clients, name), _inline_policies(clients, name), *_foreign(clients, name)))


def _keys(clients: Clients, name: str) -> "list[AccessKeyMetadataTypeDef]":
    return list(clients.iam.list_access_keys(UserName=name)["AccessKeyMetadata"])


def _inline_policies(clients: Clients, name: str) -> list[str]:
    return list(clients.iam.list_user_policies(UserName=name)["PolicyNames"])


def _foreign(clients: Clients, name: str) -> tuple[list[str], list[str]]:
    """Managed policies (ARNs) and groups: a tenant's identity has none."""
    attached = clients.iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    groups = clients.iam.list_groups_for_user(UserName=name)["Groups"]
    return [one.get("PolicyArn", "") for one in attached], [one["GroupName"] for one in groups]


def _read_policy(clients: Clients, name: str) -> Policy | None:
    found = unless(ABSENT, clients.iam.get_user_policy, UserName=name, PolicyName=POLICY_NAME)
    if found is None:
        return None
    document = found["PolicyDocument"]
    # botocore decodes AWS's percent-encoded JSON; a server that does not encode may leave the text.
    return cast("Policy", json.loads(unquote(document)) if isinstance(document, str) else document)


def _rights_deviations(clients: Clients, wanted: ObjectsIdentity) -> Iterator[str]:
    policy = _read_policy(clients, wanted.name)
    if policy is None:
        yield "the identity's policy is missing"
    elif not same_policy(policy, identity_policy(wanted.bucket)):
        yield "the identity's policy differs"
    attached, groups = _foreign(clients, wanted.name)
    others = sorted(set(_inline_policies(clients, wanted.name)) - {POLICY_NAME})
    yield from (f"not wanted: the policy {one}" for one in (*others, *attached))
    yield from (f"not wanted: member of the group {one}" for one in groups)


def _key_deviations(active: tuple[str, ...], key: str | None) -> Iterator[str]:
    if key is None:
        return
    if key not in active:
        yield "the access key is gone"
    yield from (f"not wanted: the access key {one}" for one in active if one != key)


def _ensure_rights(clients: Clients, wanted: ObjectsIdentity) -> None:
    policy = identity_policy(wanted.bucket)
    if not same_policy(_read_policy(clients, wanted.name), policy):
        clients.iam.put_user_policy(UserName=wanted.name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy))
    for other in set(_inline_policies(clients, wanted.name)) - {POLICY_NAME}:
        clients.iam.delete_user_policy(UserName=wanted.name, PolicyName=other)
    _leave_foreign(clients, wanted.name)


def _leave_foreign(clients: Clients, name: str) -> None:
    attached, groups = _foreign(clients, name)
    for arn in attached:
        clients.iam.detach_user_policy(UserName=name, PolicyArn=arn)
    for group in groups:
        clients.iam.remove_user_from_group(UserName=name, GroupName=group)


def _ensure_key(clients: Clients, name: str, *, key: str | None) -> AccessKey | None:
    active = {one["AccessKeyId"] for one in _keys(clients, name) if one["Status"] == "Active"}
    kept = key if key in active else None
    _delete_keys(clients, name, but=kept)
    if kept is not None:
        return None
    made = clients.iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(id=made["AccessKeyId"], secret=Secret(made["SecretAccessKey"]))


def _delete_keys(clients: Clients, name: str, *, but: str | None) -> None:
    for one in _keys(clients, name):
        if one["AccessKeyId"] != but:
            clients.iam.delete_access_key(UserName=name, AccessKeyId=one["AccessKeyId"])
