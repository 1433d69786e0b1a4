"""What is judged, as whose, where it is written, and what an exception excuses."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.rendering import RenderedManifest
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.policy_exception import ObjectReference, PolicyException
from provisioner.errors import ExitCode, InvalidDescriptor, Location, PolicyViolated
from provisioner.operations.policing import Policing
from provisioner.operations.policy_checking import Maker, Verdict, check_file, require_lawful
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.resources import CooperativePlan, KubernetesObject, SolutionChart
from provisioner.rules.pack_settings import ExceptedObject, from_configuration
from tests.unit.plan import builders

NAME = "rice-processing"
TODAY = builders.TODAY


def config_map(name: str = "page", **metadata: Any) -> dict[str, Any]:
    """An object that breaks no rule."""
    about = {"name": name, "namespace": f"{NAME}-apps", **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about}


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A Service."""
    return {**config_map(name), "kind": "Service", "spec": {"ports": [{"port": 80}], **spec}}


def exception(**changes: Any) -> PolicyException:
    """An exception from service-type for the whole cooperative, for one more day."""
    made = PolicyException(
        name="x",
        rule="service-type",
        cooperative=NAME,
        object=None,
        who="somebody",
        why="an old gateway",
        until=TODAY + timedelta(days=1),
        source=Location(file=Path("exceptions/x.yaml"), line=9),
    )
    return replace(made, **changes)


def held(
    *rendered: dict[str, Any], template: Path = Path("charts/portal/templates/x.yaml"), exceptions: Any = ()
) -> Policing:
    """What the cooperative is held to; its one chart renders to these objects."""
    made = builders.policing(builders.cooperative(), platform=builders.platform(), exceptions=tuple(exceptions))
    return replace(made, render=lambda _: [RenderedManifest(manifest=one, template=template) for one in rendered])


def plan(cooperative: Cooperative | None = None) -> CooperativePlan:
    """The plan of the cooperative, with one chart."""
    return cooperative_plan(
        cooperative or builders.cooperative(),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )


def found(verdict: Verdict) -> list[tuple[str, str]]:
    """Rule and object of every violation."""
    return [(one.rule.id, one.name) for one in verdict.violations]


def test_what_the_builders_make_breaks_no_rule() -> None:
    verdict = held().verdict(plan())
    assert verdict.violations == ()
    assert verdict.objects > 30


def test_what_a_chart_brings_is_judged_like_a_tenant_and_by_the_rules_for_charts() -> None:
    policy = {
        **config_map("out"),
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "spec": {"podSelector": {}, "egress": [{}]},
    }
    hook = config_map("hook", annotations={"helm.sh/hook": "test"})
    verdict = held(policy, hook, service(type="NodePort"), config_map()).verdict(plan())
    broken = [("own-peers", "out"), ("chart-flows", "out"), ("chart-hooks", "hook"), ("service-type", "web")]
    assert found(verdict) == broken
    assert {one.maker for one in verdict.violations} == {Maker.CHART}


@pytest.mark.parametrize(
    ("part", "label", "refused"),
    [
        ("apps", "portal", False),
        ("apps", "ledger", True),
        ("apps", "", True),
        ("apps", None, True),
        ("data", None, False),
        ("data", "portal", False),
        ("data", "ledger", True),
    ],
)
def test_a_chart_s_pods_bear_the_label_of_their_own_solution(part: str, label: str | None, refused: bool) -> None:
    labels = {} if label is None else {"coopctl.dev/solution": label}
    made = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job", "namespace": f"{NAME}-{part}"},
        "spec": {"template": {"metadata": {"labels": labels}}},
    }
    verdict = held(made).verdict(plan())
    paths = [one.path for one in verdict.violations if one.rule.id in {"chart-pods", "solution-label"}]
    assert paths == (["spec.template.metadata.labels"] if refused else [])


def test_a_chart_of_a_state_from_before_there_were_such_labels_may_be_gone_back_to() -> None:
    made = plan()
    old = tuple(
        replace(one, values={**one.values, "coopctl": {}}) if isinstance(one, SolutionChart) else one
        for one in made.resources
    )
    job = {**config_map("job"), "apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"metadata": {}}}}
    assert ("chart-pods", "job") in found(held(job).verdict(made))
    assert ("chart-pods", "job") not in found(held(job).verdict(replace(made, resources=old)))


def test_a_builder_s_object_that_was_weakened_is_found_with_its_descriptor() -> None:
    good = plan()
    weakened = tuple(
        replace(one, manifest={**one.manifest, "automountServiceAccountToken": True})
        if isinstance(one, KubernetesObject) and one.manifest["kind"] == "ServiceAccount"
        else one
        for one in good.resources
    )
    verdict = held().verdict(replace(good, resources=weakened))
    assert found(verdict) == [("no-automount", "default"), ("no-automount", "default")]
    assert {one.location.file for one in verdict.violations} == {builders.cooperative().source}


@pytest.mark.parametrize("kind", ["NetworkPolicy", "Role", "RoleBinding", "ServiceAccount", "Service"])
def test_a_chart_cannot_take_the_place_of_a_guard(kind: str) -> None:
    guard = next(
        one.manifest
        for one in plan().resources
        if isinstance(one, KubernetesObject) and one.manifest["kind"] == kind and one.key.startswith(("apps", "data"))
    )
    names = [rule for rule, _ in found(held(guard).verdict(plan()))]
    assert "chart-names" in names


def test_two_charts_cannot_bring_the_same_object() -> None:
    assert found(held(config_map(), config_map("other"), config_map()).verdict(plan())) == [("chart-names", "page")]


def test_an_exception_excuses_and_does_not_hide() -> None:
    policing = held(service(type="NodePort"), exceptions=[exception()])
    verdict = policing.verdict(plan())
    assert [one.excused for one in verdict.violations] == [exception()]
    assert verdict.unexcused == ()
    require_lawful(verdict)
    assert policing.excepted(NAME) == ("service-type",)


def test_an_exception_of_one_object_excuses_that_object_and_the_cluster_is_not_told() -> None:
    single = exception(object=ObjectReference(kind="Service", name="web"))
    policing = held(service(type="NodePort"), service("other", type="NodePort"), exceptions=[single])
    assert [one.name for one in policing.verdict(plan()).unexcused] == ["other"]
    assert policing.excepted(NAME) == ()
    pack = policing.policy_pack(NAME)
    assert pack is not None
    settings = from_configuration(pack.configuration["isolation"])
    assert settings.excepted == (ExceptedObject(rule="service-type", kind="Service", name="web"),)
    assert settings.facts.exceptions == ()


@pytest.mark.parametrize("in_use", [True, False])
def test_an_exception_that_has_run_out_is_a_violation_also_if_nothing_needs_it(in_use: bool) -> None:
    old = exception(until=TODAY - timedelta(days=1))
    policing = held(service(type="NodePort" if in_use else "ClusterIP"), exceptions=[old])
    verdict = policing.verdict(plan())
    expected = [("expired-exception", "x"), *([("service-type", "web")] if in_use else [])]
    assert [(one.rule.id, one.name) for one in verdict.unexcused] == expected
    assert "2026-10-31" in verdict.violations[0].message
    assert str(verdict.violations[0].location) == "exceptions/x.yaml:9"
    assert policing.excepted(NAME) == ()


def test_a_policy_pack_s_digest_changes_when_an_exception_ends() -> None:
    def digest(today: date) -> str:
        policing = replace(
            held(exceptions=[exception(object=ObjectReference(kind="Service", name="web"))]), today=today
        )
        pack = policing.policy_pack(NAME)
        assert pack is not None
        return pack.digest

    assert digest(TODAY) == digest(TODAY + timedelta(days=1))
    assert digest(TODAY) != digest(TODAY + timedelta(days=2))


def test_the_platform_s_own_stack_is_held_to_no_pack() -> None:
    assert held().policy_pack("platform") is None


def test_a_violation_ends_with_its_rule_object_place_and_remedy() -> None:
    with pytest.raises(PolicyViolated) as refused:
        require_lawful(held(service(type="NodePort")).verdict(plan()))
    failure = refused.value
    assert failure.exit_code is ExitCode.POLICY
    assert failure.message == f"{NAME} violates service-type"
    assert failure.why == f"service-type: Service {NAME}-apps/web: spec.type: is NodePort"
    assert "leave type out" in (failure.hint or "")
    assert "coopctl policy explain service-type" in (failure.hint or "")


def test_the_line_in_a_template_is_told_where_only_one_can_be_meant(tmp_path: Path) -> None:
    template = tmp_path / "x.yaml"
    for text, line in (
        ("kind: Service\nspec:\n  type: {{ .Values.type }}\n", 3),
        ("spec:\n  type: a\n---\n  type: b\n", 0),
        ("spec:\n  ports: []\n", 1),
    ):
        template.write_text(text)
        (violation,) = held(service(type="NodePort"), template=template).verdict(plan()).violations
        assert (violation.location.file, violation.location.line) == (template, line)


MANIFESTS = """\
# what somebody wants to apply
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ServiceAccount
    metadata: {name: robot}
--- # and this
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  ports: [{port: 80}]
  type: NodePort
---
"""


def test_manifests_of_a_file_are_judged_as_a_tenant_s_with_their_places(tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text(MANIFESTS)
    verdict = check_file(file, by=held().tenancy(NAME))
    assert verdict.objects == 2
    assert [(one.rule.id, one.maker, str(one.location)) for one in verdict.violations] == [
        ("no-automount", Maker.TENANT, f"{file}:6:5"),
        ("service-type", Maker.TENANT, f"{file}:15:9"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no manifest"),
        ("# nothing\n---\n", "holds no manifest"),
        ("kind: Service\n", ":1:1: is no manifest: it has no apiVersion"),
        ("- a\n", ":1:1: is no manifest: it has no apiVersion"),
        ("a: [1\n", ":2:1: is not YAML"),
        ("---\nkind: &a [*a]\n", "1"),
        ("---\n" * 1 + "a: " + "[" * 100_000, "deep"),
        ("apiVersion: v1\nkind: A\n---\n" * 1001, "holds more than 1000 documents"),
    ],
)
def test_what_is_no_manifest_is_refused_as_any_document_is(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "more.yaml"
    file.write_text(text)
    with pytest.raises(InvalidDescriptor) as refused:
        check_file(file, by=held().tenancy(NAME))
    assert any(problem in str(one) for one in refused.value.diagnostics), [
        str(one) for one in refused.value.diagnostics
    ]
