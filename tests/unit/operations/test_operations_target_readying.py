"""The embedded target is emptied only while nobody's data lives there and nothing is being copied there."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import StoreRecord, write_place
from provisioner.descriptor.loading import load_platform
from provisioner.errors import PlanRefused
from provisioner.migration.journal import journal_file, writing
from provisioner.migration.journal_entries import RunEnding, RunKind
from provisioner.operations.target_readying import migration_name, require_unused
from tests.unit.datastore.test_datastore_store_places import MOVED
from tests.unit.descriptor.worlds import World, world

NOW = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> World:
    return world(tmp_path)


def recorded(made: World, found: StoreRecord) -> None:
    """Keep where the data store is beside the estate's state."""
    state = load_platform(made.estate).state
    write_place(open_records(state.url, credentials_file=state.credentials_file), "rice", found)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(MOVED, id="there"),
        pytest.param(replace(MOVED, moved=False, moving=True), id="on its way there"),
        pytest.param(replace(MOVED, moving=True), id="on its way back"),
    ],
)
def test_what_lives_there_is_never_deleted(made: World, found: StoreRecord) -> None:
    recorded(made, found)

    with pytest.raises(PlanRefused, match="is at the target, or on its way") as caught:
        require_unused(made.estate, "rice")

    assert "coopctl migrate rollback rice-out" in (caught.value.hint or "")


def test_what_is_being_copied_is_not_deleted_and_what_a_rollback_has_left_may_be(made: World) -> None:
    require_unused(made.estate, "rice")
    name = migration_name("rice")
    with writing(journal_file(made.estate.local, name), migration=name, clock=lambda: NOW) as journal:
        journal.begin(RunKind.MIGRATION, fingerprint="f")
        with pytest.raises(PlanRefused, match="rice-target is under way"):
            require_unused(made.estate, "rice")
        journal.end(RunEnding.ROLLED_BACK)
    recorded(made, replace(MOVED, moved=False))

    require_unused(made.estate, "rice")
