"""Pure: objects that the tenant may create, one of each kind: what every attack on admission starts from.

An attack changes one field of one of these. They are only ever sent as dry runs.
"""

from provisioner.cluster.objects import resource_path
from provisioner.plan.manifest import Manifest
from provisioner.rules.facts import Facts
from provisioner.rules.parts import POD_PATHS

NAME = "coopctl-proof"
_LABELS = {"app.kubernetes.io/name": NAME}
# No image has this digest, and none is needed: nothing is stored.
DIGEST = "sha256:" + "0" * 64
_RBAC = "rbac.authorization.k8s.io/v1"

# Kind: API version and the resource's plural name.
KINDS: dict[str, tuple[str, str]] = {
    "Pod": ("v1", "pods"),
    "PodTemplate": ("v1", "podtemplates"),
    "ReplicationController": ("v1", "replicationcontrollers"),
    "Deployment": ("apps/v1", "deployments"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
    "Service": ("v1", "services"),
    "Ingress": ("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
}


def accepted(kind: str, *, namespace: str, facts: Facts, role: str) -> Manifest:
    """An object of ``kind`` that the tenant with ``facts`` may create; ``role`` is one whose rights it has itself."""
    version, _ = KINDS[kind]
    about = {"name": NAME, "namespace": namespace, "labels": dict(_LABELS)}
    return {"apiVersion": version, "kind": kind, "metadata": about, **_content(kind, facts=facts, role=role)}


def creation_path(kind: str, *, namespace: str) -> str:
    """Where an object of ``kind`` is created as a dry run (Kubernetes API concepts, "Dry-run")."""
    version, resource = KINDS[kind]
    return resource_path(api_version=version, resource=resource, namespace=namespace) + "?dryRun=All"


def scale_target(name: str) -> Manifest:
    """What an autoscaler scales: a Deployment."""
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}


def claim_spec(facts: Facts) -> Manifest:
    """A claim that the tenant may make; without a class of its own it takes the cluster's default."""
    named = {"storageClassName": facts.storage_classes[0]} if facts.storage_classes else {}
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, **named}


def _content(kind: str, *, facts: Facts, role: str) -> Manifest:
    if kind in POD_PATHS:
        return _workload(
            kind, template={"metadata": {"labels": dict(_LABELS)}, "spec": _pod_spec(kind, facts=facts)}, facts=facts
        )
    own = [{"podSelector": {"matchLabels": _LABELS}}]
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": facts.apps_namespace}
    contents: dict[str, Manifest] = {
        "PersistentVolumeClaim": {"spec": claim_spec(facts)},
        "Service": {"spec": {"type": "ClusterIP", "selector": _LABELS, "ports": [{"name": "http", "port": 80}]}},
        "Ingress": {"spec": _ingress_spec(facts)},
        "NetworkPolicy": {"spec": {"podSelector": {"matchLabels": _LABELS}, "ingress": [{"from": own}]}},
        "Role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        "RoleBinding": {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
            "subjects": [subject],
        },
        "ServiceAccount": {"automountServiceAccountToken": False},
        "HorizontalPodAutoscaler": {"spec": {"scaleTargetRef": scale_target(NAME), "maxReplicas": 1}},
    }
    return contents.get(kind, {})


def _workload(kind: str, *, template: Manifest, facts: Facts) -> Manifest:
    selected = {"selector": {"matchLabels": _LABELS}, "template": template}
    claims = [{"metadata": {"name": "files"}, "spec": claim_spec(facts)}]
    contents: dict[str, Manifest] = {
        "Pod": {"spec": template["spec"]},
        "PodTemplate": {"template": template},
        "ReplicationController": {"spec": {"selector": _LABELS, "template": template}},
        "StatefulSet": {"spec": {**selected, "serviceName": NAME, "volumeClaimTemplates": claims}},
        "Job": {"spec": {"template": template}},
        # The last of February: a schedule is needed, and nothing runs.
        "CronJob": {"spec": {"schedule": "0 0 29 2 *", "jobTemplate": {"spec": {"template": template}}}},
    }
    return contents.get(kind, {"spec": selected})


def _pod_spec(kind: str, *, facts: Facts) -> Manifest:
    once = kind in {"Pod", "Job", "CronJob"}
    return {
        "automountServiceAccountToken": False,
        "restartPolicy": "Never" if once else "Always",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": NAME,
                "image": f"{facts.registries[0]}{NAME}@{DIGEST}",
                "imagePullPolicy": "Always",
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }


def _ingress_spec(facts: Facts) -> Manifest:
    backend = {"service": {"name": NAME, "port": {"number": 80}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    host = f"{NAME}.{facts.domain}"
    return {"ingressClassName": facts.ingress_class, "rules": [{"host": host, "http": {"paths": [path]}}]}
