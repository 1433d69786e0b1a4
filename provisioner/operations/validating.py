"""The check of an estate without any server: its documents, and what its cooperatives chose from the catalogue."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from provisioner.catalogue import Catalogue
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import EstateCheck, check_estate
from provisioner.descriptor.policy_exception import KnownRules
from provisioner.errors import Diagnostic, Severity
from provisioner.plan.solution_choice import choice_problems


def validate(estate: Estate, *, catalogue: Catalogue, names: Collection[str] | None, rules: KnownRules) -> EstateCheck:
    """Read every document and gather every problem; with ``names`` only what concerns those and the platform.

    ``rules`` are those that exceptions may name. A choice is looked at where the document itself is well.
    """
    found = check_estate(estate, catalogue_names=catalogue.names, names=names, rules=rules, migrations=True)
    well = [one.cooperative for one in found.resolved if one.cooperative is not None]
    choices = [problem for one in well for problem in choice_problems(one, catalogue=catalogue)]
    return replace(found, problems=(*found.problems, *choices))


def choice_warnings(cooperatives: Iterable[Cooperative], *, catalogue: Catalogue) -> list[Diagnostic]:
    """What is worth knowing about the solutions that were chosen, and refuses none of them."""
    found = [problem for one in cooperatives for problem in choice_problems(one, catalogue=catalogue)]
    return [problem for problem in found if problem.severity is Severity.WARNING]
