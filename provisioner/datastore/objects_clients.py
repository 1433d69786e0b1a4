"""S3 and IAM clients of the administrator, and what their errors mean."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError, SSLError

from provisioner.datastore.credentials import AccessKey, place, resolve_access_key
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.s3_sessions import session_of
from provisioner.errors import CoopctlError, NotPermitted, Unreachable

if TYPE_CHECKING:
    from types_boto3_iam import IAMClient
    from types_boto3_s3 import S3Client

CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60
ATTEMPTS = 4
MAX_CONNECTIONS = 8
ABSENT = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchEntity",
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchTagSet",
        "OwnershipControlsNotFoundError",
    }
)
UNSUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "XNotImplemented"})
_REFUSED = frozenset({"AccessDenied", "AccessDeniedException", "AllAccessDisabled", "403"})
_BAD_KEY = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId"})

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Clients:
    """The clients of one server; they may be used by several threads. ``repr`` shows no key."""

    access: ObjectsAccess
    administrator: str
    s3: "S3Client" = field(repr=False)
    iam: "IAMClient" = field(repr=False)


def open_clients(access: ObjectsAccess, *, environment: Mapping[str, str]) -> Clients:
    """Open the clients and ask who the administrator is: bucket policies must name it, or they shut it out.

    Raises NotFound, NotPermitted or Unreachable.
    """
    session = _session(access, environment=environment, what="the S3 administrator's access key")
    s3, iam = _s3(session, access), _iam(session, access)
    with translating(access):
        # An S3 call first: SeaweedFS answers an IAM call with a wrong key in a form that names no reason.
        s3.list_buckets(MaxBuckets=1)
        administrator = iam.get_user()["User"].get("UserName")
    if not administrator:
        raise CoopctlError(
            f"the administrator of the S3 server at {access.url} has no user name",
            hint="use the access key of an IAM user: bucket policies name it, or they would shut it out",
        )
    return Clients(access=access, administrator=administrator, s3=s3, iam=iam)


def open_s3(access: ObjectsAccess, *, environment: Mapping[str, str], what: str) -> "S3Client":
    """A client for objects alone; ``what`` names its access key. Raises NotFound without one."""
    return _s3(_session(access, environment=environment, what=what), access)


def open_iam(access: ObjectsAccess, *, environment: Mapping[str, str], what: str) -> "IAMClient":
    """A client for identities alone; ``what`` names its access key. Raises NotFound without one."""
    return _iam(_session(access, environment=environment, what=what), access)


def open_s3_as(key: AccessKey, *, access: ObjectsAccess, attempts: int = ATTEMPTS) -> "S3Client":
    """A client for objects alone that works with ``key``, whatever ``access`` refers to; it asks ``attempts`` times."""
    return _s3(session_of(key, region=access.region), access, attempts=attempts)


@contextmanager
def translating(access: ObjectsAccess) -> Iterator[None]:
    """Turn the library's errors into ours; a message names server, operation and reason, never a key."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, access) from error
    except (EndpointConnectionError, HTTPClientError, SSLError) as error:
        raise Unreachable(
            f"the S3 server at {access.url} cannot be reached",
            why=type(error).__name__,
            hint="check that it runs and that the addresses in the Platform are right",
        ) from error
    except BotoCoreError as error:
        raise CoopctlError(f"the S3 server at {access.url} cannot be used", why=str(error)) from error


def code_of(error: ClientError) -> str:
    """The server's error code."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    return str(error.response.get("Error", {}).get("Code") or status)


def unless(
    codes: frozenset[str], call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result | None:
    """Make a call; None where the server answers with one of ``codes``."""
    try:
        return call(*args, **kwargs)
    except ClientError as error:
        if code_of(error) in codes:
            return None
        raise


def _session(access: ObjectsAccess, *, environment: Mapping[str, str], what: str) -> boto3.Session:
    key = resolve_access_key(access.credentials, environment=environment, what=what)
    return session_of(key, region=access.region)


def _s3(session: boto3.Session, access: ObjectsAccess, *, attempts: int = ATTEMPTS) -> "S3Client":
    config = _config(access.url, attempts=attempts)
    return session.client("s3", endpoint_url=access.via or access.url, config=config, verify=_verify(access))


def _iam(session: boto3.Session, access: ObjectsAccess) -> "IAMClient":
    return session.client("iam", endpoint_url=access.iam_url, config=_config(access.iam_url), verify=_verify(access))


def _verify(access: ObjectsAccess) -> str | None:
    return str(access.ca_file) if access.ca_file else None


def _config(url: str, *, attempts: int = ATTEMPTS) -> Config:
    # Virtual-host addressing needs DNS names per bucket, which only AWS itself has for sure.
    style: Literal["auto", "path"] = "auto" if (urlsplit(url).hostname or "").endswith(".amazonaws.com") else "path"
    return Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": attempts, "mode": "standard"},
        max_pool_connections=MAX_CONNECTIONS,
        s3={"addressing_style": style},
    )


def _refusal(error: ClientError, access: ObjectsAccess) -> CoopctlError:
    code = code_of(error)
    if code in _BAD_KEY:
        return NotPermitted(
            f"the S3 server at {access.url} refused the administrator's access key",
            why=code,
            hint=f"check {place(access.credentials)}",
        )
    if code in _REFUSED:
        return NotPermitted(
            f"the S3 server at {access.url} does not permit {error.operation_name} to the administrator",
            why=code,
            hint="the Platform's admin credentials must be allowed to manage buckets and users",
        )
    said = error.response.get("Error", {}).get("Message", "")
    return CoopctlError(f"the S3 server at {access.url} refused {error.operation_name}", why=f"{code}: {said}")
