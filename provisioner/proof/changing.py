"""Pure: how attacks on admission change an accepted object: one field, wherever the kind holds it."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from provisioner.plan.manifest import Manifest
from provisioner.rules.facts import Facts
from provisioner.rules.parts import POD_PATHS

Change = Callable[[Manifest, Facts], Manifest]
FOREIGN = "coopctl-proof-foreign"
# RFC 2606: a name that belongs to nobody.
FOREIGN_HOST = "coopctl-proof.invalid"
# RFC 5737: an address that belongs to nobody.
FOREIGN_ADDRESS = "192.0.2.1"


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """A change of an accepted object of ``kind``; ``what`` says what it then has, as in "a Pod with ...".

    ``also`` are other rules that cannot but be broken with it: they may refuse it as well. ``gated``: an API server
    leaves the field out unless told otherwise. ``of_solutions``: it is aimed at a solution, so that there must be one.
    """

    kind: str
    what: str
    change: Change
    also: tuple[str, ...] = ()
    gated: bool = False
    of_solutions: bool = False


@dataclass(frozen=True, kw_only=True)
class PodFlaw:
    """A change of the pod in any object that holds one; ``but`` are kinds that something else refuses so."""

    what: str
    change: Change
    but: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


def changed(manifest: Manifest, *path: str | int, value: Any) -> Manifest:
    """A copy of ``manifest`` with ``value`` at ``path``."""
    copy = deepcopy(manifest)
    holder: Any = copy
    for part in path[:-1]:
        holder = holder.setdefault(str(part), {}) if isinstance(holder, dict) else holder[part]
    holder[path[-1]] = value
    return copy


def without(manifest: Manifest, *path: str | int) -> Manifest:
    """A copy of ``manifest`` without what is at ``path``."""
    copy = deepcopy(manifest)
    holder: Any = copy
    for part in path[:-1]:
        holder = holder[part]
    del holder[path[-1]]
    return copy


def field(*path: str | int, value: Any) -> Change:
    """Set a field of the object."""
    return lambda manifest, _: changed(manifest, *path, value=value)


def no_field(*path: str | int) -> Change:
    """Leave a field of the object out."""
    return lambda manifest, _: without(manifest, *path)


def in_pod(*path: str | int, value: Any) -> Change:
    """Set a field of the pod, by its path from what has the pod's metadata and spec."""
    return lambda manifest, _: changed(manifest, *POD_PATHS[manifest["kind"]], *path, value=value)


def in_spec(*path: str | int, value: Any) -> Change:
    """Set a field of the pod's spec."""
    return in_pod("spec", *path, value=value)


def in_container(*path: str | int, value: Any) -> Change:
    """Set a field of the pod's first container."""
    return in_spec("containers", 0, *path, value=value)


def in_context(*path: str | int, value: Any) -> Change:
    """Set a field of the first container's security context."""
    return in_container("securityContext", *path, value=value)


def both(one: Change, other: Change) -> Change:
    """Make two changes, where the API server takes one only with the other."""
    return lambda manifest, facts: other(one(manifest, facts), facts)


def volume(source: Manifest) -> Change:
    """Give the pod a volume."""
    return in_spec("volumes", value=[{"name": "files", **source}])


def pod_of(manifest: Manifest) -> Manifest:
    """The part of ``manifest`` that has a pod's metadata and spec."""
    holder = manifest
    for name in POD_PATHS[manifest["kind"]]:
        holder = holder[name]
    return holder
