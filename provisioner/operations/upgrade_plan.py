"""Finds that an apply would upgrade solutions: replace what was applied whole by another version, chart or image.

A change of values alone is none, unless it leads to another migration: to a Job beside the data that the state before
did not have. Whether there is one, the rendered charts say, since a migration's name holds all that it depends on. What
is installed for the first time has nothing to go back to, and is no upgrade.
"""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.operations.applied_solutions import AppliedState, charts_of, newest_whole, state_of
from provisioner.operations.policy_checking import RenderAll
from provisioner.operations.site import Site, Target
from provisioner.plan.resources import CooperativePlan, SolutionChart
from provisioner.plan.solution_choice import IMAGES


@dataclass(frozen=True, kw_only=True)
class SolutionUpgrade:
    """A solution that becomes another one, from version ``before`` to ``after``; ``migrates``: it changes tables."""

    solution: str
    before: str
    after: str
    migrates: bool

    def __str__(self) -> str:
        if self.before != self.after:
            return f"{self.solution} {self.before} -> {self.after}"
        return f"{self.solution} {self.after} ({'another migration' if self.migrates else 'changed'})"


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What an apply would upgrade, from the state ``before`` to that whose digest is ``after``."""

    before: AppliedState
    after: str
    solutions: tuple[SolutionUpgrade, ...]

    @property
    def migrates(self) -> bool:
        """Whether tables are changed: then writes are stopped, and the database is copied and dumped before."""
        return any(one.migrates for one in self.solutions)

    def __str__(self) -> str:
        return ", ".join(map(str, self.solutions))


def find_upgrade(site: Site, target: Target) -> Upgrade | None:
    """The upgrade that applying ``target`` would be, or None; nothing is changed.

    Raises CoopctlError if a record of what was applied is damaged, RenderingFailed for a chart.
    """
    before = newest_whole(site, target.name)
    if before is None or not isinstance(target.plan, CooperativePlan):
        return None
    after = state_of(target.plan)
    if after.choice == before.choice:
        return None
    solutions = _upgraded(site, before=before, after=after, plan=target.plan)
    return Upgrade(before=before, after=after.digest, solutions=solutions) if solutions else None


def _upgraded(
    site: Site, *, before: AppliedState, after: AppliedState, plan: CooperativePlan
) -> tuple[SolutionUpgrade, ...]:
    earlier = {one["solution"]: one for one in before.solutions}
    both = [(earlier[one["solution"]], one) for one in after.solutions if one["solution"] in earlier]
    render = site.policing.render
    with tempfile.TemporaryDirectory(prefix="coopctl-upgrade-") as folder:
        old = _jobs(charts_of(site, before, into=Path(folder)), render=render)
    new = _jobs((one for one in plan.resources if isinstance(one, SolutionChart)), render=render)
    found = (
        SolutionUpgrade(
            solution=name,
            before=one["version"],
            after=other["version"],
            migrates=not new.get(name, frozenset()) <= old.get(name, frozenset()),
        )
        for one, other in both
        if (name := one["solution"])
    )
    changed = {one["solution"] for one, other in both if _identity(one) != _identity(other)}
    return tuple(one for one in found if one.migrates or one.solution in changed)


def _identity(entry: Mapping[str, Any]) -> tuple[object, ...]:
    """What makes a solution another one: its version, its chart's files, its images."""
    return entry["version"], entry["archive"], entry["values"].get(IMAGES)


def _jobs(charts: Iterable[SolutionChart], *, render: RenderAll) -> Mapping[str, frozenset[tuple[str, str]]]:
    """The Jobs of each solution, by namespace and name."""
    return {
        chart.solution: frozenset(
            (str(metadata.get("namespace", chart.namespace)), str(metadata["name"]))
            for one in render(chart)
            if one.manifest.get("kind") == "Job" and (metadata := one.manifest["metadata"])
        )
        for chart in charts
    }
