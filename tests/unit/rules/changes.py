"""Changes of one field of an object that every rule accepts: what each makes of it breaks one rule."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Change = Callable[[Object], None]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A change that breaks ``rule``, and those in ``also`` that cannot be kept then.

    ``in_cluster``: the API server can be asked for the object at all, and refuses it. ``administrators``: it is refused
    to those who manage tenants as well.
    """

    rule: str
    what: str
    change: Change
    also: tuple[str, ...] = ()
    in_cluster: bool = True
    administrators: bool = True

    def applied(self, manifest: Object) -> Object:
        """The manifest with the change; the one given is left as it is."""
        changed = copy.deepcopy(manifest)
        self.change(changed)
        return changed


def setting(path: str, value: Any) -> Change:
    """Sets the field at ``path``, as in ``spec.rules.0.host``; missing mappings on the way are made."""

    def change(manifest: Object) -> None:
        *way, last = path.split(".")
        holder: Any = manifest
        for step in way:
            holder = holder[int(step)] if step.isdigit() else holder.setdefault(step, {})
        holder[int(last) if last.isdigit() else last] = copy.deepcopy(value)

    return change


def setting_key(path: str, key: str, value: Any) -> Change:
    """Sets ``key``, which may hold dots, in the mapping at ``path``."""

    def change(manifest: Object) -> None:
        holder: Any = manifest
        for step in path.split("."):
            holder = holder[int(step)] if step.isdigit() else holder.setdefault(step, {})
        holder[key] = value

    return change


def adding(path: str, value: Any) -> Change:
    """Adds an item to the list at ``path``, which is made if there is none."""

    def change(manifest: Object) -> None:
        *way, last = path.split(".")
        holder: Any = manifest
        for step in way:
            holder = holder[int(step)] if step.isdigit() else holder.setdefault(step, {})
        holder.setdefault(last, []).append(copy.deepcopy(value))

    return change


def removing(path: str) -> Change:
    """Takes the field at ``path`` away."""

    def change(manifest: Object) -> None:
        *way, last = path.split(".")
        holder: Any = manifest
        for step in way:
            holder = holder[int(step)] if step.isdigit() else holder[step]
        del holder[last]

    return change
