"""Where admission policies find the parts that rules judge: one section for all kinds that hold them in one place.

A section becomes one ValidatingAdmissionPolicy. Pods are judged where they are made and in every template, so that
neither a tenant nor a controller that acts on its templates gets past. An update that leaves the judged fields as they
are always passes: finalizers must come off and labels must be copied even where a rule has become stricter meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from provisioner.naming import LABEL_SOLUTION
from provisioner.rules.parts import CONTAINER_LISTS, POD_PATHS
from provisioner.rules.rule import Subject

# kind: (API group, resource); pods are also judged where containers are added to them, and where they are resized.
_POD_RESOURCES = {
    "Pod": ("", ("pods", "pods/ephemeralcontainers", "pods/resize")),
    "PodTemplate": ("", ("podtemplates",)),
    "Deployment": ("apps", ("deployments",)),
    "ReplicaSet": ("apps", ("replicasets",)),
    "ReplicationController": ("", ("replicationcontrollers",)),
    "StatefulSet": ("apps", ("statefulsets",)),
    "DaemonSet": ("apps", ("daemonsets",)),
    "Job": ("batch", ("jobs",)),
    "CronJob": ("batch", ("cronjobs",)),
}
_POD_SECTIONS = {"Pod": "pods", "PodTemplate": "pod-templates", "Deployment": "templates", "CronJob": "cron-jobs"}
_LABELS = "?metadata.?labels.orValue({})"
_EPHEMERAL = (
    "variables.spec.?volumes.orValue([]).filter(v, has(v.ephemeral) && has(v.ephemeral.volumeClaimTemplate))"
    ".map(v, v.ephemeral.volumeClaimTemplate)"
)
SERVICE_ACCOUNT_CONTROLLER = "system:serviceaccount:kube-system:service-account-controller"


@dataclass(frozen=True, kw_only=True)
class Section:
    """Objects whose judged parts lie in the same places.

    ``resources`` are (API group, plural names). ``variables`` give CEL names to the parts; ``changing`` are paths of
    fields, the last of them perhaps a key in brackets: an update is judged if one of them changes. ``unless`` is CEL
    for requests that are not judged.
    """

    name: str
    subjects: tuple[Subject, ...]
    resources: tuple[tuple[str, tuple[str, ...]], ...]
    changing: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unless: str = ""


def sections() -> tuple[Section, ...]:
    """All sections: those of pods by where each kind holds its pod, then the others."""
    return (*_pod_sections(), _CLAIM_TEMPLATES, _CLAIMS, *_WHOLE, _FINALIZERS)


def _pod_sections() -> list[Section]:
    found: dict[tuple[str, ...], list[str]] = {}
    for kind, path in POD_PATHS.items():
        found.setdefault(path, []).append(kind)
    return [_pod_section(path, kinds=tuple(kinds)) for path, kinds in found.items()]


def _pod_section(path: tuple[str, ...], *, kinds: tuple[str, ...]) -> Section:
    holder = ".".join(("object", *path))
    more_labels = " + [object.spec.jobTemplate.?metadata.?labels.orValue({})]" if "CronJob" in kinds else ""
    return Section(
        name=_POD_SECTIONS[kinds[0]],
        subjects=(Subject.PODS, Subject.TEMPLATES, Subject.CLAIMS),
        resources=_resources(kinds),
        # A pod's labels may change later, for its ReplicaSet or by hand; only those of the platform may not, which are
        # protected on every object, nor the one of its solution. Its annotations are read when it is started, which may
        # be long after it was made. A template changes as a whole, and a CronJob's with that of its jobs.
        changing=(".".join(path[:2]),)
        if path
        else ("spec", "metadata.annotations", f"metadata.labels[{LABEL_SOLUTION}]"),
        variables={
            "bound": "request.operation == 'UPDATE'" if not path else "false",
            "spec": f"{holder}.spec",
            "annotations": f"{holder}.?metadata.?annotations.orValue({{}})",
            "relabelled": _relabelled(path),
            "containers": " + ".join(f"variables.spec.?{name}.orValue([])" for name in CONTAINER_LISTS),
            "claims": _EPHEMERAL,
            "templates": f"[{holder}.{_LABELS}] + {_EPHEMERAL}.map(t, t.{_LABELS}){more_labels}",
        },
    )


def _relabelled(path: tuple[str, ...]) -> str:
    """CEL: whether the pod at ``path`` gets, changes or loses the label of a solution."""
    label = f"{''.join(f'.?{step}' for step in path)}.?metadata.?labels[?'{LABEL_SOLUTION}']"
    return f"request.operation == 'CREATE' ? object{label}.hasValue() : object{label} != oldObject{label}"


def _resources(kinds: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    groups: dict[str, tuple[str, ...]] = {}
    for kind in kinds:
        group, names = _POD_RESOURCES[kind]
        groups[group] = (*groups.get(group, ()), *names)
    return tuple(sorted(groups.items()))


_CLAIM_TEMPLATES = Section(
    name="claim-templates",
    subjects=(Subject.CLAIMS, Subject.TEMPLATES),
    resources=(("apps", ("statefulsets",)),),
    changing=("spec.volumeClaimTemplates",),
    variables={
        "bound": "false",
        "claims": "object.spec.?volumeClaimTemplates.orValue([])",
        "templates": f"object.spec.?volumeClaimTemplates.orValue([]).map(t, t.{_LABELS})",
    },
)
_CLAIMS = Section(
    name="claims",
    subjects=(Subject.CLAIMS,),
    resources=(("", ("persistentvolumeclaims",)),),
    # Not its volumeName, which the cluster writes, nor its size, which the quota counts.
    changing=tuple(
        f"spec.{name}" for name in ("storageClassName", "volumeAttributesClassName", "selector", "dataSourceRef")
    ),
    variables={"bound": "request.operation == 'UPDATE'", "claims": "[object]"},
)
_FINALIZERS = Section(
    name="finalizers",
    subjects=(Subject.ALL,),
    resources=(("*", ("*",)),),
    changing=("metadata.finalizers",),
    variables={
        "finalizers": (
            "object.metadata.?finalizers.orValue([]).filter(f, request.operation == 'CREATE'"
            " || !(f in oldObject.metadata.?finalizers.orValue([])))"
        ),
    },
    # Controllers of the cluster put their own there, and take them off.
    unless=(
        "['update', 'patch'].exists(verb, authorizer.group(request.resource.group)"
        ".resource(request.resource.resource).check(verb).allowed())"
    ),
)
_WITH_METADATA = {"spec": "object.spec", "metadata": "object.metadata"}
_WHOLE = (
    Section(
        name="services",
        subjects=(Subject.SERVICES,),
        resources=(("", ("services",)),),
        changing=("spec", "metadata.annotations"),
        variables=_WITH_METADATA,
    ),
    Section(
        name="ingresses",
        subjects=(Subject.INGRESSES,),
        resources=(("networking.k8s.io", ("ingresses",)),),
        changing=("spec", "metadata.annotations"),
        variables=_WITH_METADATA,
    ),
    Section(
        name="network-policies",
        subjects=(Subject.NETWORK_POLICIES,),
        resources=(("networking.k8s.io", ("networkpolicies",)),),
        changing=("spec",),
        variables=_WITH_METADATA,
    ),
    Section(
        name="autoscalers",
        subjects=(Subject.AUTOSCALERS,),
        resources=(("autoscaling", ("horizontalpodautoscalers",)),),
        changing=("spec", "metadata.labels"),
        variables=_WITH_METADATA,
    ),
    Section(
        name="role-bindings",
        subjects=(Subject.ROLE_BINDINGS,),
        resources=(("rbac.authorization.k8s.io", ("rolebindings",)),),
        changing=("subjects",),
    ),
    Section(
        name="service-accounts",
        subjects=(Subject.SERVICE_ACCOUNTS,),
        resources=(("", ("serviceaccounts",)),),
        changing=("automountServiceAccountToken",),
        # Kubernetes makes the account `default` by itself; the cooperative's stack then takes its token away, and
        # until then no pod can be made with it: it would hold one.
        unless=(
            "request.operation == 'CREATE' && object.metadata.name == 'default'"
            f" && request.userInfo.username in ['{SERVICE_ACCOUNT_CONTROLLER}', 'system:kube-controller-manager']"
        ),
    ),
    Section(
        name="secrets",
        subjects=(Subject.SECRETS,),
        resources=(("", ("secrets",)),),
        changing=("type",),
    ),
)
