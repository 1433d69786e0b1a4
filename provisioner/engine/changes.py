"""What would change, or has changed, in a stack: per resource exactly the fields, never a secret's value."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.engine.events import Operation
from provisioner.engine.paths import look_up, parse
from provisioner.engine.state import is_secret

HIDDEN = "(secret)"
UNKNOWN = "(known after apply)"
# pulumi's mark for values that are only known later (sdk/go/common/resource/plugin/rpc.go, UnknownStringValue).
_UNKNOWN_VALUE = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_VALUE_MAX = 200


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """One field: its path, and its value before and after as text; None means absent.

    ``by`` names another field manager that owns the field now, if one does. ``digest`` is that of both values in full
    where one is too long to be shown whole, so that two changes which look alike are alike; never a secret's.
    """

    path: str
    before: str | None
    after: str | None
    by: str | None = None
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """One resource: its key in the plan, its type, what happens to it and to which fields."""

    resource: str
    type: str
    operation: Operation
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All resources of a stack that change, sorted by key, and how many stay as they are.

    ``compared_with_world`` is False if only descriptors, charts and the last state were compared.
    """

    stack: str
    resources: tuple[ResourceChange, ...]
    same: int
    compared_with_world: bool = True

    @property
    def any(self) -> bool:
        """Whether there is any change."""
        return bool(self.resources)

    @property
    def counts(self) -> Mapping[Operation, int]:
        """How many resources each operation concerns."""
        return Counter(change.operation for change in self.resources)

    @property
    def destroyed(self) -> int:
        """How many resources are deleted or replaced: what --max-destroy limits."""
        return self.counts.get(Operation.DELETE, 0) + self.counts.get(Operation.REPLACE, 0)


def field_changes(
    paths: Iterable[str], *, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[FieldChange, ...]:
    """The values of the fields ``paths`` on both sides; a Secret's data are hidden even where they are not marked."""
    return tuple(
        _field_change(path, before=_text(before, path=path), after=_text(after, path=path))
        for path in sorted(set(paths))
        if _differs(before, after, path=path)
    )


def differing_paths(before: Any, after: Any, *, path: str = "") -> list[str]:
    """The paths of the smallest parts in which two values differ, for providers that do not say it themselves."""
    if isinstance(before, Mapping) and isinstance(after, Mapping) and not (is_secret(before) or is_secret(after)):
        keys = [*before, *(key for key in after if key not in before)]
        found = [differing_paths(before.get(key), after.get(key), path=join(path, key)) for key in keys]
        return [item for part in found for item in part]
    return [path] if before != after else []


def join(path: str, key: str) -> str:
    """The path of ``key`` below ``path``, as Pulumi writes property paths."""
    if not key or any(sign in key for sign in '."[]'):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def _differs(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, *, path: str) -> bool:
    """Whether a field differs; secrets look alike on both sides, so what the provider says of them is taken as true."""
    sides = (look_up(before or {}, path)[1], look_up(after or {}, path)[1])
    return sides[0] != sides[1] or is_secret(sides[0])


def _field_change(path: str, *, before: str | None, after: str | None) -> FieldChange:
    values, shown = (before, after), (_cut(before), _cut(after))
    whole = "" if values == shown else hashlib.sha256(json.dumps(values).encode()).hexdigest()
    return FieldChange(path=path, before=shown[0], after=shown[1], digest=whole)


def _text(properties: Mapping[str, Any] | None, *, path: str) -> str | None:
    """The value at ``path`` as text, in full; of a secret and of what is not known yet only that it is so."""
    found, value = look_up(properties or {}, path)
    if not found or value is None:
        return None
    if is_secret(value) or _is_secret_data(properties or {}, path=path):
        return HIDDEN
    if value == _UNKNOWN_VALUE:
        return UNKNOWN
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= _VALUE_MAX else f"{text[: _VALUE_MAX - 1]}…"


def _is_secret_data(properties: Mapping[str, Any], *, path: str) -> bool:
    return properties.get("kind") == "Secret" and parse(path)[0] in {"data", "stringData"}
