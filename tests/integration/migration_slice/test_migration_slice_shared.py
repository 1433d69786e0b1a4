"""A member's slice, the state in a bucket: copied on one machine, handed over on another, erased on a third."""

from collections.abc import Iterator

import psycopg
import pytest

from cli.commands import migrate_slice
from provisioner.descriptor.estate import Estate
from provisioner.operations.migration_pod_access import make_slice_access
from provisioner.operations.migration_pod_estate import pod_files
from provisioner.operations.migration_site import open_migration
from provisioner.operations.slice_moving import opened_slice
from tests.integration.conftest import Between
from tests.integration.migration_commands.pods import as_job, now, pod_of, reach_as_pods
from tests.integration.migration_commands.teams import Team
from tests.integration.migration_slice.conftest import NAME, SliceWorld

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=60)]


@pytest.fixture
def team(sharing: SliceWorld, between: Between) -> Iterator[Team[SliceWorld]]:
    made = Team(between.objects, sharing)
    yield made
    made.remove()


def test_each_machine_goes_on_from_what_another_one_did(
    team: Team[SliceWorld], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first, folder = team.first, tmp_path_factory.mktemp("machines")
    second, third = team.machine(folder / "second"), team.machine(folder / "third")
    first.ok("start")
    assert "leak test: no row of anybody else" in second.ok("verify")
    second.ok("start")
    third.ok("finalise", "--yes")
    code, said = first.run("migrate", "erase", NAME, "--yes", "--cut-references")[::2]
    assert (code, "are kept until" in said) == (11, True)

    first.ok("erase", "--yes", "--early", "--cut-references")

    assert first.on_source("SELECT count(*) FROM bookings WHERE firm = 7") == [(0,)]
    assert sorted(first.bucket.bodies()) == ["logos/all.png", "scans/m-70/3.png"]
    code, report = second.json("migrate", "report", NAME)
    assert (code, bool(report["erasure"]["proof"])) == (0, True)


@pytest.mark.parametrize("layout", ["sharing", "apart"])
def test_a_pod_copies_a_slice_and_closes_its_login(
    layout: str, between: Between, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    world: SliceWorld = request.getfixturevalue(layout)
    reach_as_pods(world, between)
    world.on_source(f"REVOKE ALL ON DATABASE {world.source.database} FROM PUBLIC")
    team = Team(between.objects, world)
    site = open_migration(Estate(root=world.root), NAME, environment=world.environment)
    sliced = migrate_slice.opened(site)
    with opened_slice(sliced, now=now, report=lambda _: None):
        access = make_slice_access(site, key=world.bucket.key, now=now)
    files = pod_files(site, access, request=sliced.request)
    inside = pod_of(world, files, folder=tmp_path_factory.mktemp("pod"))
    assert not [one for one in inside.root.rglob("*") if "chart" in str(one) or "members" in str(one)]

    code, out, said = inside.run("migrate", "start", NAME)

    assert code == 0, out + said
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        as_job(world, access)
    assert "leak test: no row of anybody else" in world.ok("verify")
    status = world.json("migrate", "status", NAME)[1]
    assert status["jobLogin"]["name"] == access.login == site.job_login != site.names.job_login
    assert orphaned(world, access.login) == []
    world.ok("abort", "--yes")
    assert world.tables() == []

    code, _, said = inside.run("migrate", "start", NAME)
    assert (code, "is not under way" in said) == (6, True), "what was given up is not begun again by a pod"
    assert orphaned(world, access.login) == [world.bucket.tenant.names.cooperative]
    assert world.run("migrate", "orphans", "--remove", "--yes")[0] == 0
    assert orphaned(world, access.login) == []
    team.remove()


def orphaned(world: SliceWorld, login: str) -> list[str]:
    """Whose orphan the login is; other tests' worlds are on the same server."""
    found = world.json("migrate", "orphans")[1]["orphans"]
    return [one["cooperative"] for one in found if login in {left["name"] for left in one["left"]}]
