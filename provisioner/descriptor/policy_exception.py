"""A PolicyException as a value: a rule that does not hold for one cooperative until a day, with who and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from provisioner.errors import Location


@dataclass(frozen=True, kw_only=True)
class ObjectReference:
    """The one Kubernetes object that an exception is about."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class PolicyException:
    """``rule`` does not hold for ``cooperative`` up to and including the day ``until``.

    With ``object`` it does not hold for that object alone. ``who`` answers for it, ``why`` says what it is for.
    """

    name: str
    rule: str
    cooperative: str
    object: ObjectReference | None
    who: str
    why: str
    until: date
    source: Location


@dataclass(frozen=True, kw_only=True)
class KnownRules:
    """The ids of the rules that an exception may name, and of those that it may not, each with the reason."""

    exceptable: frozenset[str]
    fixed: Mapping[str, str]
