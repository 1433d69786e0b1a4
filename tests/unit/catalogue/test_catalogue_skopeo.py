"""Which registries are spoken to without TLS."""

import pytest

from provisioner.catalogue.images.skopeo import is_local


@pytest.mark.parametrize("registry", ["127.0.0.1:15000", "localhost:5000", "localhost", "[::1]:5000", "localhost/own"])
def test_a_registry_on_this_machine_needs_no_tls(registry: str) -> None:
    assert is_local(registry)


@pytest.mark.parametrize(
    "registry", ["registry.example.kr", "registry.example.kr:5000/own", "203.0.113.7:5000", "localhost.example.kr:80"]
)
def test_any_other_registry_does(registry: str) -> None:
    assert not is_local(registry)
