"""The policy pack comes to the same verdict as everybody else, on objects as Pulumi shows them to it.

Each object goes the way that it goes in a preview: into protobuf, where every number is a float, and out of it as
pulumi_policy's views, which are no dicts and lists.
"""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi_policy import EnforcementLevel, ResourceValidationArgs
from pulumi_policy.deserialize import deserialize_properties
from pulumi_policy.policy import PolicyCustomTimeouts, PolicyResourceOptions
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

from policies.pack import isolation, plain
from provisioner.rules.chart_rules import CHART_RULES
from provisioner.rules.facts import Facts
from provisioner.rules.judging import judge
from provisioner.rules.pack_settings import POLICY, ExceptedObject, PackSettings, as_configuration
from provisioner.rules.pod_rules import SOLUTION_LABEL
from provisioner.rules.registry import RULES_FOR_CHARTS
from tests.unit.rules.table import CASES, FACTS, Case

CHART = "kubernetes:helm.sh/v4:Chart"
NO_OPTIONS = PolicyResourceOptions(
    protect=False,
    ignore_changes=[],
    delete_before_replace=None,
    aliases=[],
    custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
    additional_secret_outputs=[],
    parent=None,
)
OF_A_CHART = {one.id for one in CHART_RULES}
# A chart's pods are a solution's own: what they bear is judged by the plan rule `chart-pods`.
NOT_OF_A_CHART = {SOLUTION_LABEL.id}


def as_pulumi_shows_it(manifest: dict[str, Any]) -> Any:
    """The object as pulumi_policy hands it to a policy."""
    struct = struct_pb2.Struct()
    json_format.ParseDict(manifest, struct)
    return unknown_checking_proxy(deserialize_properties(json_format.MessageToDict(struct)))


def verdict(
    manifest: dict[str, Any],
    *,
    parent: str = CHART,
    facts: Facts = FACTS,
    excepted: tuple[ExceptedObject, ...] = (),
    resource_type: str | None = None,
) -> list[str]:
    """What the pack's policy reports of an object that is a child of ``parent``."""
    kind = f"kubernetes:{manifest.get('apiVersion')}:{manifest.get('kind')}" if resource_type is None else resource_type
    settings = as_configuration(PackSettings(facts=facts, excepted=excepted))[POLICY]
    struct = struct_pb2.Struct()
    json_format.ParseDict({name: value for name, value in settings.items() if name != "enforcementLevel"}, struct)
    args = ResourceValidationArgs(
        kind,
        as_pulumi_shows_it(manifest),
        f"urn:pulumi:rice::coopctl::{parent}${kind}::solution:rice-apps/x"
        if parent
        else f"urn:pulumi:rice::coopctl::{kind}::x",
        "x",
        NO_OPTIONS,
        None,
        json_format.MessageToDict(struct),
    )
    found: list[str] = []
    isolation().validate(args, lambda message, _: found.append(message))
    return found


def rules(reported: list[str]) -> set[str]:
    """The ids of the rules."""
    return {message.partition(":")[0] for message in reported}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_chart_s_object_gets_the_verdict_of_the_table(case: Case) -> None:
    found = rules(verdict(case.manifest))
    assert found - OF_A_CHART == case.rules - NOT_OF_A_CHART
    here = judge(case.manifest, facts=FACTS, rules=RULES_FOR_CHARTS)
    assert found == {one.rule.id for one in here}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_builder_s_object_is_judged_as_the_platform_s(case: Case) -> None:
    here = judge(case.manifest, facts=FACTS, made_by_platform=True)
    assert rules(verdict(case.manifest, parent="")) == {one.rule.id for one in here}


def test_every_finding_is_reported_with_object_path_and_remedy() -> None:
    case = next(case for case in CASES if case.rule == "service-type")
    about = case.manifest["metadata"]
    (message,) = verdict(case.manifest)
    assert message.startswith(f"service-type: Service {about['namespace']}/{about['name']}: spec.type: ")
    assert "(remedy: leave type out" in message


def test_who_made_an_object_is_told_by_its_urn_and_not_by_its_labels() -> None:
    case = next(case for case in CASES if case.rule == "own-peers")
    labels = {"app.kubernetes.io/managed-by": "coopctl"}
    labelled = {**case.manifest, "metadata": {**case.manifest["metadata"], "labels": labels}}
    assert "own-peers" in rules(verdict(labelled))
    assert "own-peers" in rules(verdict(labelled, parent=f"own:component:Group${CHART}"))
    assert verdict(labelled, parent="") == []


def test_exceptions_reach_the_pack() -> None:
    case = next(case for case in CASES if case.rule == "service-type")
    name = case.manifest["metadata"]["name"]
    one = ExceptedObject(rule="service-type", kind="Service", name=name)
    assert verdict(case.manifest, excepted=(one,)) == []
    assert verdict(case.manifest, excepted=(replace(one, name="another"),)) != []
    assert verdict(case.manifest, facts=replace(FACTS, exceptions=("service-type",))) == []


def test_a_chart_itself_is_no_object() -> None:
    assert verdict({"chart": "/charts/portal", "values": {}}, parent="", resource_type=CHART) == []


def test_what_is_no_kubernetes_resource_is_not_judged() -> None:
    assert verdict({"name": "rice"}, parent="", resource_type="coopctl:postgres:Database") == []


@pytest.mark.parametrize(
    ("resource_type", "inputs"),
    [
        ("kubernetes:helm.sh/v3:Release", {"chart": "portal"}),
        ("kubernetes:core/v1:ConfigMapList", {"apiVersion": "v1", "kind": "ConfigMapList", "items": []}),
    ],
)
def test_what_would_bring_objects_unseen_is_refused(resource_type: str, inputs: dict[str, Any]) -> None:
    (message,) = verdict(inputs, parent="", resource_type=resource_type)
    assert "no rule can judge it" in message


def test_a_value_that_is_not_known_yet_is_refused_where_a_rule_judges_it_and_nowhere_else() -> None:
    accepted = next(case.manifest for case in CASES if case.rule is None and case.manifest["kind"] == "Service")
    spec = accepted["spec"]
    assert rules(verdict({**accepted, "spec": {**spec, "type": UNKNOWN_STRING_VALUE}})) == {"service-type"}
    assert verdict({**accepted, "spec": {**spec, "clusterIP": UNKNOWN_STRING_VALUE}}) == []


def test_views_become_plain_data_with_whole_numbers() -> None:
    manifest = {"a": [1, {"b": 2.5, "c": [True, None, "text"]}], "d": {}, "e": UNKNOWN_STRING_VALUE}
    expected = {**manifest, "e": "(known after apply)"}
    made = plain(as_pulumi_shows_it(manifest))
    assert made == expected
    assert type(made) is dict
    assert type(made["a"]) is list
    assert type(made["a"][0]) is int


def test_the_policy_is_mandatory_and_needs_the_tenant_s_facts() -> None:
    policy = isolation()
    assert policy.enforcement_level is EnforcementLevel.MANDATORY
    assert policy.config_schema is not None
    assert policy.config_schema.required == ["facts", "excepted"]
