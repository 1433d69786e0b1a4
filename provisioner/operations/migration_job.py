"""The Job of a migration in the platform's cluster, if there is one: whether it works, and its end."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.cluster.objects import ClusterClient, open_cluster
from provisioner.datastore.shared_records import open_shared
from provisioner.errors import TimedOut
from provisioner.naming import SYSTEM_NAMESPACE
from provisioner.operations.migration_pod_access import end_access
from provisioner.operations.migration_site import MigrationSite
from provisioner.plan.migration_job import LABEL_MIGRATION, job_name

BATCH = "batch/v1"
NOTES = "migration-jobs"
GONE_SECONDS = 120.0
LOOK_SECONDS = 1.0


def end_in_platform(site: MigrationSite, *, say: Callable[[str], None]) -> None:
    """End the Job, if one was started: its pod stops in an orderly way and gives its lease back; and its login.

    Idempotent; where none was started, neither cluster nor source is asked.

    Raises TimedOut if the pod does not end, NotPermitted, Unreachable.
    """
    state, name = site.platform.state, site.migration.name
    notes = open_shared(state.url, credentials_file=state.credentials_file)
    if notes is None or notes.look(job_note(name)) is None:
        return
    cluster = open_cluster(site.platform)
    if find_job(cluster, name) is not None:
        say(f"ending the Job {job_name(name)} in {SYSTEM_NAMESPACE}")
        remove_job(cluster, name)
    end_access(site)
    notes.delete(job_note(name))


def find_job(cluster: ClusterClient, name: str) -> Mapping[str, Any] | None:
    """The Job of the migration ``name``, or None."""
    return cluster.get(**job_place(name))


def works(found: Mapping[str, Any]) -> bool:
    """Whether the Job has begun and not ended."""
    conditions = found.get("status", {}).get("conditions") or []
    ended = any(one["type"] in {"Complete", "Failed"} and one["status"] == "True" for one in conditions)
    return not ended and not found["spec"].get("suspend", False)


def remove_job(cluster: ClusterClient, name: str) -> None:
    """Remove the Job, and wait until none of its pods is left: they must not meet those of the next one.

    Raises TimedOut.
    """
    cluster.delete(**job_place(name))
    deadline = time.monotonic() + GONE_SECONDS
    while find_job(cluster, name) is not None or _pods(cluster, name):
        if time.monotonic() > deadline:
            raise TimedOut(f"the pods of the Job {job_name(name)} in {SYSTEM_NAMESPACE} do not end")
        time.sleep(LOOK_SECONDS)


def job_note(name: str) -> str:
    """Where it is noted beside the state that there is a Job."""
    return f"{NOTES}/{name}"


def job_place(name: str) -> dict[str, str]:
    """Where the Job is in the cluster."""
    return {"api_version": BATCH, "kind": "Job", "name": job_name(name), "namespace": SYSTEM_NAMESPACE}


def _pods(cluster: ClusterClient, name: str) -> list[Mapping[str, Any]]:
    listed = cluster.list(api_version="v1", kind="Pod", namespace=SYSTEM_NAMESPACE)
    return [one for one in listed if (one["metadata"].get("labels") or {}).get(LABEL_MIGRATION) == name]
