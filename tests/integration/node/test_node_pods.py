"""Pods really run: Pod Security, Services, DNS, exec, logs, images from the registry, volumes, ingress."""

import subprocess
from pathlib import Path

import pytest

from provisioner.embedded.node import images
from provisioner.embedded.node.layout import node_files
from provisioner.plan.manifest import Manifest
from tests.integration.node.conftest import (
    PROBE_PORT,
    NodeWorld,
    fetch,
    pod,
    policy,
    service,
    wait,
)

pytestmark = pytest.mark.node


def test_a_pod_under_pod_security_restricted_runs_and_has_no_ipv6(world: NodeWorld) -> None:
    namespace = world.namespace("runs")
    world.run(pod(namespace, "one"))

    assert "10.244.0." in world.ask(f"{namespace}/one", "/addresses")
    assert ":" not in world.ask(f"{namespace}/one", "/addresses")


def test_exec_and_logs_reach_a_pod(world: NodeWorld) -> None:
    namespace = world.namespace("exec")
    world.run(pod(namespace, "one"))

    assert world.kubectl("exec", "-n", namespace, "one", "--", "/probe", "hello") == "probe says hello\n"
    assert f"probe serves as {namespace}/one" in world.kubectl("logs", "-n", namespace, "one")


def test_a_service_is_reached_by_its_address_and_by_its_name(world: NodeWorld) -> None:
    namespace = world.namespace("services")
    world.run(pod(namespace, "client"), pod(namespace, "server"))
    world.apply(service(namespace, "server"))
    address = world.get("service", "-n", namespace, "server")["spec"]["clusterIP"]
    client = f"{namespace}/client"

    wait(lambda: world.ask(client, "/fetch", **{"from": address}) == f"hello from {namespace}/server", "the Service")
    names = ("server", f"server.{namespace}", f"server.{namespace}.svc.cluster.local")
    wait(lambda: all(address in world.ask(client, "/resolve", name=name) for name in names), "its names")
    assert "no such host" in world.ask(client, "/resolve", name="example.com")


def test_a_pod_reaches_itself_through_its_own_service(world: NodeWorld) -> None:
    namespace = world.namespace("hairpin")
    world.run(pod(namespace, "server"))
    world.apply(service(namespace, "server"))
    address = world.get("service", "-n", namespace, "server")["spec"]["clusterIP"]

    wait(lambda: "hello" in world.ask(f"{namespace}/server", "/fetch", **{"from": address}), "its own Service")


def test_a_deployment_rolls_out_and_probes_of_the_kubelet_pass_default_deny(world: NodeWorld) -> None:
    namespace = world.namespace("rollout")
    world.apply(policy(namespace, "default-deny"))
    world.apply(deployment(namespace, "web", replicas=2))

    world.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")


def deployment(namespace: str, name: str, *, replicas: int) -> Manifest:
    spec = pod(namespace, name)["spec"]
    spec["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": PROBE_PORT}, "periodSeconds": 1}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        },
    }


def test_images_are_pulled_from_the_platforms_registry(world: NodeWorld, probe: Path) -> None:
    files = node_files(world.surroundings)
    address = f"127.0.0.1:{world.surroundings.endpoints.registry}"
    reference = f"{address}/tools/probe:1"
    archive = files.images / "pushed.tar"
    # Another account makes it another image: one that was never imported.
    archive.write_bytes(images.program_image(probe, reference=reference, user="1000:1000"))
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{reference}"],
        check=True,
        capture_output=True,
    )
    namespace = world.namespace("registry")

    world.run(pod(namespace, "pulled", image=reference))


def claim(namespace: str, name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def test_a_claim_of_the_default_class_is_bound_and_keeps_data_over_pods(world: NodeWorld) -> None:
    namespace = world.namespace("storage")
    volume = {"/data": {"persistentVolumeClaim": {"claimName": "data"}}}
    world.apply(claim(namespace, "data"))
    world.run(pod(namespace, "first", volumes=volume))
    world.ask(f"{namespace}/first", "/write", file="/data/note", text="쌀 20 kg")
    world.kubectl("delete", "pod", "-n", namespace, "first")

    world.run(pod(namespace, "second", volumes=volume))

    assert world.ask(f"{namespace}/second", "/read", file="/data/note") == "쌀 20 kg"
    assert world.get("pvc", "-n", namespace, "data")["spec"]["storageClassName"] == "local"


def test_a_deleted_claim_leaves_no_folder(world: NodeWorld) -> None:
    namespace = world.namespace("released")
    world.apply(claim(namespace, "data"))
    world.run(pod(namespace, "one", volumes={"/data": {"persistentVolumeClaim": {"claimName": "data"}}}))
    volume = world.get("pvc", "-n", namespace, "data")["spec"]["volumeName"]
    folder = node_files(world.surroundings).volumes / volume
    assert folder.is_dir()

    world.kubectl("delete", "pod/one", "pvc/data", "-n", namespace)

    wait(lambda: not folder.exists(), "the volume's folder to go")


def ingress(namespace: str, name: str, *, host: str, path: str = "/", service_name: str = "web") -> Manifest:
    backend = {"service": {"name": service_name, "port": {"name": "web"}}}
    rule = {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"ingressClassName": "coopctl", "rules": [rule]},
    }


def test_ingress_serves_a_host_from_its_pod_and_says_so(world: NodeWorld) -> None:
    namespace = world.namespace("ingress")
    world.run(pod(namespace, "web"))
    world.apply(service(namespace, "web"), ingress(namespace, "web", host="rice.example.kr"))
    url = f"http://127.0.0.1:{world.surroundings.endpoints.ingress_http}/"

    wait(lambda: fetch(url, host="rice.example.kr") == f"hello from {namespace}/web", "the ingress")
    assert fetch(url, host="other.example.kr") == "404"
    wait(lambda: bool(world.get("ingress", "-n", namespace, "web")["status"]["loadBalancer"]), "its status")
    world.kubectl("delete", "pod", "-n", namespace, "web")
    wait(lambda: fetch(url, host="rice.example.kr") == "503", "the site without pods to say so")


def test_hostile_and_foreign_ingresses_do_not_disturb_other_sites(world: NodeWorld) -> None:
    owner, other = world.namespace("owner"), world.namespace("hostile")
    world.run(pod(owner, "web"), pod(other, "web"))
    url = f"http://127.0.0.1:{world.surroundings.endpoints.ingress_http}"
    world.apply(service(owner, "web"), ingress(owner, "web", host="owner.example.kr"))
    wait(lambda: fetch(f"{url}/", host="owner.example.kr") == f"hello from {owner}/web", "the owner's site")

    world.apply(
        service(other, "web"),
        ingress(other, "stolen", host="owner.example.kr", path="/stolen"),
        ingress(other, "injected", host="hostile.example.kr", path='/";}server{listen 127.0.0.1:1;}#'),
        ingress(other, "honest", host="honest.example.kr"),
    )

    wait(lambda: fetch(f"{url}/", host="honest.example.kr") == f"hello from {other}/web", "the honest site")
    assert fetch(f"{url}/stolen", host="owner.example.kr") == f"hello from {owner}/web"
    assert fetch(f"{url}/", host="owner.example.kr") == f"hello from {owner}/web"
