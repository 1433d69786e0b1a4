"""What is asked of an S3 server with an IAM API, as a protocol, and the values that it answers with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.marks import Fate, Mark
from provisioner.descriptor.platform import ObjectsServer, SecretReference
from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity


@dataclass(frozen=True, kw_only=True)
class ObjectsAccess:
    """How the administrator reaches a server; the access key is a reference, resolved when calling.

    ``via`` is its URL from here, if that is another one: in a pod of the platform.
    """

    url: str
    iam_url: str
    region: str
    credentials: SecretReference
    ca_file: Path | None = None
    via: str | None = None


@dataclass(frozen=True, kw_only=True)
class BucketState:
    """A bucket as the server has it. ``deviations`` are ways in which it is open to others, in words; none is right."""

    name: str
    versioning: bool
    quota_bytes: int
    deviations: tuple[str, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class IdentityState:
    """An identity as the server has it. ``deviations`` are rights that it lacks or has too many, in words."""

    name: str
    access_key_ids: tuple[str, ...]
    deviations: tuple[str, ...] = ()
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class BucketUsage:
    """What a bucket holds: bytes and objects, with every version of each, and the quota that it bears (0 for none)."""

    size_bytes: int
    objects: int
    quota_bytes: int


class ObjectsAdmin(Protocol):
    """An administrator's view of one S3 server.

    Every ``ensure`` is idempotent, and adopts only what bears ``mark``, or what a cut-off creation leaves: a bucket
    or identity without mark, content and rights. All raise Unreachable, NotPermitted, NotOurs or CoopctlError.
    """

    def read_bucket(self, wanted: ObjectsBucket) -> BucketState | None:
        """The bucket, or None."""

    def ensure_bucket(self, wanted: ObjectsBucket, *, mark: Mark) -> None:
        """Make the bucket as wanted; lifts the mark ``retained``."""

    def retire_bucket(self, name: str, *, mark: Mark, delete_data: bool) -> Fate:
        """Delete the bucket if it is empty or ``delete_data``; else mark it retained."""

    def read_identity(self, wanted: ObjectsIdentity, *, key: str | None) -> IdentityState | None:
        """The identity, or None; ``key`` is the one access key that it must have (None: not looked at)."""

    def ensure_identity(self, wanted: ObjectsIdentity, *, mark: Mark, key: str | None) -> AccessKey | None:
        """Make the identity as wanted, with the one access key ``key``; without it, or if the server no longer
        has it, all keys are replaced by a new one, which is returned."""

    def drop_identity(self, name: str, *, mark: Mark) -> Fate:
        """Delete the identity with its keys and rights."""

    def takes_writes(self, wanted: ObjectsBucket) -> bool | None:
        """Whether the bucket's policy lets the tenant's identity write now; None if there is no bucket."""

    def read_usage(self, bucket: str) -> BucketUsage | None:
        """What the bucket holds now, or None if there is none."""


def objects_access(server: ObjectsServer) -> ObjectsAccess:
    """How coopctl reaches the Platform's server."""
    return ObjectsAccess(
        url=server.url,
        iam_url=server.iam_url,
        region=server.region,
        credentials=server.admin_credentials,
        ca_file=server.ca_file,
    )
