"""The embedded platform's node: real (pods run, policies are enforced) or simulated (kwok plays them).

Here belongs what a node is made of: the bridge, containerd, the kubelet, Services and DNS, the enforcement of
NetworkPolicies, ingress, local volumes, and taking all of it away again. Starting and stopping processes does not
(supervisor.py), nor does the control plane.

``choose`` decides which node an estate gets, ``part`` gives the part that platform.py drives, ``describe`` says for
`coopctl dev status` what it is, ``check`` whether NetworkPolicies are in force.
"""

from provisioner.embedded.node.choice import NodeChoice, NodeKind, choose
from provisioner.embedded.node.description import NodeDescription, describe, part
from provisioner.embedded.node.enforcement import Enforcement, check
from provisioner.embedded.node.fail_closed import cut_connections

__all__ = [
    "Enforcement",
    "NodeChoice",
    "NodeDescription",
    "NodeKind",
    "check",
    "choose",
    "cut_connections",
    "describe",
    "part",
]
