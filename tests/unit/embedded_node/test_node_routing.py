"""What the ingress serves: the oldest Ingress wins, nobody takes another's host, no text breaks out."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.embedded.node.commands import program
from provisioner.embedded.node.ingress.rendering import render, word
from provisioner.embedded.node.ingress.routing import Location, Routing, Site, route
from provisioner.plan.manifest import Manifest


def ingress(
    namespace: str = "rice-apps",
    name: str = "web",
    *,
    host: str = "rice.example.kr",
    path: str = "/",
    path_type: str = "Prefix",
    created: str = "2026-01-01T00:00:00Z",
    class_name: str = "coopctl",
) -> Manifest:
    backend = {"service": {"name": "web", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": path, "pathType": path_type, "backend": backend}]}}
    return {
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": created},
        "spec": {"ingressClassName": class_name, "rules": [rule]},
    }


def service(namespace: str = "rice-apps") -> Manifest:
    return {
        "metadata": {"namespace": namespace, "name": "web"},
        "spec": {"ports": [{"name": "web", "port": 80, "targetPort": 8080}]},
    }


def endpoint_slice(*addresses: str, namespace: str = "rice-apps", ready: bool | None = True) -> Manifest:
    return {
        "metadata": {"namespace": namespace, "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "web", "port": 8080}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


def routed(*ingresses: Manifest, slices: tuple[Manifest, ...] = (), owners: dict[str, str] | None = None) -> Routing:
    services = [service(one["metadata"]["namespace"]) for one in ingresses]
    return route(ingresses, services=services, slices=slices, owners=owners or {})


def test_a_host_leads_to_the_ready_pods_of_its_service() -> None:
    slices = (endpoint_slice("10.244.0.7", "10.244.0.5"), endpoint_slice("10.244.0.9", ready=False))

    (site,) = routed(ingress(), slices=slices).sites

    servers = ("10.244.0.5:8080", "10.244.0.7:8080")
    assert site == Site(host="rice.example.kr", locations=(Location(path="/", exact=False, servers=servers),))


def test_an_endpoint_whose_readiness_is_unknown_counts_as_ready() -> None:
    (site,) = routed(ingress(), slices=(endpoint_slice("10.244.0.7", ready=None),)).sites

    assert site.locations[0].servers == ("10.244.0.7:8080",)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.244.0.1", "169.254.169.254", "192.0.2.1", "fd00::1", "x"])
def test_a_backend_that_is_no_pod_is_not_served(address: str) -> None:
    (site,) = routed(ingress(), slices=(endpoint_slice(address),)).sites

    assert site.locations[0].servers == ()


def test_ingresses_of_other_classes_are_left_alone() -> None:
    assert routed(ingress(class_name="other")) == Routing(sites=(), refusals=(), ingresses=(), owners={})


def test_a_host_belongs_to_the_namespace_that_named_it_first() -> None:
    older = ingress("tofu-apps", created="2026-01-01T00:00:00Z")
    younger = ingress("rice-apps", path="/stolen", created="2026-01-02T00:00:00Z")

    routing = routed(younger, older)

    assert [location.path for location in routing.sites[0].locations] == ["/"]
    assert routing.refusals[0].ingress == "rice-apps/web"
    assert "belongs to the namespace tofu-apps" in routing.refusals[0].why


def test_who_is_served_keeps_its_host_against_one_of_the_same_second() -> None:
    served, other = ingress("tofu-apps"), ingress("rice-apps", path="/stolen")
    owners = routed(served).owners

    routing = routed(served, other, owners=dict(owners))

    assert routing.owners == {"rice.example.kr": "tofu-apps"}
    assert routed(other, owners=dict(owners)).owners == {"rice.example.kr": "rice-apps"}


@pytest.mark.parametrize("host", ["", "_", "*", "a b", "x;y", "UPPER.example", "-a.example", "a..b", "x" * 254])
def test_a_rule_without_a_proper_host_is_refused(host: str) -> None:
    routing = routed(ingress(host=host))

    assert routing.sites == ()
    assert len(routing.refusals) == 1


def test_a_default_backend_is_refused() -> None:
    manifest = ingress()
    manifest["spec"] = {"ingressClassName": "coopctl", "defaultBackend": {"service": {"name": "web"}}}

    assert "hosts of others" in routed(manifest).refusals[0].why


@pytest.mark.parametrize("path", ['/"', "/a;b", "/{", "/}", "/a b", "/$uri", "/a\\", "/'", "/#", "/\n", "/%2e", "a"])
def test_a_path_that_means_something_to_nginx_is_refused(path: str) -> None:
    routing = routed(ingress(path=path))

    assert routing.sites == ()
    assert "not served here" in routing.refusals[0].why


def test_a_prefix_counts_by_elements_and_an_exact_path_stands_alone() -> None:
    prefix = routed(ingress(path="/shop")).sites[0].locations
    exact = routed(ingress(path="/shop", path_type="Exact")).sites[0].locations

    assert [(location.path, location.exact) for location in prefix] == [("/shop", True), ("/shop/", False)]
    assert [(location.path, location.exact) for location in exact] == [("/shop", True)]


def test_the_older_of_two_rules_for_one_path_is_served() -> None:
    older = ingress(name="a", path="/shop")
    younger = ingress(name="b", path="/shop", created="2026-02-01T00:00:00Z")
    younger["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "gone"

    routing = routed(younger, older, slices=(endpoint_slice("10.244.0.7"),))

    assert all(location.servers == ("10.244.0.7:8080",) for location in routing.sites[0].locations)


def test_the_configuration_names_hosts_paths_and_pods() -> None:
    text = render(routed(ingress(), slices=(endpoint_slice("10.244.0.7"),)).sites, port=18080, folder=Path("/run/x y"))

    assert 'server_name "rice.example.kr";' in text
    assert "server 10.244.0.7:8080" in text
    assert "proxy_bind 10.244.0.1;" in text
    assert 'pid "/run/x y/nginx.pid";' in text
    assert "listen 127.0.0.1:18080;" in text


def test_a_site_without_pods_answers_503() -> None:
    assert "return 503" in render(routed(ingress()).sites, port=18080, folder=Path("/run"))


def test_a_wildcard_covers_one_label() -> None:
    text = render(routed(ingress(host="*.rice.example.kr")).sites, port=18080, folder=Path("/run"))
    pattern = re.search(r'server_name "~(.*)";', text)
    assert pattern
    expression = pattern.group(1).replace("\\\\", "\\")

    assert re.fullmatch(expression, "a.rice.example.kr")
    assert not re.fullmatch(expression, "a.b.rice.example.kr")
    assert not re.fullmatch(expression, "rice.example.kr")


@settings(deadline=None)
@given(st.text())
def test_a_word_cannot_end_itself(text: str) -> None:
    try:
        quoted = word(text)
    except ValueError:
        return

    assert re.fullmatch(r'"(?:[^"\\]|\\.)*"', quoted, flags=re.DOTALL)


@settings(deadline=None)
@given(host=st.text(max_size=40), path=st.text(max_size=40))
def test_any_host_and_path_give_sites_or_refusals(host: str, path: str) -> None:
    routing = routed(ingress(host=host, path=path))

    render(routing.sites, port=18080, folder=Path("/run"))
    assert bool(routing.sites) != bool(routing.refusals)


@pytest.mark.node
@settings(deadline=None, max_examples=40)
@given(path=st.from_regex(r"/[^\s]{0,20}", fullmatch=True))
def test_nginx_accepts_what_is_rendered(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    folder = tmp_path_factory.mktemp("nginx")
    text = render(routed(ingress(path=path), slices=(endpoint_slice("10.244.0.7"),)).sites, port=18080, folder=folder)
    (folder / "nginx.conf").write_text(text)

    command: list[str | Path] = [
        program("nginx"),
        "-t",
        "-q",
        "-e",
        "stderr",
        "-p",
        folder,
        "-c",
        folder / "nginx.conf",
    ]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)

    assert tested.returncode == 0, tested.stderr
