"""Rules for the objects of a chart that wants to be offered: what keeps a solution serving, and within its bounds.

They are asked before a solution is offered, by `coopctl catalogue lint`; what is refused whoever brings it stands in
the other modules. What they know of the tenant is more than `Facts`: the values that coopctl gives the chart, and the
LimitRanges that its pods have to fit into.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from provisioner.rules.parts import CONTAINER_LISTS, containers, items, mapping, parts
from provisioner.rules.pod_rules import COUNTED
from provisioner.rules.quantities import parse_quantity
from provisioner.rules.rule import Enforcement, Fault, Object, Part, PlanRule, Severity, Subject

_PROBES = ("readinessProbe", "livenessProbe")
# What runs to its end is not asked whether it still serves.
_ENDING = frozenset({"Job", "CronJob"})
_AMOUNTS = ("requests", "limits")
_LIMIT_RANGES = "Kubernetes documentation, Limit Ranges"


@dataclass(frozen=True, kw_only=True)
class ChartFacts:
    """What coopctl gave a chart, and what its pods have to fit into.

    ``labels`` and ``annotations`` belong on each of its objects, on those in ``data_namespace`` the ``data_labels``;
    ``images`` are the references that it was given; ``limits`` are the entries of every LimitRange (core/v1,
    ``spec.limits``) that it may meet.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    images: frozenset[str]
    limits: tuple[Object, ...]
    data_namespace: str = ""
    data_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ChartRule(PlanRule):
    """A rule about one object of a chart; ``judge`` gives every fault of a part that ``subject`` names."""

    subject: Subject
    judge: Callable[[Part, ChartFacts], Iterable[Fault]]
    enforcement: Enforcement = Enforcement.CATALOGUE


def judge_for_catalogue(manifest: Object, *, facts: ChartFacts) -> Iterator[tuple[ChartRule, Fault]]:
    """Every fault of an object of a chart, in the order of the rules."""
    for rule in CATALOGUE_RULES:
        for part in parts(manifest, subject=rule.subject):
            for fault in rule.judge(part, facts):
                yield rule, fault


def _probes(part: Part, _: ChartFacts) -> Iterator[Fault]:
    if part.kind in _ENDING:
        return
    for index, container in enumerate(items(part.spec.get("containers"))):
        for probe in _PROBES:
            if not container.get(probe):
                yield Fault(path=f"{part.path}.containers[{index}].{probe}", message="is missing")


def _resources(part: Part, _: ChartFacts) -> Iterator[Fault]:
    for path, container in containers(part):
        resources = mapping(container.get("resources"))
        for amounts in _AMOUNTS:
            missing = [kind for kind in COUNTED if kind not in mapping(resources.get(amounts))]
            if missing:
                yield Fault(path=f"{path}.resources.{amounts}", message=f"do not state {', '.join(missing)}")


def _limits(part: Part, facts: ChartFacts) -> Iterator[Fault]:
    for limits in facts.limits:
        if limits.get("type") == "Container":
            for path, container in containers(part):
                yield from _container_limits(mapping(container.get("resources")), path=path, limits=limits)
        if limits.get("type") == "Pod":
            yield from _pod_limits(part, limits=limits)


def _container_limits(resources: Mapping[str, Any], *, path: str, limits: Object) -> Iterator[Fault]:
    requests, most = mapping(resources.get("requests")), mapping(resources.get("limits"))
    for amounts, given in (("requests", requests), ("limits", most)):
        for kind, amount in given.items():
            if _number(amount) is None:
                yield Fault(path=f"{path}.resources.{amounts}.{kind}", message=f"{amount!r} is no quantity")
    for kind, bound in mapping(limits.get("max")).items():
        if _exceeds(most.get(kind), bound):
            message = f"is {most[kind]}, and the smallest size that it is for allows {bound}"
            yield Fault(path=f"{path}.resources.limits.{kind}", message=message)
    for kind, bound in mapping(limits.get("min")).items():
        if _exceeds(bound, requests.get(kind)):
            yield Fault(path=f"{path}.resources.requests.{kind}", message=f"is {requests[kind]}, less than {bound}")
    for kind, bound in mapping(limits.get("maxLimitRequestRatio")).items():
        if _exceeds(most.get(kind), requests.get(kind), times=_number(bound)):
            message = f"is {most[kind]}, more than {bound} times the request"
            yield Fault(path=f"{path}.resources.limits.{kind}", message=message)


def _pod_limits(part: Part, *, limits: Object) -> Iterator[Fault]:
    for kind, bound in mapping(limits.get("max")).items():
        together = _together(part, kind)
        if _exceeds(together, bound):
            yield Fault(path=f"{part.path}.containers", message=f"have {kind} {together} together, more than {bound}")


def _together(part: Part, kind: str) -> Decimal:
    """What the pod's limits come to: containers run together, init containers one by one before them."""
    listed = {name: [_limit(one, kind) for one in items(part.spec.get(name))] for name in CONTAINER_LISTS}
    return max([sum(listed["containers"], Decimal(0)), *listed["initContainers"]])


def _limit(container: Mapping[str, Any], kind: str) -> Decimal:
    return _number(mapping(mapping(container.get("resources")).get("limits")).get(kind)) or Decimal(0)


def _exceeds(amount: Any, bound: Any, *, times: Decimal | None = None) -> bool:
    """Whether ``amount`` is more than ``bound``; what is not given, or no quantity, exceeds nothing."""
    left, right = _number(amount), _number(bound)
    return left is not None and right is not None and left > right * (1 if times is None else times)


def _number(amount: Any) -> Decimal | None:
    try:
        return None if amount is None else parse_quantity(str(amount))
    except ValueError:
        return None


def _claims(part: Part, facts: ChartFacts) -> Iterator[Fault]:
    wanted = mapping(mapping(part.spec.get("resources")).get("requests")).get("storage")
    for limits in facts.limits:
        bound = mapping(limits.get("max")).get("storage")
        if limits.get("type") == "PersistentVolumeClaim" and _exceeds(wanted, bound):
            message = f"is {wanted}, and the smallest size that it is for allows {bound}"
            yield Fault(path=f"{part.path}.resources.requests.storage", message=message)


def _lifetime(part: Part, _: ChartFacts) -> Iterator[Fault]:
    spec = mapping(part.spec.get("spec"))
    if part.kind == "Job" and spec.get("ttlSecondsAfterFinished") is not None:
        message = f"is {spec['ttlSecondsAfterFinished']}: the Job would go, and its absence look like drift"
        yield Fault(path="spec.ttlSecondsAfterFinished", message=message)


def _marks(part: Part, facts: ChartFacts) -> Iterator[Fault]:
    beside_data = bool(facts.data_namespace) and part.metadata.get("namespace") == facts.data_namespace
    labels = facts.data_labels if beside_data else facts.labels
    for place, expected in (("labels", labels), ("annotations", facts.annotations)):
        given = mapping(part.metadata.get(place))
        missing = sorted(name for name, value in expected.items() if given.get(name) != value)
        if missing:
            yield Fault(path=f"metadata.{place}", message=f"lack what coopctl gives as {', '.join(missing)}")


def _images(part: Part, facts: ChartFacts) -> Iterator[Fault]:
    for path, container in containers(part):
        image = str(container.get("image", ""))
        if image not in facts.images:
            yield Fault(path=f"{path}.image", message=f"{image!r} is not one of those in .Values.images")


CATALOGUE_RULES: tuple[ChartRule, ...] = (
    ChartRule(
        id="chart-images",
        title="charts take their images from coopctl",
        severity=Severity.HIGH,
        subject=Subject.PODS,
        reason="an image that the chart names itself is in no images.lock: nobody mirrors, verifies or updates it",
        sources=("NSA/CISA Kubernetes Hardening Guide 1.2, Pod security",),
        remedy="list the image's logical name in coopctl.dev/images, and write {{ .Values.images.NAME | quote }}",
        judge=_images,
    ),
    ChartRule(
        id="chart-labels",
        title="charts put coopctl's labels and annotations on every object",
        severity=Severity.HIGH,
        subject=Subject.ALL,
        reason="what lacks them is not protected as the platform's, and mending it loses against others' edits",
        sources=(
            "Kubernetes documentation, Recommended Labels",
            "Kubernetes documentation, Server-Side Apply, Conflicts",
        ),
        remedy="write .Values.coopctl.labels and .Values.coopctl.annotations into the metadata of each object",
        judge=_marks,
    ),
    ChartRule(
        id="chart-probes",
        title="containers that serve say whether they do",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="without probes a rollout counts as done before anything answers, and a pod that hangs stays",
        sources=("Kubernetes documentation, Liveness, Readiness, and Startup Probes",),
        remedy="give each container a readinessProbe and a livenessProbe of its own health endpoint",
        judge=_probes,
    ),
    ChartRule(
        id="chart-resources",
        title="containers state what they use, and the most of it",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="the namespace's defaults would stand in: too little for some, and taken from the others' quota",
        sources=(_LIMIT_RANGES, "Kubernetes documentation, Resource Management for Pods and Containers"),
        remedy=f"state requests and limits of {', '.join(COUNTED)} for every container, init containers too",
        judge=_resources,
    ),
    ChartRule(
        id="chart-limits",
        title="pods fit into the smallest size that the solution is for",
        severity=Severity.MEDIUM,
        subject=Subject.PODS,
        reason="the LimitRange of a cooperative of that size refuses the pod, after it was chosen and planned",
        sources=(_LIMIT_RANGES,),
        remedy="ask for less, or state a larger coopctl.dev/needs-size",
        judge=_limits,
    ),
    ChartRule(
        id="chart-claims",
        title="claims fit into the smallest size that the solution is for",
        severity=Severity.MEDIUM,
        subject=Subject.CLAIMS,
        reason="the LimitRange of a cooperative of that size refuses the claim, after it was chosen and planned",
        sources=(_LIMIT_RANGES,),
        remedy="ask for less, or state a larger coopctl.dev/needs-size",
        judge=_claims,
    ),
    ChartRule(
        id="chart-lifetime",
        title="Jobs of a chart stay when they are done",
        severity=Severity.LOW,
        subject=Subject.ALL,
        reason="a Job that the cluster removes is missing at the next comparison, and would be run again",
        sources=("Kubernetes documentation, Automatic Cleanup for Finished Jobs",),
        remedy="leave ttlSecondsAfterFinished out; a name with the version and a hash of the values makes it new",
        judge=_lifetime,
    ),
)
