"""What is rendered offline is what Pulumi's own Helm component declares, object by object and field by field.

Plans, policy checks and golden files stand on the offline rendering; what reaches the cluster goes through
helm.v4.Chart.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Cooperative, SolutionChoice
from provisioner.engine.state import stacks_folder
from provisioner.plan.manifest import Manifest
from provisioner.plan.manifests import charts_rendered_by
from provisioner.plan.resources import SolutionChart
from provisioner.toolchain import Toolchain
from tests.integration.engine.conftest import SiteMaker, apply
from tests.unit.plan import builders

pytestmark = [pytest.mark.cluster, pytest.mark.servers]
# Quotation marks, template signs, line ends and a number's look: what two renderings could take differently.
AWKWARD = "점검: \"{{ .Values }}\" '1e3'\n--- # 끝\ttab: yes"


def with_portal(name: str, *, pods: int, **values: object) -> Cooperative:
    made = builders.cooperative(name, pods=pods, solutions=(SolutionChoice(name="portal", values=values),))
    return replace(made, network=replace(made.network, domain=f"{name}.example.kr"))


def rendered_offline(maker: SiteMaker, cooperative: Cooperative, *, toolchain: Toolchain) -> dict[str, Manifest]:
    """The chart's manifests by kind and name, as `coopctl render` makes them."""
    plan = maker.site(cooperative).target(str(cooperative.name)).plan
    render = charts_rendered_by(toolchain.ensure(["helm-render"], report=print)["helm-render"])
    made = [item for resource in plan.resources if isinstance(resource, SolutionChart) for item in render(resource)]
    return {_key(manifest): manifest for manifest in made}


def declared_by_chart(maker: SiteMaker, name: str) -> dict[str, Manifest]:
    """What the chart's component registered in the stack: the inputs of each of its objects.

    One annotation is Pulumi's own, from the component's skipAwait: how the object is applied, not what it is.
    """
    state = maker.platform().state.url.removeprefix("file://")
    file = stacks_folder(maker.estate.root / state) / f"{name}.json"
    resources = json.loads(file.read_bytes())["checkpoint"]["latest"]["resources"]
    (chart,) = [resource["urn"] for resource in resources if resource["type"] == "kubernetes:helm.sh/v4:Chart"]
    inputs = [item["inputs"] for item in resources if item.get("parent") == chart]
    for manifest in inputs:
        assert manifest["metadata"]["annotations"].pop("pulumi.com/skipAwait") == "true"
    return {_key(manifest): manifest for manifest in inputs}


def _key(manifest: Manifest) -> str:
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def holds(found: Any, wanted: Any) -> bool:
    """Whether an object of the cluster has every field of ``wanted``; the API server adds defaults beside them."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and holds(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted)


@pytest.mark.parametrize(
    "pods", [pytest.param(4, id="one replica", marks=pytest.mark.long(seconds=9)), pytest.param(40, id="two replicas")]
)
def test_the_chart_declares_exactly_what_is_rendered_offline(maker: SiteMaker, toolchain: Toolchain, pods: int) -> None:
    cooperative = with_portal(f"rendered-{pods}", pods=pods, notice=AWKWARD)
    apply(maker.site(cooperative), str(cooperative.name), wait_seconds=0)

    offline = rendered_offline(maker, cooperative, toolchain=toolchain)
    declared = declared_by_chart(maker, str(cooperative.name))

    assert declared == offline
    assert ("PodDisruptionBudget portal" in offline) == (pods == 40)
    assert AWKWARD.splitlines()[1] in offline["ConfigMap portal"]["data"]["index.html"]


def test_the_cluster_holds_what_is_rendered_offline(maker: SiteMaker, toolchain: Toolchain) -> None:
    cooperative = with_portal("rendered-here", pods=40)
    apply(maker.site(cooperative), "rendered-here", wait_seconds=0)

    for manifest in rendered_offline(maker, cooperative, toolchain=toolchain).values():
        metadata = manifest["metadata"]
        found = maker.world.kubectl(
            "-n", metadata["namespace"], "get", manifest["kind"], metadata["name"], "-o", "json"
        )
        assert holds(json.loads(found), manifest), _key(manifest)
