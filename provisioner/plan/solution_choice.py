"""Whether the solutions that a cooperative chose can be installed together; every problem at once.

What is only worth knowing (a solution that was withdrawn, or is made for another trade) is a warning.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provisioner.catalogue import Catalogue, Solution
from provisioner.catalogue.offer import Review
from provisioner.catalogue.requirement import is_older
from provisioner.descriptor.cooperative import Cooperative, SolutionChoice
from provisioner.errors import Diagnostic, InvalidDescriptor, Location, Severity
from provisioner.plan.solution_layouts import unfit_layout
from provisioner.plan.solution_needs import unmet_needs

# The values that coopctl sets in every chart; a descriptor may not.
FACTS = "coopctl"
IMAGES = "images"


@dataclass(frozen=True, kw_only=True)
class _Problem:
    message: str
    hint: str
    severity: Severity = Severity.ERROR


def refuse_problems(cooperative: Cooperative, *, catalogue: Catalogue) -> None:
    """Raise InvalidDescriptor with everything that is wrong with the choice, if anything is but warnings."""
    problems = choice_problems(cooperative, catalogue=catalogue)
    errors = [one for one in problems if one.severity is Severity.ERROR]
    if errors:
        raise InvalidDescriptor(f"the solutions of {cooperative.name} cannot be installed", diagnostics=errors)


def choice_problems(cooperative: Cooperative, *, catalogue: Catalogue) -> list[Diagnostic]:
    """Everything that is to be said about the solutions that ``cooperative`` chose, each with its place and a hint."""
    return [
        Diagnostic(
            message=problem.message,
            location=choice.location or Location(file=cooperative.source),
            path=f"spec.solutions.{choice.name}",
            hint=problem.hint,
            severity=problem.severity,
        )
        for choice in cooperative.solutions
        for problem in _problems(choice, cooperative=cooperative, catalogue=catalogue)
    ]


def _problems(choice: SolutionChoice, *, cooperative: Cooperative, catalogue: Catalogue) -> Iterator[_Problem]:
    names = frozenset(one.name for one in cooperative.solutions)
    for key in sorted({FACTS, IMAGES} & set(choice.values)):
        yield _Problem(
            message=f"values may not set {key!r}", hint="coopctl sets it from the descriptor and images.lock"
        )
    if choice.name not in catalogue.names:
        hint = f"it offers: {', '.join(sorted(catalogue.names))}"
        yield _Problem(message="is not in the catalogue", hint=hint)
        return
    solution = catalogue.solution(choice.name)
    yield from _review_problems(solution)
    if choice.version not in {None, solution.version}:
        hint = f"the catalogue has {solution.version}"
        yield _Problem(message=f"version {choice.version} is not on offer", hint=hint)
    for other in sorted(set(solution.depends) - names):
        yield _Problem(message=f"needs the solution {other!r}", hint=f"add `- {{name: {other}}}` to spec.solutions")
    yield from _integration_problems(choice, solution=solution, names=names)
    together = {*solution.depends, *choice.integrates} & names
    yield from _age_problems(solution, together=together, catalogue=catalogue)
    unfit = unfit_layout(solution, cooperative=cooperative, catalogue=catalogue)
    for message, hint in (*unmet_needs(solution.offer.needs, cooperative=cooperative), *unfit):
        yield _Problem(message=message, hint=hint)
    yield from _sector_problems(solution, sector=cooperative.sector)


def _age_problems(solution: Solution, *, together: Iterable[str], catalogue: Catalogue) -> Iterator[_Problem]:
    """What is older than the solution needs it, of the solutions that it works ``together`` with."""
    for name in sorted(set(together) & set(solution.oldest) & catalogue.names):
        offered, oldest = catalogue.solution(name).version, solution.oldest[name]
        if is_older(offered, than=oldest):
            message = f"needs {name} {oldest} or newer, and the catalogue has {offered}"
            yield _Problem(message=message, hint=f"take a newer {name} into the catalogue (`coopctl catalogue add`)")


def _review_problems(solution: Solution) -> Iterator[_Problem]:
    match solution.offer.review:
        case Review.PROPOSED:
            message = f"is proposed, and only approved solutions are installed (version {solution.version})"
            hint = "look at it (`coopctl catalogue lint`), then set coopctl.dev/review: approved in its Chart.yaml"
            yield _Problem(message=message, hint=hint)
        case Review.WITHDRAWN:
            # Whether it is installed already, no descriptor says; taking it away from those who have it is no remedy.
            hint = "choose another one (`coopctl catalogue list`) and take this one out"
            yield _Problem(message="is withdrawn from the catalogue", hint=hint, severity=Severity.WARNING)
        case Review.APPROVED:
            return


def _sector_problems(solution: Solution, *, sector: str) -> Iterator[_Problem]:
    if solution.sectors and sector not in solution.sectors:
        message = f"is made for {', '.join(solution.sectors)}, and spec.sector is {sector}"
        hint = f"`coopctl catalogue list --sector {sector}` shows what suits it"
        yield _Problem(message=message, hint=hint, severity=Severity.WARNING)


def _integration_problems(choice: SolutionChoice, *, solution: Solution, names: frozenset[str]) -> Iterator[_Problem]:
    for other in sorted(set(choice.integrates) - set(solution.integrates)):
        hint = f"it can with: {', '.join(solution.integrates) or 'none'}"
        yield _Problem(message=f"cannot integrate with {other!r}", hint=hint)
    for other in sorted(set(choice.integrates) & set(solution.integrates) - names):
        yield _Problem(message=f"integrates with {other!r}, which is not chosen", hint="choose it too, or take it out")
