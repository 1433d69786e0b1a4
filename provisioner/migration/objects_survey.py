"""What is known of a bucket before anything moves, and whether a target is ready for what the source has.

The survey only reads. The trial of the target's rights (``target_findings``) puts objects under a name of its own and
removes them again.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from botocore.exceptions import ClientError

from provisioner.datastore.objects_clients import UNSUPPORTED, code_of
from provisioner.errors import CoopctlError, Severity, Unreachable
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_fence import TRIAL_PREFIX
from provisioner.migration.objects_listing import chain_of, chains
from provisioner.migration.objects_values import Attributes, Listed

# Amazon S3 user guide, "Amazon S3 objects overview": no object is larger.
OBJECT_BYTES_MOST = 5 * 2**40
_UNLOCKED = frozenset({"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration", "404"}) | UNSUPPORTED


@dataclass(frozen=True, kw_only=True)
class BucketFacts:
    """A bucket as it was surveyed; sizes are in bytes and count every version. ``largest_key`` is "" if it is empty.

    ``versioning`` is ``Enabled``, ``Suspended`` or "". ``keys`` counts those that have any version, ``uploads`` the
    uploads in parts that are open.
    """

    bucket: str
    versioning: str
    object_lock: bool
    keys: int
    versions: int
    delete_markers: int
    size_bytes: int
    largest_bytes: int
    largest_key: str
    uploads: int


@dataclass(frozen=True, kw_only=True)
class ObjectsFinding:
    """A problem with a bucket: what it is, what would happen, and the exact remedy; a warning refuses nothing."""

    what: str
    consequence: str
    remedy: str
    severity: Severity = Severity.ERROR


def survey_bucket(bucket: Bucket, *, locks: bool = True) -> BucketFacts:
    """Look at all of ``bucket``, by listing it. Raises Unreachable, NotPermitted or CoopctlError.

    Without ``locks`` Object Lock is not asked for: a target's key needs no right to that.
    """
    keys = versions = markers = size = 0
    largest: Listed | None = None
    for _, chain in chains(bucket):
        keys += 1
        for one in chain:
            markers += one.marker
            versions += not one.marker
            size += one.size
            largest = one if largest is None or one.size > largest.size else largest
    return BucketFacts(
        bucket=str(bucket),
        versioning=bucket.versioning(),
        object_lock=locks and _is_locked(bucket),
        keys=keys,
        versions=versions,
        delete_markers=markers,
        size_bytes=size,
        largest_bytes=largest.size if largest else 0,
        largest_key=largest.key if largest else "",
        uploads=len(bucket.uploads()),
    )


def fact_findings(source: BucketFacts, target: BucketFacts | None) -> Iterator[ObjectsFinding]:
    """Pure: what the facts alone tell; without a ``target`` only what the source tells."""
    if source.object_lock:
        yield ObjectsFinding(
            severity=Severity.WARNING,
            what=f"{source.bucket} has Object Lock",
            consequence="retention and legal holds are not moved, and the source cannot be erased before they end",
            remedy="agree with the cooperative on what must stay locked, and lock it at the target after the switch",
        )
    if source.largest_bytes > OBJECT_BYTES_MOST:
        yield ObjectsFinding(
            what=f"{source.largest_key!r} is larger than S3 allows",
            consequence="it cannot be copied",
            remedy="split it, or delete it",
        )
    if target is None:
        return
    if target.keys:
        yield ObjectsFinding(
            what=f"{target.bucket} is not empty: it holds {target.keys} keys",
            consequence="nothing is copied: what is there could not be told from what was copied",
            remedy="name an empty bucket, or empty this one if nobody needs what it holds",
        )
    if target.versioning and not source.versioning:
        yield ObjectsFinding(
            severity=Severity.WARNING,
            what=f"{target.bucket} keeps versions ({target.versioning}), {source.bucket} does not",
            consequence="each difference pass leaves older versions behind, and they count towards the quota",
            remedy="name a bucket that never kept versions: it cannot be undone",
        )


def target_findings(target: Bucket, *, versions: bool) -> Iterator[ObjectsFinding]:
    """Try at ``target`` everything that a move needs, and remove it again; ``versions``: the source keeps them.

    Raises Unreachable if the server does not answer; what it refuses is a finding.
    """
    key = f"{TRIAL_PREFIX}{secrets.token_hex(8)}"
    try:
        for what, call, action in _trials(target, key, versions=versions):
            try:
                call()
            except Unreachable:
                raise
            except CoopctlError as error:
                yield ObjectsFinding(
                    what=f"{target}: {what} is refused{f' ({error.why})' if error.why else ''}",
                    consequence="the move would stop there",
                    remedy=f"allow {action} to its access key, on the bucket and on {target.name}/*",
                )
                return
    finally:
        _clean(target, key)


def _trials(target: Bucket, key: str, *, versions: bool) -> Iterator[tuple[str, Callable[[], object], str]]:
    attributes = Attributes(content_type="text/plain", metadata=(("coopctl", "trial"),), tags=(("coopctl", "trial"),))
    yield "looking at versioning", target.versioning, "s3:GetBucketVersioning"
    if versions:
        yield "keeping versions", lambda: target.set_versioning("Enabled"), "s3:PutBucketVersioning"
    yield (
        "putting an object",
        lambda: target.put(key, b"trial", attributes=attributes),
        "s3:PutObject, s3:PutObjectTagging",
    )
    yield "listing versions", lambda: chain_of(target, key), "s3:ListBucketVersions"
    yield "reading an object", lambda: _read_back(target, key), "s3:GetObjectVersion, s3:GetObjectVersionTagging"
    yield "uploading in parts", lambda: _upload(target, key), "s3:AbortMultipartUpload, s3:ListMultipartUploadParts"
    yield "listing uploads", target.uploads, "s3:ListBucketMultipartUploads"
    yield "deleting versions", lambda: _clean(target, key, quietly=False), "s3:DeleteObject, s3:DeleteObjectVersion"


def _read_back(target: Bucket, key: str) -> None:
    for listed in chain_of(target, key):
        target.attributes(listed)
        target.read(listed, start=0, size=listed.size)


def _upload(target: Bucket, key: str) -> None:
    upload = target.begin_upload(key, attributes=Attributes(content_type="text/plain"))
    target.put_part(key, b"trial", upload=upload, number=1)
    target.parts(key, upload=upload)
    target.abort_upload(key, upload=upload)


def _clean(target: Bucket, key: str, *, quietly: bool = True) -> None:
    try:
        for listed in chain_of(target, key):
            target.remove(key, version=listed.version)
    except CoopctlError:
        # The refusal itself was found before; there is nothing to clean up where nothing could be put.
        if not quietly:
            raise


def _is_locked(bucket: Bucket) -> bool:
    with bucket.translating():
        try:
            found = bucket.s3.get_object_lock_configuration(Bucket=bucket.name)
        except ClientError as error:
            if code_of(error) in _UNLOCKED:
                return False
            raise
        return found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
