"""Starts a migration and brings it to where both sides hold the same, while people work.

1. Tables are published; the source's schema is noted.
2. The slot is made, and everything copied inside its snapshot. Cut off, it begins again with a new slot and a target
   that only the unfinished copy has filled; the old slot goes first, so that it keeps no WAL.
3. The target subscribes. Whether it has, its own server says: the password is made for that and kept nowhere here.
4. Objects are copied in passes, by a ledger that knows what is there already.

The same command goes on after a kill, and run once more it does what has come since. Where the mode is offline, tables
are left for behind the fence.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from provisioner.datastore.credentials import Secret, generate_password
from provisioner.datastore.postgres_connection import Connection
from provisioner.errors import CoopctlError, SnapshotLost, Unreachable
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import Phase, RunKind
from provisioner.migration.objects_copying import PassReport, open_copying
from provisioner.migration.postgres_catalogue import read_catalogue, require_unchanged
from provisioner.migration.postgres_copying import copy_database
from provisioner.migration.postgres_cutover import forward_stream
from provisioner.migration.postgres_following import (
    Lag,
    drain,
    drop_slot_patiently,
    is_subscribed,
    make_login,
    publish,
    read_lag,
    subscribe,
)
from provisioner.migration.postgres_job_login import forget_own_password
from provisioner.migration.postgres_sides import session
from provisioner.migration.postgres_snapshot import slot_snapshot
from provisioner.migration.redaction import Json
from provisioner.migration.steps import CopyObjects, CopyTables, FollowSource, PublishTables
from provisioner.migration.surveyed import read_kept_catalogue, write_catalogue
from provisioner.operations.migration_fences import require_before_cutover
from provisioner.operations.migration_run import OpenRun, Report, Told, opened
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.preflighting import reaching_target

COPY_ATTEMPTS = 3
CATCH_UP_SECONDS = 3600.0


@dataclass(frozen=True, kw_only=True)
class Followed:
    """How the two sides stand: ``lag`` is None offline; ``objects`` is the last pass."""

    fingerprint: str
    lag: Lag | None
    objects: PassReport


def start(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Followed:
    """Begin the migration or go on with it, until the target holds what the source holds.

    Raises what `opened` raises, SchemaChanged, TimedOut if the target does not follow, and what servers raise.
    """
    with opened(site, kind=RunKind.MIGRATION, now=now, report=report) as run:
        require_before_cutover(run)
        followed = bring_up(run)
        if run.online:
            leave_pod(site)
        return followed


def leave_pod(site: MigrationSite) -> None:
    """In a pod that has done its work: nobody is let in with its login any more. Elsewhere nothing is done.

    A source that is silent just now makes no failure of what is done: the login has its limit.
    """
    if site.inside:
        with suppress(Unreachable), session(site.source) as source:
            forget_own_password(source)


def bring_up(run: OpenRun) -> Followed:
    """Everything before the outage. Idempotent."""
    with reaching_target():
        lag = _postgres(run) if run.online else None
        return Followed(fingerprint=run.plan.fingerprint, lag=lag, objects=pass_objects(run))


def prepare_for_job(run: OpenRun) -> Secret | None:
    """What only the administrator may do on the source, before a Job copies with a login that can but read.

    Gives the password of the login by which the target is to follow; None if it follows already. Idempotent.
    """
    site, stream = run.site, forward_stream(run.site.names)
    if not run.is_done(Phase.COPY, CopyTables.NAME):
        _publish_once(run)
        run.written.require_own()
        with session(site.source) as source:
            # One that a superuser's copy has left could not be ended by the Job.
            drop_slot_patiently(source, stream.slot)
    with reaching_target(), session(site.source) as source, session(site.target) as target:
        if is_subscribed(target, stream):
            return None
        password = generate_password()
        make_login(source, stream.login, password=password)
        return password


def pass_objects(run: OpenRun) -> PassReport:
    """Passes over the bucket until one finds nothing; raises CoopctlError for keys that cannot be copied."""
    with run.step(Phase.COPY, CopyObjects.NAME) as result:
        return copy_objects(run.site, result, written=run.written, report=run.report)


def copy_objects(site: MigrationSite, result: dict[str, Json], *, written: Journal, report: Report) -> PassReport:
    """The same, within a step of the journal that is ``written``; it fills the step's ``result``."""
    with open_copying(
        site.files.ledger,
        source=site.source_bucket,
        target=site.target_bucket,
        report=report,
        stopping=written.stopping,
    ) as copying:
        reports = copying.passes()
        last = reports[-1]
        result["listed"] = last.listed
        result["copied"] = sum(one.copied for one in reports)
        result["copiedBytes"] = sum(one.copied_bytes for one in reports)
        if last.failures:
            failed = last.failures[0]
            raise CoopctlError(
                f"{len(last.failures)} objects cannot be copied, {failed.key!r} for one",
                why=failed.why,
                hint="mend that, then run the same command again",
            )
        return last


def catch_up(run: OpenRun) -> None:
    """Wait until the target has applied all that the source has committed by now. Raises TimedOut."""
    with session(run.site.source) as source, session(run.site.target) as target:
        drain(source, target, slot=run.site.names.slot, timeout_seconds=CATCH_UP_SECONDS)


def _postgres(run: OpenRun) -> Lag:
    if not run.is_done(Phase.COPY, CopyTables.NAME):
        _publish_once(run)
        _copy(run)
    _follow(run)
    with session(run.site.source) as source:
        require_unchanged(source, before=read_kept_catalogue(run.site.files.catalogue), names=run.site.names)
        return _require_slot(run, read_lag(source, run.site.names.slot))


def _publish_once(run: OpenRun) -> None:
    if run.is_done(Phase.PREPARE, PublishTables.NAME):
        return
    names = run.site.names
    with run.step(Phase.PREPARE, PublishTables.NAME) as result, session(run.site.source) as source:
        publish(source, forward_stream(names), run.judged.postgres.routes, password=generate_password())
        catalogue = read_catalogue(source, names=names)
        write_catalogue(run.site.files.catalogue, catalogue)
        result["catalogue"] = catalogue.fingerprint


def _copy(run: OpenRun) -> None:
    """Copy in one snapshot; one that is lost is replaced, a few times."""
    with run.step(Phase.COPY, CopyTables.NAME) as result:
        for attempt in range(1, COPY_ATTEMPTS + 1):
            try:
                _copy_once(run)
            except SnapshotLost as error:
                if attempt == COPY_ATTEMPTS:
                    raise
                run.report(Told(text=f"{error.message}: the copy begins again"))
            else:
                result["attempts"] = attempt
                return


def _copy_once(run: OpenRun) -> None:
    site, slot = run.site, run.site.names.slot
    # A slot that was lost may be lost to who has taken over: his must not be dropped.
    run.written.require_own()
    with session(site.source) as source:
        drop_slot_patiently(source, slot)
        require_unchanged(source, before=read_kept_catalogue(site.files.catalogue), names=site.names)
    try:
        with slot_snapshot(site.source, slot=slot) as snapshot, run.copy_work() as work:
            copy_database(work, snapshot)
    except BaseException:
        # Nobody will ever read from it: left there, it would keep WAL on the platform's disk for nothing.
        with suppress(CoopctlError):
            run.written.require_own()
            with session(site.source) as source:
                drop_slot_patiently(source, slot)
        raise


def _follow(run: OpenRun) -> None:
    site, stream = run.site, forward_stream(run.site.names)
    with run.step(Phase.FOLLOW, FollowSource.NAME) as result:
        with session(site.source) as source, session(site.target) as target:
            _require_slot(run, read_lag(source, stream.slot))
            if not is_subscribed(target, stream):
                subscribe(target, stream, site.publisher(_follower_password(run, source)))
        catch_up(run)
        result["subscription"] = stream.subscription


def _follower_password(run: OpenRun, source: Connection) -> Secret:
    """In a pod it is given, with the login; elsewhere both are made."""
    if (given := run.site.follow_password) is not None:
        return given
    password = generate_password()
    make_login(source, run.site.names.login, password=password)
    return password


def _require_slot(run: OpenRun, lag: Lag | None) -> Lag:
    """Raises CoopctlError if the source no longer has what the target has not applied yet."""
    if lag is not None and not lag.lost:
        return lag
    name = run.site.migration.name
    raise CoopctlError(
        f"the slot {run.site.names.slot} on the source is {'gone' if lag is None else 'past its limit'}",
        why="WAL that the target has not applied yet was removed (max_slot_wal_keep_size), so only a new copy helps",
        hint=f"run `coopctl migrate abort {name}`, then `coopctl migrate start {name}`",
    )
