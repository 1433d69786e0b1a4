"""A real preview and a real update, held to the policy pack: what breaks a rule goes no further."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.policy_exception import ObjectReference, PolicyException
from provisioner.engine.engine import Engine
from provisioner.engine.events import unheard
from provisioner.engine.interruption import Interruption
from provisioner.errors import ExitCode, Location, PolicyViolated
from provisioner.operations.applying import ApplyOptions, apply_fleet
from provisioner.operations.planning import FleetOptions, plan_fleet
from provisioner.operations.site import Target
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import CooperativePlan, KubernetesObject, Resource, SolutionChart
from provisioner.rules.chart_rules import KINDS
from stacks.programs import StackPrograms
from tests.integration.engine.conftest import SiteMaker, World, tenant
from tests.unit.plan import builders

# The CLI ends in the middle of the program that it refuses; Pulumi's SDK then leaves the program's event loop unclosed.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.servers,
    pytest.mark.usefixtures("unclosed_collected"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: page, namespace: "{{ .Release.Namespace }}"}
"""
# What a chart may not, although the platform's own policies do: open a flow to the outside. It bears the platform's
# labels, which must not help.
OPEN_POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: open
  namespace: "{{ .Release.Namespace }}"
  labels: {app.kubernetes.io/managed-by: coopctl}
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]
"""


def chart(folder: Path, **templates: str) -> Path:
    """A chart with these templates."""
    (folder / "bad" / "templates").mkdir(parents=True)
    (folder / "bad" / "Chart.yaml").write_text("apiVersion: v2\nname: bad\nversion: 1.0.0\n")
    for name, text in templates.items():
        (folder / "bad" / "templates" / f"{name}.yaml").write_text(text)
    return folder / "bad"


def with_chart(plan: CooperativePlan, folder: Path) -> CooperativePlan:
    """The plan with one more solution."""
    namespace = f"{plan.cooperative}-apps"
    solution = SolutionChart(
        key="solution-bad",
        release="bad",
        solution="bad",
        version="1.0.0",
        chart=folder,
        namespace=namespace,
        values={},
        depends_on=("apps-namespace",),
    )
    return replace(plan, resources=(*plan.resources, solution))


def changed(plan: CooperativePlan, kind: str, change: Callable[[Manifest], Manifest]) -> CooperativePlan:
    """The plan with every object of ``kind`` that the builders made changed, as if somebody had edited a builder."""

    def edited(resource: Resource) -> Resource:
        if isinstance(resource, KubernetesObject) and resource.manifest["kind"] == kind:
            return replace(resource, manifest=change(resource.manifest))
        return resource

    return replace(plan, resources=tuple(edited(resource) for resource in plan.resources))


def planned(maker: SiteMaker, cooperative: Cooperative) -> CooperativePlan:
    """What the builders decide."""
    return cooperative_plan(
        cooperative, platform=maker.platform(), catalogue=builders.catalogue(), images=builders.fake_lock()
    )


def held(maker: SiteMaker, cooperative: Cooperative, *exceptions: PolicyException) -> Engine:
    """An engine that holds ``cooperative`` to the policy pack."""
    policing = builders.policing(cooperative, platform=maker.platform(), exceptions=exceptions)
    return Engine(settings=maker.settings(), interruption=Interruption(), policies=policing.policy_pack)


def previewed(maker: SiteMaker, engine: Engine, plan: CooperativePlan) -> Any:
    """What `plan` would show."""
    program = StackPrograms().declaring(plan, platform=maker.platform())
    return engine.preview(str(plan.cooperative), program, report=unheard)


def test_a_preview_refuses_a_chart_that_breaks_a_rule_whatever_its_labels_say(maker: SiteMaker, tmp_path: Path) -> None:
    cooperative = tenant("rice")
    plan = with_chart(planned(maker, cooperative), chart(tmp_path, page=CONFIG_MAP, open=OPEN_POLICY))
    with pytest.raises(PolicyViolated) as refused:
        previewed(maker, held(maker, cooperative), plan)
    assert refused.value.exit_code is ExitCode.POLICY
    assert "own-peers: NetworkPolicy rice-apps/open: spec.egress[0].to[0]" in (refused.value.why or "")
    assert "remedy: name peers by podSelector" in (refused.value.why or "")
    assert "page" not in (refused.value.why or ""), "the object beside it breaks no rule"


def test_a_preview_refuses_a_builder_s_object_that_was_weakened_in_the_program(maker: SiteMaker) -> None:
    cooperative = tenant("rice")
    good = planned(maker, cooperative)
    engine = held(maker, cooperative)
    assert previewed(maker, engine, good).resources, "what the builders make breaks no rule"

    def weakened(service: Manifest) -> Manifest:
        return {**service, "spec": {**service["spec"], "type": "NodePort"}}

    with pytest.raises(PolicyViolated) as refused:
        previewed(maker, engine, changed(good, "Service", weakened))
    assert "service-type: Service rice-data/postgres: spec.type: is NodePort" in (refused.value.why or "")


def test_an_update_refuses_it_too_and_makes_no_such_object(maker: SiteMaker, tmp_path: Path) -> None:
    cooperative = tenant("barley")
    plan = with_chart(planned(maker, cooperative), chart(tmp_path, open=OPEN_POLICY))
    program = StackPrograms().declaring(plan, platform=maker.platform())
    with pytest.raises(PolicyViolated):
        held(maker, cooperative).up("barley", program, report=unheard)
    found = maker.cluster().get(
        api_version="networking.k8s.io/v1", kind="NetworkPolicy", name="open", namespace="barley-apps"
    )
    assert found is None


@pytest.mark.parametrize(
    ("excepted", "passes"), [pytest.param("open", True, marks=pytest.mark.long(seconds=8)), ("another", False)]
)
def test_an_exception_of_one_object_is_known_to_the_pack(
    maker: SiteMaker, tmp_path: Path, excepted: str, passes: bool
) -> None:
    cooperative = tenant("rice")
    exceptions = [
        PolicyException(
            name=rule,
            rule=rule,
            cooperative="rice",
            object=ObjectReference(kind="NetworkPolicy", name=excepted),
            who="somebody",
            why="a test",
            until=builders.TODAY,
            source=Location(file=Path("exceptions/x.yaml")),
        )
        for rule in ("own-peers", "chart-flows")
    ]
    plan = with_chart(planned(maker, cooperative), chart(tmp_path, open=OPEN_POLICY))
    engine = held(maker, cooperative, *exceptions)
    if passes:
        assert previewed(maker, engine, plan).resources
    else:
        with pytest.raises(PolicyViolated):
            previewed(maker, engine, plan)


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        (OPEN_POLICY, "own-peers"),
        (CONFIG_MAP.replace("name: page,", 'name: page, annotations: {"helm.sh/hook": pre-install},'), "chart-hooks"),
        (CONFIG_MAP.replace('"{{ .Release.Namespace }}"', "kube-system"), "chart-namespace"),
        (CONFIG_MAP.replace("ConfigMap", "Namespace"), "chart-scope"),
        (OPEN_POLICY.replace("name: open", "name: default-deny"), "chart-names"),
    ],
)
def test_plan_and_apply_refuse_a_bad_chart_before_pulumi_is_started(
    maker: SiteMaker, tmp_path: Path, template: str, rule: str
) -> None:
    cooperative = tenant("oats")
    site = maker.site(cooperative)
    plan = with_chart(planned(maker, cooperative), chart(tmp_path, one=template))
    target = Target(name="oats", plan=plan, program=lambda: pytest.fail("was begun"), fingerprint="new")
    outcomes = [
        *plan_fleet(site, [target], refresh=True, options=FleetOptions(), report=unheard).outcomes,
        *apply_fleet(site, [target], options=ApplyOptions(), report=unheard),
    ]
    for outcome in outcomes:
        assert isinstance(outcome.failure, PolicyViolated)
        assert rule in outcome.failure.message
        assert str(outcome.failure.where).startswith(f"{tmp_path}/bad/templates/one.yaml")
    assert maker.cluster().get(api_version="v1", kind="Namespace", name="oats-apps", namespace="") is None


def test_every_kind_that_a_chart_may_bring_lies_in_a_namespace(world: World) -> None:
    listed = world.kubectl("api-resources", "--namespaced=true", "--no-headers").splitlines()
    # The columns are name, short names (often none), version, namespaced, kind.
    namespaced = {(line.split()[-3].rpartition("/")[0], line.split()[-1]) for line in listed}
    assert namespaced >= KINDS
