"""Solutions that work together and one that has nothing to do with them, for a cooperative that chose all of them.

`scales` and `notes` have servers of their own, `trade` runs in that of `ledger`. `scales` integrates with the ledger
and with trade, trade with the ledger; nobody with `notes`.
"""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from provisioner.catalogue import Catalogue, Category, Solution
from provisioner.catalogue.offer import Offer, Review, Serving
from provisioner.descriptor.cooperative import Cooperative, SolutionChoice
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import CooperativePlan, CredentialsSecret, KubernetesObject, SolutionChart
from tests.unit.plan import builders

NAME = "rice-processing"
SERVERS = ("ledger", "notes", "scales")
LEDGER_PORT = 8000
INTEGRATION = "integration.scales.ledger"


def solution(name: str, **about: Any) -> Solution:
    """An approved solution without images."""
    plain = Solution(
        name=name,
        version="1.0.0",
        category=Category.BASIC,
        display_name_ko=name,
        display_name_en=name,
        description="",
        images=(),
        depends=(),
        integrates=(),
        host=None,
        chart=Path("charts") / name,
        offer=Offer(review=Review.APPROVED),
    )
    return replace(plain, **about)


SOLUTIONS = (
    solution("ledger", serves=Serving(scheme="http", port=80, pod_port=LEDGER_PORT, path="/{database}/")),
    solution("notes", serves=Serving(scheme="http", port=80, pod_port=LEDGER_PORT)),
    solution("scales", integrates=("ledger", "notes", "trade")),
    solution("trade", extends="ledger", depends=("ledger",), integrates=("ledger",)),
)
CATALOGUE = Catalogue(sources=(Path("charts"),), solutions=MappingProxyType({one.name: one for one in SOLUTIONS}))
CHOICES = (
    SolutionChoice(name="ledger"),
    SolutionChoice(name="notes"),
    SolutionChoice(name="scales", integrates=("ledger", "trade")),
    SolutionChoice(name="trade", integrates=("ledger",)),
)


def cooperative(*choices: SolutionChoice, name: str = NAME) -> Cooperative:
    """A cooperative that chose these, or all of them."""
    return builders.cooperative(name, solutions=choices or CHOICES)


def plan(*choices: SolutionChoice, catalogue: Catalogue = CATALOGUE, name: str = NAME) -> CooperativePlan:
    """Its plan."""
    made = cooperative(*choices, name=name)
    return cooperative_plan(made, platform=builders.platform(), catalogue=catalogue, images=builders.fake_lock())


def policies(made: CooperativePlan) -> dict[str, Manifest]:
    """The network policies of the solutions' namespace by name."""
    found = [one.manifest for one in made.resources if isinstance(one, KubernetesObject)]
    return {
        one["metadata"]["name"]: one
        for one in found
        if one["kind"] == "NetworkPolicy" and one["metadata"]["namespace"].endswith("-apps")
    }


def secrets(made: CooperativePlan) -> dict[str, CredentialsSecret]:
    """The Secrets of the solutions' namespace by name."""
    found = [one for one in made.resources if isinstance(one, CredentialsSecret)]
    return {
        one.manifest["metadata"]["name"]: one
        for one in found
        if one.manifest["metadata"]["namespace"].endswith("-apps")
    }


def facts(made: CooperativePlan) -> dict[str, Any]:
    """What each chart is told, by its solution."""
    return {one.solution: one.values["coopctl"] for one in made.resources if isinstance(one, SolutionChart)}
