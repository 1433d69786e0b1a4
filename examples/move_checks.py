"""Pure: what the demo of a move promises, judged from what the application was told and what both sides hold."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from examples.writing_client import Told, longest_gap

MAJOR = 10_000
OUTAGE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the application: its number, the version of the server that took it, and when by that server's clock."""

    number: int
    server: int
    at: float


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of the data store, from ``old`` to ``new`` (major versions of PostgreSQL).

    ``begun`` is when its command began, ``fenced`` when nobody was let in any more at the old side, in seconds since
    the epoch. ``told`` is all that the application was told by the time ``rows`` were read at the new side, and then
    ``left`` at the old one. ``differences`` are those of its verification, with what was compared in ``compared``.
    """

    old: int
    new: int
    begun: float
    fenced: float
    told: Mapping[int, Told]
    rows: Sequence[Row]
    left: Sequence[Row]
    differences: Sequence[str]
    compared: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A promise, whether it was kept, and what was seen."""

    claim: str
    kept: bool
    seen: str


def judge(way: Way) -> Iterator[Finding]:
    """Every promise of a way."""
    yield _outage(way)
    yield _each_once(way)
    yield _none_after_fence(way)
    yield Finding(
        claim="the verification is clean",
        kept=not way.differences,
        seen=way.differences[0] if way.differences else way.compared,
    )


def _outage(way: Way) -> Finding:
    gap, began = longest_gap((one.moment for one in way.told.values()), since=way.begun)
    return Finding(
        claim=f"the longest gap between acknowledged commits is below {OUTAGE_SECONDS:g} s",
        kept=gap < OUTAGE_SECONDS,
        seen=f"{gap:.3f} s, {began - way.begun:.1f} s after the command began",
    )


def _each_once(way: Way) -> Finding:
    times = Counter(row.number for row in way.rows)
    missing = [number for number in way.told if number not in times]
    doubled = [number for number, found in times.items() if found > 1]
    there = sum(one.server // MAJOR == way.new for one in way.told.values() if one.moment >= way.begun)
    return Finding(
        claim=f"every acknowledged commit is in PostgreSQL {way.new} exactly once",
        kept=bool(there) and not missing and not doubled,
        seen=f"{len(way.told):,} acknowledged, {there:,} of them by it since, {len(missing)} missing, "
        f"{len(doubled)} doubled",
    )


def _none_after_fence(way: Way) -> Finding:
    """The old side's own clock, its rows, and the order of acknowledgements all say the same."""
    late = [row for row in way.left if row.server // MAJOR == way.old and row.at > way.fenced]
    by_old = [one.moment for one in way.told.values() if one.server // MAJOR == way.old]
    since = [one.moment for one in way.told.values() if one.server // MAJOR == way.new and one.moment >= way.begun]
    back = [moment for moment in by_old if since and moment >= min(since)]
    lost = {row.number for row in way.left} - {row.number for row in way.rows}
    last = max((row.at for row in way.left if row.server // MAJOR == way.old), default=way.fenced)
    return Finding(
        claim=f"none was acknowledged by PostgreSQL {way.old} after its fence",
        kept=not late and not back and not lost,
        seen=f"its last one {max(way.fenced - last, 0) * 1000:.0f} ms before, {len(late) + len(back)} after, "
        f"{len(lost)} left behind",
    )
