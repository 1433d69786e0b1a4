"""The solutions' workloads: are their pods running, and if not, why."""

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from provisioner.engine.events import Message, Report, Severity
from provisioner.engine.interruption import Interruption
from provisioner.errors import NotPermitted, PartlyFailed, TimedOut, Unreachable
from provisioner.naming import LABEL_SOLUTION

_POLL_SECONDS = 1.0
_KINDS = (("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("batch/v1", "Job"))
_WAITING_REASONS_THAT_ARE_FINE = frozenset({"ContainerCreating", "PodInitializing"})


# Set on a Job's pods by the Job controller.
_LABEL_JOB = "batch.kubernetes.io/job-name"
# Of a failed Job's log these last lines are told, and so many are kept when an upgrade is taken back.
_LOG_LINES = 8
_KEPT_LOG_LINES = 10_000
_ENDING_SECONDS = 120.0
_ENDED = frozenset({"Succeeded", "Failed"})


class ObjectLists(Protocol):
    """Whoever can list a namespace's objects and read its pods' logs: a cluster."""

    def list(self, *, api_version: str, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """All objects of a kind in a namespace."""

    def log(self, *, namespace: str, pod: str, lines: int) -> str:
        """The last ``lines`` lines that a pod's only container printed."""


class Jobs(Protocol):
    """Whoever can list a namespace's Jobs and delete them: a cluster."""

    def list(self, *, api_version: str, kind: str, namespace: str) -> list[Mapping[str, Any]]:
        """All objects of a kind in a namespace."""

    def delete(self, *, api_version: str, kind: str, name: str, namespace: str = "") -> None:
        """Delete an object and what it owns."""


class Cluster(ObjectLists, Jobs, Protocol):
    """Whoever can do both: a cluster."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A Deployment, StatefulSet or Job: how many pods it wants and how many are ready (of a Job: have succeeded).

    A Job that ``failed`` is not tried again by Kubernetes.
    """

    namespace: str
    kind: str
    name: str
    solution: str
    wanted: int
    ready: int
    failed: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether all pods are ready, of the newest generation."""
        return self.ready >= self.wanted

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: " + ("failed" if self.failed else f"{self.ready} of {self.wanted} ready")


def read_workloads(reader: ObjectLists, *, namespaces: Sequence[str]) -> tuple[Workload, ...]:
    """The workloads of ``namespaces``, in a fixed order."""
    return tuple(
        _workload(item, kind=kind, namespace=namespace)
        for namespace in namespaces
        for api_version, kind in _KINDS
        for item in sorted(
            reader.list(api_version=api_version, kind=kind, namespace=namespace),
            key=lambda item: str(item["metadata"]["name"]),
        )
    )


def wait_for_workloads(
    stack: str,
    *,
    namespaces: Sequence[str],
    reader: ObjectLists,
    timeout_seconds: float,
    interruption: Interruption,
    report: Report,
) -> None:
    """Wait until the solutions' workloads are ready; what operators run beside them is theirs.

    Raises PartlyFailed for a Job that failed, with the end of its log; TimedOut with what the pods wait for;
    Interrupted on a signal.
    """
    until = time.monotonic() + timeout_seconds
    said = False
    while waiting := _not_ready(reader, namespaces=namespaces):
        interruption.check()
        names = ", ".join(str(item) for item in waiting)
        _require_none_failed(stack, waiting, reader=reader)
        if time.monotonic() > until:
            raise TimedOut(
                f"{stack}: not ready after {timeout_seconds:.0f} s: {names}",
                why="; ".join(pod_problems(reader, namespaces=namespaces)) or None,
                hint=f"everything is applied; look again with `coopctl status {stack}`",
            )
        if not said:
            report(Message(stack=stack, severity=Severity.INFO, text=f"waiting for {names}"))
            said = True
        time.sleep(_POLL_SECONDS)


def require_no_failed_job(stack: str, *, namespaces: Sequence[str], reader: ObjectLists) -> None:
    """Raise PartlyFailed for a solution's Job that failed, with the end of its log."""
    _require_none_failed(stack, _not_ready(reader, namespaces=namespaces), reader=reader)


def _require_none_failed(stack: str, waiting: Sequence[Workload], *, reader: ObjectLists) -> None:
    if failed := [item for item in waiting if item.failed]:
        raise PartlyFailed(
            f"{stack}: {', '.join(str(item) for item in waiting)}",
            why="; ".join(_last_words(item, reader=reader) for item in failed),
            hint=f"what ran before still runs; `coopctl apply {stack}` tries again",
        )


def take_away_failed_jobs(*, namespaces: Sequence[str], cluster: Jobs) -> None:
    """Delete the solutions' Jobs that have failed: only a new one is tried again (batch/v1, Job)."""
    for namespace in namespaces:
        for job in cluster.list(api_version="batch/v1", kind="Job", namespace=namespace):
            if LABEL_SOLUTION in (job["metadata"].get("labels") or {}) and has_failed(job):
                cluster.delete(api_version="batch/v1", kind="Job", name=job["metadata"]["name"], namespace=namespace)


def end_jobs(*, namespaces: Sequence[str], cluster: Cluster, interruption: Interruption) -> str:
    """End the solutions' Jobs that have not succeeded, and wait until none of their pods is at work; gives what those
    printed. Pods of a Job that an earlier call deleted are waited for too.

    Raises TimedOut if a pod does not end, Interrupted on a signal.
    """
    jobs = [
        job
        for job in read_workloads(cluster, namespaces=namespaces)
        if job.kind == "Job" and job.solution and not job.is_ready
    ]
    said = [_printed(pod, of=job, reader=cluster) for job in jobs for pod in _pods_of(job, reader=cluster)]
    for job in jobs:
        cluster.delete(api_version="batch/v1", kind="Job", name=job.name, namespace=job.namespace)
    until = time.monotonic() + _ENDING_SECONDS
    while left := _at_work_without_job(cluster, namespaces=namespaces, deleted={job.name for job in jobs}):
        interruption.check()
        if time.monotonic() > until:
            raise TimedOut(f"pods of a Job that was deleted do not end: {', '.join(left)}", hint="see to their node")
        time.sleep(_POLL_SECONDS)
    return "".join(said)


def _at_work_without_job(reader: ObjectLists, *, namespaces: Sequence[str], deleted: Set[str]) -> list[str]:
    """The pods whose Job is gone, or ``deleted``, and that have not come to their end."""
    found = []
    for namespace in namespaces:
        jobs = reader.list(api_version="batch/v1", kind="Job", namespace=namespace)
        there = {str(job["metadata"]["name"]) for job in jobs} - deleted
        for pod in reader.list(api_version="v1", kind="Pod", namespace=namespace):
            job = (pod["metadata"].get("labels") or {}).get(_LABEL_JOB)
            if job and job not in there and (pod.get("status") or {}).get("phase") not in _ENDED:
                found.append(str(pod["metadata"]["name"]))
    return found


def _pods_of(job: Workload, *, reader: ObjectLists) -> list[Mapping[str, Any]]:
    return [
        pod
        for pod in reader.list(api_version="v1", kind="Pod", namespace=job.namespace)
        if (pod["metadata"].get("labels") or {}).get(_LABEL_JOB) == job.name
    ]


def _printed(pod: Mapping[str, Any], *, of: Workload, reader: ObjectLists) -> str:
    name = str(pod["metadata"]["name"])
    try:
        text = reader.log(namespace=of.namespace, pod=name, lines=_KEPT_LOG_LINES)
    except (NotPermitted, Unreachable) as error:
        text = f"its log cannot be read: {error.why or error.message}"
    return f"pod {name}:\n{text.rstrip()}\n"


def _not_ready(reader: ObjectLists, *, namespaces: Sequence[str]) -> list[Workload]:
    workloads = read_workloads(reader, namespaces=namespaces)
    return [item for item in workloads if item.solution and not item.is_ready]


def _last_words(job: Workload, *, reader: ObjectLists) -> str:
    """The end of the log of the newest pod of a failed Job, or why there is none."""
    pods = _pods_of(job, reader=reader)
    if not pods:
        return f"{job.name}: it was ended before a pod ran to its end"
    newest = max(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    name = newest["metadata"]["name"]
    try:
        return f"pod {name}: {reader.log(namespace=job.namespace, pod=name, lines=_LOG_LINES).strip()}"
    except (NotPermitted, Unreachable) as error:
        return f"pod {name}: its log cannot be read: {error.why or error.message}"


def pod_problems(reader: ObjectLists, *, namespaces: Sequence[str]) -> tuple[str, ...]:
    """What the pods of ``namespaces`` wait for, in words, each once."""
    problems = [
        problem
        for namespace in namespaces
        for pod in reader.list(api_version="v1", kind="Pod", namespace=namespace)
        for problem in _problems(pod)
    ]
    return tuple(dict.fromkeys(problems))


def _workload(item: Mapping[str, Any], *, kind: str, namespace: str) -> Workload:
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    if kind == "Job":
        wanted, ready = spec.get("completions", 1), status.get("succeeded", 0)
    else:
        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
        # Until the controller has seen the newest generation, its numbers are about the one before.
        if status.get("observedGeneration", 0) < metadata.get("generation", 0):
            ready = min(ready, max(wanted - 1, 0))
        ready = min(ready, status.get("updatedReplicas", 0)) if kind == "Deployment" else ready
    return Workload(
        namespace=namespace,
        kind=kind,
        name=metadata["name"],
        solution=(metadata.get("labels") or {}).get(LABEL_SOLUTION, ""),
        wanted=wanted,
        ready=ready,
        failed=kind == "Job" and has_failed(item),
    )


def has_failed(job: Mapping[str, Any]) -> bool:
    """Whether a Job has given up (Kubernetes documentation, "Job termination and cleanup")."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Failed" and one.get("status") == "True" for one in conditions)


def _problems(pod: Mapping[str, Any]) -> list[str]:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    found = [
        f"pod {name}: {condition.get('reason')}: {condition.get('message')}"
        for condition in status.get("conditions") or []
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False"
    ]
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _WAITING_REASONS_THAT_ARE_FINE:
            found.append(f"pod {name}: {waiting['reason']}: {waiting.get('message', '')}".rstrip(": "))
    return found
