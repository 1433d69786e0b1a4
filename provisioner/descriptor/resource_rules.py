"""Whether quotas and limits make sense together: what no container could ever meet is refused here."""

from collections.abc import Iterator

from provisioner.descriptor.checking import PathParts
from provisioner.descriptor.cooperative_document import ContainersDocument, NamespaceResources, ResourcesDocument

Found = tuple[PathParts, str, str | None]
_ROOT: PathParts = ("spec", "resources")
# A rollout with a surge needs a second pod, and the proof of isolation two pods of its own.
_PODS_LEAST = 4


def resource_problems(resources: ResourcesDocument) -> list[Found]:
    """Every contradiction in ``resources``."""
    return [
        *_budget(resources.apps, path=(*_ROOT, "apps")),
        *_budget(resources.data, path=(*_ROOT, "data")),
        *_containers(resources.containers, path=(*_ROOT, "containers")),
        *_fit(resources),
    ]


def _budget(budget: NamespaceResources, *, path: PathParts) -> Iterator[Found]:
    pairs = (
        ("cpu", budget.cpu.requests, budget.cpu.limits),
        ("memory", budget.memory.requests, budget.memory.limits),
        ("ephemeralStorage", budget.ephemeral_storage.requests, budget.ephemeral_storage.limits),
    )
    for name, requests, limits in pairs:
        if requests > limits:
            yield (*path, name, "requests"), "is more than its limits", None
    if budget.counts.pods < _PODS_LEAST:
        message = f"is {budget.counts.pods}; at least {_PODS_LEAST} are needed for updates and proofs"
        yield (*path, "counts", "pods"), message, None


def _containers(containers: ContainersDocument, *, path: PathParts) -> Iterator[Found]:
    ordered = (
        ("cpu", containers.default_request.cpu, containers.default.cpu, containers.max.cpu),
        ("memory", containers.default_request.memory, containers.default.memory, containers.max.memory),
        (
            "ephemeralStorage",
            containers.default_request.ephemeral_storage,
            containers.default.ephemeral_storage,
            containers.max.ephemeral_storage,
        ),
    )
    for name, request, default, most in ordered:
        if default > most:
            yield (*path, "default", name), "is more than the maximum", None
        if request > default:
            yield (*path, "defaultRequest", name), "is more than the default limit", None
    yield from _minimum(containers, path=path)
    yield from _ratio(containers, path=path)


def _minimum(containers: ContainersDocument, *, path: PathParts) -> Iterator[Found]:
    pairs = (
        ("cpu", containers.min.cpu, containers.default_request.cpu),
        ("memory", containers.min.memory, containers.default_request.memory),
    )
    for name, least, request in pairs:
        if least > request:
            yield (*path, "min", name), "is more than the default request", None


def _ratio(containers: ContainersDocument, *, path: PathParts) -> Iterator[Found]:
    """A container with the defaults must pass the ratio, else every pod that states nothing would be refused."""
    ratio, default, request = containers.max_limit_request_ratio, containers.default, containers.default_request
    for name, most, limit, asked in (
        ("cpu", ratio.cpu, default.cpu, request.cpu),
        ("memory", ratio.memory, default.memory, request.memory),
    ):
        if limit > most * asked:
            message = f"is {most}, but the default limit is {limit / asked:.1f} times the default request"
            yield (*path, "maxLimitRequestRatio", name), message, None


def _fit(resources: ResourcesDocument) -> Iterator[Found]:
    """The largest container that the limits allow must fit into the quota of the apps namespace."""
    apps, most = resources.apps, resources.containers.max
    for name, one, all_together in (
        ("cpu", most.cpu, apps.cpu.limits),
        ("memory", most.memory, apps.memory.limits),
        ("ephemeralStorage", most.ephemeral_storage, apps.ephemeral_storage.limits),
    ):
        if one > all_together:
            path = (*_ROOT, "containers", "max", name)
            yield path, "is more than the whole apps namespace may use", "raise the quota or lower the maximum"
    if resources.containers.max_claim_storage > apps.storage:
        yield (*_ROOT, "containers", "maxClaimStorage"), "is more than all claims of the apps namespace may hold", None
