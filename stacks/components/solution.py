"""A solution's chart, declared with Pulumi's own Helm component."""

import pulumi

from provisioner.plan.resources import SolutionChart
from stacks.components.kubernetes import KUBERNETES_VERSION


def declare_chart(solution: SolutionChart, *, options: pulumi.ResourceOptions) -> pulumi.Resource:
    """Declare the objects of a solution's chart (helm.v4.Chart of Pulumi's Kubernetes provider).

    Declared by its type token, as all Kubernetes objects are: the SDK's classes cost seconds to import, and they
    import each other lazily in a way that two stacks in one process do not survive.

    Pulumi does not wait for the objects: it would wait for an Ingress's address, which not every ingress controller
    reports, and a stack whose pods are late would count as failed. Apply waits for the workloads itself afterwards.
    """
    options.version = KUBERNETES_VERSION
    inputs = {
        "chart": str(solution.chart),
        "name": solution.release,
        "namespace": solution.namespace,
        "values": dict(solution.values),
        "skipAwait": True,
    }
    return pulumi.ComponentResource("kubernetes:helm.sh/v4:Chart", solution.key, inputs, options, remote=True)
