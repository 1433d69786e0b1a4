"""A plan in a file: what was looked at and agreed to, so that exactly that is applied later and nothing else.

The file holds names, changes and fingerprints; never a secret's value, nor anything that would let one be guessed. It
is refused if anything that it was made from has changed: descriptors, templates, charts, images, the platform, coopctl,
the state, or the world.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from provisioner.engine.changes import Changes
from provisioner.engine.fingerprint import to_plain
from provisioner.errors import NotFound, ProblemsFound, UsageError, refused_by_system
from provisioner.operations.planning import FleetPlan
from provisioner.operations.site import Site, Target

_KIND = "SavedPlan"
_API_VERSION = "coopctl.dev/v1"


@dataclass(frozen=True, kw_only=True)
class SavedStack:
    """One stack of a saved plan; ``state`` is the digest of the state it was planned on (empty: there was none)."""

    name: str
    fingerprint: str
    state: str
    changes: Any


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """What `plan --out` wrote; ``coopctl`` is the version that wrote it."""

    coopctl: str
    stacks: tuple[SavedStack, ...]


def save_plan(file: Path, plan: FleetPlan, *, site: Site) -> None:
    """Write ``plan`` to ``file``.

    Raises ProblemsFound unless every stack was planned and compared with the world, NotPermitted or CoopctlError if the
    file cannot be written.
    """
    incomplete = [
        outcome for outcome in plan.outcomes if outcome.value is None or not outcome.value.compared_with_world
    ]
    if incomplete:
        raise ProblemsFound(
            f"not saved: {', '.join(outcome.stack for outcome in incomplete)} could not be planned",
            why="; ".join(f"{outcome.stack}: {outcome.failure}" for outcome in incomplete if outcome.failure) or None,
            hint="mend that, then plan again",
        )
    changes = {found.stack: found for found in plan.changes}
    content = {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "coopctl": version("coopctl"),
        "stacks": [_saved(target, changes=changes[target.name], site=site) for target in plan.targets],
    }
    try:
        file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise refused_by_system(error, f"the plan cannot be written to {file}", hint="name another file") from error


def load_plan(file: Path) -> SavedPlan:
    """Read a saved plan. Raises NotFound or UsageError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["kind"] != _KIND or content["apiVersion"] != _API_VERSION:
            raise ValueError("another kind of document")
        stacks = tuple(SavedStack(**stack) for stack in content["stacks"])
        return SavedPlan(coopctl=str(content["coopctl"]), stacks=stacks)
    except FileNotFoundError as error:
        raise NotFound(f"there is no plan {file}", hint=f"make it with `coopctl plan --out {file}`") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{file} is not a saved plan", why=str(error), hint="make it with `coopctl plan --out`"
        ) from error


def require_same(saved: SavedPlan, now: FleetPlan, *, site: Site) -> None:
    """Raise ProblemsFound, naming what differs, unless applying now would do exactly what the saved plan says."""
    fresh = {target.name: target for target in now.targets}
    changes = {found.stack: found for found in now.changes}
    own = version("coopctl")
    differences = [f"it was made by coopctl {saved.coopctl}, and this is {own}"] if saved.coopctl != own else []
    differences += [
        difference
        for stack in saved.stacks
        for difference in _differences(stack, target=fresh.get(stack.name), changes=changes.get(stack.name), site=site)
    ]
    differences += [
        f"{name} would be applied too" for name in fresh if name not in {item.name for item in saved.stacks}
    ]
    if differences:
        raise ProblemsFound(
            "the saved plan is out of date; nothing was changed",
            why="; ".join(differences),
            hint="plan again with --out, look at it, and apply that",
        )


def _saved(target: Target, *, changes: Changes, site: Site) -> Mapping[str, Any]:
    return {
        "name": target.name,
        "fingerprint": target.fingerprint,
        "state": _state(site, target.name),
        "changes": to_plain(changes),
    }


def _differences(stack: SavedStack, *, target: Target | None, changes: Changes | None, site: Site) -> Sequence[str]:
    if target is None or changes is None:
        return [f"{stack.name} can no longer be planned"]
    found = []
    if target.fingerprint != stack.fingerprint:
        found.append(f"{stack.name}: its descriptor, template, charts, images or platform changed")
    if _state(site, stack.name) != stack.state:
        found.append(f"{stack.name}: it was applied since")
    if not found and to_plain(changes) != stack.changes:
        found.append(f"{stack.name}: the world changed")
    return found


def _state(site: Site, name: str) -> str:
    found = site.engine.checkpoint(name)
    return found.digest if found else ""
