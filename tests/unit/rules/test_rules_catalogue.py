"""What the catalogue asks of a chart's objects: each rule on the smallest object that keeps or breaks it."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from provisioner.catalogue.chart_schema import schema_faults
from provisioner.rules.catalogue_rules import CATALOGUE_RULES, ChartFacts, judge_for_catalogue
from provisioner.rules.registry import EVERY_RULE
from provisioner.rules.rule import Enforcement

IMAGE = "registry.example.kr/tea@sha256:" + "0" * 64
LABELS = {"coopctl.dev/cooperative": "rice", "coopctl.dev/solution": "tea"}
ANNOTATIONS = {"pulumi.com/patchForce": "true"}
FACTS = ChartFacts(
    labels=LABELS,
    annotations=ANNOTATIONS,
    images=frozenset({IMAGE}),
    limits=(
        {
            "type": "Container",
            "max": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "2Gi"},
            "min": {"cpu": "10m", "memory": "16Mi"},
            "maxLimitRequestRatio": {"cpu": "10", "memory": "4"},
        },
        {"type": "Pod", "max": {"cpu": "3", "memory": "4Gi"}},
        {"type": "PersistentVolumeClaim", "max": {"storage": "10Gi"}},
    ),
)
PROBE = {"httpGet": {"path": "/", "port": 80}}


def container(**changes: Any) -> dict[str, Any]:
    """A container that the catalogue accepts."""
    return {
        "name": "tea",
        "image": IMAGE,
        "readinessProbe": PROBE,
        "livenessProbe": PROBE,
        "resources": {
            "requests": {"cpu": "100m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
            "limits": {"cpu": "500m", "memory": "128Mi", "ephemeral-storage": "32Mi"},
        },
        **changes,
    }


def resources(*, requests: dict[str, Any] | None = None, limits: dict[str, Any] | None = None) -> dict[str, Any]:
    """The resources of an accepted container, with changes."""
    made: dict[str, Any] = copy.deepcopy(container()["resources"])
    made["requests"].update(requests or {})
    made["limits"].update(limits or {})
    return made


def manifest(kind: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    """An object with coopctl's labels and annotations."""
    about = {"name": "tea", "labels": LABELS, "annotations": ANNOTATIONS, **metadata}
    return {"apiVersion": "v1", "kind": kind, "metadata": about, "spec": spec}


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Deployment of a pod with ``containers``."""
    return manifest("Deployment", {"template": {"spec": {"containers": list(containers), **spec}}})


def found(of: dict[str, Any], facts: ChartFacts = FACTS) -> list[tuple[str, str]]:
    """Rule and path of every fault."""
    return [(rule.id, fault.path) for rule, fault in judge_for_catalogue(of, facts=facts)]


POD = "spec.template.spec.containers"


def test_what_is_asked_for_is_accepted() -> None:
    assert found(deployment(container())) == []


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_what_serves_is_asked_whether_it_does(probe: str) -> None:
    without = container()
    del without[probe]
    assert found(deployment(container(), without)) == [("chart-probes", f"{POD}[1].{probe}")]
    job = manifest("Job", {"template": {"spec": {"containers": [without]}}})
    assert found(job) == [], "what ends is not asked"
    assert found(deployment(container(), initContainers=[without])) == []


@pytest.mark.parametrize("kind", ["cpu", "memory", "ephemeral-storage"])
@pytest.mark.parametrize("amounts", ["requests", "limits"])
@pytest.mark.parametrize("held_in", ["containers", "initContainers"])
def test_every_amount_is_stated(kind: str, amounts: str, held_in: str) -> None:
    short = container(resources=resources())
    del short["resources"][amounts][kind]
    made = deployment(short) if held_in == "containers" else deployment(container(), initContainers=[short])
    path = f"spec.template.spec.{held_in}[0].resources.{amounts}"
    assert found(made) == [("chart-resources", path)]
    assert len(found(deployment({**container(), "resources": None}))) == 2


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        (resources(limits={"ephemeral-storage": "3Gi"}), "limits.ephemeral-storage"),
        (resources(requests={"cpu": "1"}, limits={"cpu": "2500m"}), "limits.cpu"),
        (resources(requests={"cpu": "5m"}, limits={"cpu": "50m"}), "requests.cpu"),
        (resources(requests={"memory": "8Mi"}, limits={"memory": "32Mi"}), "requests.memory"),
        (resources(limits={"cpu": "1001m"}), "limits.cpu"),
        (resources(limits={"memory": "257Mi"}), "limits.memory"),
        (resources(limits={"cpu": "much"}), "limits.cpu"),
        (resources(requests={"memory": "{{ x }}"}), "requests.memory"),
    ],
)
def test_a_container_fits_into_the_limit_range(changed: dict[str, Any], path: str) -> None:
    assert found(deployment(container(resources=changed))) == [("chart-limits", f"{POD}[0].resources.{path}")]


def test_the_bounds_themselves_are_accepted() -> None:
    at_most = resources(
        requests={"cpu": "200m", "memory": "512Mi"}, limits={"cpu": "2", "memory": "2Gi", "ephemeral-storage": "2Gi"}
    )
    at_least = resources(requests={"cpu": "0.01", "memory": "16Mi"}, limits={"cpu": "100m", "memory": "64Mi"})
    assert found(deployment(container(resources=at_most))) == []
    assert found(deployment(container(resources=at_least))) == []


def test_containers_fit_together_and_those_that_run_before_them_do_not_add_up() -> None:
    large = container(resources=resources(requests={"cpu": "200m"}, limits={"cpu": "2"}))
    assert found(deployment(large, large)) == [("chart-limits", POD)]
    assert found(deployment(large, initContainers=[large, large])) == []


def test_a_claim_fits_also_as_a_template() -> None:
    claim = {"resources": {"requests": {"storage": "11Gi"}}}
    assert found(manifest("PersistentVolumeClaim", claim)) == [("chart-claims", "spec.resources.requests.storage")]
    templates = [{"metadata": {"name": "books"}, "spec": claim}]
    made = deployment(container())
    made = {**made, "kind": "StatefulSet", "spec": {**made["spec"], "volumeClaimTemplates": templates}}
    assert found(made) == [("chart-claims", "spec.volumeClaimTemplates[0].spec.resources.requests.storage")]


@pytest.mark.parametrize("given", [{}, {"coopctl.dev/cooperative": "rice"}, {**LABELS, "coopctl.dev/solution": "x"}])
def test_every_object_bears_what_coopctl_gives(given: dict[str, str]) -> None:
    assert found(manifest("ConfigMap", {}, labels=given)) == [("chart-labels", "metadata.labels")]
    assert found(manifest("ConfigMap", {}, annotations={})) == [("chart-labels", "metadata.annotations")]
    assert found(manifest("ConfigMap", {}, labels={**LABELS, "more": "x"})) == []


def test_what_lies_beside_the_data_bears_the_labels_of_there() -> None:
    facts = replace(FACTS, data_namespace="rice-data", data_labels={"coopctl.dev/part": "data"})
    beside = manifest("ConfigMap", {}, labels={"coopctl.dev/part": "data"}, namespace="rice-data")
    assert list(judge_for_catalogue(beside, facts=facts)) == []
    ((rule, fault),) = judge_for_catalogue(manifest("ConfigMap", {}, namespace="rice-data"), facts=facts)
    assert (rule.id, fault.path) == ("chart-labels", "metadata.labels")


def test_a_job_stays_and_what_a_cron_job_makes_may_go() -> None:
    kept = {"template": {"spec": {"containers": [container()]}}}
    assert found(manifest("Job", {**kept, "ttlSecondsAfterFinished": 0})) == [
        ("chart-lifetime", "spec.ttlSecondsAfterFinished")
    ]
    jobs = {"jobTemplate": {"spec": {**kept, "ttlSecondsAfterFinished": 60}}}
    assert found(manifest("CronJob", jobs)) == []


def test_an_image_that_was_not_given_is_refused() -> None:
    for image in ("", "tea:latest", IMAGE.replace("0" * 64, "1" * 64)):
        assert found(deployment(container(image=image))) == [("chart-images", f"{POD}[0].image")]


@pytest.mark.parametrize("strange", [None, 1, "x", [], [1], {"template": 1}, {"template": {"spec": {"containers": 1}}}])
def test_a_manifest_may_hold_anything_anywhere(strange: Any) -> None:
    assert found(manifest("Deployment", strange)) == []
    assert ("chart-labels", "metadata.labels") in found({"kind": "Job", "spec": strange, "metadata": strange})


def test_no_two_rules_have_the_same_id_and_the_catalogue_s_say_who_asks() -> None:
    assert len({rule.id for rule in EVERY_RULE}) == len(EVERY_RULE)
    assert {rule.enforcement for rule in CATALOGUE_RULES} == {Enforcement.CATALOGUE}


CLOSED: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "coopctl": {"type": "object"},
        "size": {"$ref": "#/definitions/size"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "list": {"type": "array", "items": {"type": "string"}},
    },
    "definitions": {"size": {"type": "object", "additionalProperties": False, "properties": {"x": {"type": "string"}}}},
}


def with_property(**child: Any) -> dict[str, Any]:
    """The closed schema with one more property."""
    return {**CLOSED, "properties": {**CLOSED["properties"], "more": child}}


def test_a_closed_schema_has_no_fault() -> None:
    assert list(schema_faults(CLOSED)) == []


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({**CLOSED, "additionalProperties": True}, ()),
        ({**CLOSED, "additionalProperties": {"type": "string"}}, ()),
        (with_property(type="object"), ("properties", "more")),
        (with_property(type=["object", "null"]), ("properties", "more")),
        (with_property(properties={}), ("properties", "more")),
        (with_property(description="anything"), ("properties", "more")),
        (with_property(type="array", items={"type": "object"}), ("properties", "more", "items")),
        (with_property(anyOf=[{"type": "string"}, {"type": "object"}]), ("properties", "more", "anyOf", 1)),
        (
            with_property(type="object", additionalProperties={"type": "object"}),
            ("properties", "more", "additionalProperties"),
        ),
        ({**CLOSED, "definitions": {"size": {"type": "object"}}}, ("definitions", "size")),
        ({**CLOSED, "definitions": {}}, ("definitions", "size")),
        (with_property(**{"$ref": "https://example.org/schema"}), ("properties", "more", "$ref")),
    ],
)
def test_an_open_schema_is_told_by_its_place(schema: dict[str, Any], path: tuple[str | int, ...]) -> None:
    assert path in [place for place, _ in schema_faults(schema)]


def test_a_schema_that_refers_to_itself_ends() -> None:
    tree = {"type": "object", "additionalProperties": False, "properties": {"child": {"$ref": "#/definitions/tree"}}}
    schema = {**with_property(**{"$ref": "#/definitions/tree"}), "definitions": {**CLOSED["definitions"], "tree": tree}}
    assert list(schema_faults(schema)) == []
