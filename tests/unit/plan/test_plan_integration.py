"""What `integrates` makes: a flow between exactly two servers, and what tells the one where the other is."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from provisioner.descriptor.cooperative import SolutionChoice
from provisioner.plan.cooperative import with_charts
from provisioner.plan.resources import SolutionChart
from provisioner.plan.tenant import tenant_of
from tests.unit.plan import builders, integrated

SOLUTION = "coopctl.dev/solution"
GROUPS = ("", *integrated.SERVERS)
ALONE = (
    SolutionChoice(name="ledger"),
    SolutionChoice(name="notes"),
    SolutionChoice(name="scales"),
    SolutionChoice(name="trade"),
)


def fits(selector: dict[str, Any], name: str) -> bool:
    """Whether a selector of our own making selects the pods of a solution, or with "" those of none."""
    wanted = selector.get("matchLabels", {})
    assert set(wanted) <= {SOLUTION}
    for one in selector.get("matchExpressions", ()):
        assert one["key"] == SOLUTION
        match one["operator"]:
            case "In":
                fit = name in one["values"]
            case "DoesNotExist":
                fit = not name
            case other:
                pytest.fail(f"{other} is not used")
        if not fit:
            return False
    return all(value == name for value in wanted.values())


def opened(policies: dict[str, dict[str, Any]], *, direction: str, of: str, other: str) -> set[Any]:
    """The ports that the policies open to pods of ``of`` for those of ``other``; None is every port."""
    side = {"egress": "to", "ingress": "from"}[direction]
    return {
        ports
        for policy in policies.values()
        if fits(policy["spec"]["podSelector"], of)
        for rule in policy["spec"].get(direction, ())
        for peer in rule[side]
        if set(peer) == {"podSelector"} and fits(peer["podSelector"], other)
        for ports in ([one["port"] for one in rule["ports"]] if "ports" in rule else [None])
    }


def flows(*choices: SolutionChoice) -> dict[tuple[str, str], set[Any]]:
    """What flows between each two groups of pods: what both ends open."""
    made = integrated.policies(integrated.plan(*choices))
    return {
        (source, target): opened(made, direction="egress", of=source, other=target)
        & opened(made, direction="ingress", of=target, other=source)
        for source, target in product(GROUPS, GROUPS)
    }


def test_an_integration_opens_the_served_port_between_exactly_these_two_and_one_way() -> None:
    found = flows()
    assert found["scales", "ledger"] == {integrated.LEDGER_PORT}
    open_pairs = {pair for pair, ports in found.items() if ports}
    assert open_pairs == {("scales", "ledger"), *((one, one) for one in GROUPS)}


def test_neither_end_opens_to_anybody_else() -> None:
    made = integrated.policies(integrated.plan())
    for direction in ("egress", "ingress"):
        found = {
            (of, other)
            for of, other in product(GROUPS, GROUPS)
            if of != other and opened(made, direction=direction, of=of, other=other)
        }
        assert found == {("scales", "ledger") if direction == "egress" else ("ledger", "scales")}


def test_pods_of_one_solution_and_pods_of_none_work_together_on_every_port() -> None:
    found = flows()
    assert {tuple(found[one, one]) for one in GROUPS if one not in {"scales", "ledger"}} == {(None,)}
    assert None in found["ledger", "ledger"]


def test_what_can_integrate_and_does_not_is_kept_apart() -> None:
    assert {pair for pair, ports in flows(*ALONE).items() if ports} == {(one, one) for one in GROUPS}
    assert [name for name in integrated.policies(integrated.plan(*ALONE)) if name.startswith("integration.")] == []


def test_solutions_of_one_server_need_no_flow_and_no_details() -> None:
    made = integrated.plan(SolutionChoice(name="ledger"), SolutionChoice(name="trade", integrates=("ledger",)))
    assert [name for name in integrated.policies(made) if "." in name] == ["within.ledger"]
    assert set(integrated.secrets(made)) == {"data-store"}
    assert integrated.facts(made)["trade"]["podLabels"] == {SOLUTION: "ledger"}


def test_no_two_pairs_share_a_policy_though_their_names_run_together() -> None:
    pairs = {"a": ("b-c",), "a-b": ("c",), "b-c": (), "c": ()}
    serving = integrated.CATALOGUE.solution("ledger").serves
    offered = {name: integrated.solution(name, serves=serving, integrates=others) for name, others in pairs.items()}
    catalogue = replace(integrated.CATALOGUE, solutions=offered)
    choices = (SolutionChoice(name=name, integrates=others) for name, others in pairs.items())
    made = integrated.plan(*choices, catalogue=catalogue)
    assert {name for name in integrated.policies(made) if name.startswith("integration")} == {
        "integration.a.b-c",
        "integration.a-b.c",
    }


def test_the_secret_tells_where_each_integrated_solution_is() -> None:
    (secret,) = (one for name, one in integrated.secrets(integrated.plan()).items() if name != "data-store")
    host = "ledger.rice-processing-apps.svc.cluster.local"
    assert secret.manifest["metadata"]["name"] == "scales-connections"
    assert secret.values == {
        f"SOLUTION_{name}_{what}": value
        for name in ("LEDGER", "TRADE")
        for what, value in {
            "HOST": host,
            "PORT": "80",
            "URL": f"http://{host}:80/rice_processing/",
            "DATABASE": "rice_processing",
        }.items()
    }


def test_a_chart_is_told_of_its_secret_and_begins_anew_when_that_changes() -> None:
    told = integrated.facts(integrated.plan())
    assert told["scales"]["connections"]["secret"] == "scales-connections"
    assert told["ledger"]["connections"] is None
    fewer = (*(one for one in integrated.CHOICES if one.name != "scales"),)
    changed = integrated.facts(integrated.plan(*fewer, SolutionChoice(name="scales", integrates=("ledger",))))
    assert changed["scales"]["connections"]["digest"] != told["scales"]["connections"]["digest"]


def test_a_chart_comes_after_what_connects_it() -> None:
    made = integrated.plan()
    scales = next(one for one in made.resources if isinstance(one, SolutionChart) and one.solution == "scales")
    assert {"apps-secret-scales-connections", f"apps-networkpolicy-{integrated.INTEGRATION}"} <= set(scales.depends_on)


def test_charts_of_an_earlier_state_bring_what_connects_them() -> None:
    before, now = integrated.plan(), integrated.plan(*ALONE[:2])
    charts = [one for one in before.resources if isinstance(one, SolutionChart)]
    tenant = tenant_of(integrated.cooperative(*ALONE[:2]), cluster=builders.platform().cluster.id)
    made = with_charts(now, charts, tenant=tenant)
    assert integrated.policies(made) == integrated.policies(before)
    assert set(integrated.secrets(made)) == set(integrated.secrets(before))
    seen: set[str] = set()
    for resource in made.resources:
        assert set(resource.depends_on) <= seen, resource.key
        seen.add(resource.key)


def test_charts_of_a_state_that_was_told_nothing_of_servers_bring_nothing() -> None:
    now = integrated.plan(*ALONE[:1])
    old = [
        replace(one, values={**one.values, "coopctl": {}}) for one in now.resources if isinstance(one, SolutionChart)
    ]
    made = with_charts(now, old, tenant=tenant_of(integrated.cooperative(), cluster=builders.platform().cluster.id))
    assert integrated.policies(made) == integrated.policies(now)
