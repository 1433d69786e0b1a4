"""`make demo` on a real node: it does what it says, and a second run changes nothing; what the pods of its two tenants
reach, and what not; and all of it can be made again. In this order: the last test takes away what the others look at.
"""

import subprocess
from collections.abc import Iterator

import pytest

from provisioner.embedded.node.layout import NODE_PORTS
from provisioner.embedded.ports import GRPC_OFFSET
from tests.e2e.conftest import Demo, run_demo
from tests.e2e.flows import AS_PORTAL, NEIGHBOUR, NOBODY, OWN, PORTAL, Flows, address_of, cluster_address
from tests.e2e.probe_image import PSQL
from tests.integration.node.conftest import PROBE_PORT, fetch
from tests.machine_traces import traces
from tests.outside_world import listening
from tests.snapshots import snapshot

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("inside")]
SHELL_GET = (
    'curl --silent --fail --show-error --aws-sigv4 "aws:amz:$AWS_REGION:s3" '
    '--user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$AWS_ENDPOINT_URL_S3/{bucket}/from-a-pod"'
)
SHELL_PUT = f"{SHELL_GET} --upload-file /etc/passwd"
# Most of it is the proof of two tenants. By the clock it would be measured how busy the machine is with other tests;
# what is to be noticed is that something is built, started or made again.
SECOND_RUN_PROCESSOR_SECONDS = 120


@pytest.fixture
def servers_on_the_host(inside: None, flows: Flows) -> Iterator[None]:
    """Somebody listens, inside, at the host's addresses that are tried."""
    with listening(flows.on_the_host):
        yield


def test_the_demo_shows_every_claim(demo: Demo) -> None:
    shown = demo.first.must_hold().stdout
    assert "6 of 6 claims hold;" in shown
    assert "/ -> 한국쌀가공식품협회 포털" in shown
    assert "rice_processing_app in rice_processing" in shown
    assert "permission denied for database" in shown


def test_a_second_run_changes_nothing_within_seconds(demo: Demo) -> None:
    before = snapshot(demo.estate)

    second = run_demo(demo.estate.root).must_hold()

    assert "6 of 6 claims hold;" in second.stdout
    assert "2 stacks: 0 with changes, 2 without, 0 failed" in second.stdout
    after = snapshot(demo.estate)
    assert after.objects == before.objects
    assert after.databases == before.databases
    assert after.roles == before.roles
    assert after.buckets == before.buckets
    assert {"rice_processing", "plastics"} <= set(before.databases)
    assert len(before.objects) > 60
    assert second.processor_seconds < SECOND_RUN_PROCESSOR_SECONDS


@pytest.mark.usefixtures("servers_on_the_host")
def test_a_namespace_without_policies_reaches_all_that_is_refused_to_tenants(flows: Flows) -> None:
    """The control of every refusal below: these addresses answer."""
    assert flows.reached(NOBODY, flows.host) == set(flows.host)


def test_pods_resolve_their_data_stores_names(flows: Flows) -> None:
    data = f"{OWN}-data"
    probe_address = address_of(flows.estate, f"{OWN}-apps")
    for name in ("postgres", "objects"):
        query = f"http://{probe_address}:{PROBE_PORT}/resolve?name={name}.{data}.svc.cluster.local"
        assert fetch(query) == f"[{cluster_address(flows.estate, data, name)}] <nil>"


def test_a_pod_logs_in_to_its_database_with_what_it_was_given(flows: Flows) -> None:
    question = "SELECT current_user, current_database(), (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())"

    answer = flows.run(f"{OWN}-apps", PSQL, "-XAtc", question)

    assert answer.stdout == "rice_processing_app|rice_processing|t\n", answer.stderr


def test_a_pod_is_refused_by_its_neighbours_database(flows: Flows) -> None:
    answer = flows.run(f"{OWN}-apps", PSQL, "-XAt", "--dbname=plastics", "-c", "SELECT 1")

    assert answer.returncode != 0
    assert 'permission denied for database "plastics"' in answer.stderr


def test_a_pod_writes_and_reads_its_bucket_and_no_other(flows: Flows) -> None:
    own, other = "$S3_BUCKET", f"pilot-{NEIGHBOUR}"

    def shell(command: str, *, bucket: str) -> subprocess.CompletedProcess[str]:
        return flows.run(f"{OWN}-apps", "/bin/dash", "-c", command.format(bucket=bucket))

    written = shell(SHELL_PUT, bucket=own)
    assert written.returncode == 0, written.stderr
    assert "probe:x:65532" in shell(SHELL_GET, bucket=own).stdout
    for command in (SHELL_PUT, SHELL_GET):
        assert "error: 403" in shell(command, bucket=other).stderr


def test_own_applications_reach_their_own_tenant_but_its_solutions_and_nothing_of_the_neighbour(flows: Flows) -> None:
    for tenant, own, other in ((OWN, flows.own, flows.neighbour), (NEIGHBOUR, flows.neighbour, flows.own)):
        assert flows.reached(f"{tenant}-apps", own) == set(own) - {PORTAL}
        assert flows.reached(f"{tenant}-apps", other) == set()


def test_a_solution_s_pods_reach_themselves_and_no_own_application(flows: Flows) -> None:
    within = {name: target for name, target in flows.own.items() if name in {PORTAL, "apps pod", "apps Service"}}
    assert flows.reached(f"{OWN}-apps", within, by=AS_PORTAL) == {PORTAL}


@pytest.mark.usefixtures("servers_on_the_host")
def test_the_data_namespace_reaches_itself_and_nothing_else(flows: Flows) -> None:
    assert flows.reached(f"{OWN}-data", flows.own) == {"data pod", "data Service"}
    assert flows.reached(f"{OWN}-data", flows.neighbour) == set()
    assert flows.reached(f"{OWN}-data", flows.host) == set()


def test_nobody_without_a_policy_gets_into_a_tenant(flows: Flows) -> None:
    assert flows.reached(NOBODY, flows.own) == set()


@pytest.mark.usefixtures("servers_on_the_host")
def test_the_listed_address_is_reached_by_its_cooperative_alone_and_no_other_address(flows: Flows) -> None:
    assert flows.reached(f"{OWN}-apps", flows.host) == {"listed address"}
    assert flows.reached(f"{NEIGHBOUR}-apps", flows.host) == set()


def test_the_api_server_and_the_stores_back_doors_are_shut(flows: Flows) -> None:
    """Where no control is possible: they are shut to every pod, whatever its policies are."""
    ports = flows.estate.endpoints
    node_port = f"{ports.bridge}:{NODE_PORTS[0]}"
    shut = {
        "API server's Service": f"{cluster_address(flows.estate, 'default', 'kubernetes')}:443",
        "S3's gRPC port": f"{ports.bridge}:{ports.objects + GRPC_OFFSET}",
        "a node port": node_port,
        "registry": f"{ports.bridge}:{ports.registry}",
        "etcd": f"{ports.bridge}:{ports.etcd_client}",
    }
    with listening([node_port]):
        for namespace in (f"{OWN}-apps", f"{OWN}-data", NOBODY):
            assert flows.reached(namespace, shut) == set()


@pytest.mark.long(seconds=120)
def test_after_deleting_everything_the_kept_state_makes_everything_again(demo: Demo) -> None:
    """What docs/how-to/embedded-platform.md promises: nothing is left of the platform, and apply finds that."""
    estate, before = demo.estate, snapshot(demo.estate)

    estate.coopctl("dev", "down", "--delete", "--yes")

    assert traces(estate.root) == demo.before
    assert not estate.files.root.exists()
    assert list((estate.root / ".coopctl" / "state" / ".pulumi" / "stacks").rglob("rice-processing.json"))
    again = run_demo(estate.root).must_hold()
    assert "6 of 6 claims hold;" in again.stdout
    planned = estate.document("plan", "rice-processing", "plastics", "--refresh", "--detailed-exitcode")
    assert planned["changes"] is False
    after = snapshot(estate)
    assert set(after.objects) == set(before.objects)
    assert set(after.databases) == set(before.databases)
    assert set(after.roles) == set(before.roles)
    assert set(after.buckets) == set(before.buckets)
    assert {item["uid"] for item in after.objects.values()}.isdisjoint(item["uid"] for item in before.objects.values())
