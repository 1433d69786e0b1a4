"""The program of the stack `platform`: it walks the platform's plan."""

from provisioner.descriptor.platform import Platform
from provisioner.plan.resources import PlatformPlan
from stacks.components.kubernetes import kubernetes_provider
from stacks.declaring import Declaration, exports


def declare_platform(plan: PlatformPlan, *, platform: Platform) -> None:
    """Declare what the cluster holds for all cooperatives."""
    declaration = Declaration(kubernetes=kubernetes_provider(platform.cluster))
    for resource in plan.resources:
        declaration.declare(resource)
    exports({"cluster": str(plan.cluster)})
