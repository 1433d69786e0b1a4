"""The record of where a data store lives: what it says, whom it stops, and that it is never half."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from provisioner.datastore.records import FileRecords
from provisioner.datastore.store_places import (
    StoreRecord,
    moved_to,
    read_place,
    require_settled,
    target_of,
    write_place,
)
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Endpoint
from provisioner.errors import CoopctlError, DataStoreMoving, ExitCode
from provisioner.naming import ClusterId, CooperativeName, CooperativeUid
from provisioner.operations.applying import ApplyOptions, apply_fleet
from provisioner.operations.planning import require_same_place
from provisioner.operations.site import Target
from provisioner.plan.resources import CooperativePlan, PlatformPlan
from provisioner.plan.store_place import StorePlace

if TYPE_CHECKING:
    from provisioner.operations.site import Site

AWAY = StorePlace(postgres=Endpoint(host="203.0.113.10", port=5433), objects=Endpoint(host="203.0.113.20", port=9000))
MOVED = StoreRecord(
    migration="rice-out", place=AWAY, moved=True, moving=False, since=datetime(2026, 12, 5, 13, tzinfo=UTC)
)


DOCUMENT = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {name: rice-out}
spec:
  cooperative: rice
  scope: all
  target:
    postgres: {dsn: {env: DSN}}
    objects: {endpoint: "https://s3.example.kr", bucket: rice, credentials: {env: KEY}}
"""


@pytest.fixture
def records(tmp_path: Path) -> FileRecords:
    return FileRecords(root=tmp_path)


def test_who_never_moved_lives_on_the_platform(records: FileRecords) -> None:
    assert read_place(records, "rice") is None
    assert moved_to(records, "rice") is None
    require_settled(records, ["rice", "plastics"])


def test_a_record_reads_back_and_says_where_the_store_is(records: FileRecords) -> None:
    write_place(records, "rice", MOVED)
    assert read_place(records, "rice") == MOVED
    assert moved_to(records, "rice") == AWAY
    assert moved_to(records, "plastics") is None
    assert str(MOVED) == "moved by rice-out: PostgreSQL 203.0.113.10:5433, objects 203.0.113.20:9000, with a way back"
    assert str(replace(MOVED, final=True)).endswith("objects 203.0.113.20:9000")


def test_a_record_keeps_that_credentials_were_changed_and_that_the_copy_was_erased(records: FileRecords) -> None:
    ended = replace(MOVED, final=True, place=replace(AWAY, rotation=1, erased=True))
    write_place(records, "rice", ended)
    assert read_place(records, "rice") == ended
    assert moved_to(records, "rice") == ended.place
    assert str(ended).endswith(", erased on the platform")


def test_how_the_target_is_reached_says_the_document_of_a_move_that_has_ended(
    records: FileRecords, tmp_path: Path
) -> None:
    estate = Estate(root=tmp_path)
    write_place(records, "rice", replace(MOVED, final=True))
    assert target_of(estate, records, "rice") is None, "the document is gone"
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "rice-out.yaml").write_text(DOCUMENT)
    found = target_of(estate, records, "rice")
    assert found is not None
    assert (found.postgres.dsn.env, found.objects.iam_url) == ("DSN", "https://s3.example.kr")
    write_place(records, "rice", MOVED)
    assert target_of(estate, records, "rice") is None, "it may still go home"
    handed_over = replace(MOVED, final=True, place=replace(AWAY, rotation=1, handed_over="own"))
    write_place(records, "rice", handed_over)
    assert target_of(estate, records, "rice") is None, "its credentials are another estate's matter"
    assert read_place(records, "rice") == handed_over
    assert str(handed_over).endswith(", handed over to the estate of the cluster own")


def test_who_came_back_lives_on_the_platform(records: FileRecords) -> None:
    write_place(records, "rice", MOVED)
    write_place(records, "rice", replace(MOVED, moved=False))
    assert moved_to(records, "rice") is None
    require_settled(records, ["rice"])


def test_who_is_on_its_way_is_not_changed(records: FileRecords) -> None:
    write_place(records, "rice", replace(MOVED, moving=True))
    require_settled(records, ["plastics"])
    with pytest.raises(DataStoreMoving, match="rice cannot be changed now") as caught:
        require_settled(records, ["plastics", "rice"])
    assert caught.value.exit_code is ExitCode.LOCKED
    assert "coopctl migrate cutover rice-out" in str(caught.value.hint)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"migration": "rice-out"}', b'{"place": 1, "since": ""}'])
def test_a_damaged_record_is_an_error_and_no_home(records: FileRecords, content: bytes) -> None:
    records.write("data-store/rice.json", content)
    with pytest.raises(CoopctlError, match=r"data-store/rice\.json"):
        moved_to(records, "rice")


class _Site:
    """As much of a site as who asks for the place of a data store needs."""

    def __init__(self, records: FileRecords) -> None:
        self._records = records

    def records(self) -> FileRecords:
        return self._records


def _planned(*, place: StorePlace | None = None) -> Target:
    """The cooperative, planned when its data store lived at ``place``."""
    plan = CooperativePlan(
        cooperative=CooperativeName("rice"),
        uid=CooperativeUid("8d58204a"),
        cluster=ClusterId("test"),
        domain="rice.example.kr",
        resources=(),
        moved_to=place,
    )
    return Target(name="rice", plan=plan, program=lambda: None, fingerprint="")


def test_an_apply_is_refused_before_anything_is_looked_at_while_the_store_moves(records: FileRecords) -> None:
    write_place(records, "rice", replace(MOVED, moving=True))
    with pytest.raises(DataStoreMoving, match="on its way by the migration rice-out"):
        apply_fleet(cast("Site", _Site(records)), [_planned()], options=ApplyOptions(), report=lambda _: None)


def test_what_was_planned_before_a_switch_is_refused_when_its_turn_comes(records: FileRecords) -> None:
    site = cast("Site", _Site(records))
    require_same_place(site, _planned())
    write_place(records, "rice", MOVED)
    with pytest.raises(DataStoreMoving, match="planned for another place"):
        require_same_place(site, _planned())
    require_same_place(site, _planned(place=AWAY))
    write_place(records, "rice", replace(MOVED, place=replace(AWAY, handed_over="own")))
    with pytest.raises(DataStoreMoving, match="planned for another place"):
        require_same_place(site, _planned(place=AWAY))
    write_place(records, "rice", replace(MOVED, moving=True))
    with pytest.raises(DataStoreMoving, match="cannot be changed now"):
        require_same_place(site, _planned(place=AWAY))


def test_the_platform_s_stack_has_no_data_store_that_could_move(records: FileRecords) -> None:
    plan = PlatformPlan(cluster=ClusterId("test"), resources=())
    records.write("data-store/platform.json", b"damaged")
    require_same_place(
        cast("Site", _Site(records)), Target(name="platform", plan=plan, program=lambda: None, fingerprint="")
    )
