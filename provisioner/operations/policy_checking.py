"""Judges by the rules what a cooperative would get, or what somebody would bring into its namespaces; asks no cluster.

What the platform's own builders make is judged as the platform's; a solution's chart is judged like a tenant, and by
the rules for charts. An exception excuses a violation but does not hide it, and one that has run out is a violation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import partial
from pathlib import Path

from provisioner.catalogue.rendering import RenderedManifest, render_all
from provisioner.descriptor.policy_exception import PolicyException
from provisioner.errors import Location, PolicyViolated
from provisioner.naming import LABEL_SOLUTION
from provisioner.operations.manifest_files import read_manifests
from provisioner.operations.manifest_places import place_in_document, place_in_template
from provisioner.plan.resources import CooperativePlan, CredentialsSecret, KubernetesObject, SolutionChart
from provisioner.plan.solution_choice import FACTS
from provisioner.rules import registry
from provisioner.rules.chart_rules import CHART_NAMES, CHART_PODS, EXPIRED_EXCEPTION
from provisioner.rules.excepting import excuse, expired, in_force
from provisioner.rules.facts import Facts
from provisioner.rules.judging import judge
from provisioner.rules.parts import mapping, parts
from provisioner.rules.rule import Fault, Finding, Object, PlanRule, Rule, Subject

RenderAll = Callable[[SolutionChart], list[RenderedManifest]]
_SHOWN = 20


class Maker(StrEnum):
    """Who makes an object: it decides which rules hold."""

    PLATFORM = "platform"
    CHART = "chart"
    TENANT = "tenant"


@dataclass(frozen=True, kw_only=True)
class Tenancy:
    """The tenant that objects are judged for: its facts (without exceptions), the estate's exceptions, and the day."""

    cooperative: str
    facts: Facts
    exceptions: tuple[PolicyException, ...]
    today: date


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule that does not hold: in which object and field, where that is written, and what excuses it if anything."""

    cooperative: str
    rule: Rule | PlanRule
    maker: Maker
    kind: str
    namespace: str
    name: str
    path: str
    message: str
    location: Location
    excused: PolicyException | None = None

    @property
    def object(self) -> str:
        """The object for people: ``Deployment rice-apps/ledger``."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was found in the ``objects`` objects that were judged for a cooperative."""

    cooperative: str
    objects: int
    violations: tuple[Violation, ...]

    @property
    def unexcused(self) -> tuple[Violation, ...]:
        """The violations that nothing excuses."""
        return tuple(violation for violation in self.violations if violation.excused is None)


@dataclass(frozen=True, kw_only=True)
class _Brought:
    """An object, who makes it, how to find the place of one of its fields, and what labels its pods must bear."""

    manifest: Object
    maker: Maker
    place: Callable[[str], Location]
    pod_labels: Mapping[str, str] = field(default_factory=dict)


def charts_rendered_by(helm_render: Path) -> RenderAll:
    """Render charts, hooks included, with the program ``helm_render``."""

    def render(solution: SolutionChart) -> list[RenderedManifest]:
        about = {"release": solution.release, "namespace": solution.namespace}
        return render_all(solution.chart, **about, values=solution.values, helm_render=helm_render)

    return render


def check_plan(plan: CooperativePlan, *, by: Tenancy, render: RenderAll, descriptor: Path) -> Verdict:
    """Judge what ``plan`` would make; the builders' objects are written nowhere but in ``descriptor``."""
    brought = [*_built(plan, descriptor=descriptor), *_rendered(plan, render=render)]
    found = (*_expired(by), *_judged(brought, by=by), *_taken_names(brought, by=by), *_strange_pods(brought, by=by))
    return Verdict(cooperative=by.cooperative, objects=len(brought), violations=found)


def check_file(file: Path, *, by: Tenancy) -> Verdict:
    """Judge the manifests of ``file`` as if the tenant brought them. Raises InvalidDescriptor."""
    brought = [
        _Brought(manifest=one.manifest, maker=Maker.TENANT, place=partial(place_in_document, one.root))
        for one in read_manifests(file)
    ]
    found = (*_expired(by), *_judged(brought, by=by))
    return Verdict(cooperative=by.cooperative, objects=len(brought), violations=found)


def require_lawful(verdict: Verdict) -> None:
    """Raise PolicyViolated if a violation is not excused."""
    found = verdict.unexcused
    if not found:
        return
    lines = [f"{one.rule.id}: {one.object}: {one.path}: {one.message}" for one in found]
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    rules = list(dict.fromkeys(one.rule.id for one in found))
    remedies = "; ".join(dict.fromkeys(one.rule.remedy for one in found))
    raise PolicyViolated(
        f"{verdict.cooperative} violates {', '.join(rules)}",
        why="\n".join([*lines[:_SHOWN], *more]),
        hint=f"{remedies} (`coopctl policy explain {rules[0]}` says more)",
        where=found[0].location,
    )


def _built(plan: CooperativePlan, *, descriptor: Path) -> Iterator[_Brought]:
    for resource in plan.resources:
        if isinstance(resource, KubernetesObject | CredentialsSecret):
            yield _Brought(manifest=resource.manifest, maker=Maker.PLATFORM, place=lambda _: Location(file=descriptor))


def _rendered(plan: CooperativePlan, *, render: RenderAll) -> Iterator[_Brought]:
    for resource in plan.resources:
        if isinstance(resource, SolutionChart):
            for one in render(resource):
                place = partial(place_in_template, one.template, kind=str(one.manifest.get("kind")))
                labels = mapping(mapping(resource.values.get(FACTS)).get("podLabels"))
                yield _Brought(manifest=one.manifest, maker=Maker.CHART, place=place, pod_labels=labels)


def _judged(brought: Iterable[_Brought], *, by: Tenancy) -> Iterator[Violation]:
    exceptions = in_force(by.exceptions, cooperative=by.cooperative, today=by.today)
    for one in brought:
        rules = registry.RULES_FOR_CHARTS if one.maker is Maker.CHART else registry.RULES
        platform = one.maker is Maker.PLATFORM
        for finding in judge(one.manifest, facts=by.facts, made_by_platform=platform, rules=rules):
            excused = excuse(finding, exceptions=exceptions)
            yield _violation(finding, one=one, cooperative=by.cooperative, excused=excused)


def _violation(finding: Finding, *, one: _Brought, cooperative: str, excused: PolicyException | None) -> Violation:
    return Violation(
        cooperative=cooperative,
        rule=finding.rule,
        maker=one.maker,
        kind=finding.kind,
        namespace=finding.namespace,
        name=finding.name,
        path=finding.fault.path,
        message=finding.fault.message,
        location=one.place(finding.fault.path),
        excused=excused,
    )


def _expired(by: Tenancy) -> Iterator[Violation]:
    for one in expired(by.exceptions, cooperative=by.cooperative, today=by.today):
        yield Violation(
            cooperative=by.cooperative,
            rule=EXPIRED_EXCEPTION,
            maker=Maker.PLATFORM,
            kind="PolicyException",
            namespace="",
            name=one.name,
            path="spec.until",
            message=f"the exception from {one.rule} ended on {one.until}; {one.who} answers for it",
            location=one.source,
        )


def _taken_names(brought: Iterable[_Brought], *, by: Tenancy) -> Iterator[Violation]:
    """A chart's objects that another part of the plan makes too: applied over each other, the last would win."""
    taken: set[tuple[str, ...]] = set()
    for one in brought:
        group, kind, namespace, name = _identity(one.manifest)
        if one.maker is Maker.CHART and (group, kind, namespace, name) in taken:
            fault = Fault(path="metadata.name", message="is made by another part of the plan too")
            yield _of_plan(CHART_NAMES, fault, one=one, by=by)
        taken.add((group, kind, namespace, name))


def _strange_pods(brought: Iterable[_Brought], *, by: Tenancy) -> Iterator[Violation]:
    """A chart's pods beside the tenant's own that do not bear their solution's label; beside the data nobody else's."""
    for one in brought:
        if one.maker is not Maker.CHART:
            continue
        # A chart of a state from before there were such labels was told of none, and may be gone back to.
        wanted = one.pod_labels.get(LABEL_SOLUTION)
        _, _, namespace, _ = _identity(one.manifest)
        for pod in parts(one.manifest, subject=Subject.PODS):
            found = mapping(pod.metadata.get("labels")).get(LABEL_SOLUTION)
            missing_rightly = found is None and namespace != by.facts.apps_namespace
            if found != wanted and not missing_rightly:
                path = f"{pod.path.removesuffix('spec')}metadata.labels"
                message = f"bear {LABEL_SOLUTION}={found}" if found is not None else f"do not bear {LABEL_SOLUTION}"
                yield _of_plan(CHART_PODS, Fault(path=path, message=message), one=one, by=by)


def _of_plan(rule: PlanRule, fault: Fault, *, one: _Brought, by: Tenancy) -> Violation:
    """A violation by an object beside the others of its plan, which nothing excuses."""
    _, kind, namespace, name = _identity(one.manifest)
    return Violation(
        cooperative=by.cooperative,
        rule=rule,
        maker=one.maker,
        kind=kind,
        namespace=namespace,
        name=name,
        path=fault.path,
        message=fault.message,
        location=one.place(fault.path),
    )


def _identity(manifest: Object) -> tuple[str, str, str, str]:
    about = mapping(manifest.get("metadata"))
    group = str(manifest.get("apiVersion", "")).rpartition("/")[0]
    return group, str(manifest.get("kind")), str(about.get("namespace", "")), str(about.get("name", ""))
