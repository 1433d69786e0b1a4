"""Values of this package as JSON's own types, which pydantic reads again."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path


def plain(value: object) -> object:
    """``value`` as JSON's own types; of mappings that nobody can change pydantic makes none. Of a path its name."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return value.name
    return [plain(one) for one in value] if isinstance(value, tuple) else value
