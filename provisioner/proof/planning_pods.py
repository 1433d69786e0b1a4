"""Pure: what probe pods try to reach, and how they and what they are owned by look.

A namespace has a pod that answers, and one that tries. They belong to a Job that wants no pods and so is complete at
once: Kubernetes takes it away some time later, and its pods with it, whatever became of coopctl (Kubernetes
documentation, "Automatic Cleanup for Finished Jobs" and "Owners and Dependents"). Pods of a Job's own making would not
be let in: what a proof's pods may, coopctl alone may.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioner.descriptor.platform import Platform
from provisioner.naming import API_GROUP, PRIORITY_PROBE
from provisioner.plan.manifest import Manifest
from provisioner.plan.quantity import cpu, size
from provisioner.plan.resource_quota import PROBE_CPU_MILLIS, PROBE_MEMORY_BYTES, PROBE_SCRATCH_BYTES
from provisioner.plan.service import StoreService, objects_service, postgres_service
from provisioner.proof.attempts import About, Area, Direction, Guard, Probe, Protocol
from provisioner.proof.flows import Network
from provisioner.proof.planning_flows import NETWORK_POLICY, forbidden_targets
from provisioner.proof.tenant import ProvenTenant

LABEL_RUN = f"{API_GROUP}/probe"
PORT = 8080
# Longer than proving takes; what a killed coopctl left is gone then.
KEPT_SECONDS = 150
WORKED_FOR_SECONDS = 135
CONTROLS_SECONDS = 15
_NOBODY = 65532


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A pod that answers on port 8080 with ``word``, over TCP and UDP."""

    namespace: str
    address: str
    word: str


@dataclass(frozen=True, kw_only=True)
class Reachable:
    """Something of a tenant's that listens: ``what`` it is, host:port, and the solution if it is a solution's pod."""

    namespace: str
    what: str
    target: str
    solution: str = ""


@dataclass(frozen=True, kw_only=True)
class PodFacts:
    """What probes are planned from: who answers where, and what else listens."""

    listeners: Mapping[str, Listener]
    reachables: tuple[Reachable, ...]
    servers: Mapping[str, str]
    network: Network


def word_of(tenant: ProvenTenant, namespace: str, *, run: str) -> str:
    """What the pod that answers in ``namespace`` says; all words of a tenant begin alike."""
    return f"{own_words(tenant)}{namespace}/{run}"


def own_words(tenant: ProvenTenant) -> str:
    """How the words of the tenant's pods begin."""
    return f"{tenant.names.cooperative}/"


def probes(tenant: ProvenTenant, namespace: str, *, platform: Platform, facts: PodFacts) -> tuple[Probe, ...]:
    """What the pod in ``namespace`` tries: what must work first, then all that must not."""
    planner = _Planner(tenant=tenant, namespace=namespace, facts=facts)
    return (*planner.controls(platform), *planner.on_listeners(), *planner.on_others())


def arguments(found: Iterable[Probe]) -> list[str]:
    """The arguments of the program that tries ``found``."""
    listed = list(found)
    controls = [_argument(probe) for probe in listed if probe.about.guard is None]
    attacks = [_argument(probe) for probe in listed if probe.about.guard is not None]
    return ["try", str(CONTROLS_SECONDS), *controls, "--", *attacks]


def owner_job(namespace: str, *, run: str, spec: Manifest) -> Manifest:
    """The Job whose end takes the pods away; its template is only there because it must be."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"coopctl-probe-{run}", "namespace": namespace, "labels": {LABEL_RUN: run}},
        "spec": {
            "completions": 0,
            "parallelism": 0,
            "backoffLimit": 0,
            "activeDeadlineSeconds": WORKED_FOR_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": {LABEL_RUN: run}}, "spec": spec},
        },
    }


def probe_pod(namespace: str, *, mode: str, run: str, spec: Manifest, owner: Manifest) -> Manifest:
    """A probe pod; ``owner`` is the Job as the API server has it."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    about = {
        "name": f"coopctl-probe-{run}-{mode}",
        "namespace": namespace,
        "labels": {LABEL_RUN: run},
        "ownerReferences": [reference],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def pod_spec(tenant: ProvenTenant, *, image: str, arguments: Sequence[str]) -> Manifest:
    """The spec of a probe pod: restricted, small, and with an end."""
    return {
        "activeDeadlineSeconds": WORKED_FOR_SECONDS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": PRIORITY_PROBE,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "probe",
                "image": image,
                "imagePullPolicy": "Always",
                "args": list(arguments),
                "resources": _resources(tenant),
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }


def _resources(tenant: ProvenTenant) -> Manifest:
    """As little as the limits allow, so that many fit on a small node, and what a full quota has room for."""
    bounds = tenant.terms.cooperative.container_limits
    millis = max(PROBE_CPU_MILLIS // bounds.max_limit_request_ratio_cpu + 1, bounds.min_cpu_millis)
    memory = max(PROBE_MEMORY_BYTES // bounds.max_limit_request_ratio_memory + 1, bounds.min_memory_bytes)
    limits = {"cpu": cpu(PROBE_CPU_MILLIS), "memory": size(PROBE_MEMORY_BYTES)}
    return {
        "limits": {**limits, "ephemeral-storage": size(PROBE_SCRATCH_BYTES)},
        "requests": {"cpu": cpu(millis), "memory": size(memory), "ephemeral-storage": "0"},
    }


class _Planner:
    """Plans for the pod of one namespace."""

    def __init__(self, *, tenant: ProvenTenant, namespace: str, facts: PodFacts) -> None:
        self._tenant = tenant
        self._namespace = namespace
        self._facts = facts
        self._who = f"a pod of {namespace}"

    def controls(self, platform: Platform) -> Iterator[Probe]:
        """Itself, what its own tenant has, and names."""
        reached = [self._namespace, *([self._tenant.data] if self._namespace == self._tenant.apps else [])]
        for target in reached:
            listener = self._facts.listeners[target]
            for protocol in (Protocol.TCP, Protocol.UDP):
                yield self._to_listener(listener, protocol=protocol, guard=None)
        for service in (postgres_service(platform), objects_service(platform)):
            yield from self._to_service(service)

    def on_listeners(self) -> Iterator[Probe]:
        """The pods that answer for the other tenants which are proved with this one."""
        for listener in self._facts.listeners.values():
            if listener.namespace not in self._tenant.namespaces:
                for protocol in (Protocol.TCP, Protocol.UDP):
                    yield self._to_listener(listener, protocol=protocol, guard=NETWORK_POLICY)

    def on_others(self) -> Iterator[Probe]:
        """What else other tenants have, the cluster's own servers, the outside, and the link around all policies."""
        for found in self._facts.reachables:
            if found.namespace in self._tenant.namespaces:
                continue
            yield self._probe(Protocol.TCP, found.target, what=found.what)
        yield from self._on_solutions()
        for what, target in forbidden_targets(self._tenant, servers=self._facts.servers).items():
            address, _, port = target.rpartition(":")
            ports = self._facts.network.outwards(self._namespace, address.strip("[]"))
            permitted = any(one.protocol == "TCP" and one.first <= int(port) <= one.last for one in ports)
            yield self._probe(Protocol.TCP, target, what=what, permitted=permitted)
        yield self._probe(Protocol.LINK, "", what="others on its link over IPv6", word=own_words(self._tenant))

    def _on_solutions(self) -> Iterator[Probe]:
        """The tenant's own solutions, from a pod of none; but those that its operators opened to their own."""
        if self._namespace != self._tenant.apps:
            return
        for found in self._facts.reachables:
            if found.namespace == self._namespace and found.solution and not self._is_open_to_own(found.solution):
                yield self._probe(Protocol.TCP, found.target, what=found.what)

    def _is_open_to_own(self, solution: str) -> bool:
        network = self._facts.network
        out = network.within(self._namespace, direction=Direction.EGRESS, of="", other=solution)
        into = network.within(self._namespace, direction=Direction.INGRESS, of=solution, other="")
        return any(one.meets(other) for one in out for other in into)

    def _to_listener(self, listener: Listener, *, protocol: Protocol, guard: Guard | None) -> Probe:
        what = f"a pod of {listener.namespace} over {protocol.upper()}"
        target = f"{listener.address}:{PORT}" if ":" not in listener.address else f"[{listener.address}]:{PORT}"
        there = (control_id(listener.namespace),) if guard else ()
        return self._probe(protocol, target, what=what, guard=guard, word=listener.word, rests_on=there)

    def _to_service(self, service: StoreService) -> Iterator[Probe]:
        host = f"{service.name}.{self._tenant.data}.svc.cluster.local"
        yield self._probe(Protocol.NAME, host, what=f"the name of its own {service.name}", guard=None)
        yield self._probe(Protocol.TCP, f"{host}:{service.port}", what=f"its own {service.name}", guard=None)

    def _probe(
        self,
        protocol: Protocol,
        target: str,
        *,
        what: str,
        guard: Guard | None = NETWORK_POLICY,
        word: str = "",
        permitted: bool = False,
        rests_on: tuple[str, ...] = (),
    ) -> Probe:
        about = About(
            id=f"pods/{self._namespace}/{what}",
            area=Area.PODS,
            who=self._who,
            what=f"reaches {what}" + (f" ({target})" if target else ""),
            guard=guard,
            rests_on=(control_id(self._namespace), *rests_on) if guard else (),
        )
        return Probe(
            about=about, namespace=self._namespace, protocol=protocol, target=target, word=word, permitted=permitted
        )


def control_id(namespace: str) -> str:
    """The control that shows that the pod which answers in ``namespace`` does, to its own."""
    return f"pods/{namespace}/a pod of {namespace} over TCP"


def _argument(probe: Probe) -> str:
    return f"{probe.protocol}={probe.target}" + (f"={probe.word}" if probe.word else "")
