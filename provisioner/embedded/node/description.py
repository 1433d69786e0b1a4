"""What the rest of the embedded platform asks of a node: its part, and its description for `coopctl dev status`."""

from dataclasses import dataclass

from provisioner.embedded.node import enforcement
from provisioner.embedded.node.choice import NodeChoice, NodeKind
from provisioner.embedded.node.real import RealNode
from provisioner.embedded.node.simulated import SimulatedNode


@dataclass(frozen=True, kw_only=True)
class NodeDescription:
    """A node for people and for JSON: ``policies`` says whether NetworkPolicies are in force, and if not, why."""

    kind: NodeKind
    reason: str
    policies_in_force: bool
    policies: str


def part(choice: NodeChoice, *, simulated_nodes: int = 1) -> RealNode | SimulatedNode:
    """The part that platform.py prepares, starts, completes and removes for this choice."""
    return RealNode() if choice.kind is NodeKind.REAL else SimulatedNode(count=simulated_nodes)


def describe(choice: NodeChoice) -> NodeDescription:
    """Describe the node of ``choice`` as it is now."""
    if choice.kind is NodeKind.SIMULATED:
        return NodeDescription(
            kind=choice.kind,
            reason=choice.reason,
            policies_in_force=False,
            policies="not enforced: no pod really runs on a simulated node",
        )
    state = enforcement.check()
    return NodeDescription(
        kind=choice.kind,
        reason=choice.reason,
        policies_in_force=state.in_force,
        policies="enforced" if state.in_force else f"not in force: {'; '.join(state.problems)}",
    )
