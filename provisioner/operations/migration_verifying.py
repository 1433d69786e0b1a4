"""Compares both sides while people work: rows, schema and objects. What passes is the rehearsal of the cutover's own.

What is written from the beginning of a verification on is remembered by a slot that nobody streams from, so that the
one behind the fence has only that to compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from provisioner.errors import CoopctlError
from provisioner.migration.journal_entries import Phase
from provisioner.migration.objects_report import ObjectsReport, summary
from provisioner.migration.objects_verification import Verifying
from provisioner.migration.postgres_changes import forget_changes, remember_changes
from provisioner.migration.postgres_following import nudge
from provisioner.migration.postgres_report import VerificationReport
from provisioner.migration.postgres_sides import session
from provisioner.migration.postgres_verification import rehearse_verification
from provisioner.migration.redaction import Json
from provisioner.migration.steps import CopyTables, RehearseVerification
from provisioner.migration.surveyed import read_kept_catalogue
from provisioner.operations.migrating import catch_up, pass_objects
from provisioner.operations.migration_run import OpenRun
from provisioner.operations.preflighting import reaching_target

OBJECT_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Both reports; ``postgres`` is None offline, where no table is copied before the fence."""

    migration: str
    postgres: VerificationReport | None
    objects: ObjectsReport

    @property
    def differences(self) -> tuple[str, ...]:
        """Every difference in words."""
        return (*(self.postgres.differences if self.postgres else ()), *map(str, self.objects.differences))

    def summary(self) -> dict[str, Json]:
        """How it came out, for the journal."""
        return {
            "clean": not self.differences,
            "differences": len(self.differences),
            "objects": summary(self.objects),
            **({"postgres": self.postgres.summary()} if self.postgres is not None else {}),
        }


def verified(run: OpenRun, *, now: Callable[[], datetime]) -> Verification:
    """Compare what ``run`` has copied, and record how it came out."""
    name = run.site.migration.name
    if run.online and not run.is_done(Phase.COPY, CopyTables.NAME):
        raise CoopctlError(
            f"the tables of {name} are not copied yet", hint=f"run `coopctl migrate start {name}` until it ends"
        )
    with reaching_target(), run.step(Phase.VERIFY, RehearseVerification.NAME) as result:
        objects = _objects(run, now=now)
        postgres = _postgres(run) if run.online else None
        found = Verification(migration=name, postgres=postgres, objects=objects)
        result.update(found.summary())
    return found


def _postgres(run: OpenRun) -> VerificationReport:
    site = run.site
    with session(site.source) as source:
        remember_changes(source, site.names.watch_slot)
        begun = nudge(source)
    with run.copy_work() as work:
        cutover = run.cutover(work, catalogue=read_kept_catalogue(site.files.catalogue))
        report = rehearse_verification(cutover.rehearsal(partial(catch_up, run)))
    if not report.differences:
        # What was written before is compared by now: the one behind the fence need not do it again.
        with session(site.source) as source:
            forget_changes(source, slot=site.names.watch_slot, until=begun)
    return report


def _objects(run: OpenRun, *, now: Callable[[], datetime]) -> ObjectsReport:
    """Objects that were written meanwhile are copied and looked at again, a few times."""
    verifying = Verifying(source=run.site.source_bucket, target=run.site.target_bucket, clock=now)
    pass_objects(run)
    report = verifying.verify()
    for _ in range(OBJECT_ROUNDS):
        if report.passed:
            break
        pass_objects(run)
        report = verifying.verify()
    return report
