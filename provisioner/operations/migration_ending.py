"""Gives a migration up before the switch, and rehearses one: everything but the switch, then everything taken away.

On the source slots, publication, login and changed replica identities go; what was copied to the target goes too, so
that both are as they were. Whatever is cut off is done by the same command again. A target that does not answer keeps
no source from being freed: what was copied stays there then, and that is said.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from provisioner.errors import CoopctlError, Unreachable
from provisioner.migration.journal_entries import Phase, RunEnding, RunKind
from provisioner.migration.objects_copying import Copying
from provisioner.migration.objects_ledger import open_ledger
from provisioner.migration.objects_listing import chain_of
from provisioner.migration.postgres_catalogue import Catalogue
from provisioner.migration.postgres_rollback import abandon
from provisioner.migration.postgres_sides import session
from provisioner.migration.postgres_target import claim_target, claimed_by, release_target
from provisioner.naming import CooperativeUid
from provisioner.operations.migrating import bring_up
from provisioner.operations.migration_fences import require_before_cutover
from provisioner.operations.migration_job import end_in_platform
from provisioner.operations.migration_run import OpenRun, Report, Told, opened, reopened
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_verifying import Verification, verified

FREE_SOURCE, CLEAN_TARGET = "free-source", "clean-target"


@dataclass(frozen=True, kw_only=True)
class Aborted:
    """What was given up; unless ``cleaned`` the target still holds what was copied there."""

    kind: RunKind
    cleaned: bool


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """How a rehearsal came out, and the seconds that each of its steps took, with the last time it was done."""

    verification: Verification
    seconds: tuple[tuple[str, float], ...]
    cleaned: bool


def abort(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Aborted:
    """Give the open migration or rehearsal up.

    Raises NotFound if there is none, PlanRefused once a cutover has begun, MigrationLocked, and what servers say.
    """
    with reopened(site, now=now, report=report) as run:
        require_before_cutover(run)
        current = run.written.current
        if current is None:
            raise AssertionError("a run that was opened again is open")
        cleaned = undo(run)
        run.written.end(RunEnding.ABORTED, {"cleaned": cleaned})
        return Aborted(kind=current.kind, cleaned=cleaned)


def rehearse(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Rehearsed:
    """Begin a rehearsal, or go on with it; it ends with both sides as they were.

    Raises what `start` and `verify` raise; the rehearsal stays open then, to be gone on with or aborted.
    """
    with opened(site, kind=RunKind.REHEARSAL, now=now, report=report) as run:
        bring_up(run)
        verification = verified(run, now=now)
        cleaned = undo(run)
        seconds = _seconds(run)
        count = len(verification.differences)
        ending = RunEnding.PROBLEMS if count else RunEnding.PASSED
        run.written.end(ending, {"problems": count, "cleaned": cleaned, "seconds": dict(seconds)})
        return Rehearsed(verification=verification, seconds=seconds, cleaned=cleaned)


def undo(run: OpenRun) -> bool:
    """Take away what the run made, on the source first; False if the target does not answer. Idempotent."""
    end_in_platform(run.site, say=lambda text: run.report(Told(text=text)))
    with run.step(Phase.ROLLBACK, FREE_SOURCE), run.copy_work() as work:
        abandon(run.cutover(work, catalogue=Catalogue(entries={})), fence=None)
    try:
        with run.step(Phase.ROLLBACK, CLEAN_TARGET):
            clean_database(run.site, uid=run.site.tenant.uid)
            clean_bucket(run.site)
    except Unreachable as error:
        run.report(Told(text=f"{error.message}: what was copied there stays"))
        return False
    return True


def clean_database(site: MigrationSite, *, uid: CooperativeUid) -> None:
    """Empty the target's, if nothing but the unfinished copy with this mark has filled it."""
    with session(site.target) as target:
        if claimed_by(target) == uid:
            claim_target(target, uid=uid)
            release_target(target)


def clean_bucket(site: MigrationSite) -> None:
    """Remove every version of the keys that the ledger knows, and the ledger last."""
    file, bucket = site.files.ledger, site.target_bucket
    if not file.exists():
        return
    with open_ledger(file, source=str(site.source_bucket), target=str(bucket)) as ledger:
        Copying(source=site.source_bucket, target=bucket, ledger=ledger).abandon()
        ledger.forget_seen()
        for key in ledger.unseen():
            for listed in chain_of(bucket, key):
                bucket.remove(key, version=listed.version)
    with suppress(FileNotFoundError):
        for left in file.parent.glob(f"{file.name}*"):
            left.unlink()


def _seconds(run: OpenRun) -> tuple[tuple[str, float], ...]:
    current = run.written.current
    if current is None:
        raise CoopctlError("the rehearsal's run is not open")
    return tuple((one.step, (one.ended - one.begun).total_seconds()) for one in current.steps if one.ended is not None)
