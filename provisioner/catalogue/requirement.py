"""Another solution that one needs or can integrate with, and perhaps the oldest version of it that will do.

Written ``ledger``, or ``ledger >= 1.2.0``. Versions are compared by Semantic Versioning 2.0.0, section 11.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from provisioner.descriptor.fields import shown
from provisioner.errors import UsageError

VERSION = r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}(-[0-9A-Za-z.-]{1,60})?"
_REQUIREMENT = re.compile(rf"(?P<name>[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?)( *>= *(?P<version>{VERSION}))?")

Precedence = tuple[tuple[int, ...], bool, tuple[tuple[bool, int, str], ...]]


@dataclass(frozen=True, kw_only=True, order=True)
class Requirement:
    """The solution called ``name``, of version ``at_least`` or newer; empty: of any."""

    name: str
    at_least: str = ""

    def __str__(self) -> str:
        return f"{self.name} >= {self.at_least}" if self.at_least else self.name


def parse_requirement(text: str) -> Requirement:
    """``ledger`` or ``ledger >= 1.2.0``. Raises UsageError."""
    found = _REQUIREMENT.fullmatch(text)
    if found is None:
        raise UsageError(f"{shown(text)} names no solution", hint="such as `ledger`, or `ledger >= 1.2.0`")
    return Requirement(name=found["name"], at_least=found["version"] or "")


def oldest_versions(requirements: Iterable[Requirement]) -> Mapping[str, str]:
    """The oldest version of each solution that fulfils all of ``requirements``; those without any are left out."""
    oldest: dict[str, str] = {}
    for one in requirements:
        known = oldest.get(one.name)
        if one.at_least and (known is None or is_older(known, than=one.at_least)):
            oldest[one.name] = one.at_least
    return MappingProxyType(oldest)


def is_older(version: str, *, than: str) -> bool:
    """Whether ``version`` comes before ``than``; both are semantic versions."""
    return _precedence(version) < _precedence(than)


def _precedence(version: str) -> Precedence:
    core, _, before = version.partition("-")
    words = before.split(".") if before else []
    # Without a hyphen it is the release itself, which comes after all that led to it; numbers come before words.
    ranked = tuple((not word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words)
    return tuple(map(int, core.split("."))), not before, ranked
