"""A member's slice, the state in a bucket: copied on one machine, handed over on another, erased on a third."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import Between
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


def test_a_slice_is_not_copied_in_the_platform_and_the_reason_is_said(team: Team[SliceWorld]) -> None:
    code, _, said = team.first.run("migrate", "start", NAME, "--in-platform")
    assert code == 2
    assert "charts and the list of members say, which no pod has" in said
    assert team.first.tables() == []
