"""Pure: what RBAC rules allow, thing by thing, so that what somebody has can be compared with what the plan gives.

Wildcards are resolved against the resources that the API server offers, beside those that exist for authorization
alone (Kubernetes documentation, "Using RBAC Authorization" and "User impersonation").
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from provisioner.cluster.api import Identity
from provisioner.cluster.discovery import ApiResource
from provisioner.naming import API_GROUP, RESOURCE_TENANTS, VERB_MANAGE
from provisioner.plan.manifest import Manifest
from provisioner.proof.attempts import Right

Rules = Sequence[Mapping[str, Any]]
_RBAC = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNTS = ("", "serviceaccounts")
# Verbs that no HTTP method stands for.
_FURTHER_VERBS: Mapping[tuple[str, str], tuple[str, ...]] = {
    (_RBAC, "roles"): ("bind", "escalate"),
    (_RBAC, "clusterroles"): ("bind", "escalate"),
    _SERVICE_ACCOUNTS: ("impersonate",),
}


@dataclass(frozen=True, kw_only=True)
class Askable:
    """A resource (with its subresource, as in ``pods/exec``) and all verbs that somebody may be allowed on it."""

    group: str
    resource: str
    namespaced: bool
    verbs: tuple[str, ...]


# What exists only to be asked about: whom one may act as, and who signs certificates.
_WITHOUT_OBJECTS = (
    Askable(group="", resource="users", namespaced=False, verbs=("impersonate",)),
    Askable(group="", resource="groups", namespaced=False, verbs=("impersonate",)),
    Askable(group="authentication.k8s.io", resource="uids", namespaced=False, verbs=("impersonate",)),
    Askable(group="authentication.k8s.io", resource="userextras", namespaced=False, verbs=("impersonate",)),
    Askable(group="certificates.k8s.io", resource="signers", namespaced=False, verbs=("approve", "attest", "sign")),
    # By this right admission policies know who may do what tenants may not.
    Askable(group=API_GROUP, resource=RESOURCE_TENANTS, namespaced=False, verbs=(VERB_MANAGE,)),
)
# What everybody may who is known at all (Kubernetes, bootstrap roles system:basic-user and system:discovery).
EVERYBODY = frozenset(
    {
        Right(group="authentication.k8s.io", resource="selfsubjectreviews", verb="create"),
        Right(group="authorization.k8s.io", resource="selfsubjectaccessreviews", verb="create"),
        Right(group="authorization.k8s.io", resource="selfsubjectrulesreviews", verb="create"),
    }
)
URLS_OF_EVERYBODY = frozenset(
    {
        *("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"),
        *("/healthz", "/livez", "/readyz"),
        *("/.well-known/openid-configuration", "/.well-known/openid-configuration/"),
        *("/openid/v1/jwks", "/openid/v1/jwks/"),
    }
)


def askables(resources: Iterable[ApiResource]) -> tuple[Askable, ...]:
    """Everything that a right can be about, where the API server offers ``resources``."""
    return (*(_askable(resource) for resource in resources if resource.verbs), *_WITHOUT_OBJECTS)


def rights(rules: Rules, *, of: Sequence[Askable]) -> frozenset[Right]:
    """Every single right that ``rules`` give; what they name beyond ``of`` counts too."""
    return frozenset(right for rule in rules for right in _rights(rule, of=of))


def planned_rights(
    identity: Identity, *, namespace: str, guards: Iterable[Manifest], of: Sequence[Askable]
) -> frozenset[Right]:
    """What ``identity`` may do in ``namespace`` by the plan's roles and bindings among ``guards``, and as everybody."""
    manifests = list(guards)
    roles = {(_place(item), item["metadata"]["name"]): item["rules"] for item in manifests if item["kind"] in _ROLES}
    found: set[Right] = set(EVERYBODY)
    for binding in manifests:
        if binding["kind"] == "RoleBinding" and _place(binding) == namespace and _binds(binding, identity):
            reference = binding["roleRef"]
            place = namespace if reference["kind"] == "Role" else ""
            found |= rights(roles[place, reference["name"]], of=of)
    return frozenset(found)


_ROLES = frozenset({"Role", "ClusterRole"})


def allows(have: frozenset[Right], askable: Askable) -> tuple[str, ...]:
    """The verbs on ``askable`` that ``have`` allows on every object, sorted."""
    return tuple(
        verb for verb in askable.verbs if Right(group=askable.group, resource=askable.resource, verb=verb) in have
    )


def _askable(resource: ApiResource) -> Askable:
    name = f"{resource.name}/{resource.subresource}" if resource.subresource else resource.name
    verbs = {*resource.verbs, *_FURTHER_VERBS.get((resource.group, name), ())}
    return Askable(group=resource.group, resource=name, namespaced=resource.namespaced, verbs=tuple(sorted(verbs)))


def _rights(rule: Mapping[str, Any], *, of: Sequence[Askable]) -> Iterator[Right]:
    groups, resources, verbs = (set(rule.get(key) or ()) for key in ("apiGroups", "resources", "verbs"))
    names = rule.get("resourceNames") or ("",)
    for group, resource, verb in {*_known(of, groups, resources, verbs), *_named(groups, resources, verbs)}:
        for name in names:
            yield Right(group=group, resource=resource, verb=verb, name=name)


def _known(
    of: Sequence[Askable], groups: set[str], resources: set[str], verbs: set[str]
) -> Iterator[tuple[str, str, str]]:
    for one in of:
        if groups & {one.group, "*"} and resources & {one.resource, "*", f"*/{one.resource.partition('/')[2]}"}:
            for verb in one.verbs:
                if verbs & {verb, "*"}:
                    yield one.group, one.resource, verb


def _named(groups: set[str], resources: set[str], verbs: set[str]) -> Iterator[tuple[str, str, str]]:
    """What a rule says literally, known or not: a kind that is made tomorrow is allowed by a rule of today."""
    for group in groups:
        for resource in resources:
            for verb in verbs:
                yield group, resource, verb


def _place(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def _binds(binding: Manifest, identity: Identity) -> bool:
    known = {("User", identity.user), *(("Group", group) for group in identity.groups)}
    return any((one["kind"], one["name"]) in known for one in binding.get("subjects", ()))
