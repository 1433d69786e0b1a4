"""The real S3 and IAM adapter. Clients are opened at the first call and shared by all threads."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from provisioner.datastore import objects_buckets, objects_identities
from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.marks import Fate, Mark
from provisioner.datastore.objects import BucketState, BucketUsage, IdentityState, ObjectsAccess
from provisioner.datastore.objects_clients import Clients, open_clients, translating
from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity


class ObjectsServerAdmin:
    """An administrator of the server at ``access``; fulfils ObjectsAdmin."""

    def __init__(self, access: ObjectsAccess, *, environment: Mapping[str, str]) -> None:
        self._access = access
        self._environment = environment
        self._opening = threading.Lock()
        self._opened: Clients | None = None

    def read_bucket(self, wanted: ObjectsBucket) -> BucketState | None:
        """The bucket, or None."""
        with self._clients() as clients:
            return objects_buckets.read_bucket(clients, wanted)

    def ensure_bucket(self, wanted: ObjectsBucket, *, mark: Mark) -> None:
        """Make the bucket as wanted."""
        with self._clients() as clients:
            objects_buckets.ensure_bucket(clients, wanted, mark=mark)

    def retire_bucket(self, name: str, *, mark: Mark, delete_data: bool) -> Fate:
        """Delete the bucket, or keep it, closed and marked."""
        with self._clients() as clients:
            return objects_buckets.retire_bucket(clients, name, mark=mark, delete_data=delete_data)

    def read_identity(self, wanted: ObjectsIdentity, *, key: str | None) -> IdentityState | None:
        """The identity, or None."""
        with self._clients() as clients:
            return objects_identities.read_identity(clients, wanted, key=key)

    def ensure_identity(self, wanted: ObjectsIdentity, *, mark: Mark, key: str | None) -> AccessKey | None:
        """Make the identity as wanted; gives the new access key if one was made."""
        with self._clients() as clients:
            return objects_identities.ensure_identity(clients, wanted, mark=mark, key=key)

    def drop_identity(self, name: str, *, mark: Mark) -> Fate:
        """Delete the identity."""
        with self._clients() as clients:
            return objects_identities.drop_identity(clients, name, mark=mark)

    def takes_writes(self, wanted: ObjectsBucket) -> bool | None:
        """Whether the tenant's identity may write now, or None."""
        with self._clients() as clients:
            return objects_buckets.takes_writes(clients, wanted)

    def read_usage(self, bucket: str) -> BucketUsage | None:
        """Bytes and objects, or None."""
        with self._clients() as clients:
            return objects_buckets.read_usage(clients, bucket)

    @contextmanager
    def _clients(self) -> Iterator[Clients]:
        with self._opening:
            if self._opened is None:
                self._opened = open_clients(self._access, environment=self._environment)
        with translating(self._access):
            yield self._opened
