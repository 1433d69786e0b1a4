"""`make demo` whole, on a real node: rice-processing with portal, ledger, trade and lot-tracing, plastics beside it.

In this order: the last test looks at what the others left.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from examples.solutions import PARTY
from provisioner.toolchain import Toolchain
from tests.e2e.conftest import Demo, demo_in, run_demo
from tests.network_namespace import NetworkNamespace
from tests.portal_pilots import copy_pilots
from tests.snapshots import snapshot

# Most of it goes by where the Tryton server's image was never built: its tables take minutes.
pytestmark = [
    pytest.mark.node,
    pytest.mark.usefixtures("inside"),
    pytest.mark.long(seconds=600),
    pytest.mark.timeout(7200),
]
OWN, NEIGHBOUR = "rice-processing", "plastics"


@pytest.fixture(scope="module")
def demo(network: NetworkNamespace, toolchain: Toolchain) -> Iterator[Demo]:
    """The demo after its first run, its cooperatives with all their solutions."""
    with demo_in(network, toolchain=toolchain, pilots=copy_pilots) as made:
        yield made


def pods(demo: Demo, part: str) -> list[dict[str, Any]]:
    """The pods of rice-processing's namespace ``part``."""
    found: list[dict[str, Any]] = demo.estate.get("pods", "-n", f"{OWN}-{part}")["items"]
    return found


def ready_at(pod: dict[str, Any]) -> str:
    """When the pod became ready."""
    (ready,) = [one for one in pod["status"]["conditions"] if one["type"] == "Ready" and one["status"] == "True"]
    return str(ready["lastTransitionTime"])


def test_the_demo_ends_with_a_login_a_saved_party_and_the_addresses(demo: Demo) -> None:
    shown = demo.first.must_hold().stdout

    assert "12 of 12 claims hold;" in shown
    assert f"1 x {PARTY}" in shown
    assert "admin is not let in at http://ledger.rice.example.kr" in shown
    port = demo.estate.endpoints.ingress_http
    assert f"http://ledger.rice.example.kr:{port}/#rice_processing" in shown
    assert f"http://ledger.plastics.example.kr:{port}/#plastics" in shown


def test_the_tables_were_made_by_a_job_before_any_server_was_ready(demo: Demo) -> None:
    demo.first.must_hold()
    [job] = demo.estate.get("jobs", "-n", f"{OWN}-data")["items"]
    servers = [pod for pod in pods(demo, "apps") if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "ledger"]

    assert job["status"]["succeeded"] == 1
    assert len(servers) == 2
    for server in servers:
        assert server["spec"]["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/healthz"
        assert job["status"]["completionTime"] <= ready_at(server)


def test_what_the_first_user_saved_is_in_the_tenant_s_own_database_and_in_no_other(demo: Demo) -> None:
    demo.first.must_hold()
    names = "SELECT name FROM party_party"

    assert demo.estate.rows(names, database="rice_processing") == [(PARTY,)]
    assert demo.estate.rows(names, database="plastics") == []


def test_a_second_run_changes_nothing_and_restarts_nothing(demo: Demo) -> None:
    before, running = snapshot(demo.estate), {pod["metadata"]["uid"] for pod in pods(demo, "apps")}

    second = run_demo(demo.estate.root).must_hold()

    assert "12 of 12 claims hold;" in second.stdout
    assert "2 stacks: 0 with changes, 2 without, 0 failed" in second.stdout
    assert snapshot(demo.estate).objects == before.objects
    assert {pod["metadata"]["uid"] for pod in pods(demo, "apps")} == running
