"""Moves a member's slice: copy, compare, hand over; or take back what was copied.

1. `start` copies rows inside one snapshot, and the member's objects. Nobody is kept out: the cooperative works on, and
   the member may. Run once more, it copies all rows anew in a later snapshot, and the objects that have come since.
2. `verify` names every row and object that differs: what was written since the copy, too. And it looks for leaks.
3. `finalise` compares once more. Only if nothing differs the target is the member's: what was handed over is noted as
   sums, by which an erasure knows later that nothing else is there.
4. `abort`, before that, empties the target.

Nothing is left on the source by any of these. Killed or interrupted, the same command goes on.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import cast

from provisioner.datastore.dump_programs import find_tools
from provisioner.errors import NotFound, PlanRefused, ProblemsFound, Unreachable, VerificationFailed
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import Phase, Run, RunEnding, RunKind
from provisioner.migration.objects_copying import PassReport
from provisioner.migration.objects_listing import chains
from provisioner.migration.objects_report import ObjectsReport
from provisioner.migration.objects_verification import Verifying
from provisioner.migration.postgres_report import SHOWN_IN_ERROR
from provisioner.migration.postgres_sides import Clients, service_file, session
from provisioner.migration.postgres_streams import SOURCE, TARGET
from provisioner.migration.postgres_target import release_target
from provisioner.migration.redaction import Json
from provisioner.migration.slice_copying import SliceWork, copy_slice
from provisioner.migration.slice_objects import Inventory, inventory
from provisioner.migration.slice_planning import SlicePlan
from provisioner.migration.slice_verification import SliceVerification, verify_rows
from provisioner.operations.migrating import copy_objects, leave_pod
from provisioner.operations.migration_ending import CLEAN_TARGET, Aborted, clean_bucket, clean_database
from provisioner.operations.migration_job import end_in_platform
from provisioner.operations.migration_journals import writing_journal
from provisioner.operations.migration_run import Report, Told, recorded_step, require_begun_for_pod, require_open
from provisioner.operations.preflighting import SEARCH_PATH, reaching_target
from provisioner.operations.slice_looking import look_at_slice, plan_of
from provisioner.operations.slice_site import SliceSite

ROWS, OBJECTS, VERIFY, HAND_OVER, RELEASE = "slice-rows", "slice-objects", "verify-slice", "hand-over", "release-target"
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class SliceCopied:
    """What was copied: rows of so many tables, and objects as the last pass found them."""

    migration: str
    member: str
    fingerprint: str
    tables: int
    rows: int
    objects: PassReport


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """The target is the member's from now on; ``verification`` is what that rests on."""

    verification: SliceVerification
    erasable: datetime


@dataclass(frozen=True, kw_only=True)
class SliceRun:
    """The run that this process works on."""

    site: SliceSite
    written: Journal
    plan: SlicePlan
    report: Report = field(repr=False)

    def say(self, text: str) -> None:
        """Tell something to know."""
        self.report(Told(text=text))

    @contextmanager
    def step(self, phase: Phase, name: str) -> Iterator[dict[str, Json]]:
        """Record a step."""
        with recorded_step(self.written, phase, name, report=self.report) as result:
            yield result


def start_slice(site: SliceSite, *, now: Callable[[], datetime], report: Report) -> SliceCopied:
    """Copy the slice, or copy it anew.

    Raises ProblemsFound if a preflight refuses it, PlanRefused if the request or the schema has changed since the run
    began, MigrationLocked, NotOurs once the target is the member's, and what servers raise.
    """
    with opened_slice(site, now=now, report=report) as run, reaching_target():
        with run.step(Phase.COPY, ROWS) as result, _work(run) as work:
            total = copy_slice(work)
            result.update({"tables": len(run.plan.kept), "rows": total})
        with run.step(Phase.COPY, OBJECTS) as result:
            objects = copy_objects(site.moving, result, written=run.written, report=report)
        leave_pod(site.moving)
        return SliceCopied(
            migration=site.name,
            member=site.request.member,
            fingerprint=run.plan.fingerprint,
            tables=len(run.plan.kept),
            rows=total,
            objects=objects,
        )


def verify_slice(site: SliceSite, *, now: Callable[[], datetime], report: Report) -> SliceVerification:
    """Compare both sides and look for leaks; it may be repeated at any time.

    Raises NotFound if no run is open, CoopctlError if nothing was copied yet, and what servers raise.
    """
    with _reopened(site, now=now, report=report) as run:
        return _verified(run, now=now)


def finalise_slice(site: SliceSite, *, now: Callable[[], datetime], report: Report) -> HandedOver:
    """Hand the slice over, if a verification finds nothing.

    A Job in the platform is ended first. Raises VerificationFailed if it finds something, and what `verify_slice` and
    `end_in_platform` raise.
    """
    require_open(site.moving)
    end_in_platform(site.moving, say=lambda text: report(Told(text=text)))
    with _reopened(site, now=now, report=report) as run:
        before = inventory(chains(site.moving.source_bucket))
        found = _verified(run, now=now)
        _require_clean(found, before=before, after=inventory(chains(site.moving.source_bucket)))
        with run.step(Phase.FINALISE, HAND_OVER) as result:
            result.update(_handed_over(run.plan, found, objects=before))
        with run.step(Phase.FINALISE, RELEASE), session(site.moving.target) as target:
            release_target(target)
        run.written.end(RunEnding.FINALISED, {"member": site.request.member})
        return HandedOver(verification=found, erasable=now() + site.moving.migration.keep_source)


def abort_slice(site: SliceSite, *, now: Callable[[], datetime], report: Report) -> Aborted:
    """Give the slice up and empty the target.

    Raises NotFound if no run is open, PlanRefused once it is handed over, MigrationLocked, and what servers raise.
    """
    moving = site.moving
    require_open(moving)
    with writing_journal(moving, now=now) as written:
        current = _current(site, written)
        if current.step(Phase.FINALISE, RELEASE) is not None:
            raise PlanRefused(
                f"the target of {site.name} may be the member's already",
                why="a hand-over was cut off",
                hint=f"`coopctl migrate finalise {site.name}` ends it",
            )
        cleaned = True
        try:
            with recorded_step(written, Phase.ROLLBACK, CLEAN_TARGET, report=report):
                clean_database(moving, uid=site.uid)
                clean_bucket(moving)
        except Unreachable as error:
            report(Told(text=f"{error.message}: what was copied there stays"))
            cleaned = False
        written.end(RunEnding.ABORTED, {"cleaned": cleaned})
        return Aborted(kind=current.kind, cleaned=cleaned)


@contextmanager
def opened_slice(site: SliceSite, *, now: Callable[[], datetime], report: Report) -> Iterator[SliceRun]:
    """Begin the run, or go on with it: what it looks at must ask for the same plan."""
    moving = site.moving
    with writing_journal(moving, now=now) as written:
        if (current := written.current) is not None and current.kind is RunKind.PREFLIGHT:
            written.end(RunEnding.FAILED, {"why": "cut off"})
        begun = written.current is not None
        if not begun:
            require_begun_for_pod(moving)
        look = look_at_slice(site, begun=begun, say=lambda text: report(Told(text=text)))
        if look.errors:
            named = "; ".join(one.what for one in look.errors[:SHOWN])
            more = len(look.errors) - SHOWN
            raise ProblemsFound(
                f"{len(look.errors)} problems must be mended before {site.name} can go on",
                why=named + (f"; and {more} more" if more > 0 else ""),
                hint=f"`coopctl migrate plan {site.name}` says how",
            )
        if not begun:
            # Of an earlier run: the bucket was found empty, and what it says was copied is there no more.
            for file in moving.files.ledger.parent.glob(f"{moving.files.ledger.name}*"):
                file.unlink()
        content: dict[str, Json] = {"mode": "slice", "member": site.request.member}
        written.begin(RunKind.MIGRATION, fingerprint=look.plan.fingerprint, content=content)
        yield SliceRun(site=site, written=written, plan=look.plan, report=report)


@contextmanager
def _reopened(site: SliceSite, *, now: Callable[[], datetime], report: Report) -> Iterator[SliceRun]:
    moving = site.moving
    require_open(moving)
    with writing_journal(moving, now=now) as written:
        _current(site, written)
        plan = plan_of(site)
        written.begin(RunKind.MIGRATION, fingerprint=plan.fingerprint)
        yield SliceRun(site=site, written=written, plan=plan, report=report)


def _current(site: SliceSite, written: Journal) -> Run:
    current = written.current
    if current is None or current.kind is not RunKind.MIGRATION:
        raise NotFound(
            f"the migration {site.name} is not under way", hint=f"`coopctl migrate start {site.name}` begins it"
        )
    return current


@contextmanager
def _work(run: SliceRun) -> Iterator[SliceWork]:
    """What the copy needs; passwords lie in a private file while the block runs."""
    moving = run.site.moving
    with session(moving.source) as source, session(moving.target) as target:
        newest = max(source.info.server_version, target.info.server_version) // 10000
    tools = find_tools(server_version=newest, search_path=moving.environment.get(SEARCH_PATH, ""))
    with service_file({SOURCE: moving.source, TARGET: moving.target}, folder=moving.files.work) as services:
        yield SliceWork(
            plan=run.plan,
            uid=run.site.uid,
            source=moving.source,
            target=moving.target,
            clients=Clients(tools=tools, service_file=services, environment=moving.environment),
            folder=services.parent,
            say=run.say,
        )


def _verified(run: SliceRun, *, now: Callable[[], datetime]) -> SliceVerification:
    moving = run.site.moving
    with reaching_target(), run.step(Phase.VERIFY, VERIFY) as result:
        found = SliceVerification(
            migration=run.site.name,
            member=run.site.request.member,
            rows=verify_rows(run.plan, source=moving.source, target=moving.target),
            objects=_objects(run, now=now),
        )
        result.update(found.summary())
    return found


def _objects(run: SliceRun, *, now: Callable[[], datetime]) -> ObjectsReport:
    """The member's objects with the whole of the target's bucket: what is there besides is a difference."""
    moving = run.site.moving
    return Verifying(source=moving.source_bucket, target=moving.target_bucket, clock=now).verify()


def _require_clean(found: SliceVerification, *, before: Inventory, after: Inventory) -> None:
    named = list(found.differences[:SHOWN_IN_ERROR])
    more = len(found.differences) - len(named)
    if before != after:
        named.append("the member's objects were written while they were compared")
    if named:
        raise VerificationFailed(
            "the target does not hold exactly the member's slice",
            why="; ".join(named) + (f"; and {more} more" if more else ""),
            hint=f"run `coopctl migrate start {found.migration}`: it copies the slice anew",
        )


def _handed_over(plan: SlicePlan, found: SliceVerification, *, objects: Inventory) -> dict[str, Json]:
    own = {str(one.name) for one in plan.own}
    sums = [cast("Json", asdict(one)) for one in found.rows.sums if one.name in own]
    return {"fingerprint": plan.fingerprint, "tables": sums, "listing": cast("Json", asdict(objects))}
