"""The way back: `rollback` at any time until `finalise`, and `relay`, which brings back what was written since.

Before the switch: fences are lifted, and everything of the migration is taken away, as `abort` does.

After it:
1. What was written on the target since is brought back and compared while people work, so that little is left for the
   outage: a slot on the target remembers what they write from then on.
2. The record says that the data store moves; pods may reach the platform's servers again. Objects: the target's bucket
   is fenced, the last pass back made, everything compared.
3. Rows: the target is fenced, drained, compared with the source. That is recorded: from then on there is one way only.
4. The way back is given up, the source opened as its fence had closed it, the Services lead home.

What fails before 3 is recorded lifts the target's fences: the applications go on there. Cut off anywhere, the same
command does likewise and begins again, or goes on at 4.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from provisioner.errors import CoopctlError, ProblemsFound, VerificationFailed, WayBackEnded
from provisioner.migration.journal_entries import Phase, Run, RunEnding
from provisioner.migration.objects_copying import PassReport, open_copying
from provisioner.migration.objects_report import summary
from provisioner.migration.objects_return import return_file
from provisioner.migration.objects_verification import Verifying
from provisioner.migration.postgres_fence import Fence, lift_fence
from provisioner.migration.postgres_following import read_lag
from provisioner.migration.postgres_relay import Relayed, make_relay_role, relay_all
from provisioner.migration.postgres_rollback import complete_return, look_back, prove_return
from provisioner.migration.postgres_sides import session
from provisioner.migration.redaction import Json
from provisioner.operations.migration_cutting import back_until
from provisioner.operations.migration_ending import undo
from provisioner.operations.migration_fences import (
    SOURCE_FENCE,
    TARGET_FENCE,
    record_fence,
    record_lifted,
    recorded_fence,
)
from provisioner.operations.migration_moving import Moving, moved
from provisioner.operations.migration_run import Report
from provisioner.operations.migration_site import MigrationSite

RELAY, OBJECTS_BACK, LOOK_BACK, PROVEN, OPEN_SOURCE, LEAD_HOME, SETTLE = (
    "relay",
    "objects-back",
    "look-back",
    "verify-return",
    "open-source",
    "lead-services-home",
    "settle",
)
# A step of `finalise`: there is no way back from there on.
END_WAY_BACK = "end-way-back"


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """The applications work on the source; ``returned``: they had worked on the target. ``cleaned``: it is empty."""

    migration: str
    returned: bool
    cleaned: bool
    outage_seconds: float | None
    run: Run


@dataclass(frozen=True, kw_only=True)
class BroughtBack:
    """What was brought back from the target: transactions and changes of rows, and objects.

    Before it the target's server kept ``behind_bytes`` of WAL for the way back (None: no stream goes back).
    """

    migration: str
    behind_bytes: int | None
    rows: Relayed
    objects: PassReport


def roll_back(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> RolledBack:
    """Bring the data store home, or go on with that.

    Raises ProblemsFound past the end of `keepSource`, VerificationFailed, TimedOut, and what `moved` and servers raise;
    then the applications go on where they were.
    """
    with moved(site, now=now, report=report) as moving:
        if moving.switched():
            return _returned(moving)
        moving.tenancy.narrow(moving.tenancy.home)
        cleaned = undo(moving.run)
        return _ended(moving, returned=False, cleaned=cleaned, outage=None)


def relay(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> BroughtBack:
    """Bring back what was written on the target so far, so that its server need not keep it any longer.

    Raises what `require_way_back`, `moved` and servers raise, and ProblemsFound if the way back is lost.
    """
    with moved(site, now=now, report=report) as moving:
        require_way_back(moving)
        behind = _behind(moving)
        rows, objects = bring_rows_back(moving), bring_objects_back(moving)
        return BroughtBack(migration=site.migration.name, behind_bytes=behind, rows=rows, objects=objects)


def require_way_back(moving: Moving) -> None:
    """The applications work at the target, and can come back.

    Raises ProblemsFound before the switch, WayBackEnded once they are on their way home, and once `finalise` has begun
    to give the way back up.
    """
    if not moving.switched():
        raise ProblemsFound(f"{moving.site.migration.name} is not switched: there is nothing to bring back")
    _require_not_given_up(moving)
    stay_at_target(moving)


def _behind(moving: Moving) -> int | None:
    """How many bytes of WAL the target's server keeps for the way back; None where everything is copied back.

    Raises ProblemsFound if it has thrown them away.
    """
    if not moving.run.online:
        return None
    with session(moving.site.target) as target:
        lag = read_lag(target, moving.site.names.reverse_slot)
    if lag is None or lag.lost:
        name = moving.site.migration.name
        raise ProblemsFound(
            f"the way back of {name} is lost: the target's server keeps no more what was written since the switch",
            why="its slot is gone" if lag is None else "it was past max_slot_wal_keep_size",
            hint=f"`coopctl migrate finalise {name}` ends it there; only another migration brings it home",
        )
    return lag.bytes


def _require_not_given_up(moving: Moving) -> None:
    name = moving.site.migration.name
    if moving.run.is_done(Phase.FINALISE, END_WAY_BACK):
        raise WayBackEnded(
            f"the way back of {name} was given up", hint=f"`coopctl migrate finalise {name}` goes on, to its end"
        )


def stay_at_target(moving: Moving) -> None:
    """Let the applications work on at the target, if a rollback was cut off before it was proven.

    Raises WayBackEnded if it was: the applications are on their way home.
    """
    name = moving.site.migration.name
    if moving.run.is_done(Phase.ROLLBACK, PROVEN):
        raise WayBackEnded(f"{name} is on its way back", hint=f"`coopctl migrate rollback {name}` goes on, to its end")
    _open_target_again(moving)
    if moving.tenancy.is_moving():
        moving.tenancy.note(moving.now(), moved=True)


def _returned(moving: Moving) -> RolledBack:
    outage = None
    if not moving.run.is_done(Phase.ROLLBACK, PROVEN):
        _require_not_given_up(moving)
        _require_in_time(moving)
        _open_target_again(moving)
        bring_rows_back(moving)
        bring_objects_back(moving)
        with moving.run.step(Phase.ROLLBACK, LOOK_BACK) as result:
            rehearsed = look_back(moving.cutover)
            result["compared"] = rehearsed
        outage = _proven(moving, rehearsed=rehearsed)
    begun = time.monotonic()
    fence = recorded_fence(moving.run.written.current, SOURCE_FENCE)
    _open_source(moving, fence=fence)
    seconds = outage + time.monotonic() - begun if outage is not None else None
    return _ended(moving, returned=True, cleaned=False, outage=seconds)


def _require_in_time(moving: Moving) -> None:
    until, name = back_until(moving), moving.site.migration.name
    if moving.now() > until:
        raise ProblemsFound(
            f"{name} cannot be rolled back: the way back was kept until {until:%Y-%m-%d %H:%M} UTC",
            why="keepSource says for how long from the switch on",
            hint=f"move the data store by a migration of its own, or run `coopctl migrate finalise {name}`",
        )


def _open_target_again(moving: Moving) -> None:
    """After a rollback that was cut off before it was proven: the applications go on at the target."""
    closed = recorded_fence(moving.run.written.current, TARGET_FENCE)
    if closed is not None:
        with session(moving.site.target) as target:
            lift_fence(target, closed)
        record_lifted(moving.run, TARGET_FENCE)
    moving.target_bucket.lift()


def bring_rows_back(moving: Moving) -> Relayed:
    """Rows that were written at the target so far. The relay's role gets a new password: none is kept."""
    work = moving.cutover
    with moving.run.step(Phase.ROLLBACK, RELAY) as result:
        if not moving.run.online:
            return Relayed(transactions=0, changes=0, until=0)
        moving.end_forward()
        with session(work.copy.source) as source:
            make_relay_role(source, names=work.names, tables=work.streamed, password=work.reverse_password)
        found = relay_all(work.relay)
        result["transactions"], result["changes"] = found.transactions, found.changes
    return found


def bring_objects_back(moving: Moving) -> PassReport:
    """Objects that were written at the target so far. Raises CoopctlError for one that cannot be copied."""
    site, run = moving.site, moving.run
    file = return_file(site.files.ledger)
    with (
        run.step(Phase.ROLLBACK, OBJECTS_BACK) as result,
        open_copying(file, source=site.target_bucket, target=site.source_bucket, report=run.report) as copying,
    ):
        reports = copying.passes()
        last = reports[-1]
        result["copied"], result["removed"] = (sum(one.copied for one in reports), sum(one.removed for one in reports))
        if last.failures:
            failed = last.failures[0]
            raise CoopctlError(f"the object {failed.key!r} cannot be brought back", why=failed.why)
    return last


def _proven(moving: Moving, *, rehearsed: bool) -> float:
    """Behind fences of both parts everything is home; gives the seconds since the rows' fence."""
    run, tenancy = moving.run, moving.tenancy
    tenancy.widen(tenancy.home)
    begun, timings = [time.monotonic()], dict[str, Json]()

    def record(fence: Fence) -> None:
        record_fence(run, TARGET_FENCE, fence)
        begun[0] = time.monotonic()

    def lap(step: str) -> None:
        timings[step] = round(time.monotonic() - begun[0], 3)

    try:
        tenancy.note(moving.now(), moved=True, moving=True)
        moving.target_bucket.put()
        bring_objects_back(moving)
        objects = _compared(moving)
        with run.step(Phase.ROLLBACK, PROVEN) as result:
            found = prove_return(
                moving.cutover, reverse_clients=moving.back, record=record, rehearsed=rehearsed, lap=lap
            )
            result["objects"], result["postgres"], result["timings"] = objects, found.summary(), timings
    except BaseException:
        with suppress(CoopctlError):
            stay_at_target(moving)
        raise
    return time.monotonic() - begun[0]


def _compared(moving: Moving) -> dict[str, Json]:
    site = moving.site
    found = Verifying(source=site.target_bucket, target=site.source_bucket, clock=moving.now).verify()
    if not found.passed:
        raise VerificationFailed(f"{len(found.differences)} objects differ", why=str(found.differences[0]))
    return summary(found)


def _open_source(moving: Moving, *, fence: Fence | None) -> None:
    """All of it may be done again."""
    run, tenancy = moving.run, moving.tenancy
    if fence is None:
        raise AssertionError("what was switched was fenced")
    with run.step(Phase.ROLLBACK, OPEN_SOURCE):
        complete_return(moving.cutover, fence=fence)
    with run.step(Phase.ROLLBACK, LEAD_HOME):
        tenancy.lead(tenancy.home)
        tenancy.note(moving.now(), moved=False)
    with run.step(Phase.ROLLBACK, SETTLE):
        moving.source_bucket.lift()
        tenancy.narrow(tenancy.home)


def _ended(moving: Moving, *, returned: bool, cleaned: bool, outage: float | None) -> RolledBack:
    written = moving.run.written
    rounded = None if outage is None else round(outage, 3)
    written.end(RunEnding.ROLLED_BACK, {"returned": returned, "cleaned": cleaned, "outageSeconds": rounded})
    return RolledBack(
        migration=moving.site.migration.name,
        returned=returned,
        cleaned=cleaned,
        outage_seconds=rounded,
        run=written.runs[-1],
    )
