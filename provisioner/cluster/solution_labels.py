"""Which pods, and templates of pods, in a tenant's namespaces bear a solution's label that is not theirs.

Network policies tell solutions apart by that label, and nobody but the platform may put it on (rule `solution-label`).
Admission judges what is written; so what had the label before the rule was there, or got it while a policy exception
held, is looked for here. A pod is known by who makes it: the controller of its controller, and so on, is an object of
the platform's, which nobody else can make (rule `platform-objects`), and its template says which label the pod has.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from provisioner.cluster.api import ApiServer
from provisioner.cluster.objects import resource_path
from provisioner.naming import LABEL_COOPERATIVE, LABEL_SOLUTION, CooperativeName
from provisioner.rules.parts import POD_PATHS

REMEDY = "delete it, or take the label off: `kubectl label` for a pod, its template for a workload"
# Pods come first: who made one is listed after it, and was there before.
_KINDS = {
    "Pod": ("v1", "pods"),
    "ReplicationController": ("v1", "replicationcontrollers"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "DaemonSet": ("apps/v1", "daemonsets"),
    "Job": ("batch/v1", "jobs"),
    "CronJob": ("batch/v1", "cronjobs"),
    "PodTemplate": ("v1", "podtemplates"),
}


# Their controllers let go of pods that do not fit, whatever a pod says of its owner; nobody does so for other kinds.
_MAKERS_OF_PODS = frozenset({"ReplicationController", "ReplicaSet", "StatefulSet", "DaemonSet", "Job"})


@dataclass(frozen=True, kw_only=True)
class Mislabelled:
    """A pod, or what makes pods, that bears the label of ``solution`` and should not; or lacks its own (empty)."""

    kind: str
    namespace: str
    name: str
    solution: str

    def __str__(self) -> str:
        bears = f"bears {LABEL_SOLUTION}: {self.solution}" if self.solution else f"has lost {LABEL_SOLUTION}"
        return f"{self.kind} {self.namespace}/{self.name} {bears}"


@dataclass(frozen=True, kw_only=True)
class Bearer:
    """What is known of a pod or a template: its object's own labels, its controller, and the pods' label ("": none)."""

    kind: str
    namespace: str
    name: str
    uid: str
    owner: str
    ours: bool
    solution: str


def read_mislabelled(
    api: ApiServer, *, namespaces: Iterable[str], cooperative: CooperativeName
) -> tuple[Mislabelled, ...]:
    """All that bears a label that is not its own in ``namespaces``. Raises NotPermitted or Unreachable."""
    return mislabelled(
        _bearer(kind, item, cooperative=cooperative)
        for namespace in namespaces
        for kind, (version, resource) in _KINDS.items()
        for item in api.get(resource_path(api_version=version, resource=resource, namespace=namespace))["items"]
    )


def mislabelled(found: Iterable[Bearer]) -> tuple[Mislabelled, ...]:
    """Those of ``found`` that bear a label that is not their own; of a workload and what it makes, the workload."""
    known = {one.uid: one for one in found}
    wrong = {uid for uid, one in known.items() if one.solution != _right(one, known=known)}
    return tuple(
        Mislabelled(kind=one.kind, namespace=one.namespace, name=one.name, solution=one.solution)
        for uid, one in known.items()
        if uid in wrong and not _is_made_by_wrong(one, wrong=wrong, known=known)
    )


def _is_made_by_wrong(one: Bearer, *, wrong: Set[str], known: Mapping[str, Bearer]) -> bool:
    """Whether a workload that is named stands above ``one``; owners in a circle are all named."""
    *_, top = (one, *_above(one, known=known))
    return top is not one and top.uid in wrong and top.owner not in known


def _right(one: Bearer, *, known: Mapping[str, Bearer]) -> str:
    """The label that ``one`` should bear: that of its maker's template if the platform made that, else none."""
    makers = list(_above(one, known=known))
    if not (makers[-1] if makers else one).ours:
        return ""
    if one.kind == "Pod" and makers and makers[0].kind not in _MAKERS_OF_PODS:
        return ""
    # Templates of the platform's own, and their copies, are compared by `drift`: they may be of different revisions.
    return makers[0].solution if makers and one.kind == "Pod" else one.solution


def _above(one: Bearer, *, known: Mapping[str, Bearer]) -> Iterator[Bearer]:
    """Its controller, that one's, and so on."""
    seen = {one.uid}
    while (owner := known.get(one.owner)) and owner.uid not in seen:
        yield owner
        seen.add(owner.uid)
        one = owner


def _bearer(kind: str, item: Mapping[str, Any], *, cooperative: CooperativeName) -> Bearer:
    about = item["metadata"]
    pod = item
    for step in POD_PATHS[kind]:
        pod = pod[step]
    owners = [owner["uid"] for owner in about.get("ownerReferences") or () if owner.get("controller")]
    return Bearer(
        kind=kind,
        namespace=about["namespace"],
        name=about["name"],
        uid=about["uid"],
        owner=next(iter(owners), ""),
        ours=(about.get("labels") or {}).get(LABEL_COOPERATIVE) == cooperative,
        solution=((pod.get("metadata") or {}).get("labels") or {}).get(LABEL_SOLUTION, ""),
    )
