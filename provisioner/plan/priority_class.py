"""PriorityClasses (scheduling.k8s.io/v1): which pods of tenants go first when a node is full.

None of them comes near the system's own classes (2 000 000 000), and batch work never pushes others out
(Kubernetes documentation, "Pod Priority and Preemption"). Values are immutable, hence constants.
"""

from provisioner.naming import PRIORITY_PROBE, ClusterId, platform_labels
from provisioner.plan.manifest import Manifest

API_VERSION = "scheduling.k8s.io/v1"
SOLUTIONS = "coopctl-solutions"
BATCH = "coopctl-batch"


def priority_classes(*, cluster: ClusterId) -> list[Manifest]:
    """The classes for the solutions' pods, for batch work such as dumps, and for the probe pods of a proof.

    The last one is not for tenants: its pods have room of their own in each quota.
    """
    return [
        _class(SOLUTIONS, cluster=cluster, value=1000, preemption="PreemptLowerPriority", what="Pods of solutions."),
        _class(BATCH, cluster=cluster, value=100, preemption="Never", what="Dumps, migrations and other batch work."),
        _class(PRIORITY_PROBE, cluster=cluster, value=2000, preemption="Never", what="Probe pods of a proof."),
    ]


def _class(name: str, *, cluster: ClusterId, value: int, preemption: str, what: str) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "PriorityClass",
        "metadata": {"name": name, "labels": platform_labels(cluster=cluster)},
        "value": value,
        "preemptionPolicy": preemption,
        "description": what,
    }
