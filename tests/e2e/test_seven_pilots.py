"""All seven pilot cooperatives on one embedded platform with real pods; one leaves, and the six are not touched."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.conftest import Demo
from tests.integration.node.conftest import fetch
from tests.running_estate import RunningEstate, processor_seconds
from tests.snapshots import buckets, databases, objects, roles

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("inside"), pytest.mark.long(seconds=240)]
LEAVING = "publishing"
PARTS = ("apps", "data")
# The aims of bench/prove.py, in seconds of processors: by the clock the other tests of the machine would be measured.
PROOF_OF_SEVEN_SECONDS, PROOF_SECONDS, PROOF_WITHOUT_PODS_SECONDS = 60.0, 20.0, 5.0


@pytest.fixture(scope="module")
def pilots(demo: Demo) -> RunningEstate:
    """The demo's estate with all pilots applied."""
    demo.first.must_hold()
    applied = demo.estate.document("apply", "--all", "--yes")
    assert applied["failed"] == 0
    assert len(names(demo.estate)) == 7
    return demo.estate


def names(estate: RunningEstate) -> list[str]:
    return sorted(path.stem for path in (estate.root / "cooperatives").glob("*.yaml"))


def pods(estate: RunningEstate, cooperative: str) -> dict[str, Any]:
    """The pods of a cooperative by name: identity, phase and restarts."""
    found = estate.get("pods", "-n", f"{cooperative}-apps")["items"]
    return {
        pod["metadata"]["name"]: (
            pod["metadata"]["uid"],
            pod["status"]["phase"],
            [container["restartCount"] for container in pod["status"]["containerStatuses"]],
        )
        for pod in found
    }


def world_of(estate: RunningEstate, cooperatives: list[str]) -> Mapping[str, Any]:
    """All that belongs to ``cooperatives``, pods included."""
    prefixes = tuple(name.replace("-", "_") for name in cooperatives)
    owners = tuple(cooperatives)
    return {
        "objects": objects(estate, cooperatives=cooperatives),
        "databases": {name: found for name, found in databases(estate).items() if name.startswith(prefixes)},
        "roles": {name: found for name, found in roles(estate).items() if name.startswith(prefixes)},
        "buckets": {name: found for name, found in buckets(estate).items() if name.endswith(owners)},
        "pods": {name: pods(estate, name) for name in cooperatives},
    }


def test_all_seven_run_and_a_plan_of_all_finds_no_changes(pilots: RunningEstate) -> None:
    everyone = names(pilots)

    compared = pilots.document("plan", "--all", "--refresh", "--detailed-exitcode")
    remembered = pilots.document("plan", "--all", "--detailed-exitcode")

    for planned in (compared, remembered):
        assert planned["changes"] is False
        assert {stack["stack"] for stack in planned["stacks"]} == set(everyone)
    for name in everyone:
        assert [phase for _, phase, _ in pods(pilots, name).values()] == ["Running", "Running"], name


def test_each_has_its_own_page(pilots: RunningEstate) -> None:
    titles = set()
    for name in names(pilots):
        (ingress,) = pilots.get("ingress", "-n", f"{name}-apps")["items"]
        host = ingress["spec"]["rules"][0]["host"]
        page = fetch(f"http://127.0.0.1:{pilots.endpoints.ingress_http}/", host=host)
        titles.add(page.partition("<title>")[2].partition("</title>")[0])
    assert len(titles) == 7
    assert "한국쌀가공식품협회 포털" in titles


def crossings(own: str, *, everyone: list[str]) -> set[str]:
    """The ids of a proof's attempts by the pods of ``own`` at all pods of the others."""
    others = [f"{name}-{part}" for name in everyone if name != own for part in PARTS]
    return {
        f"pods/{own}-{part}/a pod of {other} over {protocol}"
        for part in PARTS
        for other in others
        for protocol in ("TCP", "UDP")
    }


def test_no_pod_of_one_reaches_a_pod_of_another_and_the_proof_of_all_seven_is_quick(pilots: RunningEstate) -> None:
    everyone = names(pilots)

    worked = processor_seconds()
    proofs = pilots.document("prove", "--all")["proofs"]
    seconds = processor_seconds() - worked

    assert [proof["cooperative"] for proof in proofs] == everyone
    for proof in proofs:
        wanted = crossings(proof["cooperative"], everyone=everyone)
        verdicts = {attempt["id"]: attempt["verdict"] for attempt in proof["attempts"] if attempt["id"] in wanted}
        assert verdicts == dict.fromkeys(wanted, "blocked"), proof["cooperative"]
        assert proof["isolated"], proof["cooperative"]
    assert seconds < PROOF_OF_SEVEN_SECONDS


def test_a_proof_of_one_is_quick(pilots: RunningEstate) -> None:
    assert seconds_of_a_proof(pilots) < PROOF_SECONDS
    assert seconds_of_a_proof(pilots, "--no-probe-pods") < PROOF_WITHOUT_PODS_SECONDS


def seconds_of_a_proof(pilots: RunningEstate, *arguments: str) -> float:
    """How long processors work for the command, which must find the tenant isolated."""
    worked = processor_seconds()
    (proof,) = pilots.document("prove", "rice-processing", *arguments)["proofs"]
    assert proof["isolated"]
    return processor_seconds() - worked


def test_one_leaves_with_its_data_kept_and_the_six_are_not_touched(pilots: RunningEstate) -> None:
    six = [name for name in names(pilots) if name != LEAVING]
    pilots.rows("CREATE TABLE kept AS SELECT '책' AS word", database=LEAVING)
    pilots.objects_client().put_object(Bucket=f"pilot-{LEAVING}", Key="kept", Body="책".encode())
    before = world_of(pilots, six)
    assert len(before["objects"]) > 6 * 30
    assert {len(before[part]) for part in ("databases", "pods")} == {6}

    destroyed = pilots.document("destroy", LEAVING, "--yes")

    assert destroyed["dataDeleted"] is False
    after = world_of(pilots, six)
    for part, found in before.items():
        assert after[part] == found, part
    assert objects(pilots, cooperatives=[LEAVING]) == {}
    assert pilots.rows("SELECT word FROM kept", database=LEAVING) == [("책",)]

    pilots.coopctl("apply", LEAVING, "--yes")
    assert pilots.rows("SELECT word FROM kept", database=LEAVING) == [("책",)]
    kept = pilots.objects_client().get_object(Bucket=f"pilot-{LEAVING}", Key="kept")
    assert kept["Body"].read().decode() == "책"
    again = world_of(pilots, six)
    for part, found in before.items():
        assert again[part] == found, part
