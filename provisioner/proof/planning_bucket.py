"""Pure: attempts of the tenant's bucket identity, and of nobody in particular, on buckets and identities.

No call changes anything, also where it is permitted: what is read does not exist, what is written bears a checksum that
is not its own and a condition that does not hold, what is deleted is a version that there is not, and what is made is
there already or malformed. So nothing has to be cleared away.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity
from provisioner.proof.attempts import About, Area, BucketAttempt, Caller, Guard, GuardKind, ObjectsCall, StoreLook
from provisioner.proof.tenant import Neighbour, ProvenTenant

OBJECTS = Guard(kind=GuardKind.OBJECTS)
KEY = "coopctl-proof/absent"
_NOBODY = "coopctl-proof-absent"
_WRONG_CHECKSUM = "AAAAAAAAAAAAAAAAAAAAAA=="
_WRONG_VERSION = "0000000000000000000000000000dead"
_WRONG_ETAG = '"00000000000000000000000000000000"'
_MALFORMED = "{}"
_NO_SUCH_KEY = frozenset({"NoSuchKey", "404"})
_NOT_AS_SAID = frozenset({"BadDigest", "InvalidDigest", "NoSuchKey", "PreconditionFailed", "412"})
_NO_SUCH_VERSION = frozenset({"InvalidArgument", "NoSuchVersion"})
_NO_CONFIGURATION = frozenset({"NoSuchBucketPolicy", "NoSuchTagSet", "NoSuchTagSetError"})
_IS_MALFORMED = frozenset(
    {"IllegalVersioningConfigurationException", "MalformedPolicy", "MalformedXML", "InvalidArgument"}
)
_IS_THERE = frozenset(
    {"BucketAlreadyExists", "BucketAlreadyOwnedByYou", "EntityAlreadyExists", "IllegalLocationConstraintException"}
)
_NO_SUCH_USER = frozenset({"MalformedPolicyDocument", "NoSuchEntity"})


@dataclass(frozen=True, kw_only=True)
class _Call:
    operation: str
    parameters: Mapping[str, Any]
    permitted: frozenset[str] = frozenset()


# What the tenant itself does with objects: with its own bucket it must work, with any other not.
_ON_OBJECTS: Mapping[str, _Call] = MappingProxyType(
    {
        "lists": _Call(operation="list_objects_v2", parameters={"MaxKeys": 1}),
        "lists versions of": _Call(operation="list_object_versions", parameters={"MaxKeys": 1}),
        "gets from": _Call(operation="get_object", parameters={"Key": KEY}, permitted=_NO_SUCH_KEY),
        "puts into": _Call(
            operation="put_object",
            parameters={"Key": KEY, "Body": b"", "ContentMD5": _WRONG_CHECKSUM, "IfMatch": _WRONG_ETAG},
            permitted=_NOT_AS_SAID,
        ),
        "deletes from": _Call(
            operation="delete_object",
            parameters={"Key": KEY, "VersionId": _WRONG_VERSION},
            permitted=_NO_SUCH_VERSION,
        ),
    }
)
# What is the administrator's alone, with the tenant's own bucket too.
_ON_BUCKETS: Mapping[str, _Call] = MappingProxyType(
    {
        "reads the policy of": _Call(operation="get_bucket_policy", parameters={}, permitted=_NO_CONFIGURATION),
        "writes the policy of": _Call(
            operation="put_bucket_policy", parameters={"Policy": _MALFORMED}, permitted=_IS_MALFORMED
        ),
        "reads the access list of": _Call(operation="get_bucket_acl", parameters={}),
        "reads the tags of": _Call(operation="get_bucket_tagging", parameters={}, permitted=_NO_CONFIGURATION),
        "switches versions off in": _Call(
            operation="put_bucket_versioning",
            parameters={"VersioningConfiguration": {"Status": "coopctl-proof"}},
            permitted=_IS_MALFORMED,
        ),
        "makes": _Call(operation="create_bucket", parameters={}, permitted=_IS_THERE),
    }
)
_COPY = "copies out of"


def bucket_attempts(
    tenant: ProvenTenant, *, neighbours: Sequence[Neighbour], objects: Mapping[str, str]
) -> tuple[BucketAttempt, ...]:
    """The attempts on buckets and identities, and looks at the tenant's own.

    ``objects`` has a key of an object for each bucket that holds any: a server may deny that an object is there, where
    listing is forbidden, though reading it is not (S3 API reference, GetObject, "Permissions").
    """
    wanted = [item for item in tenant.plan.resources if isinstance(item, ObjectsBucket | ObjectsIdentity)]
    own, others = tenant.names.bucket, [other.names.bucket for other in neighbours[:2]]
    identity = _Planner(caller=Caller.IDENTITY, who=f"bucket identity {tenant.names.objects_identity}", own=own)
    anonymous = _Planner(caller=Caller.ANONYMOUS, who="nobody in particular", own=own)
    return (
        *(_look(item) for item in wanted),
        *identity.controls(),
        *identity.attacks(others, users=[other.names.objects_identity for other in neighbours[:1]]),
        *anonymous.on_buckets([own, *others]),
        *(planner.on_object(bucket, key=key) for planner in (identity, anonymous) for bucket, key in objects.items()),
    )


class _Planner:
    """Plans for one caller."""

    def __init__(self, *, caller: Caller, who: str, own: str) -> None:
        self._caller = caller
        self._who = who
        self._own = own

    def controls(self) -> Iterator[BucketAttempt]:
        """What must work in the tenant's own bucket."""
        for what, call in _ON_OBJECTS.items():
            yield self._on_bucket(what, call, bucket=self._own, guard=None)

    def attacks(self, others: Sequence[str], *, users: Sequence[str]) -> Iterator[BucketAttempt]:
        """What must not work: in others' buckets anything, in its own its management, and anything with identities."""
        yield from self.on_buckets(others)
        for what, call in _ON_BUCKETS.items():
            yield self._on_bucket(what, call, bucket=self._own, guard=OBJECTS)
        for other in others:
            source = {"CopySource": {"Bucket": other, "Key": KEY}, "Key": KEY}
            yield self._call(
                f"{_COPY} {other}",
                _Call(operation="copy_object", parameters={"Bucket": self._own, **source}, permitted=_NO_SUCH_KEY),
            )
        yield from self._on_identities(users)

    def on_buckets(self, buckets: Sequence[str]) -> Iterator[BucketAttempt]:
        """Everything that can be done with a bucket."""
        for bucket in buckets:
            for what, call in {**_ON_OBJECTS, **_ON_BUCKETS}.items():
                yield self._on_bucket(what, call, bucket=bucket, guard=OBJECTS)

    def on_object(self, bucket: str, *, key: str) -> BucketAttempt:
        """Something that is there: asked for without its content."""
        what = "looks at an object of"
        call = _Call(operation="head_object", parameters={"Key": key})
        own = bucket == self._own and self._caller is Caller.IDENTITY
        return self._on_bucket(what, call, bucket=bucket, guard=None if own else OBJECTS)

    def _on_identities(self, users: Sequence[str]) -> Iterator[BucketAttempt]:
        nobody = {"UserName": _NOBODY}
        calls = {
            "lists identities": _Call(operation="list_users", parameters={}),
            "makes itself a key for another": _Call(
                operation="create_access_key", parameters=nobody, permitted=_NO_SUCH_USER
            ),
            "gives another rights": _Call(
                operation="put_user_policy",
                parameters={**nobody, "PolicyName": _NOBODY, "PolicyDocument": _MALFORMED},
                permitted=_NO_SUCH_USER,
            ),
            "gives itself rights": _Call(
                operation="put_user_policy",
                parameters={"UserName": self._own, "PolicyName": _NOBODY, "PolicyDocument": _MALFORMED},
                permitted=_NO_SUCH_USER,
            ),
        }
        for user in users:
            calls[f"reads the identity {user}"] = _Call(operation="get_user", parameters={"UserName": user})
            calls[f"makes the identity {user}"] = _Call(
                operation="create_user", parameters={"UserName": user}, permitted=_IS_THERE
            )
        for what, call in calls.items():
            yield self._call(what, call, service="iam")

    def _on_bucket(self, what: str, call: _Call, *, bucket: str, guard: Guard | None) -> ObjectsCall:
        found = _Call(
            operation=call.operation, parameters={"Bucket": bucket, **call.parameters}, permitted=call.permitted
        )
        return self._call(f"{what} {bucket}", found, guard=guard)

    def _call(self, what: str, call: _Call, *, service: str = "s3", guard: Guard | None = OBJECTS) -> ObjectsCall:
        return ObjectsCall(
            about=About(
                id=f"bucket/{self._caller}/{what}",
                area=Area.BUCKET,
                who=self._who,
                what=what,
                guard=guard,
                # Nobody has nothing that could work: the buckets are there, as the identity's own shows.
                rests_on=(f"bucket/{Caller.IDENTITY}/lists {self._own}",) if guard else (),
            ),
            caller=self._caller,
            service=service,
            operation=call.operation,
            parameters=call.parameters,
            permitted=call.permitted,
        )


def _look(wanted: ObjectsBucket | ObjectsIdentity) -> StoreLook:
    kind = "bucket" if isinstance(wanted, ObjectsBucket) else "identity"
    what = f"finds the {kind} {wanted.name} as planned"
    return StoreLook(about=About(id=f"bucket/{wanted.key}", area=Area.BUCKET, who="coopctl", what=what), wanted=wanted)
