"""LimitRanges (core/v1): what a container gets if it does not say, and the most it may ask for.

The quota counts requests and limits, so a container without them would be refused; defaults therefore include
ephemeral storage (Kubernetes documentation, "Limit Ranges"). Ephemeral storage has neither a least amount nor a ratio:
both would refuse the probe pods of a proof, which may use a little and request none, so that a full quota lets them in.
"""

from provisioner.descriptor.cooperative import ContainerLimits
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.quantity import cpu, number, size
from provisioner.plan.tenant import TenantNamespace

NAME = "tenant"
# A pod is a container and its helpers: it gets no more than this many times what one container may have.
CONTAINERS_PER_POD = 2
LEAST_CLAIM_BYTES = 1024**2


def limit_range(namespace: TenantNamespace) -> Manifest:
    """The limits of one container, one pod and one claim in ``namespace``."""
    limits = namespace.tenant.cooperative.container_limits
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": metadata(namespace, name=NAME),
        "spec": {"limits": [_container(limits), _pod(limits), _claim(limits)]},
    }


def _container(limits: ContainerLimits) -> Manifest:
    return {
        "type": "Container",
        "default": _amounts(
            limits.default_cpu_millis, limits.default_memory_bytes, limits.default_ephemeral_storage_bytes
        ),
        "defaultRequest": _amounts(
            limits.default_request_cpu_millis,
            limits.default_request_memory_bytes,
            limits.default_request_ephemeral_storage_bytes,
        ),
        "max": _amounts(limits.max_cpu_millis, limits.max_memory_bytes, limits.max_ephemeral_storage_bytes),
        "min": {"cpu": cpu(limits.min_cpu_millis), "memory": size(limits.min_memory_bytes)},
        "maxLimitRequestRatio": {
            "cpu": number(limits.max_limit_request_ratio_cpu),
            "memory": number(limits.max_limit_request_ratio_memory),
        },
    }


def _pod(limits: ContainerLimits) -> Manifest:
    most = _amounts(
        limits.max_cpu_millis * CONTAINERS_PER_POD,
        limits.max_memory_bytes * CONTAINERS_PER_POD,
        limits.max_ephemeral_storage_bytes * CONTAINERS_PER_POD,
    )
    return {"type": "Pod", "max": most}


def _claim(limits: ContainerLimits) -> Manifest:
    return {
        "type": "PersistentVolumeClaim",
        "max": {"storage": size(limits.max_claim_storage_bytes)},
        "min": {"storage": size(min(LEAST_CLAIM_BYTES, limits.max_claim_storage_bytes))},
    }


def _amounts(cpu_millis: int, memory_bytes: int, ephemeral_storage_bytes: int) -> dict[str, str]:
    return {"cpu": cpu(cpu_millis), "memory": size(memory_bytes), "ephemeral-storage": size(ephemeral_storage_bytes)}
