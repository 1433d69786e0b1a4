"""The programs of a cooperative's stack: one walks its plan, one leaves nothing but the providers."""

from provisioner.descriptor.migration import MigrationTarget
from provisioner.descriptor.platform import Platform
from provisioner.naming import CooperativeName, cooperative_uid
from provisioner.plan.resources import CooperativePlan
from stacks.components.data_store import data_store_provider
from stacks.components.kubernetes import kubernetes_provider
from stacks.declaring import Declaration, exports


def declare_cooperative(plan: CooperativePlan, *, platform: Platform, target: MigrationTarget | None = None) -> None:
    """Declare what a cooperative gets; the outputs tell a later coopctl whose stack this is, without its descriptor.

    ``target`` is how the servers are reached to which its data store has moved for good.
    """
    declaration = Declaration(
        kubernetes=kubernetes_provider(platform.cluster),
        data_store=data_store_provider(platform, uid=plan.uid, moved_to=target),
    )
    for resource in plan.resources:
        declaration.declare(resource)
    exports({"cooperative": str(plan.cooperative), "uid": str(plan.uid), "domain": plan.domain})


def declare_leaving(name: CooperativeName, *, platform: Platform, final_dump: str) -> None:
    """Declare only the providers, as they are now: what else is in the stack is taken away with them.

    The descriptor is not needed, so that a cooperative can be destroyed after its file is gone. With the name of a
    ``final_dump`` the data store's contents are deleted; without one our provider keeps and marks them.
    """
    kubernetes_provider(platform.cluster)
    uid = cooperative_uid(name, cluster=platform.cluster.id)
    data_store_provider(platform, uid=uid, final_dump=final_dump)
