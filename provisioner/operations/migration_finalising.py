"""The end of a migration: the way back is given up, and what the platform still holds is dumped for the last time.

1. The platform must name a place and a recipient for dumps: refused otherwise, before anything is given up.
2. The streams back and their logins go, on both servers. From here on there is no rollback.
3. The record says so: every plan keeps the source fenced and leads to the target, and the next apply gives the
   applications credentials that nobody knows who moved the data store.
4. The source, as the last stream left it, is dumped, verified and encrypted (provisioner.datastore.final_dump).

Cut off anywhere, the same command goes on. The source itself stays until it is erased (migration_erasing.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from provisioner.datastore.dump_postgres import DumpWork
from provisioner.datastore.records import open_records
from provisioner.datastore.stopping import NeverStopped
from provisioner.errors import ProblemsFound
from provisioner.migration.journal_entries import Phase, Run, RunEnding
from provisioner.migration.postgres_rollback import finalise as end_way_back
from provisioner.migration.target_credentials import TargetCredentials
from provisioner.operations.dumping import Dumping, require_dumps, take_final_dump
from provisioner.operations.migration_moving import Moving, moved
from provisioner.operations.migration_returning import END_WAY_BACK, stay_at_target
from provisioner.operations.migration_run import Report, Told
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.own_estate.way import SolutionsWay, solutions_way

DUMP = "final-dump"


@dataclass(frozen=True, kw_only=True)
class Finalised:
    """The migration is done; ``dump`` is where the final dump is, to be kept until ``keep_until``.

    Who moved the data store has known its credentials. ``renewed`` names those that the next apply of the
    ``cooperative`` changes, ``rotate`` those that only the cooperative can change, on its own servers.
    ``solutions`` are to follow to a cluster of its own, if the document names one.
    """

    migration: str
    cooperative: str
    dump: str
    keep_until: datetime
    renewed: tuple[str, ...]
    rotate: tuple[str, ...]
    run: Run
    solutions: SolutionsWay | None = None


def dumping_of(site: MigrationSite) -> Dumping:
    """What the source is dumped with; the caller holds the lease of the cooperative's stack."""
    state = site.platform.state
    return Dumping(
        platform=site.platform,
        estate=site.estate.root,
        records=open_records(state.url, credentials_file=state.credentials_file),
        work=DumpWork(folder=site.files.dump_work, environment=site.environment, stopping=NeverStopped()),
    )


def finalise(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Finalised:
    """End the migration, or go on with that.

    Raises UsageError without a place for dumps, ProblemsFound unless it is switched for good, and what `moved`,
    `final_dump` and servers raise.
    """
    require_dumps(site.platform)
    with moved(site, now=now, report=report) as moving:
        _require_switched(moving)
        with moving.run.step(Phase.FINALISE, END_WAY_BACK):
            end_way_back(moving.cutover)
            moving.tenancy.note(now(), moved=True, final=True)
        renewed, rotate = _credentials(moving)
        dump = _dumped(moving)
        written, keep_until = moving.run.written, now() + site.migration.keep_dump
        written.end(RunEnding.FINALISED, {"dump": dump, "keepDumpUntil": keep_until.isoformat()})
        return Finalised(
            migration=site.migration.name,
            cooperative=str(site.tenant.cooperative),
            dump=dump,
            keep_until=keep_until,
            renewed=renewed,
            rotate=rotate,
            run=written.runs[-1],
            solutions=solutions_way(site.migration, written.runs),
        )


def _require_switched(moving: Moving) -> None:
    name = moving.site.migration.name
    if not moving.switched():
        raise ProblemsFound(f"{name} is not switched", hint=f"run `coopctl migrate cutover {name}` first")
    stay_at_target(moving)


def _dumped(moving: Moving) -> str:
    site, say = moving.site, partial(_tell, moving.run.report)
    with moving.run.step(Phase.FINALISE, DUMP) as result:
        made = take_final_dump(dumping_of(site), str(site.tenant.cooperative), now=moving.now(), say=say)
        result["location"] = made.location
        result["files"] = [{"name": one.name, "sha256": one.sha256, "bytes": one.size_bytes} for one in made.files]
    return made.location


def _tell(report: Report, text: str) -> None:
    report(Told(text=text))


def _credentials(moving: Moving) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the next apply changes at the target, and what only the cooperative can change there."""
    site, fence = moving.site, moving.fence
    own = (f"the password of {site.target.user} at {site.target}", f"the access key for {site.target_bucket}")
    logins = fence.logins if fence is not None else ()
    passwords = tuple(f"the password of {role} at {site.target}" for role in logins)
    key = f"the access key of {site.tenant.objects_identity} at {site.target_bucket}"
    target = TargetCredentials(site.migration.target, environment=site.environment)
    if target.may_replace_key(site.tenant.objects_identity):
        return (*passwords, key), own
    return passwords, (*own, key)
