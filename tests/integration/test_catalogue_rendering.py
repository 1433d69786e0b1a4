"""Charts rendered without a cluster: what the portal's pods and page are like."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from provisioner.catalogue.rendering import render_all, render_chart
from provisioner.descriptor.cooperative import Cooperative, SolutionChoice
from provisioner.errors import CoopctlError, NotFound
from provisioner.naming import LABEL_COOPERATIVE, LABEL_MANAGED_BY
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifests import GENERATED, charts_rendered_by, manifests
from provisioner.plan.platform import platform_plan
from provisioner.plan.priority_class import BATCH
from provisioner.plan.resources import SolutionChart
from provisioner.toolchain import Toolchain
from tests.unit.plan import builders

HOSTILE = "</title><script>alert(1)</script>\"'&{{ .Values }}\r\n--- \x00# 끝"


@pytest.fixture(scope="module")
def helm_render() -> Path:
    """The renderer."""
    return Toolchain().ensure(["helm-render"], report=print)["helm-render"]


def solution(cooperative: Cooperative | None = None) -> SolutionChart:
    """The planned portal of a cooperative."""
    plan = cooperative_plan(
        cooperative or builders.cooperative(),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    return next(resource for resource in plan.resources if isinstance(resource, SolutionChart))


def rendered(helm_render: Path, cooperative: Cooperative | None = None) -> dict[str, dict[str, Any]]:
    """The portal's manifests by kind."""
    made = charts_rendered_by(helm_render)(solution(cooperative))
    return {manifest["kind"]: manifest for manifest in made}


def with_values(**values: object) -> Cooperative:
    """A cooperative whose descriptor sets values of the portal."""
    return builders.cooperative(solutions=(SolutionChoice(name="portal", values=values),))


class Elements(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data


def page(made: Mapping[str, dict[str, Any]]) -> Elements:
    """The portal's page."""
    return Elements(made["ConfigMap"]["data"]["index.html"])


def test_the_page_says_who_what_until_when_and_whom_to_call(helm_render: Path) -> None:
    shown = page(rendered(helm_render))
    for expected in (
        "한국쌀가공식품협회",
        "2014년 6월 1일",
        "2017년 5월 31일",
        "02-000-0000",
        "1577-0000",
        "자체 인프라로 이전",
    ):
        assert expected in shown.text
    assert {"tel:020000000", "mailto:help@platform.example.kr"} <= set(shown.links)


def test_a_hostile_display_name_is_text_and_nothing_else(helm_render: Path) -> None:
    hostile = replace(
        builders.cooperative(display_name=HOSTILE), contact=replace(builders.cooperative().contact, name=HOSTILE)
    )
    shown = page(rendered(helm_render, hostile))
    assert "script" not in shown.tags
    assert "<script>alert(1)</script>" in shown.text
    assert shown.tags == page(rendered(helm_render)).tags


def test_a_notice_is_shown_as_text(helm_render: Path) -> None:
    shown = page(rendered(helm_render, with_values(notice="점검: <b>일요일</b>\n새벽")))
    assert "점검: <b>일요일</b>\n새벽" in shown.text
    assert "b" not in shown.tags


def test_pods_comply_with_pod_security_restricted(helm_render: Path) -> None:
    pod = rendered(helm_render)["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert {"livenessProbe", "readinessProbe"} <= set(container)
        assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"]["limits"])
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_pods_name_a_priority_that_the_platform_stack_makes(helm_render: Path) -> None:
    """Without it they would be pushed out by any pod that names one, batch work included."""
    made = {item.manifest["metadata"]["name"]: item.manifest for item in platform_plan(builders.platform()).resources}
    pod = rendered(helm_render)["Deployment"]["spec"]["template"]["spec"]
    assert made[pod["priorityClassName"]]["kind"] == "PriorityClass"
    assert made[pod["priorityClassName"]]["value"] > made[BATCH]["value"]


def test_images_are_asked_for_at_every_start(helm_render: Path) -> None:
    """A pod must not run an image that lies on the node and that its tenant could not pull."""
    (container,) = rendered(helm_render)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "Always"


def test_images_are_pinned_by_digest(helm_render: Path) -> None:
    (container,) = rendered(helm_render)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert re.fullmatch(r"127\.0\.0\.1:15000/coopctl/portal@sha256:[0-9a-f]{64}", container["image"])


def test_objects_bear_the_tenant_s_labels_and_pods_do_not(helm_render: Path) -> None:
    made = rendered(helm_render)
    assert all(manifest["metadata"]["labels"][LABEL_COOPERATIVE] == "rice-processing" for manifest in made.values())
    assert LABEL_MANAGED_BY not in made["Deployment"]["spec"]["template"]["metadata"]["labels"]


def test_a_changed_page_is_a_changed_pod(helm_render: Path) -> None:
    def template(cooperative: Cooperative | None = None) -> dict[str, Any]:
        spec: dict[str, Any] = rendered(helm_render, cooperative)["Deployment"]["spec"]["template"]
        return spec

    assert template() == template()
    assert template(with_values(notice="점검")) != template()


def test_a_small_tenant_has_one_replica_and_no_disruption_budget(helm_render: Path) -> None:
    made = rendered(helm_render, builders.cooperative(pods=4))
    assert made["Deployment"]["spec"]["replicas"] == 1
    assert "PodDisruptionBudget" not in made


def test_the_page_is_reached_below_the_cooperative_s_domain(helm_render: Path) -> None:
    (rule,) = rendered(helm_render)["Ingress"]["spec"]["rules"]
    assert rule["host"] == "portal.rice.example.kr"


def test_a_value_that_the_chart_does_not_know_is_refused_by_its_name(helm_render: Path) -> None:
    with pytest.raises(CoopctlError) as refused:
        rendered(helm_render, with_values(notise="점검"))
    assert "notise" in (refused.value.why or "")


def test_an_image_without_digest_is_refused_by_the_chart_itself(helm_render: Path) -> None:
    chart = solution()
    values = {**chart.values, "images": {"portal": "registry.example.kr/portal:latest"}}
    with pytest.raises(CoopctlError):
        render_chart(chart.chart, release="portal", namespace="x", values=values, helm_render=helm_render)


def test_a_missing_renderer_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        rendered(tmp_path / "helm-render")
    assert "coopctl toolchain install" in (refused.value.hint or "")


def test_a_rendered_plan_holds_placeholders_for_credentials(helm_render: Path) -> None:
    plan = cooperative_plan(
        builders.cooperative(),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    made = manifests(plan, render=charts_rendered_by(helm_render))
    secret = next(manifest for manifest in made if manifest["kind"] == "Secret")
    assert secret["stringData"]["PGPASSWORD"] == GENERATED
    kinds = {manifest["kind"] for manifest in made}
    assert {"PostgresDatabase", "ObjectsBucket", "Deployment", "NetworkPolicy"} <= kinds


HOOKED = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: "{{{{ .Release.Namespace }}}}"{hook}}}
"""


def test_hooks_are_told_of_although_pulumi_would_leave_them_out(helm_render: Path, tmp_path: Path) -> None:
    templates = tmp_path / "hooked" / "templates"
    templates.mkdir(parents=True)
    (tmp_path / "hooked" / "Chart.yaml").write_text("apiVersion: v2\nname: hooked\nversion: 1.0.0\n")
    (templates / "plain.yaml").write_text(HOOKED.format(name="plain", hook=""))
    hook = ', annotations: {"helm.sh/hook": pre-install}'
    (templates / "hook.yaml").write_text(HOOKED.format(name="hook", hook=hook))
    about: dict[str, Any] = {"release": "r", "namespace": "rice-apps", "values": {}, "helm_render": helm_render}
    declared = render_chart(tmp_path / "hooked", **about)
    assert [item["metadata"]["name"] for item in declared] == ["plain"]
    everything = render_all(tmp_path / "hooked", **about)
    assert [(item.manifest["metadata"]["name"], item.template.name) for item in everything] == [
        ("plain", "plain.yaml"),
        ("hook", "hook.yaml"),
    ]


def test_rendering_with_templates_gives_the_same_manifests(helm_render: Path) -> None:
    chart = solution()
    about: dict[str, Any] = {"release": chart.release, "namespace": chart.namespace, "values": chart.values}
    everything = render_all(chart.chart, **about, helm_render=helm_render)
    assert [item.manifest for item in everything] == render_chart(chart.chart, **about, helm_render=helm_render)
    assert all(item.template.is_file() for item in everything)
