"""The cutover: the applications of a cooperative go on at the target, without a restart, and can come back.

1. What stands in the way is named at once: the window, the lag, a verification that did not pass, names that the
   applications would not find again, an access key that the target does not know.
2. Pods may reach the target; its bucket is fenced, so that nobody writes there before the switch, which also shows that
   the way back can be closed one day.
3. Rows that were written since the verification are compared. The record says that the data store moves. Objects: the
   source's bucket is fenced, the last pass made, what came since the verification compared, and the way back noted.
   Applications still write rows meanwhile.
4. Rows: provisioner.migration.postgres_cutover. Its last step leads the Services to the target: the
   outage is between its fence and that.
5. The record says where the data store is, the forward stream is taken away, the target's bucket is opened.

What fails before the target is open lifts all fences. Cut off anywhere, the same command looks at the target first: it
alone knows whether it is open. If it is, only 5 is left; if not, the fences are lifted and it begins again at 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from provisioner.errors import CoopctlError, ProblemsFound, VerificationFailed
from provisioner.migration.journal_entries import Phase, Run
from provisioner.migration.objects_copying import finish_versions, open_copying
from provisioner.migration.objects_report import ObjectsReport, summary
from provisioner.migration.objects_return import prepare_return, return_file
from provisioner.migration.objects_verification import Verifying
from provisioner.migration.postgres_cutover import cut_over, look_ahead
from provisioner.migration.postgres_following import read_lag
from provisioner.migration.postgres_sides import session
from provisioner.migration.postgres_target import claim_target
from provisioner.migration.steps import LastObjects, OpenTarget, RehearseVerification
from provisioner.operations.migrating import pass_objects
from provisioner.operations.migration_job import end_in_platform
from provisioner.operations.migration_moving import Moving, moved
from provisioner.operations.migration_run import Report, Told
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.upgrade_record import require_no_upgrade
from provisioner.plan.addresses import address_type

WIDEN, LEAD, SETTLE = "reach-target", "lead-services", "settle"
# Clocks of servers differ: what was written so long before a verification is looked at once more.
CLOCKS_DIFFER = timedelta(minutes=10)
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """What stands in the way of a cutover now, and what to do about it."""

    what: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class Switched:
    """The applications work at the target. ``outage_seconds`` is None where a kill has lost it; ``run`` has more."""

    migration: str
    outage_seconds: float | None
    back_until: datetime
    run: Run


def cutover(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Switched:
    """Switch, or go on with a switch that was cut off.

    Raises ProblemsFound while something stands in the way, and what `moved`, `cut_over` and servers raise; then the
    applications work on the source as before.
    """
    with moved(site, now=now, report=report) as moving:
        if not moving.switched():
            _require_nothing_in_the_way(moving)
            _switch(moving)
        _lead_away(moving)
        return _switched(moving)


def back_until(moving: Moving) -> datetime:
    """Until when the way back is kept."""
    return _opened_at(moving) + moving.site.migration.keep_source


def _switch(moving: Moving) -> None:
    run, tenancy = moving.run, moving.tenancy
    # No fence could close while its pods come back.
    end_in_platform(moving.site, say=lambda text: run.report(Told(text=text)))
    with run.step(Phase.CUTOVER, WIDEN):
        tenancy.widen(tenancy.away)
        moving.target_bucket.put()
        if not run.online:
            _claim(moving)
    pass_objects(run)
    try:
        # Before the source's bucket is closed: the first pass may take its time.
        look_ahead(moving.cutover)
        require_no_upgrade(tenancy.records, [str(tenancy.names.cooperative)])
        tenancy.note(moving.now(), moved=False, moving=True)
        _last_objects(moving)
        found = cut_over(replace(moving.cutover, opened=lambda: tenancy.lead(tenancy.away)))
        with run.step(Phase.CUTOVER, OpenTarget.NAME) as result:
            result["outageSeconds"] = round(found.outage_seconds, 3)
            result["timings"] = {one.step: round(one.seconds, 3) for one in found.timings}
    except BaseException:
        moving.let_in_again()
        raise


def _claim(moving: Moving) -> None:
    """Offline nothing was copied yet. Without a claim the target would look, after a kill, as if it were open."""
    with session(moving.site.target) as target:
        claim_target(target, uid=moving.site.tenant.uid)


def _last_objects(moving: Moving) -> None:
    """Fence the source's bucket and bring the target's to the same; the way back is noted."""
    run, site = moving.run, moving.site
    file = site.files.ledger
    # Of an attempt that failed: applications have written since.
    for left in file.parent.glob(f"{return_file(file).name}*"):
        left.unlink()
    with run.step(Phase.CUTOVER, LastObjects.NAME) as result:
        fence = moving.source_bucket.put()
        result["refusedAt"] = fence.refused_at.isoformat()
        with open_copying(file, source=site.source_bucket, target=site.target_bucket, report=run.report) as copying:
            last = copying.passes()[-1]
            if last.failures or last.changed:
                failed = last.failures[0].key if last.failures else last.changed[0]
                raise CoopctlError(f"the object {failed!r} cannot be copied", hint="mend that and try again")
            since = _verified_at(moving) - CLOCKS_DIFFER
            fresh = {one.source.key for one in copying.ledger.manifest() if one.source.modified >= since}
            found = _verify_objects(moving, only=fresh)
            result["objects"] = summary(found)
            prepare_return(
                return_file(file), ledger=copying.ledger, source=site.source_bucket, target=site.target_bucket
            )
        finish_versions(site.source_bucket, site.target_bucket)


def _verify_objects(moving: Moving, *, only: set[str]) -> ObjectsReport:
    site = moving.site
    found = Verifying(source=site.source_bucket, target=site.target_bucket, clock=moving.now).verify(only=only)
    if not found.passed:
        raise VerificationFailed(f"{len(found.differences)} objects differ", why=str(found.differences[0]))
    return found


def _lead_away(moving: Moving) -> None:
    """All of it may be done again."""
    run, tenancy = moving.run, moving.tenancy
    with run.step(Phase.CUTOVER, LEAD):
        tenancy.lead(tenancy.away)
        tenancy.note(moving.now(), moved=True)
    with run.step(Phase.CUTOVER, SETTLE):
        moving.end_forward()
        moving.target_bucket.lift()
        tenancy.narrow(tenancy.away)


def _switched(moving: Moving) -> Switched:
    current = moving.run.written.current
    if current is None:
        raise AssertionError("a run that was opened again is open")
    opened = current.step(Phase.CUTOVER, OpenTarget.NAME)
    outage = opened.result.get("outageSeconds") if opened else None
    return Switched(
        migration=moving.site.migration.name,
        outage_seconds=outage if isinstance(outage, float) else None,
        back_until=back_until(moving),
        run=current,
    )


def _require_nothing_in_the_way(moving: Moving) -> None:
    name = moving.site.migration.name
    found = [*_of_time(moving), *_of_rows(moving), *_of_names(moving), *_of_objects(moving)]
    if not found:
        return
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise ProblemsFound(
        f"{name} is not switched: {found[0].what}",
        why="; ".join(one.what for one in found[1:SHOWN]) + more or None,
        hint="; ".join(dict.fromkeys(one.remedy for one in found[:SHOWN])),
    )


def _of_time(moving: Moving) -> Iterator[Obstacle]:
    window, now = moving.site.migration.window, moving.now()
    if window is not None and not window.begins <= now <= window.ends:
        when = f"{window.begins.isoformat()} to {window.ends.isoformat()}"
        yield Obstacle(
            what=f"now is outside its window, {when}", remedy="wait for it, or agree on another and write it down"
        )


def _of_rows(moving: Moving) -> Iterator[Obstacle]:
    name, migration = moving.site.migration.name, moving.site.migration
    current = moving.run.written.current
    verified = current.step(Phase.VERIFY, RehearseVerification.NAME) if current else None
    if verified is None or verified.result.get("clean") is not True:
        how = "is not verified yet" if verified is None else "did not pass its last verification"
        yield Obstacle(what=f"it {how}", remedy=f"run `coopctl migrate verify {name}` until it passes")
    if not moving.run.online:
        return
    with session(moving.site.source) as source:
        lag = read_lag(source, moving.site.names.slot)
    if lag is None or lag.lost:
        yield Obstacle(what="the target follows no more", remedy=f"run `coopctl migrate abort {name}`, then start")
    elif lag.bytes > migration.max_lag_bytes:
        yield Obstacle(
            what=f"the target is {lag.bytes} bytes behind, more than maxLag, {migration.max_lag_bytes}",
            remedy=f"wait for it: `coopctl migrate status {name} --watch`",
        )


def _of_names(moving: Moving) -> Iterator[Obstacle]:
    """Applications go on by the names that they know."""
    site, tenancy = moving.site, moving.tenancy
    for what, known, found in (
        ("database", site.tenant.database, site.target.database),
        ("bucket", site.tenant.bucket, site.target_bucket.name),
        ("S3 scheme", str(site.platform.objects.pods_scheme), urlsplit(site.target_bucket.access.url).scheme),
        ("address of PostgreSQL", *(address_type(one.postgres.host) for one in (tenancy.home, tenancy.away))),
        ("address of S3", *(address_type(one.objects.host) for one in (tenancy.home, tenancy.away))),
    ):
        if known != found:
            yield Obstacle(
                what=f"the applications know the {what} {known}, and the target has {found}",
                remedy=f"give the target's {what} the same name or kind",
            )


def _of_objects(moving: Moving) -> Iterator[Obstacle]:
    site, bucket = moving.site, moving.target_bucket
    key = bucket.applications[0]
    try:
        accepted = bucket.lets_in()
    except CoopctlError as error:
        accepted, why = False, error.why or error.message
    else:
        why = "it is refused"
    if not accepted:
        yield Obstacle(
            what=f"the applications' access key may not write to {site.target_bucket}: {why}",
            remedy=f"make the identity {key.identity} on the target's S3 server, with the access key of the Secret"
            f" data-store in {site.tenant.apps_namespace} and all rights on the bucket's objects",
        )


def _verified_at(moving: Moving) -> datetime:
    current = moving.run.written.current
    found = current.step(Phase.VERIFY, RehearseVerification.NAME) if current else None
    if found is None:
        raise AssertionError("only what is verified is switched")
    return found.begun


def _opened_at(moving: Moving) -> datetime:
    current = moving.run.written.current
    found = current.step(Phase.CUTOVER, OpenTarget.NAME) if current else None
    if found is None or found.ended is None:
        raise AssertionError("the target is open")
    return found.ended
