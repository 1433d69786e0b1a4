"""Copies a bucket: a pass over all keys, in parallel, then further passes over what changed, until nothing differs.

1. The source's versions are listed key by key and held against the ledger; what differs is work (objects_planning).
2. The ledger says for which keys work begins, then workers do it: keys beside each other, the versions of a key one
   after the other.
3. Each key that is done is recorded with its digests. What the source has no more is removed from the target.
4. A pass that is killed anywhere is followed by another one: keys that were begun are first brought to what is
   recorded, so that no version is there twice; parts that were sent are not sent again.

Nothing of the target is touched but what this ledger put there: ``open_copying`` begins with an empty bucket only.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from provisioner.datastore.stopping import NeverStopped, Stopping
from provisioner.errors import ChangedMeanwhile, CoopctlError, Interrupted, NotOurs, NotPermitted, Unreachable
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_hand import KeyHand
from provisioner.migration.objects_ledger import Ledger, open_ledger
from provisioner.migration.objects_listing import chains
from provisioner.migration.objects_planning import KeyWork, key_work
from provisioner.migration.objects_transfer import PART_BYTES, Transfer
from provisioner.migration.objects_unsure import intend_unknown
from provisioner.migration.objects_values import Listed, ObjectFailure
from provisioner.migration.shared_files import is_unsure, settle

Item = TypeVar("Item")

WORKERS = 8
BATCH_KEYS = 64
PASSES_MOST = 20
_ENDS_THE_PASS = (Unreachable, NotPermitted, Interrupted)


@dataclass(frozen=True, kw_only=True)
class PassReport:
    """What a pass over the bucket did. ``failures`` are keys that could not be copied, ``changed`` those that changed
    while they were read; both are tried again by the next pass. ``copied_bytes`` counts what was sent."""

    listed: int
    copied: int
    copied_bytes: int
    removed: int
    retagged: int
    changed: tuple[str, ...]
    failures: tuple[ObjectFailure, ...]
    seconds: float

    @property
    def differed(self) -> bool:
        """Whether source and target differed in anything when the pass came by."""
        return bool(self.copied or self.removed or self.retagged or self.changed or self.failures)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a pass is: versions and bytes that were sent so far."""

    listed: int
    copied: int
    copied_bytes: int


Report = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class Copying:
    """Copies ``source`` to ``target`` by ``ledger``, ``workers`` keys at a time.

    ``report`` is told after each key; ``stopping`` ends a pass in an orderly way.
    """

    source: Bucket
    target: Bucket
    ledger: Ledger
    workers: int = WORKERS
    part_bytes: int = PART_BYTES
    report: Report = lambda _: None
    stopping: Stopping = field(default_factory=NeverStopped)

    def one_pass(self, *, compare: bool = False) -> PassReport:
        """Bring the target to what the source is now.

        With ``compare`` type, metadata and tags of every version are read and held against what was copied: no
        listing tells that somebody changed tags. Raises Unreachable, NotPermitted or Interrupted; run it again then.
        """
        return _Pass(copying=self).run(compare=compare)

    def passes(
        self, *, most: int = PASSES_MOST, settle_seconds: float = 0.0, compare: bool = True
    ) -> tuple[PassReport, ...]:
        """Passes until one finds nothing that differs, at most ``most``; between two ``settle_seconds`` go by.

        Unless ``compare`` is False, where a verification follows anyhow, the last one compares what no listing shows.
        Raises what `one_pass` raises.
        """
        reports: list[PassReport] = []
        comparing = False
        while len(reports) < most:
            reports.append(self.one_pass(compare=comparing))
            if not reports[-1].differed and comparing is compare:
                break
            comparing = compare and (comparing or not reports[-1].differed)
            time.sleep(settle_seconds)
        return tuple(reports)

    def abandon(self) -> int:
        """Give up every upload in parts that was begun and not completed; gives how many there were."""
        uploads = self.ledger.open_uploads()
        for key, upload in uploads:
            self.target.abort_upload(key, upload=upload.id)
            self.ledger.end_upload(upload)
        return len(uploads)


@contextmanager
def open_copying(
    file: Path,
    *,
    source: Bucket,
    target: Bucket,
    workers: int = WORKERS,
    part_bytes: int = PART_BYTES,
    report: Report = lambda _: None,
    stopping: Stopping | None = None,
) -> Iterator[Copying]:
    """Copying by the ledger in ``file``; where there is none yet, the target must be empty.

    A ledger that another machine wrote, and died, knows not all that was copied: that is copied again.
    The target keeps versions if the source does or did; `finish_versions` makes it like the source at last.
    Raises NotOurs if the target holds anything of others, and what S3 calls raise.
    """
    is_new, unsure = not file.exists(), is_unsure(file)
    if is_new and not unsure:
        require_empty(target)
    keep_versions(source, target)
    with open_ledger(file, source=str(source), target=str(target)) as ledger:
        if unsure:
            intend_unknown(ledger, target)
            settle(file)
        elif not is_new:
            require_untouched(ledger, target)
        yield Copying(
            source=source,
            target=target,
            ledger=ledger,
            workers=workers,
            part_bytes=part_bytes,
            report=report,
            stopping=stopping or NeverStopped(),
        )


def keep_versions(source: Bucket, target: Bucket) -> None:
    """Let the target keep versions while it is filled, if the source has any: a suspended bucket would keep one."""
    if source.versioning() and target.versioning() != "Enabled":
        target.set_versioning("Enabled")


def finish_versions(source: Bucket, target: Bucket) -> None:
    """Let the target keep versions from now on as the source does."""
    if source.versioning() == "Suspended":
        target.set_versioning("Suspended")


def require_empty(target: Bucket) -> None:
    """Raise NotOurs if ``target`` holds anything: a copy may be removed again, and must find nothing of others."""
    found = next(chains(target), None)
    if found is not None:
        raise NotOurs(
            f"the bucket {target} is not empty",
            why=f"it holds {found[0]!r}, for one",
            hint="name an empty bucket, or empty this one if nobody needs what it holds",
        )


def require_untouched(ledger: Ledger, target: Bucket) -> None:
    """Raise NotOurs if ``target`` holds what was not copied there: its applications may have begun to write.

    A journal may say that nothing was switched yet, because its writer died at that moment: the world is asked. In a
    bucket without versions an object that was written over with one of the same size is not noticed here.
    """
    for key, chain in chains(target):
        sizes = {one.target_version: one.source.size for one in ledger.recorded(key)}
        strange = any(sizes.get(one.version) != one.size for one in chain)
        if strange and not ledger.is_intended(key):
            raise NotOurs(
                f"the bucket {target} holds {key!r} otherwise than it was copied there",
                why="an application, or somebody else, has written to it since",
                hint="nothing was changed; if the data store was switched already, only the way back copies objects",
            )


@dataclass(frozen=True, kw_only=True)
class _Done:
    """What a worker leaves of a key, and what ended it early."""

    hand: KeyHand
    failure: CoopctlError | None = None


class _Pass:
    """One pass. Counters are the main thread's, but for the bytes."""

    def __init__(self, *, copying: Copying) -> None:
        self._copying = copying
        self._sent = 0
        self._counting = threading.Lock()
        self._listed = 0
        self._copied = self._removed = self._retagged = 0
        self._changed: list[str] = []
        self._failures: list[ObjectFailure] = []
        self._transfer = Transfer(
            source=copying.source,
            target=copying.target,
            ledger=copying.ledger,
            moved=self._moved,
            part_bytes=copying.part_bytes,
        )

    def run(self, *, compare: bool) -> PassReport:
        begun = time.monotonic()
        self._copying.ledger.forget_seen()
        running: set[Future[_Done]] = set()
        with ThreadPoolExecutor(self._copying.workers, thread_name_prefix="objects") as pool:
            try:
                for batch in _batched(self._works(compare=compare)):
                    self._copying.ledger.intend(work.key for work in batch)
                    running |= {pool.submit(self._work, work) for work in batch}
                    self._gather(running, most=self._copying.workers * 2)
            finally:
                # Whatever ended the listing: what the workers have done is recorded.
                self._gather(running, most=0)
        return PassReport(
            listed=self._listed,
            copied=self._copied,
            copied_bytes=self._sent,
            removed=self._removed,
            retagged=self._retagged,
            changed=tuple(self._changed),
            failures=tuple(self._failures),
            seconds=time.monotonic() - begun,
        )

    def _works(self, *, compare: bool) -> Iterator[KeyWork]:
        ledger = self._copying.ledger
        for chain in _batched(chains(self._copying.source)):
            ledger.see(key for key, _ in chain)
            for key, source in chain:
                self._listed += len(source)
                yield from self._planned(key, source, compare=compare)
        for key in ledger.unseen():
            yield from self._planned(key, (), compare=False)

    def _planned(self, key: str, source: tuple[Listed, ...], *, compare: bool) -> Iterator[KeyWork]:
        ledger = self._copying.ledger
        work = key_work(
            key, source=source, recorded=ledger.recorded(key), intended=ledger.is_intended(key), compare=compare
        )
        if not work.idle:
            yield work

    def _gather(self, running: set[Future[_Done]], *, most: int) -> None:
        """Record what is done until at most ``most`` are running. Raises what ends the pass, when all have ended."""
        ending: CoopctlError | None = None
        while len(running) > most:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            running -= ended
            done = [future.result() for future in ended]
            self._record(done)
            ending = ending or next((one.failure for one in done if isinstance(one.failure, _ENDS_THE_PASS)), None)
            if ending is not None:
                # What has not begun is left to the next pass.
                most, running_still = 0, {future for future in running if not future.cancel()}
                running &= running_still
        if ending is not None:
            raise ending

    def _record(self, done: Iterable[_Done]) -> None:
        for one in done:
            key = one.hand.work.key
            self._copying.ledger.complete([(key, one.hand.copies)], whole=one.failure is None)
            self._copied += one.hand.copied
            self._removed += one.hand.removed
            self._retagged += one.hand.retagged
            if isinstance(one.failure, ChangedMeanwhile):
                self._changed.append(key)
            elif one.failure is not None and not isinstance(one.failure, _ENDS_THE_PASS):
                self._failures.append(ObjectFailure(key=key, why=_words(one.failure)))
        self._copying.report(Progress(listed=self._listed, copied=self._copied, copied_bytes=self._sent))

    def _work(self, work: KeyWork) -> _Done:
        """Do what is to do for one key, in a worker; a failure is part of the answer."""
        hand = KeyHand(work=work, source=self._copying.source, transfer=self._transfer, stopping=self._copying.stopping)
        failure: CoopctlError | None = None
        try:
            hand.do()
        except CoopctlError as error:
            failure = error
        return _Done(hand=hand, failure=failure)

    def _moved(self, count: int) -> None:
        with self._counting:
            self._sent += count


def _batched(items: Iterable[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH_KEYS:
            yield batch
            batch = []
    if batch:
        yield batch


def _words(error: CoopctlError) -> str:
    return f"{error.message}: {error.why}" if error.why else error.message
