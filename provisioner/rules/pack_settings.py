"""What the Pulumi policy pack is told about a tenant, and how: as the configuration of its one policy.

Written by whoever starts Pulumi, read by the pack in a process of its own; hence plain JSON in between.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from provisioner.rules.facts import Facts

POLICY = "isolation"
_FACTS = "facts"
_EXCEPTED = "excepted"


@dataclass(frozen=True, kw_only=True, order=True)
class ExceptedObject:
    """One object for which a rule does not hold."""

    rule: str
    kind: str
    name: str


@dataclass(frozen=True, kw_only=True)
class PackSettings:
    """The tenant's facts, and the single objects that are excepted from rules."""

    facts: Facts
    excepted: tuple[ExceptedObject, ...] = ()


def as_configuration(settings: PackSettings) -> dict[str, Any]:
    """The configuration of the pack (Pulumi documentation, "Policy pack configuration"), by policy."""
    facts = {name: value if isinstance(value, str) else list(value) for name, value in asdict(settings.facts).items()}
    excepted = [asdict(one) for one in settings.excepted]
    return {POLICY: {"enforcementLevel": "mandatory", _FACTS: facts, _EXCEPTED: excepted}}


def from_configuration(content: Mapping[str, Any]) -> PackSettings:
    """The settings in the configuration of the policy; lists become tuples again, as facts hold them."""
    facts: dict[str, Any] = {
        name: value if isinstance(value, str) else tuple(str(item) for item in value)
        for name, value in content[_FACTS].items()
    }
    excepted = (ExceptedObject(rule=one["rule"], kind=one["kind"], name=one["name"]) for one in content[_EXCEPTED])
    return PackSettings(facts=Facts(**facts), excepted=tuple(excepted))
