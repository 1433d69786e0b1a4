"""Starts a migration as a Job in the platform, so that it survives the machine that it was asked from.

1. The run is begun here, under the lease, and what only the administrator may do on the source is done: tables are
   published, and logins are made that can do no more than the pod must (migration_pod_access.py).
2. The Job is made, suspended; then its credentials and flows, which it owns; then it begins.
3. Its pod works like anybody else who has the estate: journal and lease lie beside the state. A pod that dies is
   followed by another one, which waits for the end of the dead one's lease and goes on.
   Beside the state it is noted that there is a Job, so that nobody asks the cluster where there never was one.
4. When it has ended, the Job is removed after an hour, with credentials and flows. What goes on from its copy, or gives
   it up, ends it first, and drops its login: `cutover`, `rollback`, `abort`.

Cut off before it begins, a suspended Job is left, which the same command replaces.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provisioner.catalogue import images_lock
from provisioner.catalogue.images.coopctl_image import COOPCTL, REMEDY
from provisioner.cluster.objects import ClusterClient, object_path, open_cluster
from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.records import open_records
from provisioner.datastore.shared_records import open_shared
from provisioner.errors import NotFound, TimedOut, UsageError
from provisioner.migration.journal_entries import RunKind
from provisioner.naming import MANAGED_BY, SYSTEM_NAMESPACE
from provisioner.operations.migration_fences import require_before_cutover
from provisioner.operations.migration_pod_access import PodAccess, end_access, make_access, renew_access
from provisioner.operations.migration_pod_estate import pod_endpoints, pod_files
from provisioner.operations.migration_run import Report, opened
from provisioner.operations.migration_site import MigrationSite
from provisioner.operations.migration_tenancy import application_key
from provisioner.plan.manifest import Manifest
from provisioner.plan.migration_job import LABEL_MIGRATION, MigrationJob, job, job_flows, job_name, job_secret

BATCH, NETWORKING = "batch/v1", "networking.k8s.io/v1"
NOTES = "migration-jobs"
GONE_SECONDS = 120.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Begun:
    """The Job that works on a migration; ``already``: it did before."""

    migration: str
    namespace: str
    job: str
    already: bool


def start_in_platform(site: MigrationSite, *, now: Callable[[], datetime], report: Report) -> Begun:
    """Start the Job; if it works already, what it is let in with is good for as long again.

    Raises UsageError for a member's slice and where pods could not reach a server, NotFound without the image or the
    namespace, and what `opened` and `make_access` raise.
    """
    _require_copy(site)
    name, endpoints, image = site.migration.name, pod_endpoints(site), _image(site)
    cluster = open_cluster(site.platform)
    _require_namespace(cluster)
    if (found := _job(cluster, name)) is not None:
        if _works(found):
            renew_access(site, now=now)
            return Begun(migration=name, namespace=SYSTEM_NAMESPACE, job=job_name(name), already=True)
        _remove(cluster, name)
    state = site.platform.state
    open_records(state.url, credentials_file=state.credentials_file).write(_note(name), image.encode())
    access = _let_in(site, key=application_key(site.tenant, cluster=cluster), now=now, report=report)
    files = pod_files(site, access)
    _begin(cluster, MigrationJob(migration=name, image=image, files=files, endpoints=endpoints, dns=site.platform.dns))
    return Begun(migration=name, namespace=SYSTEM_NAMESPACE, job=job_name(name), already=False)


def _let_in(site: MigrationSite, *, key: AccessKey, now: Callable[[], datetime], report: Report) -> PodAccess:
    """Begin the run, or go on with it, as far as only the administrator may; what the pod is let in with."""
    with opened(site, kind=RunKind.MIGRATION, now=now, report=report) as run:
        require_before_cutover(run)
        return make_access(run, key=key, now=now)


def _begin(cluster: ClusterClient, wanted: MigrationJob) -> None:
    made = cluster.api.create(object_path(api_version=BATCH, kind="Job", namespace=SYSTEM_NAMESPACE), job(wanted))
    owner = str(made["metadata"]["uid"])
    _apply(cluster, job_secret(wanted, owner=owner))
    _apply(cluster, job_flows(wanted, owner=owner))
    cluster.merge({"spec": {"suspend": False}}, **_where(wanted.migration))


def end_in_platform(site: MigrationSite, *, say: Callable[[str], None]) -> None:
    """End the Job, if one was started: its pod stops in an orderly way and gives its lease back; and its login.

    Idempotent; where none was started, neither cluster nor source is asked.

    Raises TimedOut if the pod does not end, NotPermitted, Unreachable.
    """
    state, name = site.platform.state, site.migration.name
    notes = open_shared(state.url, credentials_file=state.credentials_file)
    if notes is None or notes.look(_note(name)) is None:
        return
    cluster = open_cluster(site.platform)
    if _job(cluster, name) is not None:
        say(f"ending the Job {job_name(name)} in {SYSTEM_NAMESPACE}")
        _remove(cluster, name)
    end_access(site)
    notes.delete(_note(name))


def _require_copy(site: MigrationSite) -> None:
    migration = site.migration
    if migration.member is not None:
        raise UsageError(
            f"{migration.name} moves a member's slice, which is copied from here",
            why="what a slice is, charts and the list of members say, which no pod has",
            hint=f"`coopctl migrate start {migration.name}`",
        )


def _image(site: MigrationSite) -> str:
    lock = images_lock.read(site.estate.images_lock)
    if COOPCTL not in lock.images:
        raise NotFound(f"the image {COOPCTL!r} has no digest in {lock.source}", hint=REMEDY)
    return lock.image(COOPCTL).reference(site.platform.registry.address)


def _require_namespace(cluster: ClusterClient) -> None:
    if cluster.get(api_version="v1", kind="Namespace", name=SYSTEM_NAMESPACE) is None:
        raise NotFound(f"the cluster has no namespace {SYSTEM_NAMESPACE}", hint="run `coopctl platform apply` first")


def _works(found: Mapping[str, Any]) -> bool:
    """Whether the Job has begun and not ended."""
    conditions = found.get("status", {}).get("conditions") or []
    ended = any(one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions)
    return not ended and not found["spec"].get("suspend", False)


def _remove(cluster: ClusterClient, name: str) -> None:
    """Remove the Job, and wait until none of its pods is left: they must not meet those of the next one."""
    cluster.delete(**_where(name))
    deadline = time.monotonic() + GONE_SECONDS
    while _job(cluster, name) is not None or _pods(cluster, name):
        if time.monotonic() > deadline:
            raise TimedOut(f"the pods of the Job {job_name(name)} in {SYSTEM_NAMESPACE} do not end")
        time.sleep(LOOK_SECONDS)


def _pods(cluster: ClusterClient, name: str) -> list[Mapping[str, Any]]:
    listed = cluster.list(api_version="v1", kind="Pod", namespace=SYSTEM_NAMESPACE)
    return [one for one in listed if (one["metadata"].get("labels") or {}).get(LABEL_MIGRATION) == name]


def _job(cluster: ClusterClient, name: str) -> Mapping[str, Any] | None:
    return cluster.get(**_where(name))


def _apply(cluster: ClusterClient, manifest: Manifest) -> None:
    about = manifest["metadata"]
    path = object_path(
        api_version=manifest["apiVersion"], kind=manifest["kind"], name=about["name"], namespace=about["namespace"]
    )
    cluster.api.apply(path, manifest, manager=MANAGED_BY)


def _note(name: str) -> str:
    return f"{NOTES}/{name}"


def _where(name: str) -> dict[str, str]:
    return {"api_version": BATCH, "kind": "Job", "name": job_name(name), "namespace": SYSTEM_NAMESPACE}
