"""Does the work of one key at the target, and knows at any moment what is there: that is recorded, however it ends."""

from collections.abc import Sequence
from dataclasses import replace

from provisioner.datastore.stopping import Stopping
from provisioner.errors import Interrupted, Unreachable
from provisioner.migration.objects_bucket import Bucket
from provisioner.migration.objects_listing import chain_of
from provisioner.migration.objects_planning import KeyWork
from provisioner.migration.objects_transfer import Transfer
from provisioner.migration.objects_values import Attributes, Copied, Listed

ADD_TRIES = 3


class KeyHand:
    """Brings one key of the target to what ``work`` says; a worker's, used by one thread.

    ``copies`` are what is at the target, oldest first; ``copied``, ``removed`` and ``retagged`` count versions.
    """

    def __init__(self, *, work: KeyWork, source: Bucket, transfer: Transfer, stopping: Stopping) -> None:
        self.work = work
        self.copies: list[Copied] = [*work.kept, *work.removals]
        self.copied = self.removed = self.retagged = 0
        self._source = source
        self._transfer = transfer
        self._stopping = stopping

    def do(self) -> None:
        """Do it. Raises ChangedMeanwhile, Interrupted, Unreachable, NotPermitted or CoopctlError."""
        again = self._reconcile() if self.work.reconcile else ()
        self._remove(self.work.removals)
        again = (*(self._compare() if self.work.compare else ()), *again)
        for listed in (*again, *self.work.additions):
            self._require_going_on()
            self._add(listed)

    def _add(self, listed: Listed) -> None:
        """Copy a version. A server that did not answer may have it all the same: before it is asked again, it goes."""
        for attempt in range(1, ADD_TRIES + 1):
            try:
                self.copies.append(self._transfer.copy(listed))
            except Unreachable:
                if attempt == ADD_TRIES:
                    raise
                self._remove_unknown()
            else:
                self.copied += 1
                return

    def _remove_unknown(self) -> set[str]:
        """Remove what is at the target and not among the copies; gives the versions that were there."""
        known = {one.target_version for one in self.copies}
        there = {one.version for one in chain_of(self._transfer.target, self.work.key)}
        for version in there - known:
            self._transfer.target.remove(self.work.key, version=version)
            self.removed += 1
        return there

    def _reconcile(self) -> tuple[Listed, ...]:
        """Bring the target back to what is recorded; gives what has to be copied again.

        An earlier process may have put versions, and removed some, and not have recorded it.
        """
        there, kept = self._remove_unknown(), self.work.kept
        lost = next((place for place, one in enumerate(kept) if one.target_version not in there), len(kept))
        self._remove(kept[lost:])
        return tuple(one.source for one in kept[lost:])

    def _remove(self, copies: Sequence[Copied]) -> None:
        for one in copies:
            self._require_going_on()
            self._transfer.target.remove(self.work.key, version=one.target_version)
            self.copies.remove(one)
            self.removed += 1

    def _compare(self) -> tuple[Listed, ...]:
        """Give the copies the tags that their sources have now.

        Type and metadata of a version never change; where an object was written anew within the same second with the
        same bytes they do: it and what lies on it is removed, and to be copied again.
        """
        for place, one in enumerate(self.copies):
            if one.content is None:
                continue
            self._require_going_on()
            now = self._source.attributes(one.source)
            if _untagged(now) != _untagged(one.content.attributes):
                stale = tuple(self.copies[place:])
                self._remove(stale)
                return tuple(old.source for old in stale)
            if now.tags != one.content.attributes.tags:
                self._transfer.target.retag(self.work.key, version=one.target_version, tags=now.tags)
                self.copies[place] = replace(one, content=replace(one.content, attributes=now))
                self.retagged += 1
        return ()

    def _require_going_on(self) -> None:
        if self._stopping.signals:
            raise Interrupted("interrupted while objects were copied", why="what was copied is recorded")


def _untagged(attributes: Attributes) -> Attributes:
    return replace(attributes, tags=())
