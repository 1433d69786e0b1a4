"""Pure: from what a survey found and what was asked for, the steps of a migration in their order, with estimates.

The fingerprint is one of decisions: who moves where, which table goes how. It stays the same while rows come and go,
and changes with the request, the servers or the schema, so that a run that was cut off never goes on by another plan.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from provisioner.descriptor.migration import DataStoreMigration
from provisioner.migration.postgres_facts import TableFacts
from provisioner.migration.postgres_preflight import CAREFUL_RATE, SHORTEST_OUTAGE_SECONDS, Mode, Route
from provisioner.migration.steps import (
    CarryRest,
    CloseFence,
    CopyBehindFence,
    CopyObjects,
    CopyTables,
    DrainStream,
    Finalise,
    FollowSource,
    JudgeSides,
    LastObjects,
    OpenTarget,
    PublishTables,
    RehearseVerification,
    Step,
    SurveySides,
    TurnAround,
    VerifySides,
    as_document,
)
from provisioner.migration.surveyed import Judged, Survey
from provisioner.naming import ReplicationNames

# Reckoned carefully, so that an estimate is rather kept than missed: bytes a second that both sides are read with,
# bytes and requests a second of a bucket that is copied, and what a statement or two on both servers take.
VERIFY_RATE = 40_000_000
OBJECTS_RATE = 20_000_000
OBJECTS_PER_SECOND = 50
SHORT_SECONDS = 1.0
FENCE_SECONDS = SHORTEST_OUTAGE_SECONDS / 2
SECONDS_A_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """A step, and about how many seconds it takes; ``outage`` says that the applications wait meanwhile."""

    step: Step
    seconds: float
    outage: bool = False


@dataclass(frozen=True, kw_only=True)
class MigrationPlan:
    """The steps of the migration ``name`` in their order."""

    name: str
    mode: Mode
    steps: tuple[PlannedStep, ...]

    @property
    def fingerprint(self) -> str:
        """A digest of all decisions: 64 hex digits."""
        decided = [self.name, str(self.mode), *(as_document(one.step) for one in self.steps)]
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()

    @property
    def outage_seconds(self) -> float:
        """About how long the applications wait."""
        return sum(one.seconds for one in self.steps if one.outage)

    @property
    def seconds_before_outage(self) -> float:
        """About how long everything takes that is done while people work."""
        return sum(one.seconds for one in self.steps if not one.outage)


def plan_migration(
    migration: DataStoreMigration, *, survey: Survey, judged: Judged, names: ReplicationNames
) -> MigrationPlan:
    """The plan of ``migration`` for what ``survey`` found and ``judged`` decided."""
    online = judged.postgres.mode is Mode.ONLINE
    steps = [*_looking(survey, judged), *(_following(survey, judged, names) if online else ())]
    steps += _objects(survey)
    if online:
        steps += _rehearsing(survey, judged)
    steps += _cutover(survey, judged, names)
    steps.append(_finalising(migration))
    return MigrationPlan(name=migration.name, mode=judged.postgres.mode, steps=tuple(steps))


def as_plan_document(plan: MigrationPlan) -> dict[str, object]:
    """The plan as JSON; it walks the same list as the text does."""
    return {
        "migration": plan.name,
        "mode": str(plan.mode),
        "fingerprint": plan.fingerprint,
        "outageSeconds": round(plan.outage_seconds, 1),
        "secondsBeforeOutage": round(plan.seconds_before_outage, 1),
        "steps": [
            {**as_document(one.step), "seconds": round(one.seconds, 1), "outage": one.outage} for one in plan.steps
        ],
    }


def _looking(survey: Survey, judged: Judged) -> Iterator[PlannedStep]:
    yield PlannedStep(
        step=SurveySides(
            source=f"{survey.source.database} at {survey.source_at}",
            target=f"{survey.target.database} at {survey.target_at}",
            source_bucket=survey.source_bucket.bucket,
            target_bucket=survey.target_bucket.bucket,
        ),
        seconds=SHORT_SECONDS,
    )
    yield PlannedStep(step=JudgeSides(mode=judged.postgres.mode), seconds=SHORT_SECONDS)


def _following(survey: Survey, judged: Judged, names: ReplicationNames) -> Iterator[PlannedStep]:
    tables = _routed(survey, judged, Route.STREAM)
    altered = tuple(sorted(one.table for one in judged.postgres.routes if one.changes_identity))
    named = tuple(table.name for table in tables)
    as_text = tuple(table.name for table in tables if not table.is_binary)
    amount = sum(table.bytes for table in tables) + survey.source.large_object_bytes
    yield PlannedStep(step=PublishTables(tables=named, altered=altered), seconds=SHORT_SECONDS)
    yield PlannedStep(step=CopyTables(tables=named, as_text=as_text), seconds=SHORT_SECONDS + amount / CAREFUL_RATE)
    yield PlannedStep(step=FollowSource(subscription=names.subscription), seconds=SHORT_SECONDS)


def _objects(survey: Survey) -> Iterator[PlannedStep]:
    facts = survey.source_bucket
    seconds = facts.size_bytes / OBJECTS_RATE + (facts.versions + facts.delete_markers) / OBJECTS_PER_SECOND
    step = CopyObjects(source_bucket=facts.bucket, target_bucket=survey.target_bucket.bucket)
    yield PlannedStep(step=step, seconds=SHORT_SECONDS + seconds)


def _rehearsing(survey: Survey, judged: Judged) -> Iterator[PlannedStep]:
    tables = _routed(survey, judged, Route.STREAM)
    amount = sum(table.bytes for table in tables) + survey.source_bucket.size_bytes
    step = RehearseVerification(tables=tuple(table.name for table in tables))
    yield PlannedStep(step=step, seconds=SHORT_SECONDS + amount / VERIFY_RATE)


def _cutover(survey: Survey, judged: Judged, names: ReplicationNames) -> Iterator[PlannedStep]:
    online = judged.postgres.mode is Mode.ONLINE
    fenced = _routed(survey, judged, Route.FENCED)
    named, amount = tuple(table.name for table in fenced), sum(table.bytes for table in fenced)
    large = survey.source.large_object_bytes
    for step, seconds in (
        (CloseFence(database=survey.source.database, bucket=survey.source_bucket.bucket), FENCE_SECONDS),
        *(((DrainStream(slot=names.slot), FENCE_SECONDS),) if online else ()),
        *(((CopyBehindFence(tables=named, whole=not online), amount / CAREFUL_RATE),) if named or not online else ()),
        (CarryRest(large_objects=survey.source.large_objects > 0), large / CAREFUL_RATE),
        (LastObjects(target_bucket=survey.target_bucket.bucket), survey.source_bucket.keys / OBJECTS_PER_SECOND / 20),
        (VerifySides(tables=named, changed_only=online), (amount + large) / VERIFY_RATE),
        *(((TurnAround(relayed=True), 0.0),) if online else ()),
        (OpenTarget(target=survey.target.database), 0.0),
    ):
        yield PlannedStep(step=step, seconds=seconds, outage=True)


def _finalising(migration: DataStoreMigration) -> PlannedStep:
    step = Finalise(
        keep_source_days=migration.keep_source.total_seconds() / SECONDS_A_DAY,
        keep_dump_days=migration.keep_dump.total_seconds() / SECONDS_A_DAY,
    )
    return PlannedStep(step=step, seconds=SHORT_SECONDS)


def _routed(survey: Survey, judged: Judged, route: Route) -> tuple[TableFacts, ...]:
    names = {one.table for one in judged.postgres.routes if one.route is route}
    return tuple(sorted((one for one in survey.source.tables if one.name in names), key=lambda one: one.name))
