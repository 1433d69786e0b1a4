"""The portal on a real node: its image pulled by digest, its pods under every bound of the tenant, its page served."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.estate_images import build_images, push_images
from provisioner.descriptor.platform import DnsAccess, Endpoint, IngressAccess, Platform, Registry
from provisioner.embedded.ports import LOOPBACK
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifests import charts_rendered_by, manifests
from provisioner.plan.platform import platform_plan
from provisioner.toolchain import Toolchain
from tests.integration.node.conftest import NodeWorld, fetch, wait
from tests.network_namespace import NetworkNamespace
from tests.unit.plan import builders

pytestmark = pytest.mark.node

NAME = "portal-on-a-node"
APPS = f"{NAME}-apps"


def platform_of(world: NodeWorld) -> Platform:
    """The platform that the node belongs to."""
    endpoints, base = world.surroundings.endpoints, builders.platform()
    registry = f"{LOOPBACK}:{endpoints.registry}"
    return replace(
        base,
        postgres=replace(base.postgres, pods=Endpoint(host=endpoints.bridge, port=endpoints.postgres)),
        objects=replace(base.objects, pods=Endpoint(host=endpoints.bridge, port=endpoints.objects)),
        registry=Registry(address=registry, allowed=(f"{registry}/",)),
        ingress=IngressAccess(
            class_name="coopctl", controller_addresses=(endpoints.bridge,), http_port=endpoints.ingress_http
        ),
        dns=DnsAccess(addresses=(endpoints.bridge,)),
    )


@pytest.mark.long(seconds=40)
def test_the_portal_runs_within_all_bounds_and_its_page_is_served(
    world: NodeWorld, network: NetworkNamespace, tmp_path: Path
) -> None:
    platform, lock_file = platform_of(world), tmp_path / "images.lock"
    catalogue = builders.catalogue()
    with network.outside():
        build_images((), catalogue=catalogue, lock_file=lock_file, cache=tmp_path, registry=None, report=print)
        helm_render = Toolchain().ensure(["helm-render"], report=print)["helm-render"]
    push_images(
        (),
        catalogue=catalogue,
        lock_file=lock_file,
        cache=tmp_path,
        registry=platform.registry.address,
        report=print,
    )
    plan = cooperative_plan(
        builders.cooperative(NAME),
        platform=platform,
        catalogue=catalogue,
        images=images_lock.read(lock_file),
    )
    made = [resource.manifest for resource in platform_plan(platform).resources]
    made += [
        manifest
        for manifest in manifests(plan, render=charts_rendered_by(helm_render))
        if not manifest["apiVersion"].startswith("coopctl.dev")
    ]
    world.apply(*made)
    try:
        world.kubectl("rollout", "status", "deployment/portal", "-n", APPS, "--timeout=90s")
        pods = world.get("pods", "-n", APPS)["items"]
        assert [pod["status"]["phase"] for pod in pods] == ["Running", "Running"]
        # The platform's class has reached the pods: the scheduler copies its value.
        assert {pod["spec"]["priority"] for pod in pods} == {1000}
        wait(
            lambda: (
                "한국쌀가공식품협회"
                in fetch(
                    f"http://{LOOPBACK}:{world.surroundings.endpoints.ingress_http}/", host="portal.rice.example.kr"
                )
            ),
            "the page through the ingress",
        )
        assert fetch(f"http://{pods[0]['status']['podIP']}:8080/healthz") == "ok\n"
        world.kubectl("rollout", "restart", "deployment/portal", "-n", APPS)
        world.kubectl("rollout", "status", "deployment/portal", "-n", APPS, "--timeout=90s")
    finally:
        world.kubectl("delete", "namespace", APPS, f"{NAME}-data", "--wait=false")
