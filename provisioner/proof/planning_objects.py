"""Pure: attempts on admission, all as dry runs: objects with one flaw each, and objects where others live.

Each starts from an object of the same kind and maker that is accepted. Two make objects: the tenant's operator, as far
as the plan gives it the right, and Kubernetes' own controllers, which make pods and claims out of its templates.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from provisioner.cluster.api import JSON
from provisioner.naming import LABEL_COOPERATIVE, LABEL_MANAGED_BY, MANAGED_BY
from provisioner.plan.manifest import Manifest
from provisioner.proof.accepted import KINDS, accepted, creation_path
from provisioner.proof.attempts import About, AcceptedWith, Area, DryRun, Guard, GuardKind, Look, RequestAttempt, Right
from provisioner.proof.changing import FOREIGN, Flaw, field, without
from provisioner.proof.flaws import ONE_RULE, flaws
from provisioner.proof.tenant import (
    MAKER_OF_PODS_AND_CLAIMS,
    MAKERS_OF_PODS,
    SYSTEM_NAMESPACES,
    Attacker,
    Neighbour,
    ProvenTenant,
    controller,
)
from provisioner.rules.cluster_only import PLATFORM_OBJECTS
from provisioner.rules.pod_rules import SOLUTION_LABEL
from provisioner.rules.registry import RULES
from provisioner.rules.rule import Enforcement, Rule

_RBAC = Guard(kind=GuardKind.RBAC)
_FOREIGN_KINDS = ("Pod", "ConfigMap", "Secret", "NetworkPolicy", "RoleBinding")
_MORE_RIGHTS = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
# No tenant has a right to these, but policies judge them, for coopctl as for everybody.
_MADE_BY_NOBODY = ("PodTemplate",)
_ADMINISTRATOR = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
_DISGUISE = Flaw(
    kind="ConfigMap",
    what="the platform's own labels",
    change=field("metadata", "labels", value={LABEL_COOPERATIVE: FOREIGN, LABEL_MANAGED_BY: MANAGED_BY}),
)
_ESCALATIONS = (
    Flaw(kind="Role", what="more rights than it has itself", change=field("rules", value=_MORE_RIGHTS)),
    Flaw(kind="RoleBinding", what="the rights of the administrator", change=field("roleRef", value=_ADMINISTRATOR)),
)


def object_attempts(
    tenant: ProvenTenant, *, rights: frozenset[Right], neighbours: Sequence[Neighbour]
) -> tuple[RequestAttempt, ...]:
    """The attempts on admission; ``rights`` are those of the tenant's operators in its namespace of solutions."""
    made: list[RequestAttempt] = []
    for operator in tenant.operators[:1]:
        makes = tuple(kind for kind in KINDS if creates(rights, kind))
        maker = Maker(tenant=tenant, attacker=operator, namespace=tenant.apps, kinds=makes)
        made += [*maker.attempts(), *maker.escalations(), *maker.disguises()]
        made += maker.refusals(kind for kind in KINDS if kind not in makes)
        others = [other.namespaces for other in neighbours if not other.is_operated_by(operator)][:1]
        elsewhere = [*SYSTEM_NAMESPACES, *(name for other in others for name in other)]
        for namespace in elsewhere:
            stranger = Maker(tenant=tenant, attacker=operator, namespace=namespace, kinds=())
            made += stranger.refusals(_FOREIGN_KINDS)
    for namespace in tenant.namespaces:
        made += controlled(tenant, namespace=namespace).attempts()
        made += Maker(tenant=tenant, attacker=None, namespace=namespace, kinds=_MADE_BY_NOBODY).attempts(
            rules=tuple(rule.id for rule in RULES if not rule.binds_tenants_only)
        )
        for name in MAKERS_OF_PODS:
            maker = Maker(tenant=tenant, attacker=controller(name), namespace=namespace, kinds=("Pod",))
            made += maker.attempts(rules=(ONE_RULE,))
    return tuple(made)


def controlled(tenant: ProvenTenant, *, namespace: str) -> "Maker":
    """The controller that makes both pods and claims, in a namespace of the tenant: of a solution's templates, too."""
    return Maker(
        tenant=tenant,
        attacker=controller(MAKER_OF_PODS_AND_CLAIMS),
        namespace=namespace,
        kinds=("Pod", "PersistentVolumeClaim"),
        may=frozenset({SOLUTION_LABEL.id}),
    )


def creates(rights: frozenset[Right], kind: str) -> bool:
    """Whether ``rights`` allow to create objects of ``kind``."""
    version, resource = KINDS[kind]
    return Right(group=version.rpartition("/")[0], resource=resource, verb="create") in rights


def guard_of(rule: Rule) -> Guard | None:
    """The guard that refuses what breaks ``rule``; None for what no admission refuses."""
    match rule.enforcement:
        case Enforcement.ADMISSION_POLICY:
            return admission_policy(rule.id)
        case Enforcement.POD_SECURITY:
            return Guard(kind=GuardKind.POD_SECURITY)
        case _:
            return None


def admission_policy(rule: str) -> Guard:
    """The admission policy that enforces the rule with this id."""
    return Guard(kind=GuardKind.ADMISSION_POLICY, rule=rule)


class Maker:
    """Somebody who makes objects of ``kinds`` in a namespace; coopctl itself without an ``attacker``.

    The rules whose ids are in ``may`` do not bind this maker.
    """

    def __init__(
        self,
        *,
        tenant: ProvenTenant,
        attacker: Attacker | None,
        namespace: str,
        kinds: tuple[str, ...],
        may: frozenset[str] = frozenset(),
    ) -> None:
        self._tenant = tenant
        self._who = attacker.label if attacker else "coopctl"
        self._identity = attacker.identity if attacker else None
        self._namespace = namespace
        self._kinds = kinds
        self._exempt = may | frozenset(tenant.facts.exceptions)

    def attempts(self, *, rules: Sequence[str] = ()) -> Iterator[RequestAttempt]:
        """What is accepted, then what each rule refuses, then what every pod gets; with ``rules`` only these."""
        for kind in self._kinds:
            yield self.creation(kind, self.accepted(kind), case="accepted", what=f"creates a {kind}", guard=None)
        for rule in RULES:
            guard = guard_of(rule)
            if guard is not None and rule.id not in self._exempt and rule.id in (rules or (rule.id,)):
                yield from self._flawed(rule, guard=guard)
        if "Pod" in self._kinds and not rules:
            yield from self._looks()

    def escalations(self) -> Iterator[RequestAttempt]:
        """Roles and bindings that give more than their maker has."""
        for flaw in _ESCALATIONS:
            if flaw.kind in self._kinds:
                yield self.flawed(flaw, case="escalation", guard=_RBAC)

    def disguises(self) -> Iterator[RequestAttempt]:
        """An object that bears the platform's labels: nobody would tell it from what bounds the tenant."""
        if _DISGUISE.kind in self._kinds:
            yield self.flawed(_DISGUISE, case=PLATFORM_OBJECTS.id, guard=admission_policy(PLATFORM_OBJECTS.id))

    def refusals(self, kinds: Iterable[str]) -> Iterator[RequestAttempt]:
        """The kinds that the maker has no right to create here."""
        for kind in kinds:
            yield self.creation(kind, self.accepted(kind), case="no right", what=f"creates a {kind}", guard=_RBAC)

    def flawed(self, flaw: Flaw, *, case: str, guard: Guard, also: tuple[Guard, ...] = ()) -> DryRun:
        """The creation of an object with ``flaw``, which ``guard`` must refuse."""
        manifest = flaw.change(self.accepted(flaw.kind), self._tenant.facts)
        what = f"creates a {flaw.kind} with {flaw.what}"
        made = self.creation(flaw.kind, manifest, case=case, what=what, guard=guard, also=also)
        return replace(made, gated=flaw.gated)

    def accepted(self, kind: str) -> Manifest:
        """An object that may be created."""
        role = self._tenant.own_role(self._tenant.apps)
        return accepted(kind, namespace=self._namespace, facts=self._tenant.facts, role=role)

    def creation(
        self, kind: str, manifest: Manifest, *, case: str, what: str, guard: Guard | None, also: tuple[Guard, ...] = ()
    ) -> DryRun:
        """The creation of an object; an attack rests on the one that is accepted."""
        prefix = f"objects/{self._who}/{self._namespace}/{kind}"
        return DryRun(
            about=About(
                id=f"{prefix}/{case}",
                area=Area.OBJECTS,
                who=self._who,
                what=f"{what} in {self._namespace}",
                guard=guard,
                also=also,
                rests_on=() if guard is None or case == "no right" else (f"{prefix}/accepted",),
            ),
            identity=self._identity,
            method="POST",
            path=creation_path(kind, namespace=self._namespace),
            body=manifest,
            content_type=JSON,
        )

    def _flawed(self, rule: Rule, *, guard: Guard) -> Iterator[RequestAttempt]:
        for number, flaw in enumerate(flaws(rule.id), start=1):
            if flaw.kind in self._kinds and (self._tenant.facts.solutions or not flaw.of_solutions):
                also = tuple(admission_policy(name) for name in flaw.also)
                yield self.flawed(flaw, case=f"{rule.id}-{number}", guard=guard, also=also)

    def _looks(self) -> Iterator[RequestAttempt]:
        """A pod that says nothing about them gets no token, and gets limits."""
        silent = without(self.accepted("Pod"), "spec", "automountServiceAccountToken")
        guards = {Look.NO_TOKEN: GuardKind.SERVICE_ACCOUNT, Look.LIMITS: GuardKind.LIMIT_RANGE}
        for look, kind in guards.items():
            what = f"creates a Pod without {look} of its own will"
            request = self.creation("Pod", silent, case=look.name.lower(), what=what, guard=Guard(kind=kind))
            yield AcceptedWith(about=request.about, request=request, look=look)
