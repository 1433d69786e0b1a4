"""Starts a migration as a Job in the platform, so that it survives the machine that it was asked from.

1. The run is begun here, under the lease, and what only the administrator may do on the source is done: tables are
   published, and logins are made that can do no more than the pod must (migration_pod_access.py). Of a member's slice
   the pod is told what charts and the list of members say.
2. The Job is made, suspended; then its credentials and flows, which it owns; then it begins.
3. Its pod works like anybody else who has the estate: journal and lease lie beside the state. A pod that dies is
   followed by another one, which waits for the end of the dead one's lease and goes on.
   Beside the state it is noted that there is a Job, so that nobody asks the cluster where there never was one.
4. When it has ended, the Job is removed after an hour, with credentials and flows. What goes on from its copy, or gives
   it up, ends it first, and drops its login: `cutover`, `rollback`, `abort`; of a slice `finalise` does.

Cut off before it begins, a suspended Job is left, which the same command replaces.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.coopctl_image import COOPCTL, REMEDY
from provisioner.cluster.objects import ClusterClient, object_path, open_cluster
from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.records import open_records
from provisioner.errors import NotFound
from provisioner.migration.journal_entries import RunKind
from provisioner.naming import MANAGED_BY, SYSTEM_NAMESPACE
from provisioner.operations.migration_fences import require_before_cutover
from provisioner.operations.migration_job import BATCH, find_job, job_note, job_place, remove_job, works
from provisioner.operations.migration_pod_access import PodAccess, make_access, make_slice_access, renew_access
from provisioner.operations.migration_pod_estate import pod_endpoints, pod_files
from provisioner.operations.migration_run import Report, opened
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_tenancy import application_key
from provisioner.operations.slice_moving import opened_slice
from provisioner.operations.slice_site import SliceSite
from provisioner.plan.manifest import Manifest
from provisioner.plan.migration_job import MigrationJob, job, job_flows, job_name, job_secret


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The Job that works on a migration; ``already``: it did before."""

    migration: str
    namespace: str
    job: str
    already: bool


def start_in_platform(
    site: MigrationSite, *, sliced: SliceSite | None = None, now: Callable[[], datetime], report: Report
) -> Begun:
    """Start the Job; if it works already, what it is let in with is good for as long again. ``sliced`` is the same
    migration where it moves a member's slice.

    Raises UsageError where pods could not reach a server, NotFound without the image or the namespace, and what
    `opened`, `opened_slice` and `make_access` raise.
    """
    name, endpoints, image = site.migration.name, pod_endpoints(site), _image(site)
    cluster = open_cluster(site.platform)
    _require_namespace(cluster)
    if (found := find_job(cluster, name)) is not None:
        if works(found):
            renew_access(site, now=now)
            return Begun(migration=name, namespace=SYSTEM_NAMESPACE, job=job_name(name), already=True)
        remove_job(cluster, name)
    state = site.platform.state
    open_records(state.url, credentials_file=state.credentials_file).write(job_note(name), image.encode())
    key = application_key(site.tenant, cluster=cluster)
    if sliced is None:
        access = _let_in(site, key=key, now=now, report=report)
    else:
        access = _let_in_for_slice(sliced, key=key, now=now, report=report)
    files = pod_files(site, access, request=sliced.request if sliced else None)
    _begin(cluster, MigrationJob(migration=name, image=image, files=files, endpoints=endpoints, dns=site.platform.dns))
    return Begun(migration=name, namespace=SYSTEM_NAMESPACE, job=job_name(name), already=False)


def _let_in(site: MigrationSite, *, key: AccessKey, now: Callable[[], datetime], report: Report) -> PodAccess:
    """Begin the run, or go on with it, as far as only the administrator may; what the pod is let in with."""
    with opened(site, kind=RunKind.MIGRATION, now=now, report=report) as run:
        require_before_cutover(run)
        return make_access(run, key=key, now=now)


def _let_in_for_slice(sliced: SliceSite, *, key: AccessKey, now: Callable[[], datetime], report: Report) -> PodAccess:
    """The same for a slice: nothing but the login is to be made."""
    with opened_slice(sliced, now=now, report=report):
        return make_slice_access(sliced.moving, key=key, now=now)


def _begin(cluster: ClusterClient, wanted: MigrationJob) -> None:
    made = cluster.api.create(object_path(api_version=BATCH, kind="Job", namespace=SYSTEM_NAMESPACE), job(wanted))
    owner = str(made["metadata"]["uid"])
    _apply(cluster, job_secret(wanted, owner=owner))
    _apply(cluster, job_flows(wanted, owner=owner))
    cluster.merge({"spec": {"suspend": False}}, **job_place(wanted.migration))


def _image(site: MigrationSite) -> str:
    lock = images_lock.read(site.estate.images_lock)
    if COOPCTL not in lock.images:
        raise NotFound(f"the image {COOPCTL!r} has no digest in {lock.source}", hint=REMEDY)
    return lock.image(COOPCTL).reference(site.platform.registry.address)


def _require_namespace(cluster: ClusterClient) -> None:
    if cluster.get(api_version="v1", kind="Namespace", name=SYSTEM_NAMESPACE) is None:
        raise NotFound(f"the cluster has no namespace {SYSTEM_NAMESPACE}", hint="run `coopctl platform apply` first")


def _apply(cluster: ClusterClient, manifest: Manifest) -> None:
    about = manifest["metadata"]
    path = object_path(
        api_version=manifest["apiVersion"], kind=manifest["kind"], name=about["name"], namespace=about["namespace"]
    )
    cluster.api.apply(path, manifest, manager=MANAGED_BY)
