"""The fence of a bucket: from a proved moment on its applications write nothing more, and the migrator still may.

1. A Deny of writes and deletes for the applications' identities goes into the bucket's policy.
2. Trial writes with an application's own access key are made until several in a row were refused: a policy that was
   accepted is not yet a policy that is in force.
3. Uploads in parts that are open are aborted, until none is left: what they hold was never acknowledged as an object.
4. A last trial write is refused. Only that makes a `Fence`, which the steps behind it ask for.

A trial begins an upload in parts, which needs the right to write and shows no object, and is aborted if it was let
through; the last one is a real object, which is removed again. Cut off anywhere, the same call goes on, and ``lift``
takes the fence away whether it was complete or not.
"""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import cast

from botocore.exceptions import ClientError

from provisioner.datastore.objects_clients import ABSENT, code_of, unless
from provisioner.datastore.objects_policies import Policy
from provisioner.errors import CoopctlError, TimedOut
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_policies import fenced, is_fenced, unfenced

TRIAL_PREFIX = ".coopctl-trial-"
REFUSALS_IN_A_ROW = 3
TRIAL_PAUSE_SECONDS = 0.05
WAIT_SECONDS = 30.0
_REFUSED = frozenset({"AccessDenied", "AllAccessDisabled", "403"})


@dataclass(frozen=True, kw_only=True)
class Fence:
    """Proof that a bucket is fenced: when the last trial write was refused, and which uploads were aborted (keys)."""

    bucket: str
    identities: tuple[str, ...]
    refused_at: datetime
    trials: int
    aborted: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Application:
    """An application that writes to the bucket: its identity (IAM user name), and the bucket as it sees it."""

    identity: str
    bucket: Bucket


@dataclass(frozen=True, kw_only=True)
class Fencing:
    """Fences the bucket ``of`` (as its administrator sees it) for ``applications``, within ``wait_seconds``."""

    of: Bucket
    applications: Sequence[Application]
    clock: Callable[[], datetime]
    wait_seconds: float = WAIT_SECONDS

    def put(self) -> Fence:
        """Fence the bucket, and prove it.

        Raises TimedOut if a trial write was still let through at last (the fence is lifted then), Unreachable,
        NotPermitted or CoopctlError; call it again, or ``lift``.
        """
        self._write(fenced(self._read(), bucket=self.of.name, identities=self._identities))
        deadline = time.monotonic() + self.wait_seconds
        try:
            trials = sum(self._until_refused(one, deadline=deadline) for one in self.applications)
            aborted = self._abort_uploads(deadline=deadline)
            self._require_refused()
        except TimedOut:
            self.lift()
            raise
        return Fence(
            bucket=str(self.of),
            identities=self._identities,
            refused_at=self.clock(),
            trials=trials,
            aborted=aborted,
        )

    def lift(self) -> bool:
        """Take the fence away, and wait until writes are let through; False if there was none.

        Raises TimedOut if they are still refused at last: something else refuses them.
        """
        policy = self._read()
        if not is_fenced(policy):
            return False
        self._write(unfenced(policy))
        deadline = time.monotonic() + self.wait_seconds
        for one in self.applications:
            self._until_accepted(one, deadline=deadline)
        return True

    def lets_in(self) -> bool:
        """Whether every application may write now. Raises Unreachable or CoopctlError, too for a key nobody knows."""
        return all(self._begins_upload(one) for one in self.applications)

    def stands(self) -> bool:
        """Whether the fence is in the bucket's policy."""
        return is_fenced(self._read())

    @property
    def _identities(self) -> tuple[str, ...]:
        return tuple(sorted(one.identity for one in self.applications))

    def _until_refused(self, one: Application, *, deadline: float) -> int:
        """Trials until several in a row were refused; gives how many there were."""
        trials, in_a_row = 0, 0
        while in_a_row < REFUSALS_IN_A_ROW:
            trials += 1
            in_a_row = 0 if self._begins_upload(one) else in_a_row + 1
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"{one.identity} may still write to {self.of} after {self.wait_seconds:.0f} seconds",
                    why="the server accepted the policy and does not follow it",
                    hint="nothing was switched; the fence is lifted",
                )
            time.sleep(TRIAL_PAUSE_SECONDS)
        return trials

    def _until_accepted(self, one: Application, *, deadline: float) -> None:
        while not self._begins_upload(one):
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"{one.identity} may not write to {self.of}, although the fence is lifted",
                    why="another statement of the bucket's policy, or the quota, refuses it",
                )
            time.sleep(TRIAL_PAUSE_SECONDS)

    def _abort_uploads(self, *, deadline: float) -> tuple[str, ...]:
        aborted: list[str] = []
        while found := self.of.uploads():
            for key, upload in found:
                self.of.abort_upload(key, upload=upload)
                aborted.append(key)
            if time.monotonic() > deadline:
                raise TimedOut(f"uploads to {self.of} are still open: {found[0][0]!r}, for one")
        return tuple(sorted(aborted))

    def _require_refused(self) -> None:
        """A real object, with each identity; one that is let through is removed."""
        for one in self.applications:
            key = _trial_key()
            version = _unless_refused(one.bucket, partial(_put, one.bucket, key))
            if version is not None:
                self.of.remove(key, version=version)
                raise TimedOut(f"{one.identity} wrote to {self.of} although it was refused before")

    def _begins_upload(self, one: Application) -> bool:
        """Whether the application may begin an upload; what it begins is aborted."""
        key = _trial_key()
        upload = _unless_refused(one.bucket, partial(_begin, one.bucket, key))
        if upload is None:
            return False
        self.of.abort_upload(key, upload=upload)
        return True

    def _read(self) -> Policy | None:
        with self.of.translating():
            found = unless(ABSENT, self.of.s3.get_bucket_policy, Bucket=self.of.name)
        return cast("Policy", json.loads(found["Policy"])) if found else None

    def _write(self, policy: Policy | None) -> None:
        with self.of.translating():
            if policy is None:
                self.of.s3.delete_bucket_policy(Bucket=self.of.name)
            else:
                self.of.s3.put_bucket_policy(Bucket=self.of.name, Policy=json.dumps(policy))


def _unless_refused(bucket: Bucket, call: Callable[[], str]) -> str | None:
    """What ``call`` gives, or None if the server refuses the right to it; any other failure is one."""
    with bucket.translating():
        try:
            return call()
        except ClientError as error:
            if code_of(error) in _REFUSED:
                return None
            raise CoopctlError("a trial write failed for another reason than the fence", why=code_of(error)) from error


def _put(bucket: Bucket, key: str) -> str:
    return str(bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=b"").get("VersionId", "null"))


def _begin(bucket: Bucket, key: str) -> str:
    return bucket.s3.create_multipart_upload(Bucket=bucket.name, Key=key)["UploadId"]


def _trial_key() -> str:
    return f"{TRIAL_PREFIX}{secrets.token_hex(8)}"
