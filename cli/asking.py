"""What `coopctl new` and `member add` were not told: asked for on a terminal, else taken from defaults or refused."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from provisioner.descriptor.cooperative import Afterwards, Member
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_platform
from provisioner.descriptor.member_list import member_of_words
from provisioner.descriptor.scaffolding import NewCooperative, three_years_from
from provisioner.descriptor.templates import Template, TemplateShelf, shipped_templates
from provisioner.errors import InvalidDescriptor, NotFound, UsageError

_SOLUTIONS = ("portal",)


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What the command line said, option by option; None where it said nothing."""

    name: str
    template: str | None
    size: str | None
    display_name: str | None
    sector: str | None
    domain: str | None
    support_start: datetime | None
    support_end: datetime | None
    afterwards: str
    operators: tuple[str, ...]
    solutions: tuple[str, ...]


def complete(answers: Answers, *, estate: Estate) -> NewCooperative:
    """Fill what is missing; raises UsageError if that needs a terminal and there is none."""
    shelf = TemplateShelf(folders=(estate.templates, shipped_templates()))
    terminal = sys.stdin.isatty()
    _require(answers, terminal=terminal, templates=shelf.names())
    suffix = load_platform(estate).domain_suffixes[0]
    template = _template(answers.template or _ask("Template", choices=shelf.names()), shelf=shelf)
    sizes = tuple(template.sizes)
    start = (answers.support_start or datetime.now(tz=UTC).astimezone()).date()
    return NewCooperative(
        name=answers.name,
        display_name=answers.display_name or _ask("What people call the cooperative"),
        sector=answers.sector or template.name,
        template=template.name,
        size=answers.size or (_ask("Size", choices=sizes, default=sizes[0]) if terminal else sizes[0]),
        support_start=start,
        support_end=answers.support_end.date() if answers.support_end else three_years_from(start),
        afterwards=Afterwards(answers.afterwards),
        domain=answers.domain or _domain(f"{answers.name}.{suffix}", terminal=terminal),
        operators=answers.operators,
        solutions=answers.solutions or template.solutions or _SOLUTIONS,
    )


def complete_member(member: str | None, name: str | None, employees: int | None, number: str | None) -> Member:
    """A new member. Raises UsageError for a value that cannot be, or if one is missing and nobody can be asked."""
    given = {"--id": member, "--name": name, "--employees": employees}
    missing = [option for option, value in given.items() if value is None]
    if missing and not sys.stdin.isatty():
        raise UsageError(f"{' and '.join(missing)} must be given where there is no terminal to ask on")
    return member_of_words(
        member=member if member is not None else _ask("Id"),
        name=name if name is not None else _ask("What the firm is called"),
        employees=employees if employees is not None else int(click.prompt("Employees", type=int, err=True)),
        number=number,
    )


def _require(answers: Answers, *, terminal: bool, templates: Sequence[str]) -> None:
    missing = [
        option
        for option, given in (("--template", answers.template), ("--display-name", answers.display_name))
        if not given
    ]
    if missing and not terminal:
        hint = f"templates are {', '.join(templates)}" if "--template" in missing else None
        raise UsageError(f"{' and '.join(missing)} must be given where there is no terminal to ask on", hint=hint)


def _template(name: str, *, shelf: TemplateShelf) -> Template:
    read = shelf.template(name)
    if read is None:
        raise NotFound(f"there is no template {name!r}", hint=shelf.hint(name))
    if read.template is None:
        raise InvalidDescriptor(f"the template {name} has problems", diagnostics=read.problems)
    return read.template


def _domain(default: str, *, terminal: bool) -> str:
    return _ask("Domain", default=default) if terminal else default


def _ask(question: str, *, choices: Sequence[str] | None = None, default: str | None = None) -> str:
    kind = click.Choice(list(choices)) if choices else None
    answer: str = click.prompt(question, type=kind, default=default, err=True)
    return answer
