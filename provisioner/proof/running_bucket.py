"""Runs the attempts on the S3 server and its IAM API, as the tenant's identity and as nobody in particular."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, assert_never

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import BucketState, ObjectsAccess
from provisioner.datastore.objects_buckets import read_bucket
from provisioner.datastore.objects_clients import ABSENT, code_of, open_clients, translating, unless
from provisioner.datastore.objects_identities import read_identity
from provisioner.datastore.s3_sessions import session_of
from provisioner.plan.resources import (
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
)
from provisioner.proof.attempts import BucketAttempt, Caller, ObjectsCall, StoreLook
from provisioner.proof.planning_bucket import OBJECTS
from provisioner.proof.verdicts import Verdict, allowed, not_attempted, refused

if TYPE_CHECKING:
    from botocore.client import BaseClient

_TIMEOUT_SECONDS = 10
_CONNECTIONS = 8
_FORBIDDEN = 403
# What the server does not know, or does not do at all, is no guard.
_NO_GUARD = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch"})
_UNSUPPORTED = frozenset({"MethodNotAllowed", "NotImplemented", "XNotImplemented"})
_WRITES = frozenset({"put_object"})


class BucketRunner:
    """Makes attempts with the identity of one tenant; for one thread.

    Looks at the tenant's own bucket are to come before writing to it: they tell whether its quota stops that.
    """

    def __init__(self, access: ObjectsAccess, *, key: AccessKey, mark: Mark, environment: Mapping[str, str]) -> None:
        self._access = access
        self._key = key
        self._mark = mark
        self._admin = open_clients(access, environment=environment)
        self._clients = _clients(access, key=key)
        self._writes_are_stopped = False

    def run(self, attempt: BucketAttempt) -> Verdict:
        """Make the attempt. Raises Unreachable if the server does not answer."""
        match attempt:
            case ObjectsCall():
                return self._called(attempt)
            case StoreLook():
                with translating(self._access):
                    deviation = next(self._deviations(attempt), None)
                return refused(attempt.about, by=None, said=deviation) if deviation else allowed(attempt.about)
            case _:
                assert_never(attempt)

    def some_objects(self, buckets: Iterable[str]) -> Mapping[str, str]:
        """A key of an object of each bucket that holds any. Raises Unreachable or NotPermitted."""
        found: dict[str, str] = {}
        for bucket in buckets:
            with translating(self._access):
                listed = unless(ABSENT, self._admin.s3.list_objects_v2, Bucket=bucket, MaxKeys=1)
            for item in listed.get("Contents", ()) if listed else ():
                found[bucket] = item["Key"]
        return found

    def _called(self, attempt: ObjectsCall) -> Verdict:
        about = attempt.about
        client = self._clients[attempt.caller, attempt.service]
        try:
            with translating(self._access):
                return allowed(about, _answered(client, attempt))
        except _Refused as error:
            if error.code in attempt.permitted:
                return allowed(about, error.code)
            if error.code in _UNSUPPORTED:
                return not_attempted(f"the server does not do that at all: {error.code}")
            if about.guard is None and self._writes_are_stopped and attempt.operation in _WRITES:
                return not_attempted("writes are stopped: the bucket's quota is used up")
            return refused(about, by=OBJECTS if error.is_guard else None, said=error.code)

    def _deviations(self, attempt: StoreLook) -> Iterator[str]:
        match attempt.wanted:
            case ObjectsBucket() as bucket:
                yield from self._bucket_deviations(bucket)
            case ObjectsIdentity() as identity:
                found = read_identity(self._admin, identity, key=self._key.id)
                yield from found.deviations if found else ("it is missing",)
            case PostgresRole() | PostgresDatabase() | PostgresGrants() | PostgresMembers():
                raise TypeError("a database has no place on an S3 server")

    def _bucket_deviations(self, wanted: ObjectsBucket) -> Iterator[str]:
        # Whether a quota is used up takes listing everything: that is asked only if the policy looks as if it were.
        found = read_bucket(self._admin, replace(wanted, quota_bytes=0))
        if found is not None and found.deviations:
            found = read_bucket(self._admin, wanted)
            self._writes_are_stopped = found is not None and not found.deviations
        yield from _differences(found, wanted=wanted, mark=self._mark)


class _Refused(Exception):
    """The server refused a call, with an error code of its own."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(code_of(error))
        self.code = code_of(error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        self.is_guard = status == _FORBIDDEN and self.code not in _NO_GUARD


def _answered(client: "BaseClient", attempt: ObjectsCall) -> str:
    try:
        found: Mapping[str, Any] = getattr(client, attempt.operation)(**attempt.parameters)
    except ClientError as error:
        raise _Refused(error) from error
    if "Body" in found:
        found["Body"].close()
    return f"{attempt.operation} was answered"


def _differences(found: BucketState | None, *, wanted: ObjectsBucket, mark: Mark) -> Iterator[str]:
    if found is None:
        yield "it is missing"
        return
    yield from found.deviations
    if found.mark != mark:
        yield f"its mark is {found.mark}"
    if found.versioning != wanted.versioning:
        yield f"versioning is {'on' if found.versioning else 'off'}"


def _clients(access: ObjectsAccess, *, key: AccessKey) -> Mapping[tuple[Caller, str], "BaseClient"]:
    session = session_of(key, region=access.region)
    verify = str(access.ca_file) if access.ca_file else None
    common = Config(
        connect_timeout=_TIMEOUT_SECONDS,
        read_timeout=_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 2},
        max_pool_connections=_CONNECTIONS,
        s3={"addressing_style": "path"},
    )
    unsigned = common.merge(Config(signature_version=UNSIGNED))
    return {
        (Caller.IDENTITY, "s3"): session.client("s3", endpoint_url=access.url, config=common, verify=verify),
        (Caller.IDENTITY, "iam"): session.client("iam", endpoint_url=access.iam_url, config=common, verify=verify),
        (Caller.ANONYMOUS, "s3"): session.client("s3", endpoint_url=access.url, config=unsigned, verify=verify),
    }
