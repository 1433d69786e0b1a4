"""Which cooperatives a command works on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from provisioner.datastore.records import FileRecords
from provisioner.datastore.store_places import StoreRecord, write_place
from provisioner.descriptor.platform import Endpoint
from provisioner.errors import NotFound, UsageError
from provisioner.operations.selecting import has_left, select
from provisioner.plan.store_place import StorePlace
from tests.unit.plan import builders

if TYPE_CHECKING:
    from provisioner.operations.site import Site

COOPERATIVES = {name: builders.cooperative(name) for name in ("rice-processing", "plastics")}


def test_names_are_sorted_and_each_once() -> None:
    names = ("rice-processing", "plastics", "plastics")

    assert select(COOPERATIVES, names=names, selectors=(), everyone=False) == ("plastics", "rice-processing")


def test_selectors_narrow_each_other() -> None:
    sector = "sector=food-processing"

    assert len(select(COOPERATIVES, names=(), selectors=(sector,), everyone=False)) == 2
    assert select(COOPERATIVES, names=(), selectors=(sector, "name=plastics"), everyone=False) == ("plastics",)


def test_all_means_all() -> None:
    assert select(COOPERATIVES, names=(), selectors=(), everyone=True) == ("plastics", "rice-processing")


@pytest.mark.parametrize(
    ("names", "selectors", "everyone"),
    [((), (), False), (("plastics",), (), True), (("plastics",), ("size=small",), False), ((), ("size",), False)],
)
def test_nothing_or_two_ways_of_choosing_are_refused(
    names: tuple[str, ...], selectors: tuple[str, ...], everyone: bool
) -> None:
    with pytest.raises(UsageError):
        select(COOPERATIVES, names=names, selectors=selectors, everyone=everyone)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(NotFound) as refused:
        select(COOPERATIVES, names=("plastic",), selectors=(), everyone=False)

    assert "plastics" in str(refused.value.hint)


def test_a_selector_that_fits_nobody_is_refused() -> None:
    with pytest.raises(NotFound):
        select(COOPERATIVES, names=(), selectors=("sector=shipping",), everyone=False)


class _Site:
    """As much of a site as who asks for stacks and for the places of data stores needs."""

    def __init__(self, records: FileRecords, *, applied: tuple[str, ...]) -> None:
        self._records, self._applied = records, applied
        self.engine = self

    def records(self) -> FileRecords:
        return self._records

    def checkpoint(self, name: str) -> object | None:
        return object() if name in self._applied else None


@pytest.mark.parametrize(
    ("handed_over", "applied", "left"), [("own", (), True), ("own", ("rice",), False), ("", (), False)]
)
def test_who_was_handed_over_has_left_once_nothing_is_applied_any_more(
    tmp_path: Path, handed_over: str, applied: tuple[str, ...], left: bool
) -> None:
    records, server = FileRecords(root=tmp_path), Endpoint(host="203.0.113.10", port=5433)
    record = StoreRecord(
        migration="rice-out",
        place=StorePlace(postgres=server, objects=server, handed_over=handed_over),
        moved=True,
        moving=False,
        since=datetime(2026, 12, 5, tzinfo=UTC),
        final=True,
    )
    write_place(records, "rice", record)
    site = cast("Site", _Site(records, applied=applied))
    assert has_left(site, "rice") is left
    assert not has_left(site, "plastics")
