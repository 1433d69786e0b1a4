"""Makes the Pulumi program of a plan: what the engine is given as an argument."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from provisioner.descriptor.migration import MigrationTarget
from provisioner.descriptor.platform import Platform
from provisioner.naming import PLATFORM_STACK, CooperativeName
from provisioner.plan.resources import CooperativePlan, PlatformPlan, StackPlan
from stacks.components.kubernetes import kubernetes_provider
from stacks.cooperative import declare_cooperative, declare_leaving
from stacks.platform import declare_platform

Targets = Callable[[str], MigrationTarget | None]


def nowhere(_: str) -> None:
    """No data store has moved away for good."""


@dataclass(frozen=True, kw_only=True)
class StackPrograms:
    """The programs in stacks/, as operations ask for them.

    ``targets`` says how the servers are reached that the data store of a cooperative has moved to for good.
    """

    targets: Targets = nowhere

    def declaring(self, plan: StackPlan, *, platform: Platform) -> Callable[[], None]:
        """The program that declares all of ``plan``."""
        match plan:
            case CooperativePlan():
                rotated = plan.moved_to is not None and plan.moved_to.rotation > 0
                target = self.targets(str(plan.cooperative)) if rotated else None
                return partial(declare_cooperative, plan, platform=platform, target=target)
            case PlatformPlan():
                return partial(declare_platform, plan, platform=platform)

    def leaving(self, name: str, *, platform: Platform, final_dump: str) -> Callable[[], None]:
        """The program that declares nothing but the providers that the stack ``name`` is taken away with."""
        if name == PLATFORM_STACK:
            return partial(_leave_platform, platform)
        return partial(declare_leaving, CooperativeName(name), platform=platform, final_dump=final_dump)


def _leave_platform(platform: Platform) -> None:
    kubernetes_provider(platform.cluster)
