"""The choice of solutions: what is refused, and what a chart is told."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from provisioner.catalogue import Catalogue, Category, Solution
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.catalogue.offer import Egress as WayOut
from provisioner.catalogue.offer import Needs, Offer, Review, Size
from provisioner.descriptor.cooperative import Egress, SolutionChoice
from provisioner.errors import Diagnostic, InvalidDescriptor, NotFound, Severity
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import SolutionChart
from provisioner.plan.solution_choice import choice_problems, refuse_problems
from tests.unit.plan import builders


def solution(name: str, *, depends: tuple[str, ...] = (), integrates: tuple[str, ...] = (), **offered: Any) -> Solution:
    """An approved solution without images, under the terms ``offered``."""
    return Solution(
        name=name,
        version="1.0.0",
        category=Category.SPECIALISED,
        display_name_ko=f"{name} 솔루션",
        display_name_en=name,
        description="",
        images=(),
        depends=depends,
        integrates=integrates,
        host=name,
        chart=Path("charts") / name,
        offer=Offer(**{"review": Review.APPROVED, **offered}),
    )


CATALOGUE = Catalogue(
    sources=(Path("charts"),),
    solutions=MappingProxyType(
        {
            "audit": solution("audit", depends=("ledger",)),
            "ledger": solution("ledger"),
            "lot-tracing": solution("lot-tracing", integrates=("ledger",)),
        }
    ),
)


def charts(*choices: SolutionChoice) -> list[SolutionChart]:
    """The charts of a cooperative that chose ``choices``."""
    plan = cooperative_plan(
        builders.cooperative(solutions=choices),
        platform=builders.platform(),
        catalogue=CATALOGUE,
        images=builders.fake_lock(),
    )
    return [resource for resource in plan.resources if isinstance(resource, SolutionChart)]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (SolutionChoice(name="unknown"), "is not in the catalogue"),
        (SolutionChoice(name="ledger", version="9.9.9"), "version 9.9.9 is not on offer"),
        (SolutionChoice(name="audit"), "needs the solution 'ledger'"),
        (SolutionChoice(name="lot-tracing", integrates=("ledger",)), "which is not chosen"),
        (SolutionChoice(name="ledger", integrates=("audit",)), "cannot integrate with 'audit'"),
        (SolutionChoice(name="ledger", values={"images": {"ledger": "evil"}}), "may not set 'images'"),
        (SolutionChoice(name="ledger", values={"coopctl": {"host": "other.kr"}}), "may not set 'coopctl'"),
    ],
)
def test_a_choice_that_cannot_work_is_refused_with_its_reason(choice: SolutionChoice, message: str) -> None:
    with pytest.raises(InvalidDescriptor) as refused:
        charts(choice)
    assert [message in item.message for item in refused.value.diagnostics] == [True]


def problems(offered: Solution, **changes: Any) -> list[Diagnostic]:
    """What is said about the choice of ``offered`` alone."""
    chosen = builders.cooperative(solutions=(SolutionChoice(name=offered.name),))
    catalogue = Catalogue(sources=(Path("charts"),), solutions=MappingProxyType({offered.name: offered}))
    return choice_problems(replace(chosen, **changes), catalogue=catalogue)


def told(offered: Solution, **changes: Any) -> list[tuple[Severity, str, str]]:
    """Severity, message and hint of each problem."""
    return [(one.severity, one.message, one.hint or "") for one in problems(offered, **changes)]


def test_a_proposed_solution_is_refused_with_the_remedy() -> None:
    ((severity, message, hint),) = told(solution("ledger", review=Review.PROPOSED))
    assert (severity, "only approved" in message) == (Severity.ERROR, True)
    assert "coopctl catalogue lint" in hint
    assert "coopctl.dev/review" in hint


def test_a_withdrawn_solution_warns_and_is_still_installed() -> None:
    withdrawn = solution("ledger", review=Review.WITHDRAWN)
    ((severity, message, _),) = told(withdrawn)
    assert (severity, message) == (Severity.WARNING, "is withdrawn from the catalogue")
    catalogue = Catalogue(sources=(Path("charts"),), solutions=MappingProxyType({"ledger": withdrawn}))
    refuse_problems(builders.cooperative(solutions=(SolutionChoice(name="ledger"),)), catalogue=catalogue)


def test_a_solution_of_another_trade_warns() -> None:
    made_for = replace(solution("plating-orders"), sectors=("plating",))
    ((severity, message, _),) = told(made_for)
    assert (severity, message) == (Severity.WARNING, "is made for plating, and spec.sector is food-processing")
    assert told(replace(made_for, sectors=("food-processing", "plating"))) == []


@pytest.mark.parametrize(
    ("size", "needed", "refused"),
    [
        ("small", Size.SMALL, False),
        ("small", Size.MEDIUM, True),
        ("medium", Size.LARGE, True),
        ("large", Size.MEDIUM, False),
        ("a size of its own", Size.LARGE, False),
    ],
)
def test_a_cooperative_that_is_too_small_is_refused(size: str, needed: Size, refused: bool) -> None:
    found = told(solution("ledger", needs=Needs(size=needed)), size=size)
    assert [hint for _, _, hint in found] == ([f"write `size: {needed}`"] if refused else [])


def test_a_missing_extension_is_named() -> None:
    needs = Needs(extensions=("btree_gist", "pgcrypto"))
    ((severity, message, hint),) = told(solution("ledger", needs=needs))
    assert (severity, message) == (Severity.ERROR, "needs the extension btree_gist of PostgreSQL")
    assert "spec.dataStore.postgres.extensions" in hint


@pytest.mark.parametrize(
    ("host", "port", "met"),
    [
        ("tax.example.kr", 443, True),
        ("tax.example.kr", 8443, False),
        ("203.0.113.9", 443, True),
        ("203.0.113.9", 80, False),
        ("198.51.100.1", 443, False),
    ],
)
def test_a_way_out_that_the_descriptor_does_not_open_is_named(host: str, port: int, met: bool) -> None:
    listed = (Egress(cidr="203.0.113.0/24", ports=(443,), why="tax office"),)
    network = replace(builders.cooperative().network, egress=listed)
    found = told(solution("ledger", needs=Needs(egress=(WayOut(host=host, port=port),))), network=network)
    assert [message for _, message, _ in found] == ([] if met else [f"needs a way out to {host}:{port}"])
    assert met or f"ports: [{port}], why: {host}" in found[0][2]


def test_a_need_of_a_bucket_is_always_met() -> None:
    assert told(solution("ledger", needs=Needs(bucket=True))) == []


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InvalidDescriptor) as refused:
        charts(SolutionChoice(name="unknown"), SolutionChoice(name="audit", version="2.0.0"))
    assert len(refused.value.diagnostics) == 3


def test_a_solution_comes_after_those_it_depends_on() -> None:
    made = charts(SolutionChoice(name="audit"), SolutionChoice(name="ledger"))
    assert [chart.solution for chart in made] == ["ledger", "audit"]
    assert "solution-ledger" in made[1].depends_on


def test_a_solution_comes_after_those_it_can_integrate_with() -> None:
    made = charts(SolutionChoice(name="lot-tracing"), SolutionChoice(name="ledger"))
    assert [chart.solution for chart in made] == ["ledger", "lot-tracing"]
    assert "solution-ledger" in made[1].depends_on
    (alone,) = charts(SolutionChoice(name="lot-tracing"))
    assert "solution-ledger" not in alone.depends_on


@pytest.mark.parametrize(
    ("choice", "oldest", "refused"),
    [
        (SolutionChoice(name="audit"), "1.0.1", True),
        (SolutionChoice(name="audit"), "1.0.0", False),
        (SolutionChoice(name="lot-tracing", integrates=("ledger",)), "2.0.0-rc.1", True),
        (SolutionChoice(name="lot-tracing", integrates=("ledger",)), "1.0.0-rc.1", False),
        (SolutionChoice(name="lot-tracing"), "2.0.0", False),
    ],
)
def test_a_solution_that_another_needs_newer_is_refused_where_they_work_together(
    choice: SolutionChoice, oldest: str, refused: bool
) -> None:
    needing = replace(CATALOGUE.solution(choice.name), oldest={"ledger": oldest})
    catalogue = replace(CATALOGUE, solutions={**CATALOGUE.solutions, choice.name: needing})
    chosen = builders.cooperative(solutions=(choice, SolutionChoice(name="ledger")))
    found = [(one.path, one.message) for one in choice_problems(chosen, catalogue=catalogue)]
    message = f"needs ledger {oldest} or newer, and the catalogue has 1.0.0"
    assert found == ([(f"spec.solutions.{choice.name}", message)] if refused else [])


@pytest.mark.parametrize("name", ["audit", "lot-tracing"])
def test_a_solution_that_another_one_needs_is_not_taken_out(name: str) -> None:
    integrates = CATALOGUE.solution(name).integrates
    other = SolutionChoice(name=name, integrates=integrates)
    assert len(charts(other, SolutionChoice(name="ledger"))) == 2
    with pytest.raises(InvalidDescriptor) as refused:
        charts(other)
    assert ["'ledger'" in one.message for one in refused.value.diagnostics] == [True]


def test_a_chart_is_told_the_links_of_every_chosen_solution() -> None:
    (first, _) = charts(SolutionChoice(name="ledger"), SolutionChoice(name="lot-tracing"))
    assert [item["url"] for item in first.values["coopctl"]["solutions"]] == [
        "http://ledger.rice.example.kr:18080/",
        "http://lot-tracing.rice.example.kr:18080/",
    ]


def test_the_descriptor_s_values_reach_the_chart() -> None:
    (made,) = charts(SolutionChoice(name="ledger", values={"currency": "KRW"}))
    assert made.values["currency"] == "KRW"


def test_an_image_that_was_never_built_is_named_with_the_remedy() -> None:
    with pytest.raises(NotFound) as refused:
        cooperative_plan(
            builders.cooperative(),
            platform=builders.platform(),
            catalogue=builders.catalogue(),
            images=ImagesLock(source=Path("images.lock")),
        )
    assert "make images" in (refused.value.hint or "")


def test_a_tenant_with_few_pods_gets_one_replica() -> None:
    def two_replicas(pods: int) -> bool:
        plan = cooperative_plan(
            replace(builders.cooperative(), apps_budget=builders.budget(pods=pods)),
            platform=builders.platform(),
            catalogue=builders.catalogue(),
            images=builders.fake_lock(),
        )
        return next(
            bool(resource.values["coopctl"]["twoReplicas"])
            for resource in plan.resources
            if isinstance(resource, SolutionChart)
        )

    assert (two_replicas(4), two_replicas(30)) == (False, True)
