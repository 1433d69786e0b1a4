"""`verify`: before the switch the target is compared with the source it follows, after it the other way round.

After the switch the platform's copy follows by the way back. That it holds what the target holds, row by row and object
by object, is what a rollback rests on.
"""

from collections.abc import Callable
from datetime import datetime

from provisioner.errors import NotOurs
from provisioner.migration.journal_entries import Phase
from provisioner.migration.objects_report import ObjectsReport
from provisioner.migration.objects_verification import Verifying
from provisioner.migration.postgres_rollback import rehearse_return
from provisioner.operations.migration_fences import is_switched, require_before_cutover
from provisioner.operations.migration_moving import Moving, moved
from provisioner.operations.migration_returning import bring_objects_back, bring_rows_back, require_way_back
from provisioner.operations.migration_run import Report, Told, reopened, require_open
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_verifying import OBJECT_ROUNDS, Verification, verified

SWITCHED = "verify-switched"


def verify(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Verification:
    """Verify the migration that is open; it may be repeated at any time.

    Raises NotFound if none is, CoopctlError if nothing was copied yet, PlanRefused after a cutover that was cut off,
    ProblemsFound once the way back is given up, and what servers raise.
    """
    if is_switched(require_open(site)):
        return _switched(site, now=now, report=report)
    with reopened(site, now=now, report=report) as run:
        require_before_cutover(run)
        return verified(run, now=now)


def _switched(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Verification:
    """Bring back what was written at the target so far, and compare all of it with the source, while people work."""
    with moved(site, now=now, report=report) as moving:
        require_way_back(moving)
        bring_rows_back(moving)
        with moving.run.step(Phase.VERIFY, SWITCHED) as result:
            objects = _objects(moving)
            postgres = rehearse_return(moving.cutover) if moving.run.online else None
            found = Verification(migration=site.migration.name, postgres=postgres, objects=objects)
            result.update(found.summary())
        return found


def _objects(moving: Moving) -> ObjectsReport:
    """Objects that were written meanwhile are brought back and looked at again, a few times."""
    verifying = Verifying(source=moving.site.target_bucket, target=moving.site.source_bucket, clock=moving.now)
    for _ in range(OBJECT_ROUNDS):
        untouched = _brought_back(moving)
        report = verifying.verify()
        if report.passed or not untouched:
            break
    return report


def _brought_back(moving: Moving) -> bool:
    """Whether the platform's bucket holds what was copied there: if not, nothing is brought back, and what differs is
    named by the comparison."""
    try:
        bring_objects_back(moving)
    except NotOurs as error:
        moving.run.report(Told(text=error.message))
        return False
    return True
