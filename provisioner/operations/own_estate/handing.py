"""Writes the estate of a cooperative whose data store has moved for good, and hands the data store over to it.

1. Refused unless the migration names a cluster and is finalised, and the credentials that it knew are changed; nothing
   is begun while that cluster is not ready, or the folder holds something.
2. The folder is written, and looked at as `coopctl validate` and `plan` would: what is wrong there ends it here.
3. Database, roles and members' schemas at the target get the mark of the estate's own cluster, in one transaction; then
   the identity and the bucket. From now on its apply adopts them, and an apply of anybody else refuses.
4. The record beside the state says so: nothing of the data store is changed from the platform any more.

Cut off anywhere, the same command goes on. What runs on the platform goes on, too, until the estate's first apply gives
the roles new passwords.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from provisioner.catalogue import Catalogue, images_lock
from provisioner.datastore.handing_over import Handover, hand_over_database, hand_over_objects
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects_clients import open_clients, translating
from provisioner.datastore.postgres_connection import Connection, scalar
from provisioner.datastore.postgres_entrances import CLOSE_LARGE_OBJECTS, closes_large_objects, left_to_superuser
from provisioner.datastore.store_places import write_place
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import invalid, load_estate, load_platform
from provisioner.descriptor.migration import ClusterTarget
from provisioner.engine.lease import leased
from provisioner.engine.state import Checkpoint
from provisioner.errors import ProblemsFound, Severity, UsageError
from provisioner.migration.journal import Journal
from provisioner.migration.journal_entries import Phase, RunEnding, RunKind
from provisioner.migration.postgres_sides import session
from provisioner.naming import ClusterId, cooperative_uid
from provisioner.operations.cluster_checks import judge_cluster, look_at_cluster
from provisioner.operations.history import Action
from provisioner.operations.migration_journals import read_site_journal, writing_journal
from provisioner.operations.migration_place import moved_for_good, place_of, records_of
from provisioner.operations.migration_run import Report, Told, recorded_step
from provisioner.operations.migration_site import MigrationSite, require_whole
from provisioner.operations.migration_tenancy import lease_folder, target_place
from provisioner.operations.own_estate.contents import (
    Offer,
    locked_charts,
    locked_images,
    made_texts,
    taken_along,
)
from provisioner.operations.own_estate.credentials import is_owed
from provisioner.operations.own_estate.deciding import OwnEstateOptions, OwnPlatform, decide
from provisioner.operations.own_estate.folder import require_free, write_estate
from provisioner.operations.recording import Recorded, open_history, recorded_in
from provisioner.operations.validating import validate
from provisioner.plan.cooperative import cooperative_plan

WRITE, MARK_POSTGRES, MARK_OBJECTS = "write-estate", "mark-postgres", "mark-objects"
FOLDER, CLUSTER = "folder", "cluster"
_SSL = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """The estate is in ``folder``, with these ``files``; ``cluster`` is the id of its platform."""

    migration: str
    cooperative: str
    folder: Path
    cluster: ClusterId
    files: tuple[Path, ...]


def require_ready(site: MigrationSite, folder: Path, *, applied: Callable[[], Checkpoint | None]) -> ClusterTarget:
    """Refuse what cannot be done, before anybody is asked; gives the cluster of the solutions.

    ``applied`` reads the state of the cooperative's stack. Raises UsageError for a slice, without a cluster, and for a
    folder that holds something (unless this was begun there), NotFound if the data store never moved, ProblemsFound
    before `finalise`, and before the apply that changes the credentials.
    """
    name, cluster = site.migration.name, site.migration.target.cluster
    require_whole(site, verb="estate")
    if cluster is None:
        raise UsageError(
            f"{name} names no cluster for the solutions",
            hint="add `cluster: {kubeconfig: {file: ...}}` to spec.target of its document",
        )
    if not moved_for_good(site):
        raise ProblemsFound(
            f"{name} can still go back: an estate of its own takes over what has moved for good",
            hint=f"run `coopctl migrate finalise {name}` first, when nobody needs the way back any more",
        )
    begun = _begun_in(site)
    if is_owed(applied(), rotation=place_of(site).place.rotation):
        raise ProblemsFound(
            f"the credentials that {name} knew have not been changed since its end",
            why="once the data store is handed over, no apply here could change them any more",
            hint=f"run `coopctl apply {site.tenant.cooperative}` first",
        )
    if begun is None:
        require_free(folder)
    elif begun != folder.resolve():
        raise UsageError(f"it was begun in {begun}, and cut off", hint="give that folder; it is gone on with there")
    return cluster


def hand_over(
    site: MigrationSite,
    folder: Path,
    *,
    options: OwnEstateOptions,
    offer: Offer,
    applied: Callable[[], Checkpoint | None],
    catalogue_of: Callable[[Estate], Catalogue],
    now: Callable[[], datetime],
    report: Report,
) -> HandedOver:
    """Do it, or go on with it. ``applied`` is that of `require_ready`, ``catalogue_of`` gives the solutions on offer.

    Raises what `require_ready`, `decide` and servers raise, InvalidDescriptor, StackLocked, MigrationLocked, NotOurs.
    """
    cluster = require_ready(site, folder, applied=applied)
    own, cooperative = _decided(site, cluster, options=options, offer=offer)
    estate = Estate(root=folder.resolve())
    with _alone(site, now=now, report=report) as (written, outcome):
        written.begin(RunKind.HANDOVER, fingerprint="", content={FOLDER: str(estate.root)})
        with recorded_step(written, Phase.HANDOVER, WRITE, report=report) as result:
            files = _written(site, own, cooperative, estate=estate, offer=offer)
            result["files"] = [str(file.relative_to(estate.root)) for file in files]
            _require_sound(estate, offer=offer, catalogue=catalogue_of(estate))
        _marked(site, written, cluster=own.cluster_id, report=report)
        _note(site, cluster=own.cluster_id)
        written.end(RunEnding.HANDED_OVER, {FOLDER: str(estate.root), CLUSTER: str(own.cluster_id)})
        outcome.details |= {"migration": site.migration.name, CLUSTER: str(own.cluster_id)}
    return HandedOver(
        migration=site.migration.name,
        cooperative=str(cooperative.name),
        folder=estate.root,
        cluster=own.cluster_id,
        files=files,
    )


@contextmanager
def _alone(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Iterator[tuple[Journal, Recorded]]:
    """The migration's journal and the audit trail, while nobody else works on the migration or on the stack."""
    with (
        writing_journal(site, now=now) as written,
        leased(lease_folder(site), stack=site.tenant.stack, say=lambda text: report(Told(text=text))),
        recorded_in(
            open_history(site.estate, platform=site.platform),
            site.tenant.stack,
            estate=site.estate.root,
            action=Action.HANDOVER,
        ) as outcome,
    ):
        yield written, outcome


def _begun_in(site: MigrationSite) -> Path | None:
    """The folder of a handover that was cut off."""
    record = read_site_journal(site)
    for run in record.runs if record else ():
        if run.open and run.kind is RunKind.HANDOVER:
            return Path(str(run.content[FOLDER]))
    return None


def _decided(
    site: MigrationSite, cluster: ClusterTarget, *, options: OwnEstateOptions, offer: Offer
) -> tuple[OwnPlatform, Cooperative]:
    """What the estate is to say. Raises ProblemsFound with what the cluster lacks."""
    name = site.migration.cooperative
    _, [cooperative] = load_estate(site.estate, catalogue_names=offer.catalogue.names, names=[name])
    facts = look_at_cluster(cluster)
    errors = [one for one in judge_cluster(facts) if one.severity is Severity.ERROR]
    if errors:
        raise ProblemsFound(
            f"the cluster for the solutions is not ready: {errors[0].what}",
            why="; ".join(one.what for one in errors[1:]) or None,
            hint="; ".join(one.remedy for one in errors),
        )
    with session(site.target) as connection:
        _require_closed(connection, site)
        encrypted = bool(scalar(connection, _SSL))
    place = target_place(site)
    own = decide(site, cooperative, cluster=cluster, facts=facts, encrypted=encrypted, place=place, options=options)
    return own, cooperative


def _require_closed(connection: Connection, site: MigrationSite) -> None:
    """Raise ProblemsFound if the estate's own apply would not be permitted what it must do on the server."""
    if left := left_to_superuser(connection):
        raise ProblemsFound(
            f"{site.target.user} may not close the databases that every server has to everybody",
            why="the estate works as that login, and its first apply would be refused",
            hint=f"let a superuser of that server run once: {'; '.join(left)}",
        )


def _written(
    site: MigrationSite, own: OwnPlatform, cooperative: Cooperative, *, estate: Estate, offer: Offer
) -> tuple[Path, ...]:
    registry = site.platform.registry.address
    texts = made_texts(own, cooperative=cooperative, migration=site.migration.name, registry=registry)
    return write_estate(
        estate,
        texts | taken_along(site.estate, cooperative, offer=offer),
        images=locked_images(site.estate, cooperative, offer=offer, file=estate.images_lock),
        charts=locked_charts(site.estate, cooperative, folder=estate.charts),
    )


def _require_sound(estate: Estate, *, offer: Offer, catalogue: Catalogue) -> None:
    """Raise InvalidDescriptor, or what planning raises, if the estate's first commands would fail."""
    found = validate(estate, catalogue=catalogue, names=None, rules=offer.rules)
    if found.errors:
        raise invalid(found.problems)
    platform, lock = load_platform(estate), images_lock.read(estate.images_lock)
    for resolved in found.resolved:
        if resolved.cooperative is not None:
            cooperative_plan(resolved.cooperative, platform=platform, catalogue=catalogue, images=lock)


def _note(site: MigrationSite, *, cluster: ClusterId) -> None:
    """Say so beside the state: an apply that was planned before is refused when its turn comes."""
    found = place_of(site)
    place = replace(found.place, handed_over=str(cluster))
    write_place(records_of(site), str(site.tenant.cooperative), replace(found, place=place))


def _marked(site: MigrationSite, written: Journal, *, cluster: ClusterId, report: Report) -> None:
    """Mark what is at the target as the estate's own."""
    access = site.target_bucket.access
    by = Handover(
        before=Mark(cluster=site.platform.cluster.id, cooperative=site.tenant.uid),
        after=Mark(cluster=cluster, cooperative=cooperative_uid(site.tenant.cooperative, cluster=cluster)),
        administrator=site.source.user,
    )
    with recorded_step(written, Phase.HANDOVER, MARK_POSTGRES, report=report), session(site.target) as connection:
        hand_over_database(connection, site.tenant, by=by)
        if not closes_large_objects(connection):
            why = f"in {site.target.database} readers may write large objects, which `prove` will say"
            report(Told(text=f"warning: {why}, until a superuser runs there: {CLOSE_LARGE_OBJECTS}"))
    with recorded_step(written, Phase.HANDOVER, MARK_OBJECTS, report=report), translating(access):
        hand_over_objects(open_clients(access, environment=site.environment), site.tenant, by=by)
