"""Roles (rbac.authorization.k8s.io/v1): what operators may do.

In the namespace of the solutions they run applications of their own: they write every kind that one consists of, Roles,
RoleBindings and NetworkPolicies included. RBAC itself lets nobody give more than they have, and admission policies see
to the rest: what such an object may say, and that the platform's own objects stay as they are. In the namespace of the
data store they look at everything that explains a fault, but not at Secrets: reading them is having them (Kubernetes
documentation, "RBAC Good Practices"). `WITHHELD` says what they never get, and why.
"""

from collections.abc import Mapping

from provisioner.naming import (
    API_GROUP,
    PART_APPS,
    RESOURCE_TENANTS,
    VERB_MANAGE,
    ClusterId,
    platform_labels,
)
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import metadata
from provisioner.plan.tenant import TenantNamespace

OPERATORS = "operators"
CLUSTER_VIEW = "coopctl-tenants-view"
CLUSTER_MANAGE = "coopctl-tenants-manage"
API_VERSION = "rbac.authorization.k8s.io/v1"

VIEW = ("get", "list", "watch")
VIEWED = {
    "": (
        "configmaps",
        "endpoints",
        "events",
        "limitranges",
        "persistentvolumeclaims",
        "pods",
        "pods/log",
        "pods/status",
        "replicationcontrollers",
        "resourcequotas",
        "serviceaccounts",
        "services",
    ),
    "apps": ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "discovery.k8s.io": ("endpointslices",),
    "events.k8s.io": ("events",),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("rolebindings", "roles"),
}


EDIT = (*VIEW, "create", "update", "patch", "delete", "deletecollection")
EDITED = {
    "": ("configmaps", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services"),
    "apps": ("deployments", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "rbac.authorization.k8s.io": ("rolebindings", "roles"),
}
# What operators never get, as resource or verb, and why. Reading the plain kinds among them is in VIEWED.
WITHHELD: Mapping[str, str] = {
    "escalate": "would let them give rights that they do not have",
    "bind": "would let them bind themselves to any ClusterRole",
    "impersonate": "would make them anybody, a controller of the cluster included",
    "*/status": "is written by controllers; an address put there by hand would be believed",
    "*/scale": "bears no labels, so that no policy could keep the platform's own objects from being scaled",
    "pods/eviction": "bears no labels either; deleting a pod of one's own is enough",
    "pods/binding": "chooses a node by itself, past the scheduler",
    "pods/exec": "runs programs that are in no image and in no audit of the plan",
    "pods/attach": "reads and writes a solution's own input and output",
    "pods/portforward": "is a way in past every network policy",
    "pods/proxy": "is a way in past every network policy",
    "pods/ephemeralcontainers": "sees the memory and files of a solution without being in any plan",
    "pods/resize": "asks for more than what was judged when the pod was made",
    "services/proxy": "is a way in past every network policy",
    "serviceaccounts/token": "makes a credential of the API server, which no solution needs",
    "endpoints": "leads a Service to any address, another tenant's included (CVE-2021-25740)",
    "endpointslices": "leads a Service to any address, another tenant's included (CVE-2021-25740)",
    "resourcequotas": "is the bound itself",
    "limitranges": "is the bound itself",
    "replicasets": "are the Deployments' own",
    "replicationcontrollers": "are what Deployments took the place of",
    "daemonsets": "run on every node, and tolerate taints that no tenant may",
    "controllerrevisions": "are the StatefulSets' own",
    "podtemplates": "are used by nothing",
    "poddisruptionbudgets": "keep nodes from being emptied for everybody, two of one pod whatever they say",
    "leases": "are for controllers, which need a token of the API server",
    "events": "are told by controllers; one told by hand would lead the help desk astray",
}


def operators_role(namespace: TenantNamespace) -> Manifest:
    """What a cooperative's operators may do in one of its namespaces; the namespace itself they may see."""
    itself = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [namespace.name], "verbs": ["get"]}
    edit = edit_rules() if namespace.part == PART_APPS else []
    return {
        "apiVersion": API_VERSION,
        "kind": "Role",
        "metadata": metadata(namespace, name=OPERATORS),
        "rules": [*view_rules(), *edit, itself],
    }


def cluster_view_role(*, cluster: ClusterId) -> Manifest:
    """The same view over every tenant, for the platform's own help desk; nobody is bound to it here."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": {"name": CLUSTER_VIEW, "labels": platform_labels(cluster=cluster)},
        "rules": view_rules(),
    }


def cluster_manage_role(*, cluster: ClusterId) -> Manifest:
    """The right by which admission policies know who manages tenants; administrators of the cluster have it anyway."""
    rule = {"apiGroups": [API_GROUP], "resources": [RESOURCE_TENANTS], "verbs": [VERB_MANAGE]}
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterRole",
        "metadata": {"name": CLUSTER_MANAGE, "labels": platform_labels(cluster=cluster)},
        "rules": [rule],
    }


def view_rules() -> list[Manifest]:
    """Reading every kind that a tenant can have, but Secrets."""
    return _rules(VIEWED, verbs=VIEW)


def edit_rules() -> list[Manifest]:
    """Writing every kind that an application consists of."""
    return _rules(EDITED, verbs=EDIT)


def _rules(resources: Mapping[str, tuple[str, ...]], *, verbs: tuple[str, ...]) -> list[Manifest]:
    return [
        {"apiGroups": [group], "resources": list(names), "verbs": list(verbs)} for group, names in resources.items()
    ]
