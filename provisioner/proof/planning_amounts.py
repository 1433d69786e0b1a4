"""Pure: attempts to take more than limits and quotas allow, each past one bound.

A quota is attacked where one object is enough to go past it: where none of a kind is allowed, and where the namespace
gets less than one pod or claim could have. Every other line of it would need as many objects as it allows; that it is
planned as promised and in force as planned is looked at with the other guards. The amounts are the descriptor's own, so
that a bound which is not even planned is attacked too.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from provisioner.cluster.api import JSON
from provisioner.plan.manifest import Manifest
from provisioner.plan.quantity import cpu, size
from provisioner.proof.accepted import KINDS, creation_path
from provisioner.proof.attempts import About, Area, DryRun, Guard, GuardKind, RequestAttempt
from provisioner.proof.changing import Flaw, field, in_container, in_spec, pod_of
from provisioner.proof.planning_objects import Maker, controlled
from provisioner.proof.promised_amounts import COMPUTE, Bound, limit_bounds, quota_lines
from provisioner.proof.tenant import ProvenTenant
from provisioner.rules.facts import Facts

_CLAIM_SIZE = ("spec", "resources", "requests", "storage")


def amount_attempts(tenant: ProvenTenant, *, namespace: str) -> tuple[RequestAttempt, ...]:
    """The attempts on limits and quotas of ``namespace``, by a controller that may create pods and claims there."""
    bounds = limit_bounds(tenant.terms.cooperative.container_limits)
    lines = quota_lines(tenant.budget(namespace))
    maker = controlled(tenant, namespace=namespace)
    return (
        *(maker.flawed(flaw, case=name, guard=limit(bound)) for name, bound, flaw in _past_limits(bounds)),
        *(maker.flawed(flaw, case=f"quota-{key}", guard=quota(key)) for key, flaw in _past_quota(lines, bounds=bounds)),
        *_forbidden_kinds(lines, maker=maker, namespace=namespace),
    )


def quota(key: str) -> Guard:
    """One line of a quota."""
    return Guard(kind=GuardKind.QUOTA, rule=key)


def limit(bound: str) -> Guard:
    """One bound of a limit range, in the words in which the API server refuses (plugin limitranger)."""
    return Guard(kind=GuardKind.LIMIT_RANGE, rule=bound)


def _past_limits(bounds: Mapping[Bound, Decimal]) -> Iterator[tuple[str, str, Flaw]]:
    """The name of each attack, the bound that it goes past, and its flaw, which goes past no other bound."""
    for bound, amount in bounds.items():
        kind = bound.kind
        match bound.of, bound.field:
            case "Container", "max":
                flaw = _pod(f"more {kind} than a container may have", kind, limit=2 * amount, request=amount)
                yield f"max-{kind}", f"maximum {kind} usage per Container", flaw
            case "Container", "min":
                # The limit too: else the ratio refuses it as well.
                flaw = _pod(f"less {kind} than a container must have", kind, limit=amount / 2, request=amount / 2)
                yield f"min-{kind}", f"minimum {kind} usage per Container", flaw
            case "Container", "maxLimitRequestRatio":
                most = bounds[_most("Container", kind)]
                what = f"a limit of {kind} far above what it asks for"
                flaw = _pod(what, kind, limit=most, request=most / (2 * amount))
                yield f"ratio-{kind}", f"{kind} max limit to request ratio per Container", flaw
            case "Pod", _:
                each = bounds[_most("Container", kind)]
                flaw = _crowd(f"more {kind} than a pod may have", kind, each=each, count=_count_past(amount, each=each))
                yield f"pod-{kind}", f"maximum {kind} usage per Pod", flaw
            case "PersistentVolumeClaim", field:
                yield _past_claim(field, amount)


def _past_claim(field: str, amount: Decimal) -> tuple[str, str, Flaw]:
    if field == "max":
        flaw = _claim("more storage than a claim may have", amount=2 * amount)
        return "max-storage", "maximum storage usage per PersistentVolumeClaim", flaw
    flaw = _claim("less storage than a claim must have", amount=amount / 2)
    return "min-storage", "minimum storage usage per PersistentVolumeClaim", flaw


def _past_quota(lines: Mapping[str, Decimal], *, bounds: Mapping[Bound, Decimal]) -> Iterator[tuple[str, Flaw]]:
    for kind in COMPUTE:
        for key in (f"requests.{kind}", f"limits.{kind}"):
            count = _count_past(lines[key], each=bounds[_most("Container", kind)])
            each = _next(lines[key] / count, kind)
            if count * each <= bounds[_most("Pod", kind)]:
                what = f"more {key} than the namespace may have"
                request = each if key.startswith("requests") else _least_request(kind, limit=each, bounds=bounds)
                yield key, _crowd(what, kind, each=each, count=count, request=request)
    most = bounds[_most("PersistentVolumeClaim", "storage")]
    if most > lines["requests.storage"]:
        yield "requests.storage", _claim("more storage than the namespace may have", amount=most)


def _least_request(kind: str, *, limit: Decimal, bounds: Mapping[Bound, Decimal]) -> Decimal:
    """The least that a container with this limit may ask for: as little as no other line of a quota refuses."""
    ratio = bounds.get(Bound(of="Container", field="maxLimitRequestRatio", kind=kind))
    least = bounds.get(Bound(of="Container", field="min", kind=kind), Decimal(0))
    return max(least, _next(limit / ratio, kind)) if ratio else least


def _next(amount: Decimal, kind: str) -> Decimal:
    """The least amount above ``amount`` that can be written."""
    unit = Decimal("0.001") if kind == "cpu" else Decimal(1)
    return (amount // unit + 1) * unit


def _most(of: str, kind: str) -> Bound:
    return Bound(of=of, field="max", kind=kind)


def _forbidden_kinds(lines: Mapping[str, Decimal], *, maker: Maker, namespace: str) -> Iterator[RequestAttempt]:
    """Kinds of which there may be none, created by coopctl itself: no tenant has the right to."""
    for kind, (version, resource) in KINDS.items():
        group = version.rpartition("/")[0]
        for key in (resource, f"count/{resource}" + (f".{group}" if group else "")):
            if lines.get(key) == 0:
                about = About(
                    id=f"objects/coopctl/{namespace}/{kind}/none",
                    area=Area.OBJECTS,
                    who="coopctl",
                    what=f"creates a {kind} in {namespace}, which may have none",
                    guard=quota(key),
                )
                path, body = creation_path(kind, namespace=namespace), maker.accepted(kind)
                yield DryRun(about=about, identity=None, method="POST", path=path, body=body, content_type=JSON)


def _pod(what: str, kind: str, *, request: Decimal, limit: Decimal) -> Flaw:
    resources = {"requests": {kind: _written(request, kind)}, "limits": {kind: _written(limit, kind)}}
    return Flaw(kind="Pod", what=what, change=in_container("resources", value=resources))


def _crowd(what: str, kind: str, *, each: Decimal, count: int, request: Decimal | None = None) -> Flaw:
    """A pod of ``count`` containers that may have ``each`` of a kind, and ask for as much or for ``request``."""

    def change(manifest: Manifest, facts: Facts) -> Manifest:
        asked = each if request is None else request
        amounts = {"limits": {kind: _written(each, kind)}, "requests": {kind: _written(asked, kind)}}
        one = {**pod_of(manifest)["spec"]["containers"][0], "resources": amounts}
        return in_spec("containers", value=[{**one, "name": f"c{number}"} for number in range(count)])(manifest, facts)

    return Flaw(kind="Pod", what=what, change=change)


def _claim(what: str, *, amount: Decimal) -> Flaw:
    return Flaw(kind="PersistentVolumeClaim", what=what, change=field(*_CLAIM_SIZE, value=_written(amount, "storage")))


def _count_past(most: Decimal, *, each: Decimal) -> int:
    """How many times ``each`` is more than ``most``."""
    return int(most / each) + 1


def _written(amount: Decimal, kind: str) -> str:
    """An amount as the API server writes it: what it writes otherwise looks as if it had dropped what was asked for."""
    return cpu(int(amount * 1000)) if kind == "cpu" else size(int(amount))
