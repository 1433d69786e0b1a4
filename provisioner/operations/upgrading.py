"""Upgrades solutions, and goes back by itself when that fails: the version before serves, with all its data.

1. Find that an apply is an upgrade (upgrade_plan.py). All else is made as ever.
2. If it changes tables: stop writes to the database, by the plan of the version before; end its sessions, copy it on
   its server, and dump the copy, verified. From here on the copy holds all that anybody wrote.
3. Let Pulumi make the new version: its migration runs, its pods start and read. Wait until they are ready.
4. Ready: the new state is the newest. Give writes back, drop the copy.
5. Failed: end the migration's Jobs and keep what they printed; compare the database with the copy, and put the copy
   back if anything differs. Only when the copy is gone make the version before again, give writes back, and tell: so
   nothing that is written from then on is ever compared with it.

A record beside the state says how far that came (upgrade_record.py). Cut off in 2, the next apply begins anew; in 3, it
goes on, or goes back if the migration has failed or something else is wanted by then; in 4 and 5 it goes on. Until then
writes stay stopped, so that the copy stays what there is to go back to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from provisioner.cluster.objects import open_cluster
from provisioner.engine.changes import Changes
from provisioner.engine.events import Message, Report, Severity
from provisioner.errors import (
    CoopctlError,
    DiskFull,
    Interrupted,
    StackLocked,
    Unreachable,
    UpgradeFailed,
    UsageError,
)
from provisioner.operations.applied_solutions import (
    going_back,
    newest_whole,
    note_begun,
    note_begun_is_whole,
    note_whole,
    state_of,
)
from provisioner.operations.making import await_solutions, declare, make, solution_namespaces, without_writes
from provisioner.operations.planning import remember
from provisioner.operations.site import Site, Target
from provisioner.operations.upgrade_plan import Upgrade, find_upgrade
from provisioner.operations.upgrade_record import Phase, UpgradeRecord, read_upgrade, write_upgrade
from provisioner.operations.upgrade_store import UpgradeStore
from provisioner.operations.workloads import end_jobs, require_no_failed_job
from provisioner.plan.resources import CooperativePlan

PRIVATE_FILE = 0o600
# They say nothing about the new version, and going back would meet them too: the next apply goes on.
_NOT_ITS_FAULT = (Interrupted, StackLocked, Unreachable, DiskFull)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be made: ``target``; how long solutions may take, and whether an upgrade may do without a dump.

    ``details`` is filled with what the audit trail keeps.
    """

    site: Site
    target: Target
    wait_seconds: float
    without_dump: bool
    environment: Mapping[str, str]
    details: dict[str, str]
    report: Report

    @property
    def store(self) -> UpgradeStore:
        """The cooperative's database."""
        return UpgradeStore(site=self.site, name=self.target.name, environment=self.environment, report=self.report)

    def say(self, text: str) -> None:
        """Tell whoever watches."""
        self.report(Message(stack=self.target.name, severity=Severity.INFO, text=text))

    def note(self, record: UpgradeRecord) -> UpgradeRecord:
        """Keep ``record``; gives it."""
        write_upgrade(self.site.records(), self.target.name, record)
        return record


def make_or_upgrade(work: Work) -> Changes:
    """Make the target, as an upgrade if it is one, and finish or take back one that was cut off; gives the changes.

    Raises UpgradeFailed when a version before is back; what `make` raises; before any change UsageError for an upgrade
    without a place for its dump, and DataStoreMoving while its database is being copied to another server.
    """
    found = read_upgrade(work.site.records(), work.target.name)
    if found is None:
        return _begun(work)
    work.say(f"an upgrade was cut off: {found.what} ({found.phase})")
    match found.phase:
        case Phase.PREPARING:
            _done(work, found)
        case Phase.READY:
            note_begun_is_whole(work.site, work.target.name)
            _done(work, found)
        case Phase.UPGRADING if found.after == _digest(work.target):
            return _carried_out(work, found, resumed=True)
        case Phase.UPGRADING:
            _gone_back(work, replace(found, reason="something else is wanted by now"))
        case _:
            return _after_returning(work, _gone_back(work, found))
    return _begun(work)


def _begun(work: Work) -> Changes:
    upgrade = find_upgrade(work.site, work.target)
    if upgrade is None or not (upgrade.migrates or work.wait_seconds):
        return make(work.site, work.target, wait_seconds=work.wait_seconds, report=work.report)
    protected = upgrade.migrates and _is_on_platform(work.target)
    _require_possible(work, upgrade, protected=protected)
    work.say(f"upgrades {upgrade}")
    work.details["upgrade"] = str(upgrade)
    record = UpgradeRecord(what=str(upgrade), after=upgrade.after, phase=Phase.PREPARING, protected=protected)
    if protected:
        record = _prepared(work, work.note(record), upgrade=upgrade)
    elif upgrade.migrates:
        work.say("its data store has moved away: neither copy nor dump of it is made, and writes are not stopped")
    return _carried_out(work, work.note(replace(record, phase=Phase.UPGRADING)))


def _require_possible(work: Work, upgrade: Upgrade, *, protected: bool) -> None:
    if upgrade.migrates and not work.wait_seconds:
        raise UsageError(
            f"{work.target.name} would be upgraded without waiting: {upgrade}",
            why="whether an upgrade has to be taken back is seen by its migration and its pods",
            hint="leave out --timeout 0",
        )
    if protected:
        work.store.require_still()
    if protected and not work.without_dump:
        work.store.require_dumps()


def _prepared(work: Work, record: UpgradeRecord, *, upgrade: Upgrade) -> UpgradeRecord:
    """Stop writes, copy, dump. If that fails nothing was changed: writes are given back."""
    before = going_back(work.site, work.target, state=upgrade.before)
    work.say("until the upgrade is done, nothing is written to the database")
    try:
        declare(work.site, without_writes(work.site, before), report=work.report)
        dump = work.store.protect(dump=not work.without_dump)
    except _NOT_ITS_FAULT:
        raise
    except CoopctlError:
        declare(work.site, before, report=work.report)
        _done(work, record)
        raise
    work.details.update({"dump": dump} if dump else {})
    return replace(record, dump=dump)


def _carried_out(work: Work, record: UpgradeRecord, *, resumed: bool = False) -> Changes:
    """Make the new version; what was ``resumed`` may have failed while nobody looked, and is not tried again."""
    site, target = work.site, work.target
    try:
        if resumed:
            require_no_failed_job(
                target.name, namespaces=solution_namespaces(target), reader=open_cluster(site.platform)
            )
        note_begun(site, target)
        made = without_writes(site, target) if record.protected else target
        changes = declare(site, made, report=work.report)
        await_solutions(site, target, seconds=work.wait_seconds, report=work.report)
    except _NOT_ITS_FAULT:
        raise
    except CoopctlError as error:
        reason = f"{error.message}: {error.why}" if error.why else error.message
        raise _gone_back(work, replace(record, reason=reason)) from error
    work.note(replace(record, phase=Phase.READY))
    note_begun_is_whole(site, target.name)
    if record.protected:
        declare(site, target, report=work.report)
    remember(site, target)
    _done(work, record)
    return changes


def _gone_back(work: Work, record: UpgradeRecord) -> UpgradeFailed:
    """Go back to the version before; gives the failure that tells of it."""
    site, name = work.site, work.target.name
    before = newest_whole(site, name)
    if before is None:
        raise CoopctlError(f"the record of what was applied to {name} before its upgrade is lost")
    record = work.note(replace(record, phase=Phase.RETURNING))
    work.say(f"going back to {before.versions}: {record.reason}")
    record = _with_database_back(work, _without_jobs(work, record))
    if record.protected:
        work.store.release()
    old = going_back(site, work.target, state=before)
    declare(site, old, report=work.report)
    _done(work, record)
    note_whole(site, old)
    work.details["went back"] = record.reason
    return _failure(work, record, serving=before.versions, doubt=_doubt(work, old))


def _without_jobs(work: Work, record: UpgradeRecord) -> UpgradeRecord:
    """End what still migrates, so that nothing changes the database any more; keep what it printed."""
    namespaces = solution_namespaces(work.target)
    cluster = open_cluster(work.site.platform)
    said = end_jobs(namespaces=namespaces, cluster=cluster, interruption=work.site.engine.interruption)
    if not said:
        return record
    file = work.site.folder(work.target.name) / f"migration-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.log"
    file.touch(mode=PRIVATE_FILE)
    file.write_text(said, encoding="utf-8")
    return work.note(replace(record, logs=str(file)))


def _with_database_back(work: Work, record: UpgradeRecord) -> UpgradeRecord:
    """Put the copy back if the database differs from it, and drop it; gives the record with what was found."""
    if not record.protected or record.settled:
        return record
    if not record.changed:
        # It is noted before anything is put back: afterwards there is nothing to compare with.
        record = work.note(_compared(work, record))
    if record.changed:
        work.store.put_back()
    return work.note(replace(record, settled=True))


def _compared(work: Work, record: UpgradeRecord) -> UpgradeRecord:
    if not work.store.has_copy():
        return replace(record, lost=True)
    return replace(record, changed=work.store.what_changed())


def _doubt(work: Work, old: Target) -> str:
    """Why the version before does not serve, empty if it does."""
    try:
        await_solutions(work.site, old, seconds=work.wait_seconds, report=work.report)
    except Interrupted:
        raise
    except CoopctlError as error:
        return f"{error.message}: {error.why}" if error.why else error.message
    remember(work.site, old)
    return ""


def _failure(work: Work, record: UpgradeRecord, *, serving: str, doubt: str) -> UpgradeFailed:
    name = work.target.name
    parts = [record.reason, _database(record), f"{serving} is not ready: {doubt}" if doubt else ""]
    places = [
        f"what the migration printed is in {record.logs}" if record.logs else "",
        f"the dump of before is {record.dump}" if record.dump else "",
        f"mend the new version or choose the one before, then `coopctl apply {name}`",
    ]
    data = "" if record.lost or not record.protected else ", with all its data"
    back = "is back, not ready yet" if doubt else f"serves again{data}"
    return UpgradeFailed(
        f"{name}: the upgrade {record.what} failed; {serving} {back}",
        why="; ".join(filter(None, parts)),
        hint="; ".join(filter(None, places)),
    )


def _database(record: UpgradeRecord) -> str:
    """What became of the database, in words."""
    if record.lost:
        return "the copy of the database was gone: what the migration changed in it stays"
    if not record.protected:
        return ""
    if record.changed:
        return f"the database was changed ({'; '.join(record.changed)}) and is again as it was before"
    return "the database is as it was before"


def _after_returning(work: Work, failure: UpgradeFailed) -> Changes:
    """What was cut off while it went back has failed all the same, unless what there is now is what is wanted."""
    before = newest_whole(work.site, work.target.name)
    if before is None or before.digest != _digest(work.target):
        raise failure
    return _begun(work)


def _done(work: Work, record: UpgradeRecord) -> None:
    if record.protected:
        work.store.release()
    work.note(replace(record, phase=Phase.DONE))


def _digest(target: Target) -> str:
    return state_of(target.plan).digest if isinstance(target.plan, CooperativePlan) else ""


def _is_on_platform(target: Target) -> bool:
    return isinstance(target.plan, CooperativePlan) and target.plan.moved_to is None
