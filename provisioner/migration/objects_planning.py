"""Pure: what has to be done at the target so that one key's versions are there as at the source, in their order.

A server puts a version on top of the others and nowhere else. So what is there already stays as long as nothing is
missing below it; from the first version that is missing on all is removed and copied anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from provisioner.migration.objects_values import Copied, Listed


@dataclass(frozen=True, kw_only=True)
class KeyWork:
    """What to do for ``key``: first take ``removals`` away, then add ``additions``, oldest first.

    ``kept`` are the copies that stay, oldest first. With ``reconcile`` an earlier process may have put versions that
    nobody knows of: what is at the target and not recorded goes first.
    """

    key: str
    kept: tuple[Copied, ...]
    removals: tuple[Copied, ...]
    additions: tuple[Listed, ...]
    reconcile: bool = False
    compare: bool = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.removals or self.additions or self.reconcile or (self.compare and self.kept))


def key_work(
    key: str, *, source: Sequence[Listed], recorded: Sequence[Copied], intended: bool = False, compare: bool = False
) -> KeyWork:
    """What has to be done for ``key``; ``source`` and ``recorded`` are its versions, oldest first.

    ``intended``: an earlier process began with the key and did not say that it ended. ``compare``: look at type,
    metadata and tags of what is kept too, which no listing shows.
    """
    kept = _beginning(source, {one.source.version: one for one in recorded})
    stays = {one.source.version for one in kept}
    return KeyWork(
        key=key,
        kept=kept,
        removals=tuple(one for one in recorded if one.source.version not in stays),
        additions=tuple(source[len(kept) :]),
        reconcile=intended,
        compare=compare,
    )


def _beginning(source: Sequence[Listed], recorded: Mapping[str, Copied]) -> tuple[Copied, ...]:
    kept: list[Copied] = []
    places = {version: place for place, version in enumerate(recorded)}
    for listed in source:
        known = recorded.get(listed.version)
        if known is None or not _same(known.source, listed):
            break
        if kept and places[listed.version] < places[kept[-1].source.version]:
            break
        kept.append(known)
    return tuple(kept)


def _same(before: Listed, now: Listed) -> bool:
    # A version that another one was put upon is no longer the latest, and still the same.
    return replace(before, latest=now.latest) == now
