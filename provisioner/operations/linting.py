"""Judges charts before anybody chooses them: by the rules and the judge of plans, and by those of the catalogue.

1. The chart's documents are read; what is wrong with one is a violation, with its line.
2. Its folder, its schema and its terms are judged as files. What may not lie there is not rendered: a link leads out.
3. It is planned for example cooperatives (example_plans.py) and rendered for each of them, as `policy check` does.
4. What it renders to is judged as a plan's charts are, and by what the catalogue asks besides.

Nothing is written, and no server is asked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from pathlib import Path

from provisioner.catalogue.chart_files import FileFault, folder_faults, terms_faults
from provisioner.catalogue.images.definition import IMAGE_FILE, read_definition
from provisioner.catalogue.loading import CHART_FILE, chart_places, read_solution, reference_problems
from provisioner.catalogue.reading import place_in
from provisioner.catalogue.rendering import RenderedManifest
from provisioner.catalogue.solution import Solution
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.errors import (
    CoopctlError,
    Diagnostic,
    InvalidDescriptor,
    Location,
    NotFound,
    RenderingFailed,
    TimedOut,
    UsageError,
)
from provisioner.operations.example_plans import Example, Examples, example_plans
from provisioner.operations.example_tenants import NAME, ExampleTenants
from provisioner.operations.manifest_places import place_in_template
from provisioner.operations.policy_checking import Maker, RenderAll, Tenancy, Verdict, Violation, check_plan
from provisioner.plan.resources import SolutionChart
from provisioner.plan.solution_choice import FACTS, IMAGES
from provisioner.rules.catalogue_rules import ChartFacts, judge_for_catalogue
from provisioner.rules.chart_file_rules import DOCUMENTS, ESCAPING, FILES, REFERENCES, RENDERS, SERVED, STEADY
from provisioner.rules.parts import containers, items, mapping, parts
from provisioner.rules.rule import Object, PlanRule, Subject

_NOTHING = RenderedManifest(manifest={}, template=Path())
_BEFORE_RENDERING = frozenset({FILES.id, DOCUMENTS.id, REFERENCES.id})


@dataclass(frozen=True, kw_only=True)
class Linted:
    """What was found in a chart; its verdict counts the objects that it renders to for a rich cooperative."""

    name: str
    chart: Path
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Linter:
    """Judges charts on the day ``today``; ``solutions`` and ``images`` (logical names) are what a chart may name."""

    solutions: Mapping[str, Solution]
    images: frozenset[str]
    tenants: ExampleTenants
    render: RenderAll
    today: date

    def lint(self, chart: Path) -> Linted:
        """Judge the chart in the folder ``chart``. Raises InvalidDescriptor for a template that examples come from."""
        violations = [*_of_faults(folder_faults(chart), chart=chart), *self._of_image(chart)]
        objects = 0
        try:
            solution = read_solution(chart)
        except InvalidDescriptor as error:
            violations += _of_diagnostics(error.diagnostics, chart=chart, rule=DOCUMENTS)
        else:
            violations += _of_faults(terms_faults(solution), chart=chart)
            violations += self._of_references(solution)
            if not {one.rule.id for one in violations} & _BEFORE_RENDERING:
                objects, rendered = self._of_objects(solution)
                violations += rendered
        # What the examples have in common is found in each of them.
        verdict = Verdict(cooperative=NAME, objects=objects, violations=tuple(dict.fromkeys(violations)))
        return Linted(name=chart.name, chart=chart, verdict=verdict)

    def _of_image(self, chart: Path) -> Iterator[Violation]:
        file = chart / IMAGE_FILE
        if file.is_file():
            try:
                read_definition(file)
            except InvalidDescriptor as error:
                yield from _of_diagnostics(error.diagnostics, chart=chart, rule=DOCUMENTS)

    def _of_references(self, solution: Solution) -> Iterator[Violation]:
        """What the chart names and nobody has; so too what those solutions name that it cannot be installed without."""
        everything = {**self.solutions, solution.name: solution}
        files = {one.chart / CHART_FILE for one in _reachable(solution, solutions=everything)}
        problems = [one for one in reference_problems(everything) if one.location.file in files]
        yield from _of_diagnostics(problems, chart=solution.chart, rule=REFERENCES)
        for image in sorted(set(solution.images) - self.images - _own_images(solution.chart)):
            path = ("annotations", "coopctl.dev/images")
            where = place_in(solution.chart / CHART_FILE, path)
            message = f"names the image {image!r}, which nobody makes"
            yield _violation(REFERENCES, chart=solution.chart, path=".".join(path), message=message, location=where)

    def _of_objects(self, solution: Solution) -> tuple[int, list[Violation]]:
        examples = example_plans(solution, solutions=self.solutions, tenants=self.tenants)
        try:
            small, rich = self._rendered(examples.small), self._rendered(examples.rich)
            again = self.render(examples.rich.chart_of(solution.name))
        except (RenderingFailed, TimedOut) as error:
            return 0, [_of_failure(error, chart=solution.chart, rule=RENDERS)]
        own = rich[examples.rich.chart_of(solution.name).key]
        found = [
            *self._judged(examples.small, small, solution=solution, limits=examples.limits),
            *self._judged(examples.rich, rich, solution=solution, limits=examples.limits),
            *_of_changes(own, again, chart=solution.chart),
            *_of_serving(own, solution=solution),
            *self._of_hostile_text(examples, own, solution=solution),
        ]
        return len(own), found

    def _rendered(self, example: Example) -> dict[str, list[RenderedManifest]]:
        return {chart.key: self.render(chart) for chart in example.charts}

    def _judged(
        self,
        example: Example,
        rendered: Mapping[str, list[RenderedManifest]],
        *,
        solution: Solution,
        limits: tuple[Object, ...],
    ) -> Iterator[Violation]:
        """What the judge of plans says of the solution's own objects, and what the catalogue asks besides."""
        tenancy = Tenancy(cooperative=NAME, facts=example.facts, exceptions=(), today=self.today)
        source = example.cooperative.source
        verdict = check_plan(example.plan, by=tenancy, render=lambda chart: rendered[chart.key], descriptor=source)
        for violation in verdict.violations:
            if violation.location.file.is_relative_to(solution.chart):
                yield violation
        own = example.chart_of(solution.name)
        yield from _asked_besides(rendered[own.key], facts=_chart_facts(own, limits=limits))

    def _of_hostile_text(
        self, examples: Examples, plain: list[RenderedManifest], *, solution: Solution
    ) -> Iterator[Violation]:
        """Text that people wrote may change what a chart's objects say, and nothing else."""
        try:
            hostile = self.render(examples.hostile.chart_of(solution.name))
        except (RenderingFailed, TimedOut) as error:
            yield _of_failure(error, chart=solution.chart, rule=ESCAPING)
            return
        changed = [
            one.template
            for one, other in zip_longest(hostile, plain, fillvalue=_NOTHING)
            if _shape(one.manifest) != _shape(other.manifest)
        ]
        if changed:
            message = "other fields come out where a descriptor holds quotes, colons and braces"
            where = Location(file=changed[0])
            yield _violation(ESCAPING, chart=solution.chart, path="", message=message, location=where)


def _reachable(solution: Solution, *, solutions: Mapping[str, Solution]) -> list[Solution]:
    """``solution``, what it depends on or integrates with, and all that those need, as far as it is there."""
    found, waiting = {solution.name: solution}, [*solution.depends, *solution.integrates]
    while waiting:
        name = waiting.pop()
        if name in solutions and name not in found:
            found[name] = solutions[name]
            waiting += solutions[name].depends
    return list(found.values())


def chart_folders(given: Sequence[str], *, catalogue: Sequence[Path]) -> list[Path]:
    """The charts that ``given`` mean: folders, or names of the folders ``catalogue``; if empty all of those.

    Raises NotFound for what is neither, UsageError for a file.
    """
    places = chart_places(*catalogue)
    return [_chart_folder(one, places=places) for one in given] if given else list(places.values())


def _chart_folder(given: str, *, places: Mapping[str, Path]) -> Path:
    folder = Path(given)
    if folder.is_file():
        raise UsageError(f"{given} is a file", hint="give the chart's folder; `coopctl catalogue add` takes archives")
    if folder.is_dir() and (len(folder.parts) != 1 or (folder / CHART_FILE).is_file()):
        # The folder's name is the chart's: it must not be `.` or `..`.
        return folder if folder.name not in {"", ".."} else folder.resolve()
    if given in places:
        return places[given]
    hint = did_you_mean(given, places) or f"give a chart's folder, or one of: {', '.join(places) or 'none'}"
    raise NotFound(f"there is no chart {given!r}", hint=hint)


def known_images(*folders: Path) -> frozenset[str]:
    """The logical names of the images that the charts of ``folders`` define; those that cannot be read count not."""
    files = (file for folder in folders for file in folder.glob(f"*/{IMAGE_FILE}"))
    return frozenset(name for file in files for name in _own_images(file.parent))


def _own_images(chart: Path) -> frozenset[str]:
    try:
        return frozenset({read_definition(chart / IMAGE_FILE).name})
    except InvalidDescriptor:
        return frozenset()


def _chart_facts(chart: SolutionChart, *, limits: tuple[Object, ...]) -> ChartFacts:
    given = mapping(chart.values.get(FACTS))
    migration = mapping(given.get("migration"))
    return ChartFacts(
        labels=mapping(given.get("labels")),
        annotations=mapping(given.get("annotations")),
        images=frozenset(mapping(chart.values.get(IMAGES)).values()),
        limits=limits,
        data_namespace=str(migration.get("namespace", "")),
        data_labels=mapping(migration.get("labels")),
    )


def _asked_besides(rendered: Iterable[RenderedManifest], *, facts: ChartFacts) -> Iterator[Violation]:
    for one in rendered:
        about = mapping(one.manifest.get("metadata"))
        kind = str(one.manifest.get("kind"))
        for rule, fault in judge_for_catalogue(one.manifest, facts=facts):
            yield Violation(
                cooperative=NAME,
                rule=rule,
                maker=Maker.CHART,
                kind=kind,
                namespace=str(about.get("namespace", "")),
                name=str(about.get("name", "")),
                path=fault.path,
                message=fault.message,
                location=place_in_template(one.template, fault.path, kind=kind),
            )


def _of_changes(first: list[RenderedManifest], again: list[RenderedManifest], *, chart: Path) -> Iterator[Violation]:
    for one, other in zip(first, again, strict=False):
        if one != other:
            message = f"{one.manifest.get('kind')} comes out otherwise each time"
            where = Location(file=one.template)
            yield _violation(STEADY, chart=chart, path="", message=message, location=where)


def _of_serving(rendered: list[RenderedManifest], *, solution: Solution) -> Iterator[Violation]:
    """The Service that the chart says others reach it by, if it does not lead to the port that it names."""
    manifests = [one.manifest for one in rendered]
    if solution.serves is None or solution.serves.pod_port in _ports_behind(manifests, solution=solution):
        return
    path = ("annotations", "coopctl.dev/serves")
    message = f"says {str(solution.serves)!r}, and no Service {solution.name} leads there"
    where = place_in(solution.chart / CHART_FILE, path)
    yield _violation(SERVED, chart=solution.chart, path=".".join(path), message=message, location=where)


def _ports_behind(manifests: Sequence[Object], *, solution: Solution) -> set[int]:
    """The pods' ports that the solution's Service leads to, from the port that it is said to serve at."""
    named = {
        str(port.get("name")): port.get("containerPort")
        for manifest in manifests
        for pod in parts(manifest, subject=Subject.PODS)
        for _, container in containers(pod)
        for port in items(container.get("ports"))
    }
    targets = [
        port.get("targetPort", port.get("port"))
        for manifest in manifests
        if manifest.get("kind") == "Service" and mapping(manifest.get("metadata")).get("name") == solution.name
        for port in items(mapping(manifest.get("spec")).get("ports"))
        if solution.serves and port.get("port") == solution.serves.port
    ]
    found = [target if isinstance(target, int) else named.get(str(target)) for target in targets]
    return {port for port in found if isinstance(port, int)}


def _shape(value: object) -> object:
    """The fields of a manifest without what they say."""
    if isinstance(value, Mapping):
        return {key: _shape(child) for key, child in value.items()}
    return [_shape(child) for child in value] if isinstance(value, list) else type(value)


def _of_faults(faults: Iterable[FileFault], *, chart: Path) -> list[Violation]:
    return [
        _violation(one.rule, chart=chart, path=one.path, message=one.message, location=one.location) for one in faults
    ]


def _of_diagnostics(problems: Iterable[Diagnostic], *, chart: Path, rule: PlanRule) -> list[Violation]:
    return [
        _violation(rule, chart=chart, path=one.path, message=_with_hint(one), location=one.location) for one in problems
    ]


def _with_hint(problem: Diagnostic) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


def _of_failure(error: CoopctlError, *, chart: Path, rule: PlanRule) -> Violation:
    where = error.where or Location(file=chart / CHART_FILE)
    return _violation(rule, chart=chart, path="", message=error.why or error.message, location=where)


def _violation(rule: PlanRule, *, chart: Path, path: str, message: str, location: Location) -> Violation:
    """A violation by a chart as a whole."""
    return Violation(
        cooperative=NAME,
        rule=rule,
        maker=Maker.CHART,
        kind="Chart",
        namespace="",
        name=chart.name,
        path=path,
        message=message,
        location=location,
    )
