"""Takes a cooperative away. Its data are kept, marked, unless told otherwise, and then only after a verified dump.

1. Refuse what cannot be done: no such stack; data to be deleted without a place and a recipient for the dump.
2. With --delete-data: write the final dump, encrypted to the Platform's recipient, verify and record it (dumping.py).
3. Let Pulumi delete the resources; our provider keeps database and bucket unless it is given the name of a dump, and
   then deletes only what still bears that name. Disabled roles whose database is gone go last.

Cut off in 2, the dump is written anew; cut off in 3, the same command goes on with the dump that was recorded; cut off
when the stack was already gone, the same command finds nothing left and is done. No other stack is touched.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.datastore.store_places import require_settled
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.engine.fingerprint import RECORD_FILE
from provisioner.engine.lease import LEASE_FILE
from provisioner.errors import NotFound, UsageError
from provisioner.naming import PLATFORM_STACK, CooperativeName, cooperative_uid
from provisioner.operations.applied_solutions import forget
from provisioner.operations.dumping import (
    KnownDump,
    ensure_final_dump,
    known_dump,
    require_dumps,
    settle,
    what_is_left,
)
from provisioner.operations.history import Action
from provisioner.operations.reaching import require_reachable
from provisioner.operations.recording import recorded
from provisioner.operations.room import require_room
from provisioner.operations.site import Site
from provisioner.operations.upgrade_record import require_no_upgrade


@dataclass(frozen=True, kw_only=True)
class Destroyed:
    """What was taken away, and where the final dump is if data were deleted."""

    changes: Changes
    dump: str | None


def require_destroyable(site: Site, name: str, *, delete_data: bool) -> None:
    """Refuse what cannot be done, before anybody is asked. Raises NotFound or UsageError.

    What is gone is not refused, so that a command which was cut off at its very end can be run again; data that an
    earlier destroy kept are not deleted that way.
    """
    if name == PLATFORM_STACK:
        raise UsageError("the platform's own stack is not destroyed: every cooperative builds on it")
    if is_gone(site, name) and (not delete_data or known_dump(site, name)):
        return
    if site.engine.checkpoint(name) is None:
        raise _nothing_to_destroy(site, name)
    if delete_data:
        require_dumps(site.platform)


def is_gone(site: Site, name: str) -> bool:
    """Whether nothing is left of a cooperative of this estate: one with a descriptor, or once worked on from here."""
    known = name in site.described or (site.folder(name) / LEASE_FILE).is_file()
    return known and site.engine.checkpoint(name) is None


def destroy(site: Site, name: str, *, delete_data: bool, environment: Mapping[str, str], report: Report) -> Destroyed:
    """Take the cooperative ``name`` away; no changes if it was gone.

    Raises what `require_destroyable` and `ensure_final_dump` raise, DataStoreMoving, UpgradeUnfinished, PartlyFailed,
    StackLocked.
    """
    require_destroyable(site, name, delete_data=delete_data)
    require_settled(site.records(), [name])
    require_no_upgrade(site.records(), [name])
    gone = is_gone(site, name)
    require_room(site)
    require_reachable(site.platform, data_store=True)
    with recorded(site, name, action=Action.DESTROY) as outcome:
        outcome.details["data"] = "deleted" if delete_data else "kept"
        dump = _dump(site, name, gone=gone, environment=environment, report=report) if delete_data else None
        outcome.details |= {"dump": dump.location} if dump else {}
        program = site.programs.leaving(name, platform=site.platform, final_dump=dump.name if dump else "")
        nothing = Changes(stack=name, resources=(), same=0)
        outcome.changes = nothing if gone else site.engine.destroy(name, program, report=report)
        _drop_retained_roles(site, name, environment=environment)
    (site.folder(name) / RECORD_FILE).unlink(missing_ok=True)
    settle(site, name)
    forget(site, name)
    return Destroyed(changes=outcome.changes, dump=dump.location if dump else None)


def _drop_retained_roles(site: Site, name: str, *, environment: Mapping[str, str]) -> None:
    """Drop roles that were disabled for the sake of a database which is gone by now: they go with it, unless a kill
    falls in between."""
    cluster = site.platform.cluster.id
    mark = Mark(cluster=cluster, cooperative=cooperative_uid(CooperativeName(name), cluster=cluster))
    admin = PostgresServerAdmin(postgres_access(site.platform.postgres), environment=environment)
    admin.drop_retained_roles(mark=mark)


def _dump(site: Site, name: str, *, gone: bool, environment: Mapping[str, str], report: Report) -> KnownDump | None:
    """The dump after which data may be deleted; of what is gone, the one that was made. NotFound: its data are kept."""
    if not gone:
        return ensure_final_dump(site, name, environment=environment, report=report)
    left = what_is_left(site, name, environment=environment)
    if left.database or left.bucket:
        raise _nothing_to_destroy(site, name)
    return known_dump(site, name)


def _nothing_to_destroy(site: Site, name: str) -> NotFound:
    return NotFound(
        f"{name} is not applied: there is nothing to destroy",
        hint=f"its data may have been kept by an earlier destroy; `coopctl apply {name}` takes them up again"
        if name in site.described
        else None,
    )
