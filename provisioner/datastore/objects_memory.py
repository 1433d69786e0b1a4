"""The in-memory S3 server: what the real adapter does, without a server, for tests of all that stands above it.

It passes the same contract tests (tests/contracts/test_datastore_objects.py). A test may change ``contents``,
``open_buckets`` and ``keys``, as somebody would by hand.
"""

import secrets
from dataclasses import replace

from provisioner.datastore.credentials import AccessKey, generate_password
from provisioner.datastore.marks import Fate, Mark, require_own
from provisioner.datastore.objects import BucketState, BucketUsage, IdentityState
from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity


class MemoryObjects:
    """Fulfils ObjectsAdmin."""

    def __init__(self) -> None:
        self.buckets: dict[str, BucketState] = {}
        self.contents: dict[str, dict[str, int]] = {}  # size of each object, by bucket and key
        self.stopped: set[str] = set()  # buckets whose policy refuses writes
        self.open_buckets: set[str] = set()  # buckets whose policy was taken away
        self.identities: dict[str, Mark | None] = {}
        self.rights: dict[str, str] = {}  # the bucket that an identity reaches
        self.keys: dict[str, dict[str, AccessKey]] = {}

    def read_bucket(self, wanted: ObjectsBucket) -> BucketState | None:
        """The bucket, or None."""
        found = self.buckets.get(wanted.name)
        if found is None:
            return None
        deviations: tuple[str, ...] = ()
        if wanted.name in self.open_buckets:
            deviations = ("the bucket policy is missing",)
        elif self._is_closed(wanted) != (wanted.name in self.stopped):
            deviations = ("the bucket policy differs",)
        return replace(found, deviations=deviations)

    def ensure_bucket(self, wanted: ObjectsBucket, *, mark: Mark) -> None:
        """Make the bucket as wanted."""
        found = self.buckets.get(wanted.name)
        if found is not None and (found.mark is not None or self.contents[wanted.name]):
            require_own(found.mark, own=mark, what=f"the bucket {wanted.name}")
        self.buckets[wanted.name] = BucketState(
            name=wanted.name, versioning=wanted.versioning, quota_bytes=wanted.quota_bytes, mark=mark
        )
        self.contents.setdefault(wanted.name, {})
        self.open_buckets.discard(wanted.name)
        self.stopped.discard(wanted.name)
        if self._is_closed(wanted):
            self.stopped.add(wanted.name)

    def retire_bucket(self, name: str, *, mark: Mark, delete_data: bool) -> Fate:
        """Delete the bucket, or keep it, closed and marked."""
        found = self.buckets.get(name)
        if found is None:
            return Fate.ABSENT
        require_own(found.mark, own=mark, what=f"the bucket {name}")
        if self.contents[name] and not delete_data:
            self.buckets[name] = replace(found, mark=replace(mark, retained=True))
            return Fate.RETAINED
        del self.buckets[name], self.contents[name]
        return Fate.DROPPED

    def read_identity(self, wanted: ObjectsIdentity, *, key: str | None) -> IdentityState | None:
        """The identity, or None."""
        if wanted.name not in self.identities:
            return None
        active = tuple(sorted(self.keys[wanted.name]))
        deviations = []
        if wanted.name not in self.rights:
            deviations.append("the identity's policy is missing")
        elif self.rights[wanted.name] != wanted.bucket:
            deviations.append("the identity's policy differs")
        if key is not None and key not in active:
            deviations.append("the access key is gone")
        deviations += [f"not wanted: the access key {one}" for one in active if key not in (None, one)]
        return IdentityState(
            name=wanted.name,
            access_key_ids=active,
            deviations=tuple(deviations),
            mark=self.identities[wanted.name],
        )

    def ensure_identity(self, wanted: ObjectsIdentity, *, mark: Mark, key: str | None) -> AccessKey | None:
        """Make the identity as wanted; gives the new access key if one was made."""
        name = wanted.name
        found, keys = self.identities.get(name), self.keys.setdefault(name, {})
        if name in self.identities and (found is not None or keys or name in self.rights):
            require_own(found, own=mark, what=f"the S3 identity {name}")
        self.identities[name] = mark
        self.rights[name] = wanted.bucket
        self.keys[name] = {one: value for one, value in keys.items() if one == key}
        if self.keys[name]:
            return None
        made = AccessKey(id=f"AKIA{secrets.token_hex(8).upper()}", secret=generate_password())
        self.keys[name][made.id] = made
        return made

    def drop_identity(self, name: str, *, mark: Mark) -> Fate:
        """Delete the identity."""
        if name not in self.identities:
            return Fate.ABSENT
        require_own(self.identities[name], own=mark, what=f"the S3 identity {name}")
        del self.identities[name], self.keys[name]
        self.rights.pop(name, None)
        return Fate.DROPPED

    def takes_writes(self, wanted: ObjectsBucket) -> bool | None:
        """Whether the tenant's identity may write now, or None."""
        return None if wanted.name not in self.buckets else wanted.name not in self.stopped

    def read_usage(self, bucket: str) -> BucketUsage | None:
        """Bytes and objects, or None."""
        found = self.buckets.get(bucket)
        if found is None:
            return None
        sizes = self.contents[bucket].values()
        return BucketUsage(size_bytes=sum(sizes), objects=len(sizes), quota_bytes=found.quota_bytes)

    def _is_closed(self, wanted: ObjectsBucket) -> bool:
        return wanted.fenced or self._is_past(wanted)

    def _is_past(self, wanted: ObjectsBucket) -> bool:
        return 0 < wanted.quota_bytes < sum(self.contents.get(wanted.name, {}).values())
