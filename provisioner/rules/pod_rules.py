"""Rules for pods beyond Pod Security: where they run, what they ask for, and what they may name."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.naming import LABEL_SOLUTION, PRIORITY_PROBE
from provisioner.rules.facts import Facts
from provisioner.rules.network_rules import SAFE_PREFIXES
from provisioner.rules.parts import containers, items, mapping, volumes
from provisioner.rules.pod_security_checks import APPARMOR_ANNOTATION
from provisioner.rules.rule import Fault, Part, Rule, Severity, Subject

# Those that the API server itself adds to every pod (DefaultTolerationSeconds), and one that the node adds.
TOLERATED = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/memory-pressure",
)
# What quota and limits count; anything else (devices, huge pages) would be had without a bound.
COUNTED = ("cpu", "memory", "ephemeral-storage")
# What of a projected volume lets its reader speak to the API server (v1.ServiceAccountTokenProjection and such).
CREDENTIALS = ("serviceAccountToken", "podCertificate")
# Annotations of pods that nobody reads but kubectl, coopctl, a Prometheus, the Job controller and limit ranges. Those
# by which AppArmor profiles were chosen are Pod Security's to judge.
ANNOTATION_PREFIXES = (*SAFE_PREFIXES, "batch.kubernetes.io", "checksum", "prometheus.io")
ANNOTATIONS = ("controller.kubernetes.io/pod-deletion-cost", "kubernetes.io/limit-ranger")
_OWN_KEY = "[A-Za-z0-9_-]+"
# Long enough for a database to write what it has; a node that is emptied waits for it.
LONGEST_GRACE_SECONDS = 600
_AFFINITIES = ("podAffinity", "podAntiAffinity")
_NSA = "NSA/CISA Kubernetes Hardening Guide 1.2"
_MULTI_TENANCY = "Kubernetes documentation, Multi-tenancy"


def _node_name(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("nodeName"):
        yield Fault(path=f"{part.path}.nodeName", message=f"chooses the node {part.spec['nodeName']!r} by itself")


def _tolerations(part: Part, _: Facts) -> Iterator[Fault]:
    for index, toleration in enumerate(items(part.spec.get("tolerations"))):
        if toleration.get("key") not in TOLERATED:
            key = toleration.get("key") or "every taint"
            yield Fault(path=f"{part.path}.tolerations[{index}]", message=f"tolerates {key}")


def _priority_class(part: Part, facts: Facts) -> Iterator[Fault]:
    name = part.spec.get("priorityClassName")
    if name and name not in facts.priority_classes:
        yield Fault(path=f"{part.path}.priorityClassName", message=f"{name!r} is not among those allowed")


def _runtime_class(part: Part, facts: Facts) -> Iterator[Fault]:
    name = part.spec.get("runtimeClassName")
    if name and name not in facts.runtime_classes:
        yield Fault(path=f"{part.path}.runtimeClassName", message=f"{name!r} is not among those allowed")


def _scheduler(part: Part, _: Facts) -> Iterator[Fault]:
    name = part.spec.get("schedulerName")
    if name and name != "default-scheduler":
        yield Fault(path=f"{part.path}.schedulerName", message=f"asks the scheduler {name!r}")


def _api_token(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("automountServiceAccountToken") is True:
        yield Fault(path=f"{part.path}.automountServiceAccountToken", message="is true")
    for path, volume in volumes(part):
        sources = items(mapping(volume.get("projected")).get("sources"))
        if any(credential in source for source in sources for credential in CREDENTIALS):
            yield Fault(path=f"{path}.projected", message="holds a credential of the API server")


def _ephemeral_containers(part: Part, _: Facts) -> Iterator[Fault]:
    if part.spec.get("ephemeralContainers"):
        yield Fault(path=f"{part.path}.ephemeralContainers", message="are not allowed")


def _driver_volumes(part: Part, _: Facts) -> Iterator[Fault]:
    for path, volume in volumes(part):
        if "csi" in volume:
            driver = mapping(volume["csi"]).get("driver")
            yield Fault(path=f"{path}.csi", message=f"speaks to the driver {driver!r} itself")


def _affinity(part: Part, _: Facts) -> Iterator[Fault]:
    affinity = mapping(part.spec.get("affinity"))
    for kind in _AFFINITIES:
        for path, term in _terms(mapping(affinity.get(kind)), path=f"{part.path}.affinity.{kind}"):
            if "namespaceSelector" in term or term.get("namespaces"):
                yield Fault(path=path, message="looks at pods of other namespaces")


def _terms(affinity: Mapping[str, Any], *, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    required, preferred = ("requiredDuringScheduling", "preferredDuringScheduling")
    for index, term in enumerate(items(affinity.get(f"{required}IgnoredDuringExecution"))):
        yield f"{path}.{required}IgnoredDuringExecution[{index}]", term
    for index, weighted in enumerate(items(affinity.get(f"{preferred}IgnoredDuringExecution"))):
        inner = mapping(weighted.get("podAffinityTerm"))
        yield f"{path}.{preferred}IgnoredDuringExecution[{index}].podAffinityTerm", inner


def _resource_kinds(part: Part, _: Facts) -> Iterator[Fault]:
    for field in ("resources", "resourceClaims"):
        if part.spec.get(field):
            yield Fault(path=f"{part.path}.{field}", message="is asked for by the pod as a whole")
    for path, container in containers(part):
        resources = mapping(container.get("resources"))
        if resources.get("claims"):
            yield Fault(path=f"{path}.resources.claims", message="ask for devices")
        for amounts in ("requests", "limits"):
            for kind in mapping(resources.get(amounts)):
                if kind not in COUNTED:
                    yield Fault(path=f"{path}.resources.{amounts}", message=f"asks for {kind}")


def _annotations(part: Part, facts: Facts) -> Iterator[Fault]:
    for key in map(str, mapping(part.metadata.get("annotations"))):
        if not _is_harmless(key, domain=facts.domain):
            path = f"{part.path.removesuffix('spec')}metadata.annotations[{key!r}]"
            yield Fault(path=path, message="may be configuration of the node's own software")


def _is_harmless(key: str, *, domain: str) -> bool:
    prefix, slash, _ = key.partition("/")
    if not slash:
        return re.fullmatch(_OWN_KEY, key) is not None
    is_own = prefix == domain or prefix.endswith(f".{domain}")
    return is_own or key in ANNOTATIONS or prefix in (*ANNOTATION_PREFIXES, APPARMOR_ANNOTATION)


def _grace_period(part: Part, _: Facts) -> Iterator[Fault]:
    seconds = part.spec.get("terminationGracePeriodSeconds")
    if isinstance(seconds, int) and seconds > LONGEST_GRACE_SECONDS:
        yield Fault(path=f"{part.path}.terminationGracePeriodSeconds", message=f"is {seconds}")


def _solution_label(part: Part, _: Facts) -> Iterator[Fault]:
    if LABEL_SOLUTION in mapping(part.metadata.get("labels")):
        path = f"{part.path.removesuffix('spec')}metadata.labels"
        yield Fault(path=path, message=f"bear {LABEL_SOLUTION}, which only a solution's own pods do")


def _scratch_space(part: Part, _: Facts) -> Iterator[Fault]:
    for path, container in containers(part):
        limit = mapping(mapping(container.get("resources")).get("limits")).get("ephemeral-storage")
        if limit is not None and _is_zero(str(limit)):
            yield Fault(path=f"{path}.resources.limits", message="say ephemeral-storage: 0, which is no limit")


def _is_zero(quantity: str) -> bool:
    """Whether a quantity (k8s.io/apimachinery resource.Quantity) is nothing; one that is none is not."""
    number = re.match(r"[+-]?[0-9]*\.?[0-9]*", quantity)
    return number is not None and "0" in number[0] and not re.search("[1-9]", number[0])


_EVERY_AFFINITY_TERM = "\n".join(
    f"variables.spec.?affinity.?{kind}.?requiredDuringSchedulingIgnoredDuringExecution.orValue([])"
    f".all(t, !has(t.namespaceSelector) && t.?namespaces.orValue([]).size() == 0) &&\n"
    f"variables.spec.?affinity.?{kind}.?preferredDuringSchedulingIgnoredDuringExecution.orValue([])"
    f".all(w, !has(w.podAffinityTerm.namespaceSelector)"
    f" && w.podAffinityTerm.?namespaces.orValue([]).size() == 0)" + (" &&" if kind == _AFFINITIES[0] else "")
    for kind in _AFFINITIES
)

SOLUTION_LABEL = Rule(
    id="solution-label",
    title="only a solution's pods bear its label",
    severity=Severity.HIGH,
    subject=Subject.PODS,
    reason="network policies tell solutions apart by it: whoever bears it has that solution's flows, and a pod"
    " that loses it passes for the tenant's own",
    sources=("Kubernetes documentation, Network Policies", f"{_MULTI_TENANCY}, Network isolation"),
    remedy=f"leave {LABEL_SOLUTION} out, and on a solution's pod as it is; a NetworkPolicy of one's own opens flows",
    judge=_solution_label,
    # Controllers make pods of templates that were judged themselves.
    cel="!variables.relabelled || variables.templated",
    binds_tenants_only=True,
)
"""A chart's pods must bear what nobody else's may: charts are held to `chart-pods` in its place."""

RULES = (
    Rule(
        id="node-name",
        title="the scheduler chooses the node",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="a pod that names its node goes around taints, priorities and the scheduler's quota of the node",
        sources=(f"{_MULTI_TENANCY}, Node isolation",),
        remedy="leave nodeName out",
        judge=_node_name,
        cel="variables.bound || variables.spec.?nodeName.orValue('') == ''",
    ),
    Rule(
        id="tolerations",
        title="no taint is tolerated but the usual ones",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="taints keep tenants off the control plane's and other tenants' nodes",
        sources=(f"{_MULTI_TENANCY}, Node isolation",),
        remedy=f"tolerate at most {', '.join(TOLERATED)}",
        judge=_tolerations,
        cel=f"variables.spec.?tolerations.orValue([]).all(t, t.?key.orValue('') in {list(TOLERATED)})",
    ),
    Rule(
        id="priority-class",
        title="priority classes are from the platform's list",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="a higher priority pushes other tenants' pods off their nodes",
        sources=("Kubernetes documentation, Pod Priority and Preemption",),
        remedy="use one of spec.priorityClasses of platform.yaml, or none",
        judge=_priority_class,
        # Who manages tenants may also start the probe pods of a proof.
        cel="variables.spec.?priorityClassName.orValue('') == ''"
        " || variables.spec.priorityClassName in variables.priorityClasses"
        f" || (variables.spec.priorityClassName == '{PRIORITY_PROBE}' && variables.manages)",
    ),
    Rule(
        id="runtime-class",
        title="runtime classes are from the platform's list",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="another runtime may isolate less than the one the platform chose",
        sources=(f"{_MULTI_TENANCY}, Sandboxing containers",),
        remedy="leave runtimeClassName out",
        judge=_runtime_class,
        cel="variables.spec.?runtimeClassName.orValue('') == ''"
        " || variables.spec.runtimeClassName in variables.runtimeClasses",
    ),
    Rule(
        id="scheduler",
        title="pods are placed by the cluster's own scheduler",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="a scheduler of its own may place a pod where the cluster's would not",
        sources=("Kubernetes documentation, Configure Multiple Schedulers",),
        remedy="leave schedulerName out",
        judge=_scheduler,
        cel="variables.spec.?schedulerName.orValue('default-scheduler') in ['', 'default-scheduler']",
    ),
    Rule(
        id="api-token",
        title="pods hold no token of the API server",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="solutions do not need the API server; a token in a broken-into pod is a foot in the door",
        sources=("CIS Kubernetes Benchmark 5.1.6", f"{_NSA}, Authentication and authorization"),
        remedy="leave automountServiceAccountToken out or false, and project neither token nor certificate",
        judge=_api_token,
        cel="variables.spec.?automountServiceAccountToken.orValue(false) == false"
        " && variables.spec.?volumes.orValue([]).all(v,"
        " v.?projected.?sources.orValue([]).all(s, !has(s.serviceAccountToken) && !has(s.podCertificate)))",
    ),
    Rule(
        id="ephemeral-containers",
        title="no containers are added to running pods",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="an added container sees the memory and files of a solution without being in any plan",
        sources=("Kubernetes documentation, Ephemeral Containers",),
        remedy="debug with an image of your own in a pod of your own",
        judge=_ephemeral_containers,
        cel="variables.spec.?ephemeralContainers.orValue([]).size() == 0",
    ),
    Rule(
        id="driver-volumes",
        title="pods speak to no storage driver themselves",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="an inline volume takes parameters that a StorageClass would have fixed, such as another tenant's share",
        sources=("Kubernetes documentation, CSI ephemeral volumes, CSI driver restrictions",),
        remedy="use a PersistentVolumeClaim",
        judge=_driver_volumes,
        cel="variables.spec.?volumes.orValue([]).all(v, !has(v.csi))",
    ),
    Rule(
        id="affinity",
        title="affinity looks at the tenant's own pods alone",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="anti-affinity to other tenants' pods keeps those from being scheduled",
        sources=("Kubernetes documentation, Resource Quotas, Cross-namespace Pod Affinity Quota",),
        remedy="leave namespaces and namespaceSelector out of podAffinity and podAntiAffinity",
        judge=_affinity,
        cel=_EVERY_AFFINITY_TERM,
    ),
    Rule(
        id="resource-kinds",
        title="containers ask for cpu, memory and ephemeral storage alone",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="the quota counts these three; devices and huge pages would be taken from other tenants without a bound",
        sources=("Kubernetes documentation, Resource Quotas", "Kubernetes documentation, Limit Ranges"),
        remedy=f"ask for {', '.join(COUNTED)} in each container; leave resources of the pod and resourceClaims out",
        judge=_resource_kinds,
        cel="!has(variables.spec.resources) && variables.spec.?resourceClaims.orValue([]).size() == 0"
        " && variables.containers.all(c, c.?resources.?claims.orValue([]).size() == 0"
        f" && c.?resources.?requests.orValue({{}}).all(k, k in {list(COUNTED)})"
        f" && c.?resources.?limits.orValue({{}}).all(k, k in {list(COUNTED)}))",
    ),
    Rule(
        id="scratch-space",
        title="no container's ephemeral storage is limited to zero",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="the node holds a container to no limit of zero, and the quota counts nothing",
        sources=("Kubernetes documentation, Local ephemeral storage",),
        remedy="state a limit, or leave it out and get the default",
        judge=_scratch_space,
        cel="variables.containers.all(c, quantity(string(c.?resources.?limits[?'ephemeral-storage'].orValue('1')))"
        ".isGreaterThan(quantity('0')))",
    ),
    Rule(
        id="pod-annotations",
        title="pods do not configure the node's own software",
        severity=Severity.CRITICAL,
        subject=Subject.PODS,
        reason="network plugins and container runtimes read them of any pod: a second network past every policy,"
        " another's address, a device that no quota counts",
        sources=(
            "Kubernetes Network Plumbing Working Group, Multi-network specification, k8s.v1.cni.cncf.io/networks",
            "Container Device Interface specification, annotations (cdi.k8s.io)",
            "Calico documentation, Use a specific IP address with a pod, cni.projectcalico.org/ipAddrs",
        ),
        remedy="leave annotations of plugins out; keys without prefix or dot are one's own, and those below"
        " spec.network.domain",
        judge=_annotations,
        cel=f"variables.annotations.all(k, !k.contains('/') ? k.matches('^{_OWN_KEY}$')"
        f" : k in {list(ANNOTATIONS)} || k.split('/')[0] in {[*ANNOTATION_PREFIXES, APPARMOR_ANNOTATION]}"
        " || k.split('/')[0] == variables.domain || k.split('/')[0].endsWith('.' + variables.domain))",
    ),
    Rule(
        id="grace-period",
        title="pods end within ten minutes",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="a pod that may take its time keeps its node from being emptied, and its namespace from going",
        sources=("Kubernetes documentation, Pod Lifecycle, Pod termination flow",),
        remedy=f"set terminationGracePeriodSeconds to {LONGEST_GRACE_SECONDS} at most",
        judge=_grace_period,
        cel=f"variables.spec.?terminationGracePeriodSeconds.orValue(30) <= {LONGEST_GRACE_SECONDS}",
    ),
    SOLUTION_LABEL,
)
