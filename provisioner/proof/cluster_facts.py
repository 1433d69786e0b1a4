"""What the cluster is like when tenants are proved: read once, for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner.cluster.api import ApiServer
from provisioner.cluster.discovery import ApiResource, discover
from provisioner.descriptor.platform import Platform
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import PlatformPlan
from provisioner.proof.flows import Network
from provisioner.proof.rights import Askable, askables
from provisioner.proof.running_flows import read_network, read_servers
from provisioner.proof.running_requests import OWN_RULES

# What kwok marks the nodes with that it plays (kwok documentation, "Node annotations").
_SIMULATED = "kwok.x-k8s.io/node"


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """One cluster: ``uid`` is that of its namespace kube-system, which no other cluster has.

    ``rules_are_complete``: its authorizers can all list what they allow.
    """

    api: ApiServer
    uid: str
    platform: Platform
    plan: PlatformPlan
    resources: tuple[ApiResource, ...]
    askables: tuple[Askable, ...]
    rules_are_complete: bool
    namespaces: tuple[Manifest, ...]
    nodes: tuple[Manifest, ...]
    network: Network
    servers: Mapping[str, str]

    @property
    def namespace_names(self) -> tuple[str, ...]:
        """The names of all namespaces, sorted."""
        return tuple(sorted(item["metadata"]["name"] for item in self.namespaces))

    @property
    def real_nodes(self) -> tuple[Manifest, ...]:
        """The nodes on which pods really run."""
        return tuple(item for item in self.nodes if _SIMULATED not in (item["metadata"].get("annotations") or {}))


def read_cluster(api: ApiServer, *, platform: Platform, plan: PlatformPlan) -> ClusterFacts:
    """Read what attacks are planned from. Raises NotPermitted or Unreachable."""
    resources = discover(api)
    namespaces = tuple(api.get("/api/v1/namespaces").get("items") or ())
    nodes = tuple(api.get("/api/v1/nodes").get("items") or ())
    return ClusterFacts(
        api=api,
        uid=next(str(item["metadata"]["uid"]) for item in namespaces if item["metadata"]["name"] == "kube-system"),
        platform=platform,
        plan=plan,
        resources=resources,
        askables=askables(resources),
        rules_are_complete=_rules_are_complete(api),
        namespaces=namespaces,
        nodes=nodes,
        network=read_network(api, platform=platform, namespaces=namespaces, nodes=nodes),
        servers=read_servers(api, nodes=nodes),
    )


def _rules_are_complete(api: ApiServer) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "default"},
    }
    return api.create(OWN_RULES, review)["status"].get("incomplete") is not True
