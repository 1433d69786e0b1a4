"""Pure: attempts on rights. What somebody may do by RBAC is what the plan says, within what any plan may say
(promised_rights), and everything else is denied.

In every namespace the API server lists all rules that it has for the attacker; resolved against all kinds, subresources
and verbs of its API they are compared with the plan. Beside that it is asked about single rights that would hurt most:
the answer takes the way of a real request. Where an authorizer cannot list its rules (a webhook), the API server says
that they are incomplete. Then it is asked about every verb on every resource, one by one, which takes some seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from provisioner.naming import API_GROUP, RESOURCE_TENANTS
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import (
    About,
    AccessReview,
    Area,
    Guard,
    GuardKind,
    RequestAttempt,
    Right,
    RulesReview,
)
from provisioner.proof.promised_rights import promised
from provisioner.proof.rights import EVERYBODY, Askable, allows, planned_rights
from provisioner.proof.tenant import SYSTEM_NAMESPACES, Attacker, Neighbour, ProvenTenant, service_account

_RBAC = Guard(kind=GuardKind.RBAC)
CLUSTER = "the whole cluster"
_RBAC_GROUP = "rbac.authorization.k8s.io"
# With any of these somebody has the secrets, the pods, the rights or the guards of a namespace, or of all of them.
SENSITIVE: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        ("", "secrets"): ("get", "list"),
        ("", "configmaps"): ("get",),
        ("", "pods"): ("create", "get"),
        ("", "pods/exec"): ("create",),
        ("", "pods/log"): ("get",),
        ("", "pods/ephemeralcontainers"): ("patch",),
        ("", "serviceaccounts"): ("impersonate",),
        ("", "serviceaccounts/token"): ("create",),
        ("", "services"): ("create",),
        ("", "services/proxy"): ("get",),
        ("", "endpoints"): ("update",),
        ("", "resourcequotas"): ("update",),
        ("", "limitranges"): ("delete",),
        ("apps", "deployments/scale"): ("update",),
        ("discovery.k8s.io", "endpointslices"): ("update",),
        ("networking.k8s.io", "networkpolicies"): ("delete",),
        (_RBAC_GROUP, "roles"): ("bind", "escalate"),
        (_RBAC_GROUP, "rolebindings"): ("create",),
        ("", "nodes"): ("get",),
        ("", "nodes/proxy"): ("get",),
        ("", "namespaces"): ("create", "delete", "patch"),
        ("", "persistentvolumes"): ("create",),
        ("", "users"): ("impersonate",),
        ("", "groups"): ("impersonate",),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"): ("delete",),
        ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): ("delete",),
        ("certificates.k8s.io", "signers"): ("approve", "sign"),
        (_RBAC_GROUP, "clusterroles"): ("bind", "escalate"),
        (_RBAC_GROUP, "clusterrolebindings"): ("create",),
        (API_GROUP, RESOURCE_TENANTS): ("manage",),
    }
)


def rights_attempts(
    tenant: ProvenTenant,
    *,
    namespaces: Sequence[str],
    neighbours: Sequence[Neighbour],
    askables: Sequence[Askable],
    rules_are_complete: bool,
    cluster_roles: Iterable[Manifest] = (),
) -> tuple[RequestAttempt, ...]:
    """The attempts on rights in ``namespaces``, all that the cluster has.

    ``cluster_roles`` are those that the plan's bindings may name. Who operates two tenants by their descriptors is no
    stranger to either.
    """
    planner = _Planner(tenant=tenant, cluster_roles=cluster_roles, askables=askables)
    asked = askables if not rules_are_complete else _sensitive(askables)
    made: list[RequestAttempt] = []
    for attacker in (*tenant.operators, *(service_account(name) for name in tenant.namespaces)):
        foreign = _operated(attacker, neighbours=neighbours)
        made += planner.reviews(attacker, namespaces=[name for name in namespaces if name not in foreign])
    for attacker in _strangers(tenant, neighbours=neighbours):
        made += planner.reviews(attacker, namespaces=tenant.namespaces)
    for attacker in tenant.operators[:1]:
        others = [other.namespaces for other in neighbours if not other.is_operated_by(attacker)][:1]
        for namespace in (*tenant.namespaces, *(name for other in others for name in other), *SYSTEM_NAMESPACES, ""):
            made += planner.questions(attacker, namespace=namespace, about=asked)
    return tuple(made)


def _sensitive(askables: Sequence[Askable]) -> tuple[Askable, ...]:
    return tuple(
        Askable(group=one.group, resource=one.resource, namespaced=one.namespaced, verbs=verbs)
        for one in askables
        if (verbs := SENSITIVE.get((one.group, one.resource), ()))
    )


def _operated(attacker: Attacker, *, neighbours: Sequence[Neighbour]) -> set[str]:
    """The namespaces of the other tenants that the attacker operates too."""
    return {namespace for other in neighbours if other.is_operated_by(attacker) for namespace in other.namespaces}


def _strangers(tenant: ProvenTenant, *, neighbours: Sequence[Neighbour]) -> tuple[Attacker, ...]:
    """Everybody who operates another tenant and not this one, and service accounts of another's."""
    own = {operator.subject for operator in tenant.operators}
    operators = {
        operator.subject: operator
        for other in neighbours
        for operator in other.operators
        if operator.subject not in own
    }
    accounts = [service_account(name) for other in neighbours[:1] for name in other.namespaces]
    return (*operators.values(), *accounts)


class _Planner:
    """Plans for one tenant, with what every attempt needs."""

    def __init__(self, *, tenant: ProvenTenant, cluster_roles: Iterable[Manifest], askables: Sequence[Askable]) -> None:
        self._tenant = tenant
        self._guards = (*(item.manifest for item in tenant.guards.values()), *cluster_roles)
        self._askables = askables

    def expected(self, attacker: Attacker, *, namespace: str) -> frozenset[Right]:
        """What the attacker may do: operators what the plan gives, as far as any plan may; others nothing."""
        if attacker not in self._tenant.operators:
            return EVERYBODY
        planned = planned_rights(attacker.identity, namespace=namespace, guards=self._guards, of=self._askables)
        return promised(planned, tenant=self._tenant, namespace=namespace)

    def reviews(self, attacker: Attacker, *, namespaces: Sequence[str]) -> Iterator[RequestAttempt]:
        """All rules of the attacker, namespace by namespace."""
        for namespace in namespaces:
            expected = self.expected(attacker, namespace=namespace)
            about = About(
                id=f"rights/{attacker.label}/{namespace}/rules",
                area=Area.RIGHTS,
                who=attacker.label,
                what=f"has more rights in {namespace} than the plan gives",
                guard=_RBAC,
            )
            yield RulesReview(about=about, identity=attacker.identity, namespace=namespace, expected=expected)

    def questions(self, attacker: Attacker, *, namespace: str, about: Sequence[Askable]) -> Iterator[RequestAttempt]:
        """Single rights in a namespace, or in the whole cluster if it is empty."""
        have = self.expected(attacker, namespace=namespace)
        for one in about:
            if one.namespaced == bool(namespace):
                may = allows(have, one)
                yield from _review(attacker, namespace=namespace, askable=one, verbs=may, guard=None)
                others = tuple(verb for verb in one.verbs if verb not in may)
                yield from _review(attacker, namespace=namespace, askable=one, verbs=others, guard=_RBAC)


def _review(
    attacker: Attacker, *, namespace: str, askable: Askable, verbs: tuple[str, ...], guard: Guard | None
) -> Iterator[AccessReview]:
    if not verbs:
        return
    resource, _, subresource = askable.resource.partition("/")
    name = f"{askable.resource}.{askable.group}" if askable.group else askable.resource
    yield AccessReview(
        about=About(
            id=f"rights/{attacker.label}/{namespace or 'cluster'}/{name}/{'denied' if guard else 'allowed'}",
            area=Area.RIGHTS,
            who=attacker.label,
            what=f"may {', '.join(verbs)} {name} in {namespace or CLUSTER}",
            guard=guard,
        ),
        identity=attacker.identity,
        namespace=namespace,
        group=askable.group,
        resource=resource,
        subresource=subresource,
        verbs=verbs,
    )
