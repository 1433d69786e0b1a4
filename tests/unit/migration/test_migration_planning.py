"""What steps a migration has, in which order, how long they take, and what its fingerprint depends on."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from provisioner.errors import CoopctlError, Severity
from provisioner.migration.objects_survey import BucketFacts
from provisioner.migration.planning import MigrationPlan, as_plan_document, plan_migration
from provisioner.migration.postgres_catalogue import Catalogue
from provisioner.migration.postgres_facts import SourceFacts
from provisioner.migration.postgres_preflight import Mode
from provisioner.migration.surveyed import (
    Survey,
    judge,
    read_kept_catalogue,
    read_survey,
    write_catalogue,
    write_survey,
)
from provisioner.naming import CooperativeUid, replication_names
from tests.unit.descriptor.test_descriptor_migrations import FILE, MIGRATION, load
from tests.unit.descriptor.worlds import world
from tests.unit.migration.test_migration_preflight import JSON, source, table, target

NAMES = replication_names(CooperativeUid("0123456789abcdef"))
BUCKET = BucketFacts(
    bucket="test-rice",
    versioning="Enabled",
    object_lock=False,
    keys=10,
    versions=20,
    delete_markers=1,
    size_bytes=40_000_000,
    largest_bytes=5,
    largest_key="a",
    uploads=0,
)
EMPTY = replace(BUCKET, bucket="rice-data", keys=0, versions=0, delete_markers=0, size_bytes=0)


def surveyed(facts: SourceFacts, **changes: Any) -> Survey:
    values: dict[str, Any] = {
        "source_at": "here:5432",
        "target_at": "there:5432",
        "source": facts,
        "target": target(),
        "source_bucket": BUCKET,
        "target_bucket": EMPTY,
    }
    return Survey(**{**values, **changes})


@pytest.fixture
def keyed() -> SourceFacts:
    """One table that can be streamed."""
    return source(table(has_primary_key=True, key=("a",), unique_indexes=("pk",)))


def planned(folder: Path, survey: Survey, *, wanted: Mode = Mode.ONLINE, document: str = MIGRATION) -> MigrationPlan:
    made = world(folder)
    made.write(FILE, document)
    [migration] = load(made)
    return plan_migration(migration, survey=survey, judged=judge(survey, wanted=wanted), names=NAMES)


def test_online_everything_slow_comes_before_the_outage(tmp_path: Path, keyed: SourceFacts) -> None:
    plan = planned(tmp_path, surveyed(keyed))
    assert [(one.step.NAME, one.outage) for one in plan.steps] == [
        ("survey", False),
        ("judge", False),
        ("publish", False),
        ("tables", False),
        ("follow", False),
        ("objects", False),
        ("rehearse-verification", False),
        ("fence", True),
        ("drain", True),
        ("rest", True),
        ("last-objects", True),
        ("verify", True),
        ("turn-around", True),
        ("open", True),
        ("finalise", False),
    ]
    assert plan.outage_seconds < 1
    assert plan.seconds_before_outage > 80_000_000 / 40_000_000


def test_offline_the_tables_are_copied_in_the_outage(tmp_path: Path, keyed: SourceFacts) -> None:
    plan = planned(tmp_path, surveyed(keyed), wanted=Mode.OFFLINE)
    names = [one.step.NAME for one in plan.steps]
    assert names[2:5] == ["objects", "fence", "tables-behind-fence"]
    assert "turn-around" not in names
    assert plan.outage_seconds > 2


def test_what_cannot_be_streamed_is_copied_behind_the_fence(tmp_path: Path) -> None:
    plan = planned(tmp_path, surveyed(source(table(columns=JSON))))
    [behind] = [one for one in plan.steps if one.step.NAME == "tables-behind-fence"]
    assert behind.step.words == "copy 1 table that no stream carries"
    assert behind.seconds == 2


def test_the_fingerprint_is_one_of_decisions(tmp_path: Path, keyed: SourceFacts) -> None:
    plan = planned(tmp_path / "1", surveyed(keyed))
    grown = replace(keyed, bytes=10**9, tables=(replace(keyed.tables[0], bytes=10**9, rows=10**7),))
    fuller = replace(BUCKET, keys=1000, versions=5000)
    assert planned(tmp_path / "2", surveyed(grown, source_bucket=fuller)).fingerprint == plan.fingerprint
    altered = replace(keyed, tables=(replace(keyed.tables[0], has_primary_key=False),))
    others = [
        planned(tmp_path / "3", surveyed(altered)),
        planned(tmp_path / "4", surveyed(keyed), wanted=Mode.OFFLINE),
        planned(tmp_path / "5", surveyed(keyed, target=target(database="elsewhere"))),
        planned(tmp_path / "7", surveyed(keyed, target_at="elsewhere:5432")),
        planned(tmp_path / "6", surveyed(keyed), document=f"{MIGRATION}  keepSource: 10d\n"),
    ]
    assert len({plan.fingerprint, *(one.fingerprint for one in others)}) == 1 + len(others)


def test_json_walks_the_same_steps(tmp_path: Path, keyed: SourceFacts) -> None:
    plan = planned(tmp_path, surveyed(keyed))
    document: Any = as_plan_document(plan)
    assert [one["does"] for one in document["steps"]] == [one.step.words for one in plan.steps]
    assert document["steps"][3]["tables"] == ['"public"."lots"']
    assert document["fingerprint"] == plan.fingerprint


def test_a_bucket_s_findings_are_judged_with_the_rest(keyed: SourceFacts) -> None:
    locked, full = replace(BUCKET, object_lock=True), replace(EMPTY, keys=3)
    judged = judge(surveyed(keyed, source_bucket=locked, target_bucket=full), wanted=Mode.ONLINE)
    assert [(one.severity, one.what) for one in judged.problems if "rice" in one.what] == [
        (Severity.ERROR, "rice-data is not empty: it holds 3 keys"),
        (Severity.WARNING, "test-rice has Object Lock"),
    ]
    assert len(judged.errors) == 1


def test_a_kept_survey_and_catalogue_are_read_as_they_were(tmp_path: Path, keyed: SourceFacts) -> None:
    kept = replace(keyed, extensions=MappingProxyType({"hstore": "1.8"}), collations=frozenset({"ko-x-icu", "C"}))
    survey, catalogue = surveyed(kept), Catalogue(entries={("table", "a"): "password = 'x'", ("view", "b"): "뷰"})
    write_survey(tmp_path / "of" / "survey", survey)
    write_catalogue(tmp_path / "of" / "catalogue", catalogue)
    assert read_survey(tmp_path / "of" / "survey") == survey
    assert read_kept_catalogue(tmp_path / "of" / "catalogue") == catalogue
    assert (tmp_path / "of" / "survey").stat().st_mode & 0o777 == 0o600


def test_a_survey_that_is_gone_or_damaged_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(CoopctlError, match="cannot be read"):
        read_survey(tmp_path / "none")
    (tmp_path / "half").write_text('{"source":')
    with pytest.raises(CoopctlError) as raised:
        read_survey(tmp_path / "half")
    assert raised.value.why == "it is damaged"
