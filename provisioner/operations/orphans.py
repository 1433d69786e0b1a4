"""Orphans: stacks that are applied and have no descriptor any more. A cooperative left, or somebody renamed it.

What an orphan was called is read from its state: the namespaces there, also one that was only begun, bear name and
domain as annotations. An orphan that was cut off before its first namespace is one of which nothing is known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.engine.state import Checkpoint
from provisioner.naming import ANNOTATION_DISPLAY_NAME, ANNOTATION_DOMAIN, PLATFORM_STACK
from provisioner.operations.site import Site

_NAMESPACE = "kubernetes:core/v1:Namespace"


@dataclass(frozen=True, kw_only=True)
class Orphan:
    """A stack without a descriptor: what its cooperative was called ("" if that is not known), and how much it holds.

    ``resources`` counts what is made, and what was begun and cut off.
    """

    stack: str
    display_name: str
    domain: str
    resources: int

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return f"give cooperatives/{self.stack}.yaml back, or run `coopctl destroy {self.stack}`, which keeps the data"

    def __str__(self) -> str:
        return f"{self.stack} ({self.display_name})" if self.display_name else self.stack


def find_orphans(site: Site) -> tuple[Orphan, ...]:
    """All orphans of the estate, by name; a stack that holds nothing any more stands in nobody's way."""
    found = []
    for stack in site.engine.stacks():
        if stack in site.described or stack == PLATFORM_STACK:
            continue
        checkpoint = site.engine.checkpoint(stack)
        if checkpoint is not None and checkpoint.holds_anything:
            found.append(_orphan(stack, checkpoint))
    return tuple(found)


def newcomers(site: Site, names: Iterable[str]) -> tuple[str, ...]:
    """Those of ``names`` of which nothing was made yet."""
    found = {name: site.engine.checkpoint(name) for name in names if name != PLATFORM_STACK}
    return tuple(name for name, checkpoint in found.items() if checkpoint is None or not checkpoint.holds_anything)


def _orphan(stack: str, checkpoint: Checkpoint) -> Orphan:
    annotations = _annotations(checkpoint.inputs)
    return Orphan(
        stack=stack,
        display_name=annotations.get(ANNOTATION_DISPLAY_NAME, ""),
        domain=annotations.get(ANNOTATION_DOMAIN, "") or str(checkpoint.outputs.get("domain", "")),
        resources=len(set(checkpoint.resources) | set(checkpoint.pending)),
    )


def _annotations(inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """What the namespaces among ``inputs`` (by URN) say of their tenant."""
    namespaces = [declared for urn, declared in inputs.items() if f"::{_NAMESPACE}::" in urn]
    found = ((declared.get("metadata") or {}).get("annotations") or {} for declared in namespaces)
    return next((annotations for annotations in found if ANNOTATION_DOMAIN in annotations), {})
