"""Each final value of a cooperative with where it came from."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.cooperative import Cooperative, Origin
from provisioner.descriptor.cooperative_document import CooperativeSpec
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import check_estate, invalid
from provisioner.descriptor.nodes import Node, leaves
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class ExplainedValue:
    """A final value as text, at its path, and its origin."""

    path: str
    value: str
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A cooperative's values in the order of the document."""

    name: str
    source: Path
    template: str
    template_version: str
    size: str
    values: tuple[ExplainedValue, ...]


def explain(estate: Estate, name: str, *, under: str | None, catalogue_names: Collection[str] | None) -> Explanation:
    """Explain the values of the cooperative ``name``, or those at and below the path ``under``.

    Raises InvalidDescriptor with every problem, and NotFound for a name or path that does not exist.
    """
    found = check_estate(estate, catalogue_names=catalogue_names, names=(name,))
    cooperatives = [(one.cooperative, one.merged) for one in found.resolved if one.cooperative and one.merged]
    if found.errors or not cooperatives:
        raise invalid(found.problems)
    cooperative, merged = cooperatives[0]
    values = _values(cooperative, merged)
    return Explanation(
        name=cooperative.name,
        source=cooperative.source,
        template=cooperative.template,
        template_version=cooperative.template_version,
        size=cooperative.size,
        values=tuple(_below(values, under) if under else values),
    )


def _values(cooperative: Cooperative, merged: Node) -> list[ExplainedValue]:
    order = [f"spec.{field.alias}" for field in CooperativeSpec.model_fields.values()]
    found = [(path, cooperative.origins[path]) for path, _ in leaves(merged)]
    values = [ExplainedValue(path=path, value=origin.text, origin=origin) for path, origin in found]
    return sorted(values, key=lambda value: _rank(value.path, order))


def _rank(path: str, order: list[str]) -> int:
    top = ".".join(path.split(".")[:2])
    return order.index(top) if top in order else -1


def _below(values: Sequence[ExplainedValue], under: str) -> list[ExplainedValue]:
    for prefix in (under, f"spec.{under}"):
        found = [value for value in values if value.path == prefix or value.path.startswith(f"{prefix}.")]
        if found:
            return found
    known = {prefix for value in values for prefix in _prefixes(value.path)}
    hint = did_you_mean(under, sorted(known)) or "leave the path out to see every value"
    raise NotFound(f"there is no value at {under!r}", hint=hint)


def _prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
