"""Plans of example cooperatives that chose one solution: with little and with much, with plain and with hostile text.

In the catalogue of an example everything is approved and needs nothing: reviews and needs are about real cooperatives.
Members are kept apart as the solution wants it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from provisioner.catalogue import Catalogue, Solution
from provisioner.catalogue.images_lock import ImagesLock, LockedImage
from provisioner.catalogue.offer import Offer, Review
from provisioner.descriptor.cooperative import Contact, Cooperative, SolutionChoice
from provisioner.descriptor.platform import Platform
from provisioner.operations.example_tenants import ExampleTenants
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.limit_range import limit_range
from provisioner.plan.resources import CooperativePlan, SolutionChart
from provisioner.plan.solution_chart import PODS_FOR_TWO_REPLICAS
from provisioner.plan.solution_layouts import needed_layout
from provisioner.plan.tenant import tenant_of
from provisioner.plan.tenant_facts import tenant_facts
from provisioner.rules.facts import Facts
from provisioner.rules.rule import Object

# All that a name in a descriptor may hold (no line break) and that means something to YAML, templates, HTML or a shell.
HOSTILE = "\"a\": 'b' - {{ .Values.images }} {% x %} # <i>&amp; \\ %s $(id) `id`"
_OFFER = Offer(review=Review.APPROVED)


@dataclass(frozen=True, kw_only=True)
class Example:
    """A planned cooperative, with the facts that it is judged by."""

    cooperative: Cooperative
    plan: CooperativePlan
    facts: Facts

    def chart_of(self, solution: str) -> SolutionChart:
        """The chart of ``solution``, which the cooperative chose."""
        return next(one for one in self.charts if one.solution == solution)

    @property
    def charts(self) -> tuple[SolutionChart, ...]:
        """The charts of every solution that the cooperative chose."""
        return tuple(one for one in self.plan.resources if isinstance(one, SolutionChart))


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Who chose a solution: ``small`` has one replica and integrates nothing; ``rich`` has all that can be had.

    ``hostile`` differs from ``rich`` in what people wrote alone. ``limits`` are the entries of the LimitRanges of every
    template, in the smallest size that the solution is for.
    """

    small: Example
    rich: Example
    hostile: Example
    limits: tuple[Object, ...]


def example_plans(solution: Solution, *, solutions: Mapping[str, Solution], tenants: ExampleTenants) -> Examples:
    """Plan ``solution`` beside those of ``solutions`` that it depends on or integrates with."""
    everything = {**solutions, solution.name: solution}
    catalogue = Catalogue(
        sources=(solution.chart.parent,),
        solutions=MappingProxyType({name: replace(one, offer=_OFFER) for name, one in sorted(everything.items())}),
    )
    sized = tenants.of_size(solution.offer.needs.size)
    small = _choosing(solution, catalogue, of=sized[0], integrating=False, pods=PODS_FOR_TWO_REPLICAS - 1)
    rich = _choosing(solution, catalogue, of=sized[0], integrating=True, pods=PODS_FOR_TWO_REPLICAS)
    platform, written = tenants.platform, Contact(name=HOSTILE, phone=HOSTILE, email=HOSTILE)
    hostile = replace(rich, display_name=HOSTILE, contact=written)
    return Examples(
        small=_example(small, platform=platform, catalogue=catalogue),
        rich=_example(rich, platform=platform, catalogue=catalogue),
        hostile=_example(hostile, platform=replace(platform, help_desk=written), catalogue=catalogue),
        limits=tuple(limits for one in sized for limits in _limits(one, platform=platform)),
    )


def _choosing(
    solution: Solution, catalogue: Catalogue, *, of: Cooperative, integrating: bool, pods: int
) -> Cooperative:
    integrates = solution.integrates if integrating else ()
    names = _needed((solution.name, *integrates), catalogue=catalogue)
    choices = tuple(
        SolutionChoice(name=name, integrates=integrates if name == solution.name else ()) for name in sorted(names)
    )
    layout = needed_layout(names, catalogue=catalogue) or of.postgres.member_layout
    return replace(
        of,
        solutions=choices,
        apps_budget=replace(of.apps_budget, pods=pods),
        postgres=replace(of.postgres, member_layout=layout),
    )


def _needed(names: tuple[str, ...], *, catalogue: Catalogue) -> set[str]:
    """``names`` with all that they depend on."""
    needed, waiting = set(names), list(names)
    while waiting:
        new = set(catalogue.solution(waiting.pop()).depends) - needed
        needed |= new
        waiting += new
    return needed


def _example(cooperative: Cooperative, *, platform: Platform, catalogue: Catalogue) -> Example:
    return Example(
        cooperative=cooperative,
        plan=cooperative_plan(cooperative, platform=platform, catalogue=catalogue, images=_lock(catalogue)),
        facts=tenant_facts(tenant_of(cooperative, cluster=platform.cluster.id), platform=platform),
    )


def _lock(catalogue: Catalogue) -> ImagesLock:
    """A digest for every image: the same for the same name, and nobody's."""
    images = {
        name: LockedImage(repository=f"example/{name}", digest=f"sha256:{hashlib.sha256(name.encode()).hexdigest()}")
        for name in catalogue.images
    }
    return ImagesLock(source=Path("images.lock"), images=MappingProxyType(images))


def _limits(cooperative: Cooperative, *, platform: Platform) -> Iterator[Object]:
    yield from limit_range(tenant_of(cooperative, cluster=platform.cluster.id).apps)["spec"]["limits"]
