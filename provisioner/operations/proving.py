"""Proves cooperatives: attacks each, several at a time, and keeps what came of it as evidence beside the state.

1. Read what the cluster is like, once for all.
2. Attack every cooperative without pods, several at a time, and with probe pods all of them together meanwhile, so that
   they are attacked from each other's pods too.
3. Keep the proof and write it into the audit trail.

Cut off anywhere, nothing is left behind but the entry that the proof was begun; probe pods end by themselves.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version

from provisioner.catalogue import images_lock
from provisioner.cluster.objects import open_cluster
from provisioner.datastore.store_places import moved_to
from provisioner.engine.changes import Changes
from provisioner.engine.events import Attempted, Report, StackFinished, StackStarted, Verb
from provisioner.engine.fleet import Outcome, run_fleet
from provisioner.errors import CoopctlError
from provisioner.naming import PLATFORM_STACK
from provisioner.operations.history import Action
from provisioner.operations.planning import FleetOptions
from provisioner.operations.reaching import require_reachable
from provisioner.operations.recording import recorded
from provisioner.operations.site import Site
from provisioner.operations.site import Target as Stack
from provisioner.plan.resources import CooperativePlan
from provisioner.plan.store_place import seen_from_pods
from provisioner.proof.cluster_facts import ClusterFacts, read_cluster
from provisioner.proof.evidence import Proof, keep
from provisioner.proof.pod_groups import in_groups
from provisioner.proof.probe_image import PROBE
from provisioner.proof.proving import Means, prove_without_pods, read_target
from provisioner.proof.running_pods import PodSession, left_out
from provisioner.proof.tenant import ProvenTenant, Terms, proven_tenant
from provisioner.proof.verdicts import Finding, settled

FoundByCooperative = Mapping[str, tuple[Finding, ...]]
FoundFromPods = Future[FoundByCooperative]


@dataclass(frozen=True, kw_only=True)
class ProofOptions:
    """How proving behaves; without ``pods`` no probe pod is started."""

    fleet: FleetOptions = field(default_factory=FleetOptions)
    pods: bool = True


def prove_fleet(
    site: Site, names: Sequence[str], *, options: ProofOptions, report: Report
) -> tuple[Outcome[Proof], ...]:
    """Prove each cooperative and keep the proof.

    Raises Unreachable if a server of the platform does not answer. A cooperative's outcome is NotFound if it was never
    applied, Interrupted after a signal; a proof with problems is a value like any other.
    """
    stacks = {name: site.target(name) for name in names}
    require_reachable(site.platform, data_store=True)
    cluster = read_cluster(open_cluster(site.platform).api, platform=site.platform, plan=site.plan_platform())
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="pods") as beside:
        pods = beside.submit(_from_pods, site, stacks.values(), cluster=cluster, wanted=options.pods)
        return run_fleet(
            tuple(stacks),
            lambda name: _proved(site, stacks[name], cluster=cluster, pods=pods, report=report),
            interruption=site.engine.interruption,
            concurrency=options.fleet.concurrency,
            fail_fast=options.fleet.fail_fast,
        )


def prove_applied(
    site: Site, applied: Sequence[Outcome[Changes]], *, options: ProofOptions, report: Report
) -> tuple[Outcome[Proof], ...]:
    """Prove the cooperatives that were ``applied`` without a failure; nothing after a signal.

    That nothing can be proved is the outcome of each: what was applied is to be told all the same.
    """
    names = [outcome.stack for outcome in applied if outcome.failure is None and outcome.stack != PLATFORM_STACK]
    if not names or site.engine.interruption.signals:
        return ()
    try:
        return prove_fleet(site, names, options=options, report=report)
    except CoopctlError as error:
        return tuple(Outcome(stack=name, failure=error) for name in names)


def _from_pods(site: Site, stacks: Iterable[Stack], *, cluster: ClusterFacts, wanted: bool) -> FoundByCooperative:
    """What probe pods find, by cooperative; all that have both namespaces are proved together, if there is room."""
    tenants = [
        proven_tenant(stack.plan, terms=_terms(site, stack.name))
        for stack in stacks
        if isinstance(stack.plan, CooperativePlan)
    ]
    if not wanted:
        reason = "probe pods were not wanted"
        return {str(tenant.names.cooperative): left_out(tenant, reason=reason) for tenant in tenants}
    image = images_lock.read(site.estate.images_lock).images.get(PROBE)
    reference = image.reference(site.platform.registry.address) if image else None

    def together(group: Sequence[ProvenTenant]) -> FoundByCooperative:
        check = site.engine.interruption.check
        return PodSession(cluster=cluster, tenants=group, image=reference, check=check).prove()

    there = [tenant for tenant in tenants if set(tenant.namespaces) <= set(cluster.namespace_names)]
    return in_groups(there, prove=together)


def _proved(site: Site, stack: Stack, *, cluster: ClusterFacts, pods: FoundFromPods, report: Report) -> Proof:
    site.engine.require_stack(stack.name)
    report(StackStarted(stack=stack.name, verb=Verb.PROVE))
    try:
        with recorded(site, stack.name, action=Action.PROVE, plan=stack.fingerprint) as outcome:
            proof = _attacked(site, stack, cluster=cluster, pods=pods, report=report)
            outcome.details |= {
                "proof": keep(proof, records=site.records()),
                "verdict": f"{len(proof.problems)} problems" if proof.problems else "isolated",
            }
    except CoopctlError as error:
        report(StackFinished(stack=stack.name, verb=Verb.PROVE, failure=error.message))
        raise
    report(StackFinished(stack=stack.name, verb=Verb.PROVE))
    return proof


def _attacked(site: Site, stack: Stack, *, cluster: ClusterFacts, pods: FoundFromPods, report: Report) -> Proof:
    begun, at = time.monotonic(), datetime.now(UTC)
    state = site.engine.checkpoint(stack.name)
    plan = stack.plan
    if not isinstance(plan, CooperativePlan):
        raise CoopctlError(f"{stack.name} is no cooperative: only tenants are proved")

    def seen(finding: Finding) -> None:
        site.engine.interruption.check()
        report(Attempted(stack=stack.name, attempt=finding.about.id, verdict=str(finding.verdict.ending)))

    means = Means(cluster=cluster, environment=os.environ, seen=seen)
    findings = prove_without_pods(read_target(plan, terms=_terms(site, stack.name), cluster=cluster), means=means)
    from_pods = pods.result().get(stack.name, ())
    for finding in from_pods:
        seen(finding)
    return Proof(
        cooperative=stack.name,
        at=at,
        seconds=time.monotonic() - begun,
        coopctl=version("coopctl"),
        cluster=cluster.uid,
        plan=stack.fingerprint,
        state=state.digest if state else "",
        findings=settled((*findings, *from_pods)),
    )


def _terms(site: Site, name: str) -> Terms:
    place = moved_to(site.records(), name)
    return Terms(
        cooperative=site.cooperatives[name],
        platform=seen_from_pods(site.platform, moved_to=place),
        exceptions=site.policing.excepted(name),
        moved=place is not None,
        rotation=place.rotation if place else 0,
        erased=place is not None and place.erased,
    )
