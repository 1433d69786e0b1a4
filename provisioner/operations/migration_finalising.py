"""The end of a migration: the way back is given up, and what the platform still holds is dumped for the last time.

1. The platform must name a place and a recipient for dumps: refused otherwise, before anything is given up.
2. The streams back and their logins go, on both servers. From here on there is no rollback.
3. The record says so: every plan keeps the source fenced and leads to the target.
4. The source, as the last stream left it, is dumped, verified and encrypted (provisioner.datastore.final_dump).

Cut off anywhere, the same command goes on. The source itself stays until `coopctl destroy NAME --delete-data`, or until
the cooperative's platform erases it otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from provisioner.datastore.dump_places import open_dump_place
from provisioner.datastore.dump_postgres import DumpWork
from provisioner.datastore.final_dump import final_dump
from provisioner.datastore.stopping import NeverStopped
from provisioner.descriptor.platform import Dumps
from provisioner.errors import ProblemsFound, UsageError
from provisioner.migration.journal_entries import Phase, Run, RunEnding
from provisioner.migration.postgres_rollback import finalise as end_way_back
from provisioner.operations.dumping import data_store_of
from provisioner.operations.migration_moving import Moving, moved
from provisioner.operations.migration_returning import END_WAY_BACK, stay_at_target
from provisioner.operations.migration_run import Report
from provisioner.operations.migration_site import MigrationSite

DUMP = "final-dump"


@dataclass(frozen=True, kw_only=True)
class Finalised:
    """The migration is done; ``dump`` is where the final dump is, to be kept until ``keep_until``.

    ``rotate`` names what the cooperative changes by itself from now on: who moved the data store has known it.
    """

    migration: str
    dump: str
    keep_until: datetime
    rotate: tuple[str, ...]
    run: Run


def require_dumps(site: MigrationSite) -> Dumps:
    """Where final dumps go. Raises UsageError if the platform does not say."""
    if site.platform.dumps is None:
        raise UsageError(
            "a migration ends with a final dump of the source, and the platform names no place for it",
            hint=f"set spec.dumps (location: a folder or s3://BUCKET/PREFIX, recipient) in {site.platform.source}",
        )
    return site.platform.dumps


def finalise(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Finalised:
    """End the migration, or go on with that.

    Raises UsageError without a place for dumps, ProblemsFound unless it is switched for good, and what `moved`,
    `final_dump` and servers raise.
    """
    dumps = require_dumps(site)
    with moved(site, now=now, report=report) as moving:
        _require_switched(moving)
        with moving.run.step(Phase.FINALISE, END_WAY_BACK):
            end_way_back(moving.cutover)
            moving.tenancy.note(now(), moved=True, final=True)
        dump = _dumped(moving, dumps)
        written, keep_until, rotate = moving.run.written, now() + site.migration.keep_dump, _to_rotate(moving)
        written.end(RunEnding.FINALISED, {"dump": dump, "keepDumpUntil": keep_until.isoformat()})
        return Finalised(
            migration=site.migration.name,
            dump=dump,
            keep_until=keep_until,
            rotate=rotate,
            run=written.runs[-1],
        )


def _require_switched(moving: Moving) -> None:
    name = moving.site.migration.name
    if not moving.switched():
        raise ProblemsFound(f"{name} is not switched", hint=f"run `coopctl migrate cutover {name}` first")
    stay_at_target(moving)


def _dumped(moving: Moving, dumps: Dumps) -> str:
    site = moving.site
    with moving.run.step(Phase.FINALISE, DUMP) as result:
        made = final_dump(
            data_store_of(site.platform, str(site.tenant.cooperative)),
            place=open_dump_place(
                dumps, estate=site.estate.root, objects=site.platform.objects, environment=site.environment
            ),
            recipient=dumps.recipient,
            now=moving.now(),
            work=DumpWork(folder=site.files.dump_work, environment=site.environment, stopping=NeverStopped()),
        )
        result["location"] = made.location
        result["files"] = [{"name": one.name, "sha256": one.sha256, "bytes": one.size_bytes} for one in made.files]
    return made.location


def _to_rotate(moving: Moving) -> tuple[str, ...]:
    site = moving.site
    fence = moving.fence
    roles = fence.logins if fence is not None else ()
    return (
        f"the password of {site.target.user} at {site.target}",
        f"the access key for {site.target_bucket}",
        *(f"the password of {role} at {site.target}" for role in roles),
        f"the access key of {site.tenant.objects_identity} at {site.target_bucket}",
    )
