"""What `coopctl doctor` says: one finding for each thing that was looked at, with its remedy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

F = TypeVar("F")

Check = Callable[[F], Iterable["Finding"]]
"""A pure function over gathered facts. Parts with facts of their own offer checks over those."""


class Level(StrEnum):
    """How a finding matters."""

    FINE = "fine"
    SIMULATED = "nodes will be simulated"
    PROBLEM = "problem"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that was looked at: ``subject`` is what, ``found`` how it is, ``remedy`` what to do about it.

    ``packages`` are the Debian packages that the remedy installs.
    """

    subject: str
    found: str
    level: Level = Level.FINE
    remedy: str | None = None
    packages: tuple[str, ...] = ()

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to do."""
        return self.level is Level.FINE


def examine(facts: F, *, checks: Iterable[Check[F]]) -> tuple[Finding, ...]:
    """The findings of all checks over ``facts``, in their order."""
    return tuple(finding for check in checks for finding in check(facts))
