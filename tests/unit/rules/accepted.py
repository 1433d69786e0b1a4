"""Objects of a tenant's own that every rule accepts, and the facts of the tenant that they are judged by."""

import copy
from dataclasses import replace
from typing import Any

from provisioner.descriptor.cooperative import Cooperative, Operator, SolutionChoice, SubjectKind
from provisioner.plan.tenant import tenant_of
from provisioner.plan.tenant_facts import tenant_facts
from tests.unit.plan import builders

NAME = "rice-processing"
OPERATOR = "rice-operator"
GROUP = "rice operators"
NAMESPACE = f"{NAME}-apps"
DATA_NAMESPACE = f"{NAME}-data"
DOMAIN = "rice.example.kr"
REGISTRY = "127.0.0.1:15000"
DIGEST = "@sha256:" + "0123456789abcdef" * 4
IMAGE = f"{REGISTRY}/coopctl/portal{DIGEST}"

Object = dict[str, Any]


def cooperative() -> Cooperative:
    """The tenant: a cooperative with an operator and a group of operators."""
    operators = (
        Operator(kind=SubjectKind.USER, name=OPERATOR),
        Operator(kind=SubjectKind.GROUP, name=GROUP),
    )
    made = builders.cooperative(NAME, solutions=(SolutionChoice(name="portal"),))
    return replace(made, operators=operators, apps_budget=replace(made.apps_budget, horizontalpodautoscalers=2))


FACTS = tenant_facts(tenant_of(cooperative(), cluster=builders.platform().cluster.id), platform=builders.platform())


def container(name: str) -> Object:
    """A container that is accepted."""
    return {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Always",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "32Mi"},
            "limits": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
        },
    }


def _claim_spec() -> Object:
    return {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "resources": {"requests": {"storage": "1Gi"}},
    }


def pod_spec() -> Object:
    """A pod with every kind of container and volume that is accepted."""
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 600,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "priorityClassName": "coopctl-solutions",
        "tolerations": [{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            kind: {
                "requiredDuringSchedulingIgnoredDuringExecution": [_term()],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": _term()}],
            }
            for kind in ("podAffinity", "podAntiAffinity")
        },
        "containers": [container("main")],
        "initContainers": [container("before")],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "scratch-too", "ephemeral": {"volumeClaimTemplate": {"spec": _claim_spec()}}},
            {"name": "files", "image": {"reference": IMAGE, "pullPolicy": "Always"}},
            {"name": "facts", "projected": {"sources": [{"configMap": {"name": "facts"}}]}},
        ],
    }


def _term() -> Object:
    return {"labelSelector": {"matchLabels": {"app": "ledger"}}, "topologyKey": "kubernetes.io/hostname"}


def _object(api_version: str, kind: str, name: str, **content: Any) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}, "annotations": {"note": "own"}},
        **content,
    }


_POD_ANNOTATIONS = {
    "checksum/config": "01",
    "coopctl.dev/programs": "01",
    f"{DOMAIN}/release": "1",
    f"tools.{DOMAIN}/release": "1",
    "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
    "prometheus.io/scrape": "true",
}


def _template(**spec: Any) -> Object:
    about = {"labels": {"app": "ledger"}, "annotations": dict(_POD_ANNOTATIONS)}
    return {"metadata": about, "spec": {**pod_spec(), **spec}}


def pod(name: str = "ledger") -> Object:
    """A pod."""
    made = _object("v1", "Pod", name, spec=pod_spec())
    made["metadata"]["annotations"] |= _POD_ANNOTATIONS
    return made


def pod_of_another(tenant: str, name: str = "ledger") -> Object:
    """The same pod in the applications' namespace of another ``tenant``, whose domain is another."""
    made = pod(name)
    made["metadata"]["namespace"] = f"{tenant}-apps"
    kept = made["metadata"]["annotations"].items()
    made["metadata"]["annotations"] = {key: value for key, value in kept if DOMAIN not in key}
    return made


def deployment() -> Object:
    """A Deployment of such pods."""
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "ledger"}}, "template": _template()}
    return _object("apps/v1", "Deployment", "ledger", spec=spec)


def stateful_set() -> Object:
    """A StatefulSet of such pods, with a claim for each."""
    claim = {"metadata": {"name": "books", "labels": {"app": "ledger"}}, "spec": _claim_spec()}
    spec = {**deployment()["spec"], "serviceName": "ledger", "volumeClaimTemplates": [claim]}
    return _object("apps/v1", "StatefulSet", "ledger", spec=spec)


def job() -> Object:
    """A Job of such pods."""
    return _object("batch/v1", "Job", "close-books", spec={"template": _template(restartPolicy="Never")})


def cron_job() -> Object:
    """A CronJob of such Jobs."""
    jobs = {"metadata": {"labels": {"app": "ledger"}}, "spec": job()["spec"]}
    return _object("batch/v1", "CronJob", "close-books", spec={"schedule": "0 3 * * *", "jobTemplate": jobs})


def claim() -> Object:
    """A claim of storage, as the API server gives it back: with its finalizer."""
    made = _object("v1", "PersistentVolumeClaim", "books", spec=_claim_spec())
    made["metadata"]["finalizers"] = ["kubernetes.io/pvc-protection"]
    return made


def service() -> Object:
    """A Service."""
    spec = {"selector": {"app": "ledger"}, "ports": [{"port": 80, "protocol": "TCP"}]}
    made = _object("v1", "Service", "ledger", spec=spec)
    made["metadata"]["annotations"]["prometheus.io/port"] = "8080"
    return made


def ingress() -> Object:
    """An Ingress with a host of the tenant's domain and one below it, and settings that are harmless."""
    paths = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": "ledger", "port": {"number": 80}}}}
        for path in ("/", "/books/2026-01_a~b.html", "/@rice:1+2,3=5")
    ]
    hosts = [DOMAIN, f"ledger.{DOMAIN}"]
    made = _object(
        "networking.k8s.io/v1",
        "Ingress",
        "ledger",
        spec={
            "ingressClassName": "coopctl",
            "rules": [{"host": host, "http": {"paths": copy.deepcopy(paths)}} for host in hosts],
            "tls": [{"hosts": hosts, "secretName": "ledger-tls"}],
        },
    )
    made["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] = "8m"
    return made


def network_policy() -> Object:
    """A NetworkPolicy that opens flows within the tenant."""
    own = [
        {"podSelector": {"matchLabels": {"app": "ledger"}}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": DATA_NAMESPACE}}},
    ]
    spec = {"podSelector": {}, "ingress": [{"from": own}], "egress": [{"to": own, "ports": [{"port": 8080}]}]}
    return _object("networking.k8s.io/v1", "NetworkPolicy", "within", spec=spec)


def role() -> Object:
    """A Role with a right that operators have."""
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    return _object("rbac.authorization.k8s.io/v1", "Role", "readers", rules=rules)


def role_binding() -> Object:
    """A RoleBinding to the tenant's own."""
    group = "rbac.authorization.k8s.io"
    subjects = [
        {"kind": "User", "apiGroup": group, "name": OPERATOR},
        {"kind": "Group", "apiGroup": group, "name": GROUP},
        {"kind": "ServiceAccount", "name": "ledger", "namespace": NAMESPACE},
        {"kind": "ServiceAccount", "name": "dumps", "namespace": DATA_NAMESPACE},
    ]
    reference = {"apiGroup": group, "kind": "Role", "name": "operators"}
    return _object(f"{group}/v1", "RoleBinding", "readers", subjects=subjects, roleRef=reference)


def autoscaler() -> Object:
    """An autoscaler of the tenant's own Deployment."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ledger"}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 3}
    return _object("autoscaling/v2", "HorizontalPodAutoscaler", "ledger", spec=spec)


def service_account() -> Object:
    """A ServiceAccount."""
    return _object("v1", "ServiceAccount", "ledger", automountServiceAccountToken=False)


def secret() -> Object:
    """A Secret."""
    return _object("v1", "Secret", "ledger", type="Opaque", stringData={"key": "value"})


def config_map() -> Object:
    """A ConfigMap, which no rule is about."""
    return _object("v1", "ConfigMap", "ledger", data={"key": "value"})


def objects() -> dict[str, Object]:
    """One accepted object of each kind that rules judge, by kind."""
    made = (
        *(pod(), deployment(), stateful_set(), job(), cron_job(), claim(), service(), ingress()),
        *(network_policy(), role(), role_binding(), service_account(), secret(), config_map(), autoscaler()),
    )
    return {manifest["kind"]: manifest for manifest in made}
