"""Runs probe pods: for all tenants that are proved together, so that they are attacked from each other's pods too.

1. In each namespace make the Job that owns all, and a pod that answers.
2. When these run, make a pod in each namespace that tries what was planned with their addresses. One that the
   scheduler finds no room for is waited for: room may be about to come free.
3. Read the last words of each, and take all away.

Cut off anywhere, the pods end by themselves and Kubernetes takes everything away (see planning_pods).
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from provisioner.cluster.api import JSON
from provisioner.errors import NotPermitted
from provisioner.naming import LABEL_COOPERATIVE, LABEL_SOLUTION
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import About, Area, Probe
from provisioner.proof.cluster_facts import ClusterFacts
from provisioner.proof.planning_flows import NETWORK_POLICY
from provisioner.proof.planning_pods import (
    LABEL_RUN,
    Listener,
    PodFacts,
    Reachable,
    arguments,
    owner_job,
    pod_spec,
    probe_pod,
    probes,
    word_of,
)
from provisioner.proof.pod_reports import findings, parse_report
from provisioner.proof.probe_image import REMEDY
from provisioner.proof.tenant import ProvenTenant
from provisioner.proof.verdicts import Finding, no_room, not_attempted, refused

_POLL_SECONDS = 0.4
# A busy node that pulls the image for the first time, and starts all pods at once.
_START_SECONDS = 60.0
_TRY_SECONDS = 35.0
# Pods that go, those of a proof before this one too, are gone by then, and one that tries has ended and made room.
_ROOM_SECONDS = 15.0
# As long as one after the other gets ready, others are waited for; but pods that answer do so for a limited time.
_ALL_SECONDS = 90.0
_ANSWERS, _TRIES = "serve", "try"
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_WITHOUT_PODS = "`coopctl prove --no-probe-pods` proves without pods"
_NO_ROOM = f"give the cluster another node, or solutions smaller requests; {_WITHOUT_PODS}"
_NEIGHBOURS_SHOWN = 10
_PODS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class PodState:
    """A probe pod as the cluster tells of it.

    ``problem`` is why it does not start, ``crowded`` why it has no room yet; both are empty if nothing is wrong.
    """

    namespace: str
    mode: str
    phase: str
    address: str
    last_words: str
    problem: str
    crowded: str = ""


@dataclass(kw_only=True)
class _Patience:
    """How long pods are waited for: ``seconds`` since the last one got ready, less if all others lack room."""

    seconds: float
    _begun: float = field(default_factory=time.monotonic)
    _progress: float = field(default_factory=time.monotonic)
    _settled: int = 0

    def lasts(self, waiting: Sequence[PodState], *, settled: int) -> bool:
        """Whether to go on waiting for ``waiting``, now that so many have ``settled``."""
        now = time.monotonic()
        if settled > self._settled:
            self._settled, self._progress = settled, now
        most = _ROOM_SECONDS if all(pod.crowded for pod in waiting) else self.seconds
        return bool(waiting) and now - self._progress <= most and now - self._begun <= _ALL_SECONDS


@dataclass(kw_only=True)
class PodSession:
    """One run of probe pods in the namespaces of ``tenants``; ``check`` is called often, and ends it by raising."""

    cluster: ClusterFacts
    tenants: Sequence[ProvenTenant]
    image: str | None
    check: Callable[[], None]
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    _owners: dict[str, Manifest] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)

    def prove(self) -> Mapping[str, tuple[Finding, ...]]:
        """The findings by cooperative. Raises Unreachable if the API server does not answer."""
        if reason := obstacle(self.cluster):
            return {str(tenant.names.cooperative): left_out(tenant, reason=reason) for tenant in self.tenants}
        if self.image is None:
            why = f"images.lock has no image of the probe; {REMEDY}"
            return {str(tenant.names.cooperative): not_started(tenant, reason=why) for tenant in self.tenants}
        try:
            return self._proved(self.image)
        finally:
            self._take_away()

    def _proved(self, image: str) -> Mapping[str, tuple[Finding, ...]]:
        for tenant, namespace in self._places():
            self._begin(tenant, namespace, image=image)
        started = self._wait(_ANSWERS, seconds=_START_SECONDS, ready=lambda pod: pod.phase == "Running")
        facts = self._facts(started)
        planned = {
            namespace: probes(tenant, namespace, platform=self.cluster.platform, facts=facts)
            for tenant, namespace in self._places()
            if set(tenant.namespaces) <= facts.listeners.keys()
        }
        for tenant, namespace in self._places():
            if namespace in planned:
                self._start(tenant, namespace, mode=_TRIES, words=arguments(planned[namespace]), image=image)
        ended = self._wait(_TRIES, seconds=_TRY_SECONDS, ready=lambda pod: bool(pod.last_words))
        found = {
            namespace: self._found(namespace, planned, started=started, ended=ended) for _, namespace in self._places()
        }
        return {str(tenant.names.cooperative): _of(tenant, found) for tenant in self.tenants}

    def _places(self) -> Iterator[tuple[ProvenTenant, str]]:
        for tenant in self.tenants:
            for namespace in tenant.namespaces:
                yield tenant, namespace

    def _begin(self, tenant: ProvenTenant, namespace: str, *, image: str) -> None:
        word = word_of(tenant, namespace, run=self.run)
        spec = pod_spec(tenant, image=image, arguments=[_ANSWERS, word])
        try:
            job = owner_job(namespace, run=self.run, spec=spec)
            self._owners[namespace] = self.cluster.api.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", job)
            self._start(tenant, namespace, mode=_ANSWERS, words=[_ANSWERS, word], image=image)
        except NotPermitted as error:
            self._refused[namespace] = error.why or error.message

    def _start(self, tenant: ProvenTenant, namespace: str, *, mode: str, words: Sequence[str], image: str) -> None:
        spec = pod_spec(tenant, image=image, arguments=words)
        pod = probe_pod(namespace, mode=mode, run=self.run, spec=spec, owner=self._owners[namespace])
        try:
            self.cluster.api.create(f"/api/v1/namespaces/{namespace}/pods", pod)
        except NotPermitted as error:
            self._refused[namespace] = error.why or error.message

    def _wait(self, mode: str, *, seconds: float, ready: Callable[[PodState], bool]) -> Mapping[str, PodState]:
        """The pods of ``mode`` by namespace: when none is to be waited for any more, or none got ready for a while."""
        patience = _Patience(seconds=seconds)
        while True:
            self.check()
            pods = {pod.namespace: pod for pod in self._pods() if pod.mode == mode}
            settled = {name for name, pod in pods.items() if ready(pod) or pod.problem or pod.phase == "Failed"}
            waiting = [pod for name, pod in pods.items() if name not in settled]
            if not patience.lasts(waiting, settled=len(settled)):
                return pods
            time.sleep(_POLL_SECONDS)

    def _pods(self) -> Iterator[PodState]:
        for item in self.cluster.api.get(f"/api/v1/pods{self._selector}")["items"]:
            yield _state(item)

    @property
    def _selector(self) -> str:
        return "?labelSelector=" + quote(f"{LABEL_RUN}={self.run}", safe="")

    def _facts(self, started: Mapping[str, PodState]) -> PodFacts:
        words = {namespace: word_of(tenant, namespace, run=self.run) for tenant, namespace in self._places()}
        listeners = {
            name: Listener(namespace=name, address=pod.address, word=words[name])
            for name, pod in started.items()
            if pod.phase == "Running" and pod.address
        }
        return PodFacts(
            listeners=listeners,
            reachables=tuple(self._reachables()),
            servers=self.cluster.servers,
            network=self.cluster.network,
        )

    def _reachables(self) -> Iterator[Reachable]:
        """What tenants have that listens; whose it is is told by their namespaces."""
        owners = {
            item["metadata"]["name"]: (item["metadata"].get("labels") or {}).get(LABEL_COOPERATIVE)
            for item in self.cluster.namespaces
        }
        owned = [name for name, owner in sorted(owners.items()) if owner]
        own = [tenant.apps for tenant in self.tenants]
        for namespace in dict.fromkeys((*own, *owned[: 2 * _NEIGHBOURS_SHOWN])):
            pods = self.cluster.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
            services = self.cluster.api.get(f"/api/v1/namespaces/{namespace}/services")["items"]
            yield from listening(namespace, pods=pods, services=services)
            yield from solutions_pods(namespace, pods=pods)

    def _found(
        self,
        namespace: str,
        planned: Mapping[str, tuple[Probe, ...]],
        *,
        started: Mapping[str, PodState],
        ended: Mapping[str, PodState],
    ) -> tuple[Finding, ...]:
        pod = ended.get(namespace)
        report = parse_report(pod.last_words) if pod else None
        if namespace in planned and report is not None:
            return findings(planned[namespace], report=report)
        if crowded := _crowded(started.get(namespace)) or _crowded(pod):
            return (_without_room(namespace, reason=crowded),)
        reason = self._refused.get(namespace) or _trouble(started.get(namespace)) or _trouble(pod)
        return (_not_started(namespace, reason=reason or "the probe pods did not run in time"),)

    def _take_away(self) -> None:
        """Delete the pods at once, and what owns them."""
        for namespace, owner in self._owners.items():
            pods = f"/api/v1/namespaces/{namespace}/pods{self._selector}"
            self.cluster.api.attempt("DELETE", f"{pods}&gracePeriodSeconds=0")
            path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{owner['metadata']['name']}"
            self.cluster.api.attempt("DELETE", path, body={"propagationPolicy": "Background"}, content_type=JSON)


def obstacle(cluster: ClusterFacts) -> str:
    """Why no pod at all can run here; empty if there are real nodes."""
    if not cluster.nodes:
        return "the cluster has no node"
    return "" if cluster.real_nodes else "the nodes are simulated"


def not_started(tenant: ProvenTenant, *, reason: str) -> tuple[Finding, ...]:
    """What stands for the probes of a tenant whose pods should have run: nothing about its flows was shown."""
    return tuple(_not_started(namespace, reason=reason) for namespace in tenant.namespaces)


def left_out(tenant: ProvenTenant, *, reason: str) -> tuple[Finding, ...]:
    """What stands for the probes of a tenant that were not made."""
    return tuple(_nothing(namespace, reason=reason) for namespace in tenant.namespaces)


def listening(
    namespace: str, *, pods: Iterable[Mapping[str, Any]], services: Iterable[Mapping[str, Any]]
) -> Iterator[Reachable]:
    """What listens in a namespace: running pods with the ports that they declare, and Services that select pods.

    A Service without selector leads out of the cluster: to a server that is shared.
    """
    running = sorted((address, port) for _, address, port in _running(pods))
    for number, (address, port) in enumerate(running[:_PODS_SHOWN], start=1):
        yield Reachable(namespace=namespace, what=f"pod {number} of {namespace}", target=f"{address}:{port}")
    for service in services:
        address = service["spec"].get("clusterIP")
        if service["spec"].get("selector") and address not in {None, "", "None"}:
            name, port = service["metadata"]["name"], service["spec"]["ports"][0]["port"]
            what = f"the Service {name} of {namespace}"
            yield Reachable(namespace=namespace, what=what, target=f"{address}:{port}")


def solutions_pods(namespace: str, *, pods: Iterable[Mapping[str, Any]]) -> Iterator[Reachable]:
    """A running pod of each solution in a namespace."""
    found: dict[str, str] = {}
    for solution, address, port in _running(pods):
        found.setdefault(solution, f"{address}:{port}")
    for solution, target in sorted(found.items()):
        if solution:
            what = f"a pod of the solution {solution} of {namespace}"
            yield Reachable(namespace=namespace, what=what, target=target, solution=solution)


def _running(pods: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """Solution, address and port of each container that listens, but of a proof's own pods."""
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        if pod["status"].get("phase") == "Running" and LABEL_RUN not in labels:
            for container in pod["spec"]["containers"]:
                for port in container.get("ports") or ():
                    yield labels.get(LABEL_SOLUTION, ""), pod["status"]["podIP"], port["containerPort"]


def _of(tenant: ProvenTenant, found: Mapping[str, tuple[Finding, ...]]) -> tuple[Finding, ...]:
    """The findings on a tenant: those from its own pods, and the controls of the others that they tried to reach."""
    own = [finding for namespace in tenant.namespaces for finding in found[namespace]]
    needed = {control for finding in own for control in finding.about.rests_on} - {one.about.id for one in own}
    others = [finding for findings_ in found.values() for finding in findings_ if finding.about.id in needed]
    return (*others, *own)


def _nothing(namespace: str, *, reason: str) -> Finding:
    return Finding(about=_anything(namespace), verdict=not_attempted(reason))


def _not_started(namespace: str, *, reason: str) -> Finding:
    about = _anything(namespace)
    return Finding(about=about, verdict=refused(about, by=None, said=f"{reason}; {_WITHOUT_PODS}"))


def _without_room(namespace: str, *, reason: str) -> Finding:
    return Finding(about=_anything(namespace), verdict=no_room(f"{reason}; {_NO_ROOM}"))


def _anything(namespace: str) -> About:
    return About(
        id=f"pods/{namespace}",
        area=Area.PODS,
        who=f"a pod of {namespace}",
        what="reaches anything of others'",
        guard=NETWORK_POLICY,
    )


def _trouble(pod: PodState | None) -> str:
    return pod.problem if pod else ""


def _crowded(pod: PodState | None) -> str:
    return pod.crowded if pod else ""


def _state(item: Mapping[str, Any]) -> PodState:
    about, status = item["metadata"], item.get("status") or {}
    container = (status.get("containerStatuses") or [{}])[0]
    state = container.get("state") or {}
    return PodState(
        namespace=about["namespace"],
        mode=about["name"].rpartition("-")[2],
        phase=status.get("phase", "Pending"),
        address=status.get("podIP", ""),
        last_words=(state.get("terminated") or {}).get("message", ""),
        problem=_problem(status, waiting=state.get("waiting") or {}),
        crowded=_no_room(status),
    )


def _problem(status: Mapping[str, Any], *, waiting: Mapping[str, Any]) -> str:
    if status.get("phase") == "Failed":
        return (
            f"a probe pod failed: {status.get('reason') or 'its program ended'} {status.get('message') or ''}".strip()
        )
    if waiting.get("reason") in _NO_IMAGE:
        return f"the probe's image cannot be pulled: {waiting.get('message', '')}; {REMEDY}"
    return ""


def _no_room(status: Mapping[str, Any]) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return f"the cluster has no room for a probe pod: {condition.get('message', '')}"
    return ""
