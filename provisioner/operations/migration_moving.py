"""What cutover, rollback and finalise have in common: an open run with its tenant, fences of buckets and both streams.

While the block of `moved` runs, nobody else works on the migration (its journal's lock) or on the cooperative's stack
(its lease): an apply that is under way is waited for by nobody, it is refused.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

from provisioner.datastore.credentials import generate_password
from provisioner.engine.lease import leased
from provisioner.errors import CoopctlError, PlanRefused
from provisioner.migration.journal_entries import Phase, RunKind
from provisioner.migration.objects_fence import Fencing
from provisioner.migration.postgres_catalogue import Catalogue, read_catalogue
from provisioner.migration.postgres_cutover import Cutover, end_forward, recover
from provisioner.migration.postgres_fence import Fence, is_closed
from provisioner.migration.postgres_report import VerificationReport
from provisioner.migration.postgres_sides import Clients, service_file, session
from provisioner.migration.postgres_streams import SOURCE, TARGET
from provisioner.migration.steps import OpenTarget, VerifySides
from provisioner.migration.surveyed import read_kept_catalogue
from provisioner.operations.migration_fences import (
    SOURCE_FENCE,
    is_switched,
    record_fence,
    record_lifted,
    recorded_fence,
)
from provisioner.operations.migration_run import OpenRun, Report, Told, reopened
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_tenancy import Tenancy, lease_folder, open_tenancy


@dataclass(frozen=True, kw_only=True)
class Moving:
    """An open migration, and its tenant; ``source_bucket`` and ``target_bucket`` fence the buckets."""

    run: OpenRun
    tenancy: Tenancy
    cutover: Cutover
    back: Clients
    source_bucket: Fencing
    target_bucket: Fencing
    now: Callable[[], datetime]

    @property
    def site(self) -> MigrationSite:
        """Both sides."""
        return self.run.site

    @property
    def fence(self) -> Fence | None:
        """The source's fence, if it may be closed."""
        return recorded_fence(self.run.written.current, SOURCE_FENCE)

    def switched(self) -> bool:
        """Whether the applications write on the target: the world is asked where the journal does not know.

        If they do not, whatever kept them out of the source is lifted. Raises Unreachable while the target does not
        answer; then neither side is opened.
        """
        if is_switched(self.run.written.current):
            return True
        fence = self.fence
        if fence is not None and recover(self.cutover, fence=fence):
            with self.run.step(Phase.CUTOVER, OpenTarget.NAME) as result:
                result["foundOpen"] = True
            return True
        self._opened_again(fence)
        return False

    def end_forward(self) -> None:
        """Take the forward stream away, if the one that switched was killed before it could. Idempotent."""
        with session(self.site.source) as source, session(self.site.target) as target:
            end_forward(self.cutover, source, target)

    def let_in_again(self) -> None:
        """After a failure before the switch: lift what is not lifted yet, unless nobody knows whether it happened, or
        another process goes on with it."""
        fence = self.fence
        with suppress(CoopctlError):
            self.run.written.require_own()
            if fence is not None:
                with session(self.site.source) as source:
                    if is_closed(source, fence):
                        return
            self._opened_again(fence)

    def _opened_again(self, fence: Fence | None) -> None:
        if fence is not None:
            record_lifted(self.run, SOURCE_FENCE)
        for bucket in (self.source_bucket, self.target_bucket):
            bucket.lift()
        if self.tenancy.is_moving():
            self.tenancy.note(self.now(), moved=False)
            self.run.report(Told(text="the fence is lifted: applications work on the source"))


@contextmanager
def moved(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Iterator[Moving]:
    """The migration that is open. Raises NotFound if none is, PlanRefused for a rehearsal, MigrationLocked,
    StackLocked while the cooperative is being applied, and what the cluster says."""

    def say(text: str) -> None:
        report(Told(text=text))

    with (
        reopened(site, now=now, report=report) as run,
        leased(lease_folder(site), stack=site.tenant.stack, say=say),
        run.copy_work() as work,
        service_file({SOURCE: site.target, TARGET: site.source}, folder=site.files.work_back) as back,
    ):
        _require_migration(run)
        tenancy = open_tenancy(site)
        cutover = replace(
            run.cutover(work, catalogue=_catalogue(run)),
            record=lambda fence: record_fence(run, SOURCE_FENCE, fence),
            passed=lambda found: _passed(run, found),
            reverse_password=generate_password(),
            rehearsed=run.online,
        )
        source, target = (tenancy.application(bucket) for bucket in (site.source_bucket, site.target_bucket))
        yield Moving(
            run=run,
            tenancy=tenancy,
            cutover=cutover,
            back=replace(work.clients, service_file=back),
            source_bucket=Fencing(of=site.source_bucket, applications=(source,), clock=now),
            target_bucket=Fencing(of=site.target_bucket, applications=(target,), clock=now),
            now=now,
        )


def _catalogue(run: OpenRun) -> Catalogue:
    """The source's schema when it was copied; offline that is still to come."""
    if run.online:
        return read_kept_catalogue(run.site.files.catalogue)
    with session(run.site.source) as source:
        return read_catalogue(source, names=run.site.names)


def _passed(run: OpenRun, report: VerificationReport) -> None:
    with run.step(Phase.CUTOVER, VerifySides.NAME) as result:
        result["postgres"] = report.summary()


def _require_migration(run: OpenRun) -> None:
    current = run.written.current
    if current is None or current.kind is not RunKind.MIGRATION:
        raise PlanRefused(
            f"a rehearsal of {run.site.migration.name} is open", hint="end it first: run it again, or abort it"
        )
