"""Changes of one field of a manifest, each with its words, and the fields that a manifest has."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from provisioner.plan.manifest import Manifest
from provisioner.rules.quantities import parse_quantity

Steps = tuple[Any, ...]
Weakening = tuple[str, Callable[[Manifest], Manifest]]
_ABSENT = object()


def replaced(*steps: Any, value: Any) -> Weakening:
    """Another value at the end of ``steps``."""

    def change(manifest: Manifest) -> Manifest:
        _holder(manifest, steps)[steps[-1]] = value
        return manifest

    return f"{_path(steps)} is {value}", change


def removed(*steps: Any) -> Weakening:
    """Nothing at the end of ``steps``."""

    def change(manifest: Manifest) -> Manifest:
        del _holder(manifest, steps)[steps[-1]]
        return manifest

    return f"{_path(steps)} is gone", change


def added(*steps: Any, value: Any) -> Weakening:
    """One more item in the list at the end of ``steps``."""

    def change(manifest: Manifest) -> Manifest:
        _holder(manifest, steps).setdefault(steps[-1], []).append(value)
        return manifest

    return f"{_path(steps)} has {value} too", change


def scaled(*steps: Any, value: str, factor: str | int) -> Weakening:
    """A multiple of the quantity ``value``; where there was none of it, more than anybody asks for."""
    amount = parse_quantity(value) * Decimal(factor) or Decimal(10**13)
    return replaced(*steps, value=f"{amount.normalize():f}")


def both(one: Weakening, other: Weakening) -> Weakening:
    """Two changes that are one only together."""
    return f"{one[0]} and {other[0]}", lambda manifest: other[1](one[1](manifest))


def leaves(value: Any, *, steps: Steps = ()) -> Iterator[Steps]:
    """The places of everything that holds nothing else; an empty list or mapping says something, too."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, inner in items:
        yield from leaves(inner, steps=(*steps, key))
    if not items:
        yield steps


def at(value: Any, steps: Steps) -> Any:
    """What is at the end of ``steps``, or a mark of its own where nothing is."""
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return _ABSENT
    return value


def _holder(manifest: Manifest, steps: Steps) -> Any:
    holder: Any = manifest
    for step in steps[:-1]:
        holder = holder[step]
    return holder


def _path(steps: Steps) -> str:
    return ".".join(map(str, steps))
