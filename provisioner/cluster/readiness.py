"""What a cluster offers to solutions that are to come there, and what its kubeconfig's user may make. Nothing is made.

Rights are asked for by SelfSubjectAccessReviews, which the API server keeps nowhere. Whether Pod Security admission is
on shows a dry run of a Namespace whose level is none: only that plugin refuses it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provisioner.cluster.api import ApiServer
from provisioner.cluster.objects import resource_path
from provisioner.errors import CoopctlError, NotFound
from provisioner.naming import API_GROUP, RESOURCE_TENANTS, VERB_MANAGE

WRITE = ("get", "create", "patch", "delete")
# What the stacks of a platform and of a cooperative hold, charts included; tests compare it with plans.
WRITTEN: Mapping[str, tuple[str, ...]] = {
    "": (
        "namespaces",
        "configmaps",
        "limitranges",
        "persistentvolumeclaims",
        "resourcequotas",
        "secrets",
        "serviceaccounts",
        "services",
    ),
    "admissionregistration.k8s.io": ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
    "apps": ("deployments", "statefulsets"),
    "batch": ("jobs",),
    "discovery.k8s.io": ("endpointslices",),
    "networking.k8s.io": ("ingresses", "networkpolicies"),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("clusterroles", "roles", "rolebindings"),
    "scheduling.k8s.io": ("priorityclasses",),
}
POLICIES = "validatingadmissionpolicies"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_NO_LEVEL = "none-such"
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True)
class Right:
    """A right that the kubeconfig's user lacks."""

    verb: str
    resource: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """A cluster as its kubeconfig's user sees it.

    ``version`` is (major, minor). ``pod_security`` is None where nobody could tell. ``default_storage`` and
    ``default_priorities`` name the classes that Kubernetes gives to those who ask for none. ``networks`` are those of
    pods, Services and nodes, as far as the cluster tells.
    """

    server: str
    version: tuple[int, int]
    policies: bool
    pod_security: bool | None
    ingress_classes: tuple[str, ...]
    storage_classes: tuple[str, ...]
    default_storage: str | None
    default_priorities: tuple[str, ...]
    networks: tuple[str, ...]
    lacking: tuple[Right, ...]


def read_facts(api: ApiServer) -> ClusterFacts:
    """Look at the cluster. Raises Unreachable if it does not answer, NotPermitted without the right to look."""
    info = api.get("/version")
    storage = _items(api, "storage.k8s.io/v1", "storageclasses")
    priorities = _items(api, "scheduling.k8s.io/v1", "priorityclasses")
    standard = [
        _name(one) for one in storage if (one["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
    ]
    return ClusterFacts(
        server=api.host,
        version=(_number(info.get("major")), _number(info.get("minor"))),
        policies=any(one.get("name") == POLICIES for one in _resources(api, ADMISSION)),
        pod_security=_has_pod_security(api),
        ingress_classes=tuple(sorted(_name(one) for one in _items(api, "networking.k8s.io/v1", "ingressclasses"))),
        storage_classes=tuple(sorted(map(_name, storage))),
        default_storage=standard[0] if standard else None,
        default_priorities=tuple(sorted(_name(one) for one in priorities if one.get("globalDefault"))),
        networks=tuple(_networks(api)),
        lacking=tuple(_lacking(api)),
    )


def _lacking(api: ApiServer) -> Iterator[Right]:
    for group, resource, verb in _wanted():
        attributes = {"group": group, "resource": resource, "verb": verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        if not (api.create(REVIEWS, review).get("status") or {}).get("allowed"):
            yield Right(verb=verb, resource=f"{resource}.{group}" if group else resource)


def _wanted() -> Iterator[tuple[str, str, str]]:
    for group, resources in WRITTEN.items():
        yield from ((group, resource, verb) for resource in resources for verb in WRITE)
    yield API_GROUP, RESOURCE_TENANTS, VERB_MANAGE


def _has_pod_security(api: ApiServer) -> bool | None:
    trial = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "generateName": "coopctl-trial-",
            "labels": {"pod-security.kubernetes.io/enforce": _NO_LEVEL},
        },
    }
    answer = api.attempt("POST", "/api/v1/namespaces?dryRun=All", body=trial)
    if answer.ok:
        return False
    return True if _NO_LEVEL in answer.message else None


def _networks(api: ApiServer) -> Iterator[str]:
    """Services' networks (ServiceCIDR, since 1.33), and those of each node: a help, and never all of them."""
    found: set[str] = set()
    for one in _readable(api, "networking.k8s.io/v1", "servicecidrs"):
        found.update((one.get("spec") or {}).get("cidrs") or ())
    for one in _readable(api, "v1", "nodes"):
        found.update((one.get("spec") or {}).get("podCIDRs") or ())
        addresses = (one.get("status") or {}).get("addresses") or ()
        found.update(_single(each["address"]) for each in addresses if each.get("type") == "InternalIP")
    return iter(sorted(found))


def _single(address: str) -> str:
    return f"{address}/128" if ":" in address else f"{address}/32"


def _readable(api: ApiServer, version: str, resource: str) -> Iterable[Mapping[str, Any]]:
    """The objects of a kind that not every cluster has, or shows."""
    answer = api.attempt("GET", resource_path(api_version=version, resource=resource))
    return answer.content.get("items") or [] if answer.ok else []


def _items(api: ApiServer, version: str, resource: str) -> list[Mapping[str, Any]]:
    return list(api.get(resource_path(api_version=version, resource=resource)).get("items") or [])


def _resources(api: ApiServer, path: str) -> list[Mapping[str, Any]]:
    try:
        return list(api.get(path).get("resources") or [])
    except NotFound:
        return []


def _name(found: Mapping[str, Any]) -> str:
    return str(found["metadata"]["name"])


def _number(text: object) -> int:
    """The number that a version's part begins with: some clusters write 31+."""
    found = _DIGITS.match(str(text))
    if found is None:
        raise CoopctlError(f"the cluster's version is no number: {text!r}")
    return int(found[0])
