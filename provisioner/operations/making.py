"""Makes one stack as its plan says, and waits for its solutions; what comes before and after is others' matter."""

from dataclasses import replace

from provisioner.cluster.objects import open_cluster
from provisioner.engine.changes import Changes
from provisioner.engine.events import Report
from provisioner.naming import CooperativeName, tenant_names
from provisioner.operations.applied_solutions import note_begun, note_whole
from provisioner.operations.mending import take_off_foreign_fields
from provisioner.operations.planning import remember
from provisioner.operations.site import Site, Target
from provisioner.operations.workloads import take_away_failed_jobs, wait_for_workloads
from provisioner.plan.resources import CooperativePlan, PostgresGrants, PostgresMembers, SolutionChart


def make(site: Site, target: Target, *, wait_seconds: float, report: Report) -> Changes:
    """Make ``target``, wait for its solutions (``wait_seconds`` 0: not), and note it as applied; gives the changes.

    Raises PartlyFailed, StackLocked, Interrupted, TimedOut.
    """
    note_begun(site, target)
    changes = declare(site, target, report=report)
    await_solutions(site, target, seconds=wait_seconds, report=report)
    remember(site, target)
    if wait_seconds or not solution_namespaces(target):
        note_whole(site, target)
    return changes


def declare(site: Site, target: Target, *, report: Report) -> Changes:
    """Let Pulumi make ``target``: migration Jobs that failed before are made again, and what other field managers
    added to guards is taken off. Raises PartlyFailed, StackLocked, Interrupted.
    """
    if namespaces := solution_namespaces(target):
        take_away_failed_jobs(namespaces=namespaces, cluster=open_cluster(site.platform))
    applied = site.engine.up(target.name, target.program, report=report)
    if applied.foreign:
        take_off_foreign_fields(applied.foreign, reader=open_cluster(site.platform))
    return applied.changes


def await_solutions(site: Site, target: Target, *, seconds: float, report: Report) -> None:
    """Wait until the solutions of ``target`` are ready; not at all for 0 ``seconds``.

    Raises PartlyFailed for a Job that failed, TimedOut, Interrupted.
    """
    if seconds and (namespaces := solution_namespaces(target)):
        wait_for_workloads(
            target.name,
            namespaces=namespaces,
            reader=open_cluster(site.platform),
            timeout_seconds=seconds,
            interruption=site.engine.interruption,
            report=report,
        )


def solution_namespaces(target: Target) -> tuple[str, ...]:
    """Where the workloads of the plan's solutions are: they run in one namespace, and migrate in the other."""
    plan = target.plan
    if not any(isinstance(resource, SolutionChart) for resource in plan.resources):
        return ()
    names = tenant_names(CooperativeName(target.name), cluster=plan.cluster)
    return (names.apps_namespace, names.data_namespace)


def without_writes(site: Site, target: Target) -> Target:
    """``target`` with a database that its solutions, and logins of members, may only read."""
    if not isinstance(target.plan, CooperativePlan):
        raise TypeError("only cooperatives have a database")
    resources = tuple(
        replace(one, writes_stopped=True) if isinstance(one, PostgresGrants | PostgresMembers) else one
        for one in target.plan.resources
    )
    return site.target_of(target.name, plan=replace(target.plan, resources=resources))
