"""Every guard of a tenant and of its platform, weakened at one place at a time: what a proof must not overlook.

A mutation is a change of one planned manifest. Done in the cluster, it is what somebody's hand does to a guard; done in
the plan, what a mistake in its builder does. Each kind of guard has its own table of mutations, so that a new kind, or
a new field of a known one, is a guard without a mutation, which a test of their completeness does not let pass.
"""

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from provisioner.descriptor.cooperative import Operator, SubjectKind
from provisioner.descriptor.platform import Platform
from provisioner.naming import ClusterId
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import (
    CooperativePlan,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
)
from provisioner.proof.promised_stores import STORE_PARTS, StorePart
from provisioner.proof.tenant import Terms
from tests.admission_mutations import FINDS_NOTHING, binding_mutations, policy_mutations
from tests.manifest_changes import Steps, Weakening, added, at, both, leaves, removed, replaced, scaled
from tests.unit.plan import builders

CLUSTER = ClusterId("proved")
OWN, NEIGHBOUR = "proved-rice", "proved-plastics"
Place = tuple[str, str, str]
_EVERYBODY = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}
# Labels and annotations that no guard rests on: who applies, and what people are told.
_TELLING = ("pulumi.com/", "coopctl.dev/why", "coopctl.dev/display-name")


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """The guard at ``place``, changed as ``what`` says; None for one that is gone."""

    place: Place
    what: str
    change: Callable[[Manifest], Manifest] | None

    def __str__(self) -> str:
        kind, namespace, name = self.place
        return f"{kind} {namespace}/{name}: {self.what}"


def proved_platform() -> Platform:
    """A platform with the id of the proved world."""
    base = builders.platform()
    return replace(base, cluster=replace(base.cluster, id=CLUSTER))


def proved_terms(name: str = OWN, *, platform: Platform | None = None) -> Terms:
    """On what a cooperative is a tenant; its operator and its domain are its own."""
    made = builders.cooperative(name, solutions=())
    operator = Operator(kind=SubjectKind.USER, name=f"{name}-operator")
    own = replace(made, operators=(operator,), network=replace(made.network, domain=f"{name}.example.kr"))
    return Terms(cooperative=own, platform=platform or proved_platform())


def planned(terms: Terms) -> CooperativePlan:
    """The plan that is made on ``terms``."""
    return cooperative_plan(
        terms.cooperative, platform=terms.platform, catalogue=builders.catalogue(), images=builders.fake_lock()
    )


def place(manifest: Manifest) -> Place:
    """Kind, namespace and name."""
    about = manifest["metadata"]
    return manifest["kind"], about.get("namespace", ""), about["name"]


def tenant_guards(name: str = OWN) -> dict[Place, Manifest]:
    """Every guard of a tenant's plan."""
    items = [item for item in planned(proved_terms(name)).resources if isinstance(item, KubernetesObject)]
    return {place(item.manifest): item.manifest for item in items if item.guard}


def platform_guards() -> dict[Place, Manifest]:
    """Every guard of the platform's plan."""
    return {place(item.manifest): item.manifest for item in platform_plan(proved_platform()).resources}


def store_parts(name: str = OWN) -> dict[str, StorePart]:
    """The parts of a tenant's planned data store, by their keys."""
    return {item.key: item for item in planned(proved_terms(name)).resources if isinstance(item, STORE_PARTS)}


def weakened_parts(part: StorePart) -> dict[str, StorePart]:
    """A planned part of the data store with each of its attributes weakened, by the attribute's name.

    An attribute without a weaker value here raises KeyError: it would be one that no proof is tried against.
    """
    named = [one.name for one in fields(part) if one.name not in _NO_ATTRIBUTES]
    return {name: replace(part, **{name: _WEAKER[type(part), name](getattr(part, name))}) for name in named}


def mutations(guards: dict[Place, Manifest]) -> tuple[Mutation, ...]:
    """All mutations of ``guards``; a kind without any of its own raises KeyError."""
    return tuple(_mutation for manifest in guards.values() for _mutation in _of(manifest))


def sampled(cases: Iterable[Any], *, every: int, seconds: float) -> list[Any]:
    """Parameters for all cases, of which one in ``every`` is tried where time is short; the others take ``seconds``."""
    return [
        pytest.param(case, id=str(case), marks=() if number % every == 0 else pytest.mark.long(seconds=seconds))
        for number, case in enumerate(cases)
    ]


def is_for_attacks(mutation: Mutation) -> bool:
    """Whether it is where a policy finds what it judges, which only an attack tells."""
    return mutation.what.startswith(FINDS_NOTHING)


def untouched(manifest: Manifest) -> list[Steps]:
    """The fields of a guard that no mutation changes."""
    changed = [one.change(deepcopy(manifest)) for one in _of(manifest) if one.change]
    guarding = [steps for steps in leaves(manifest) if _guards(steps)]
    return [steps for steps in guarding if all(at(other, steps) == at(manifest, steps) for other in changed)]


# What names a part, and defaults that a role can change for itself anyway.
_NO_ATTRIBUTES = frozenset({"key", "depends_on", "kind", "settings"})
_WEAKER: dict[tuple[type, str], Callable[[Any], Any]] = {
    (PostgresRole, "name"): lambda name: f"{name}_2",
    (PostgresRole, "login"): lambda login: not login,
    (PostgresRole, "connection_limit"): lambda _: -1,
    (PostgresRole, "fenced"): lambda fenced: not fenced,
    (PostgresRole, "rotation"): lambda rotation: rotation + 1,
    (PostgresRole, "erased"): lambda erased: not erased,
    (PostgresRole, "member_of"): lambda groups: (*groups, "pg_read_all_data"),
    (PostgresDatabase, "name"): lambda name: f"{name}_2",
    (PostgresDatabase, "owner"): lambda _: "proved_rice_owner",
    (PostgresDatabase, "connection_limit"): lambda _: -1,
    (PostgresDatabase, "extensions"): lambda names: (*names, "dblink"),
    **{(PostgresGrants, name): lambda name: f"{name}_2" for name in ("database", "owner", "migration")},
    **{(PostgresGrants, name): lambda _: "proved_rice_owner" for name in ("application", "reader")},
    (PostgresGrants, "storage_bytes"): lambda _: 0,
    (PostgresGrants, "member_column"): lambda _: "",
    **{(PostgresMembers, name): lambda name: f"{name}_2" for name in ("database", "owner")},
    **{(PostgresMembers, name): lambda _: "proved_rice_owner" for name in ("application", "reader")},
    **{(kind, "writes_stopped"): lambda stopped: not stopped for kind in (PostgresGrants, PostgresMembers)},
    (PostgresMembers, "members"): lambda members: (*members, "somebody"),
    (PostgresMembers, "storage_bytes"): lambda _: 0,
    (PostgresMembers, "member_column"): lambda _: "",
    (ObjectsBucket, "fenced"): lambda fenced: not fenced,
    (ObjectsBucket, "name"): lambda name: f"{name}-2",
    (ObjectsBucket, "versioning"): lambda _: False,
    (ObjectsBucket, "quota_bytes"): lambda _: 0,
    (ObjectsBucket, "identity"): lambda name: f"{name}-2",
    (ObjectsIdentity, "name"): lambda name: f"{name}-2",
    (ObjectsIdentity, "bucket"): lambda name: f"{name}-2",
    (ObjectsIdentity, "rotation"): lambda rotation: rotation + 1,
}


def _guards(steps: Steps) -> bool:
    if steps[0] in {"apiVersion", "kind", "description"}:
        return False
    if steps[:2] == ("spec", "variables") and steps[-1] == "name":
        # No policy can be made in which a variable is called otherwise than where it is used.
        return False
    if steps[0] == "metadata":
        return steps[1] in {"labels", "annotations"} and not str(steps[2]).startswith(_TELLING)
    return True


def _of(manifest: Manifest) -> Iterator[Mutation]:
    here = place(manifest)
    if manifest["kind"] != "Namespace":
        # A namespace is not taken away from under its tenant; all that it carries is.
        yield Mutation(place=here, what="gone", change=None)
    for what, change in (*_labels(manifest), *_BY_KIND[manifest["kind"]](manifest)):
        yield Mutation(place=here, what=what, change=change)


def _labels(manifest: Manifest) -> Iterator[Weakening]:
    for key in manifest["metadata"]["labels"]:
        if not key.startswith("pod-security"):
            yield replaced("metadata", "labels", key, value="another")


def _namespace(manifest: Manifest) -> Iterator[Weakening]:
    for key in manifest["metadata"]["labels"]:
        if key.startswith("pod-security"):
            value = "v1.30" if key.endswith("-version") else "baseline"
            yield replaced("metadata", "labels", key, value=value)
    for key, value in manifest["metadata"]["annotations"].items():
        if not key.startswith(_TELLING):
            yield replaced("metadata", "annotations", key, value=f"{value} coopctl-proof-foreign".strip())


def _quota(manifest: Manifest) -> Iterator[Weakening]:
    for key, value in manifest["spec"]["hard"].items():
        yield scaled("spec", "hard", key, value=value, factor=3)
        yield removed("spec", "hard", key)
    if "scopeSelector" in manifest["spec"]:
        yield removed("spec", "scopeSelector")
    else:
        yield replaced("spec", "scopes", value=["NotTerminating"])


def _limits(manifest: Manifest) -> Iterator[Weakening]:
    for index, item in enumerate(manifest["spec"]["limits"]):
        yield removed("spec", "limits", index)
        for field, amounts in item.items():
            for kind, value in amounts.items() if field != "type" else ():
                # Twice, so that defaults stay below the most; half of the least.
                factor = "0.5" if field == "min" else "2"
                yield scaled("spec", "limits", index, field, kind, value=value, factor=factor)
                yield removed("spec", "limits", index, field, kind)


def _network_policy(manifest: Manifest) -> Iterator[Weakening]:
    spec = manifest["spec"]
    yield replaced("spec", "podSelector", value={"matchLabels": {"app": "guarded"}})
    if spec["podSelector"]:
        yield replaced("spec", "podSelector", value={})
    for number, kind in enumerate(spec["policyTypes"]):
        yield (
            removed("spec", "policyTypes", number)
            if len(spec["policyTypes"]) > 1
            else replaced("spec", "policyTypes", value=["Egress" if kind == "Ingress" else "Ingress"])
        )
    for direction, side in (("ingress", "from"), ("egress", "to")):
        spoken = replaced("spec", "policyTypes", value=["Ingress", "Egress"])
        yield both(spoken, replaced("spec", direction, value=[{}]))
        for number, rule in enumerate(spec.get(direction, ())):
            for index, peer in enumerate(rule[side]):
                if peer.get("podSelector") and "namespaceSelector" not in peer:
                    yield replaced("spec", direction, number, side, index, "podSelector", value={})
            yield added("spec", direction, number, side, value={"namespaceSelector": {}})
            yield removed("spec", direction, number)


def _rules(manifest: Manifest) -> Iterator[Weakening]:
    for number, rule in enumerate(manifest["rules"]):
        yield added("rules", number, "verbs", value="impersonate")
        yield added("rules", number, "resources", value="pods/exec")
        yield added("rules", number, "apiGroups", value="admissionregistration.k8s.io")
        yield replaced("rules", number, value={part: ["*"] for part in ("apiGroups", "resources", "verbs")})
        if not any(_holds(other, rule) for other in manifest["rules"] if other is not rule):
            yield removed("rules", number)
        if "resourceNames" in rule:
            yield removed("rules", number, "resourceNames")


def _holds(rule: Manifest, other: Manifest) -> bool:
    """Whether ``rule`` gives all that ``other`` does: then this one may be missing."""
    parts = ("apiGroups", "resources", "verbs")
    return "resourceNames" not in rule and all(set(other[part]) <= set(rule[part]) for part in parts)


def _role_binding(manifest: Manifest) -> Iterator[Weakening]:
    yield added("subjects", value=_EVERYBODY)
    yield removed("subjects")
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    yield replaced("roleRef", value=reference)
    yield replaced("roleRef", "apiGroup", value="another.example")


def _service_account(_: Manifest) -> Iterator[Weakening]:
    yield replaced("automountServiceAccountToken", value=True)
    yield removed("automountServiceAccountToken")


def _service(manifest: Manifest) -> Iterator[Weakening]:
    yield replaced("spec", "type", value="NodePort")
    yield replaced("spec", "selector", value={"app": "another"})
    yield replaced("spec", "externalIPs", value=["192.0.2.1"])
    yield replaced("spec", "ports", value=[{"name": "other", "protocol": "UDP", "port": 1, "targetPort": 1}])


def _endpoint_slice(_: Manifest) -> Iterator[Weakening]:
    yield replaced("addressType", value="IPv6")
    yield replaced("endpoints", value=[{"addresses": ["192.0.2.1"], "conditions": {"ready": False}}])
    yield replaced("ports", value=[{"name": "other", "protocol": "UDP", "port": 1}])


def _priority_class(manifest: Manifest) -> Iterator[Weakening]:
    yield replaced("value", value=manifest["value"] + 1)
    other = "Never" if manifest["preemptionPolicy"] != "Never" else "PreemptLowerPriority"
    yield replaced("preemptionPolicy", value=other)
    yield replaced("globalDefault", value=True)


_BY_KIND: dict[str, Callable[[Manifest], Iterator[Weakening]]] = {
    "Namespace": _namespace,
    "ResourceQuota": _quota,
    "LimitRange": _limits,
    "NetworkPolicy": _network_policy,
    "Role": _rules,
    "ClusterRole": _rules,
    "RoleBinding": _role_binding,
    "ServiceAccount": _service_account,
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "PriorityClass": _priority_class,
    "ValidatingAdmissionPolicy": policy_mutations,
    "ValidatingAdmissionPolicyBinding": binding_mutations,
}
