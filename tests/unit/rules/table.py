"""The table that holds all who judge to one verdict: objects of a tenant, and the rule that each of them breaks.

`CASES` is a plain value: `judge`, the policy pack and the cluster's admission policies are all tried on it. Each case
is an accepted object, or one with a single change.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from provisioner.rules.parts import POD_PATHS
from tests.unit.rules import accepted
from tests.unit.rules.changes import Violation
from tests.unit.rules.pod_security_violations import NOT_IN_CLUSTER, POD_SECURITY
from tests.unit.rules.violations import EPHEMERAL_CLAIMS, OTHERS, PODS

FACTS = accepted.FACTS


@dataclass(frozen=True, kw_only=True)
class Case:
    """An object and the ``rule`` that it breaks, or None; ``also`` are rules that cannot be kept then.

    ``in_cluster``: the API server refuses it too. ``administrators``: also to those who manage tenants.
    """

    name: str
    rule: str | None
    manifest: dict[str, Any]
    also: tuple[str, ...] = ()
    in_cluster: bool = True
    administrators: bool = True

    @property
    def rules(self) -> frozenset[str]:
        """All rules that the object breaks."""
        return frozenset((*((self.rule,) if self.rule else ()), *self.also))


def _cases() -> Iterator[Case]:
    for kind, manifest in accepted.objects().items():
        yield Case(name=f"{kind} that is accepted", rule=None, manifest=manifest)
        yield from _broken(kind, manifest)


def _broken(kind: str, manifest: dict[str, Any]) -> Iterator[Case]:
    for violation in OTHERS.get(kind, ()):
        yield _case(kind, violation, manifest=violation.applied(manifest))
    if kind in POD_PATHS:
        in_template = kind != "Pod"
        for violation in (*PODS, *EPHEMERAL_CLAIMS, *POD_SECURITY, *NOT_IN_CLUSTER):
            # Pod Security judges pods alone; a template is refused here, and its pods in the cluster.
            only_here = in_template and violation in POD_SECURITY
            found = replace(violation, in_cluster=violation.in_cluster and not only_here)
            yield _case(kind, found, manifest=_with_pod_changed(manifest, found, path=POD_PATHS[kind]))


def _case(kind: str, violation: Violation, *, manifest: dict[str, Any]) -> Case:
    return Case(
        name=f"{kind}: {violation.rule}, {violation.what}",
        rule=violation.rule,
        manifest=manifest,
        also=violation.also,
        in_cluster=violation.in_cluster,
        administrators=violation.administrators,
    )


def _with_pod_changed(manifest: dict[str, Any], violation: Violation, *, path: tuple[str, ...]) -> dict[str, Any]:
    changed = copy.deepcopy(manifest)
    pod = changed
    for step in path:
        pod = pod[step]
    violation.change(pod)
    return changed


CASES: tuple[Case, ...] = tuple(_cases())
