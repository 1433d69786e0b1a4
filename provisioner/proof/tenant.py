"""The tenant that is attacked, and its neighbours: all that planners of attempts need to know, out of its plan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from provisioner.cluster.api import Identity
from provisioner.descriptor.cooperative import Cooperative, NamespaceBudget
from provisioner.descriptor.platform import Platform
from provisioner.naming import (
    ANNOTATION_OPERATORS,
    LABEL_COOPERATIVE,
    CooperativeName,
    TenantNames,
)
from provisioner.plan import priority_class
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import CooperativePlan, KubernetesObject
from provisioner.rules.facts import Facts, subject

AUTHENTICATED = "system:authenticated"
SYSTEM_NAMESPACES = ("kube-system", "default")
# A group has rights, but only a user can act: the name of one who is nobody but a member.
MEMBER = "coopctl-proof"
# The accounts that make pods, one of them claims too, out of a tenant's templates (Kubernetes, controller roles).
MAKER_OF_PODS_AND_CLAIMS = "statefulset-controller"
MAKERS_OF_PODS = ("daemon-set-controller", "job-controller", "replicaset-controller", "replication-controller")


@dataclass(frozen=True, kw_only=True)
class Attacker:
    """Somebody who calls the API server: how to name it to people, as whom it acts, and how facts write it."""

    label: str
    identity: Identity
    subject: str = ""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """On what a cooperative is a tenant: its descriptor, its platform, and the ids of the rules that do not hold now.

    A plan is made from them by builders, and attacked by what the terms themselves say: what a builder leaves out of
    the plan would otherwise be missed by nobody. ``moved``: its data store lives on servers that are not the
    platform's, and what is left there is fenced; ``platform`` is then as its pods see it. ``rotation`` counts
    how often the credentials were changed there, and ``erased`` says that nothing is left here.
    """

    cooperative: Cooperative
    platform: Platform
    exceptions: tuple[str, ...] = ()
    moved: bool = False
    rotation: int = 0
    erased: bool = False


@dataclass(frozen=True, kw_only=True)
class ProvenTenant:
    """A cooperative as its plan has it, and as its terms say that it must be."""

    plan: CooperativePlan
    terms: Terms
    names: TenantNames
    facts: Facts
    guards: Mapping[str, KubernetesObject]
    operators: tuple[Attacker, ...]

    @property
    def apps(self) -> str:
        """The namespace of the solutions."""
        return self.names.apps_namespace

    @property
    def data(self) -> str:
        """The namespace of the data store."""
        return self.names.data_namespace

    @property
    def namespaces(self) -> tuple[str, str]:
        """Both namespaces."""
        return (self.apps, self.data)

    def budget(self, namespace: str) -> NamespaceBudget:
        """What the descriptor lets one of the namespaces use."""
        made = self.terms.cooperative
        return made.apps_budget if namespace == self.apps else made.data_budget

    def guard(self, kind: str, *, namespace: str, name: str = "tenant") -> Manifest | None:
        """The guard of this kind and name that the plan has in ``namespace``; None if it has none."""
        for item in self.guards.values():
            about = item.manifest["metadata"]
            if (item.manifest["kind"], about.get("namespace", ""), about["name"]) == (kind, namespace, name):
                return item.manifest
        return None

    def guards_of(self, kind: str, *, namespace: str) -> list[Manifest]:
        """All guards of this kind that the plan has in ``namespace``."""
        found = [item.manifest for item in self.guards.values() if item.manifest["kind"] == kind]
        return [manifest for manifest in found if manifest["metadata"].get("namespace", "") == namespace]

    def own_role(self, namespace: str) -> str:
        """The Role that the operators have in ``namespace``: one whose rights they may give; empty if there is none."""
        bindings = [item.manifest for item in self.guards.values() if item.manifest["kind"] == "RoleBinding"]
        bound = [item for item in bindings if item["metadata"]["namespace"] == namespace]
        return next((str(item["roleRef"]["name"]) for item in bound if item["roleRef"]["kind"] == "Role"), "")


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """Another tenant of the same cluster, as its namespaces say."""

    names: TenantNames
    operators: tuple[Attacker, ...] = ()

    @property
    def namespaces(self) -> tuple[str, str]:
        """Both namespaces."""
        return (self.names.apps_namespace, self.names.data_namespace)

    def is_operated_by(self, attacker: Attacker) -> bool:
        """Whether the attacker operates this tenant, too, by its own descriptor: there it is no stranger."""
        return attacker.subject in {operator.subject for operator in self.operators}


def proven_tenant(plan: CooperativePlan, *, terms: Terms) -> ProvenTenant:
    """The tenant of ``plan``, which was made on ``terms``."""
    names = terms.platform.names_of(terms.cooperative.name)
    operators = {(str(one.kind), one.name) for one in terms.cooperative.operators}
    return ProvenTenant(
        plan=plan,
        terms=terms,
        names=names,
        facts=_facts(terms, names=names),
        guards={item.key: item for item in plan.resources if isinstance(item, KubernetesObject) and item.guard},
        operators=tuple(_operator(kind, name) for kind, name in sorted(operators)),
    )


def neighbours(namespaces: Iterable[Manifest], *, of: ProvenTenant) -> tuple[Neighbour, ...]:
    """The other tenants among the cluster's ``namespaces``, sorted by name."""
    found: dict[str, Manifest] = {}
    for namespace in namespaces:
        about = namespace["metadata"]
        name = (about.get("labels") or {}).get(LABEL_COOPERATIVE)
        if name and name != of.names.cooperative:
            found[str(name)] = about.get("annotations") or {}
    return tuple(_neighbour(name, annotations, of=of) for name, annotations in sorted(found.items()))


def service_account(namespace: str, name: str = "default") -> Attacker:
    """A service account (Kubernetes documentation, "Authenticating", service account tokens: its user and groups)."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    identity = Identity(user=f"system:serviceaccount:{namespace}:{name}", groups=groups)
    return Attacker(label=f"service account {namespace}/{name}", identity=identity)


def controller(name: str) -> Attacker:
    """A controller of Kubernetes' own, which does what a tenant's template says."""
    return Attacker(label=name, identity=service_account("kube-system", name).identity)


def _operator(kind: str, name: str) -> Attacker:
    written = subject(kind, name)
    if kind == "User":
        identity = Identity(user=name, groups=(AUTHENTICATED,))
        return Attacker(label=f"operator {name}", identity=identity, subject=written)
    identity = Identity(user=MEMBER, groups=(name, AUTHENTICATED))
    return Attacker(label=f"operator of group {name}", identity=identity, subject=written)


def _neighbour(name: str, annotations: Mapping[str, str], *, of: ProvenTenant) -> Neighbour:
    listed = [item.partition(":") for item in annotations.get(ANNOTATION_OPERATORS, "").split()]
    return Neighbour(
        names=of.terms.platform.names_of(CooperativeName(name)),
        operators=tuple(_operator(kind, escaped.replace("%20", " ")) for kind, _, escaped in listed),
    )


def _facts(terms: Terms, *, names: TenantNames) -> Facts:
    """The facts that admission policies must judge the tenant by."""
    cooperative, platform = terms.cooperative, terms.platform
    return Facts(
        namespaces=(names.apps_namespace, names.data_namespace),
        domain=cooperative.network.domain,
        registries=platform.registry.allowed,
        storage_classes=platform.storage_classes,
        ingress_class=platform.ingress.class_name,
        priority_classes=(priority_class.SOLUTIONS, priority_class.BATCH, *platform.priority_classes),
        operators=tuple(sorted(subject(str(one.kind), one.name) for one in cooperative.operators)),
        solutions=tuple(sorted(solution.name for solution in cooperative.solutions)),
        exceptions=tuple(sorted(terms.exceptions)),
    )
