"""Plans against a real API server: every manifest is accepted as written and read back without a difference."""

import json
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Egress
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import KubernetesObject, StackPlan
from tests.integration.engine.conftest import World
from tests.unit.plan import builders

# What the API server adds to a Service: its address and what follows from it.
GIVEN_TO_SERVICES = {
    "clusterIP",
    "clusterIPs",
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "sessionAffinity",
}


def differences(wanted: Any, found: Any, *, path: str = "") -> list[str]:
    """Every place where ``found`` has not, or has more than, what ``wanted`` says."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        added = [f"{path}.{key} added" for key in found if key not in wanted and key not in GIVEN_TO_SERVICES]
        return added + [
            line for key, value in wanted.items() for line in differences(value, found.get(key), path=f"{path}.{key}")
        ]
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = enumerate(zip(wanted, found, strict=True))
        return [line for index, (a, b) in pairs for line in differences(a, b, path=f"{path}[{index}]")]
    return [] if wanted == found else [f"{path}: {wanted!r} became {found!r}"]


def content(manifest: Manifest) -> Manifest:
    """A manifest without what identifies it and what controllers write."""
    return {key: value for key, value in manifest.items() if key not in {"metadata", "status"}}


def objects(plan: StackPlan) -> list[Manifest]:
    """The Kubernetes objects of a plan."""
    return [resource.manifest for resource in plan.resources if isinstance(resource, KubernetesObject)]


@pytest.mark.cluster
def test_the_api_server_keeps_every_object_as_it_was_planned(world: World) -> None:
    everywhere = (
        Egress(cidr="0.0.0.0/0", ports=(443,), why="everything"),
        Egress(cidr="2001:db8::/32", ports=(443, 8443), why="suppliers"),
    )
    plan = cooperative_plan(
        builders.cooperative("kept-as-planned", egress=everywhere),
        platform=builders.platform(),
        catalogue=builders.catalogue(),
        images=builders.fake_lock(),
    )
    planned = [*objects(platform_plan(builders.platform())), *objects(plan)]
    together = json.dumps({"apiVersion": "v1", "kind": "List", "items": planned})
    world.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-f", "-", stdin=together)
    listed = json.loads(world.kubectl("get", "-f", "-", "-o", "json", stdin=together))["items"]
    for manifest, found in zip(planned, listed, strict=True):
        about = manifest["metadata"]
        assert (found["kind"], found["metadata"]["name"]) == (manifest["kind"], about["name"])
        assert found["metadata"].get("namespace") == about.get("namespace")
        ignored = {"spec"} if manifest["kind"] == "Namespace" else set()
        kept = {key: value for key, value in content(found).items() if key not in ignored}
        assert differences(content(manifest), kept) == [], about["name"]
        assert about["labels"].items() <= found["metadata"]["labels"].items()


@pytest.mark.cluster
def test_every_namespaced_kind_of_the_cluster_is_counted(world: World) -> None:
    listed = world.kubectl("api-resources", "--namespaced=true", "--verbs=create,list", "-o", "name").split()
    (quota,) = [
        manifest
        for manifest in objects(
            cooperative_plan(
                builders.cooperative(),
                platform=builders.platform(),
                catalogue=builders.catalogue(),
                images=builders.fake_lock(),
            )
        )
        if manifest["kind"] == "ResourceQuota"
        and manifest["metadata"]["name"] == "tenant"
        and manifest["metadata"]["namespace"].endswith("-apps")
    ]
    limits = set(quota["spec"]["hard"])
    counted = {name.removesuffix(".") for name in listed if {name, f"count/{name}"} & limits}
    assert set(listed) - counted == {"events", "events.events.k8s.io"}
