"""Pure: holds a plan to what the tenant is promised by its descriptor, its platform and the rules.

A proof compares the cluster with the plan, and attacks it. What a builder left out of the plan would be missing on both
sides, and where no attack reaches it, nobody would miss it. So the plan itself is looked at, by statements that share
no code with the builders. A guard that is not planned as promised is a failed control.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provisioner.naming import SERVICE_OBJECTS, SERVICE_POSTGRES, SYSTEM_NAMESPACE
from provisioner.plan.manifest import Manifest
from provisioner.plan.resources import PlatformPlan
from provisioner.proof.attempts import About, Area, PlanLook
from provisioner.proof.promised_admission import admission_lacks, enforced_rules, policy_lacks
from provisioner.proof.promised_amounts import (
    limit_bounds,
    limits_lack,
    quota_lacks,
    quota_lines,
    solutions_lines,
    solutions_scope,
)
from provisioner.proof.promised_flows import DEFAULT_DENY, deny_lacks
from provisioner.proof.promised_namespaces import (
    PRIORITY_CLASSES,
    account_lacks,
    binding_lacks,
    labels_lack,
    namespace_lacks,
    platform_labels_lack,
    priority_lacks,
    security_lacks,
    service_lacks,
)
from provisioner.proof.promised_rights import managing_lacks, role_lacks, view_lacks
from provisioner.proof.promised_stores import STORE_PARTS, part_lacks, stores_lack
from provisioner.proof.tenant import ProvenTenant

_POLICY, _BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"


@dataclass(frozen=True, kw_only=True)
class _Promise:
    what: str
    lacking: Iterable[str]


def promise_looks(tenant: ProvenTenant, *, platform: PlatformPlan) -> tuple[PlanLook, ...]:
    """Looks at all that must be planned for the tenant, and for the platform that it is a tenant of."""
    promises = [promise for namespace in tenant.namespaces for promise in _of_namespace(tenant, namespace)]
    promises += [*_of_data_store(tenant), *_of_platform(platform)]
    return tuple(_look(promise) for promise in promises)


def _look(promise: _Promise) -> PlanLook:
    about = About(
        id=f"plan/{promise.what}", area=Area.PLAN, who="coopctl", what=f"finds {promise.what} planned as promised"
    )
    return PlanLook(about=about, lacking=next(iter(promise.lacking), ""))


def _of_namespace(tenant: ProvenTenant, namespace: str) -> Iterator[_Promise]:
    budget, limits = tenant.budget(namespace), tenant.terms.cooperative.container_limits

    def planned(kind: str, name: str) -> Manifest | None:
        return tenant.guard(kind, namespace=namespace, name=name)

    made = {
        "ResourceQuota tenant": quota_lacks(planned("ResourceQuota", "tenant"), lines=quota_lines(budget), scope=None),
        "ResourceQuota solutions": quota_lacks(
            planned("ResourceQuota", "solutions"), lines=solutions_lines(budget), scope=solutions_scope()
        ),
        "LimitRange tenant": limits_lack(planned("LimitRange", "tenant"), bounds=limit_bounds(limits)),
        f"NetworkPolicy {DEFAULT_DENY}": deny_lacks(planned("NetworkPolicy", DEFAULT_DENY)),
        "Role operators": role_lacks(planned("Role", "operators"), tenant=tenant, namespace=namespace),
        "RoleBinding operators": binding_lacks(planned("RoleBinding", "operators"), tenant=tenant),
        "ServiceAccount default": account_lacks(planned("ServiceAccount", "default")),
    }
    itself = tenant.guard("Namespace", namespace="", name=namespace)
    yield _Promise(what=f"Namespace {namespace}", lacking=namespace_lacks(itself, tenant=tenant))
    yield from (_Promise(what=f"{name} of {namespace}", lacking=lacking) for name, lacking in made.items())
    for guard in tenant.guards.values():
        about = guard.manifest["metadata"]
        if namespace in {about.get("namespace"), about["name"]}:
            what = f"the labels of {guard.manifest['kind']} {about['name']} of {namespace}"
            yield _Promise(what=what, lacking=labels_lack(guard.manifest, tenant=tenant))


def _of_data_store(tenant: ProvenTenant) -> Iterator[_Promise]:
    platform = tenant.terms.platform
    for name, server in ((SERVICE_POSTGRES, platform.postgres.pods), (SERVICE_OBJECTS, platform.objects.pods)):
        service = tenant.guard("Service", namespace=tenant.data, name=name)
        slices = [
            one
            for one in tenant.guards_of("EndpointSlice", namespace=tenant.data)
            if one["metadata"]["labels"].get("kubernetes.io/service-name") == name
        ]
        lacking = service_lacks(service, host=server.host, port=server.port, slices=slices)
        yield _Promise(what=f"Service {name} of {tenant.data}", lacking=lacking)
    yield _Promise(what="the data store", lacking=stores_lack(tenant))
    for part in tenant.plan.resources:
        if isinstance(part, STORE_PARTS):
            yield _Promise(what=part.key, lacking=part_lacks(part, tenant=tenant))


def _of_platform(plan: PlatformPlan) -> Iterator[_Promise]:
    manifests = [item.manifest for item in plan.resources]
    bindings = [manifest for manifest in manifests if manifest["kind"] == _BINDING]
    named = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}
    for rule in enforced_rules():
        yield _Promise(what=f"the rule {rule}", lacking=admission_lacks(manifests, rule=rule))
    for (kind, name), manifest in named.items():
        if kind == _POLICY:
            lacking = policy_lacks(manifest, bindings=bindings, cluster=plan.cluster)
            yield _Promise(what=f"the policy {name}", lacking=lacking)
        yield _Promise(what=f"the labels of {kind} {name}", lacking=platform_labels_lack(manifest, plan=plan))
    for name in PRIORITY_CLASSES:
        yield _Promise(
            what=f"PriorityClass {name}", lacking=priority_lacks(named.get(("PriorityClass", name)), name=name)
        )
    view, manage = (named.get(("ClusterRole", f"coopctl-tenants-{name}")) for name in ("view", "manage"))
    yield _Promise(what="ClusterRole coopctl-tenants-view", lacking=view_lacks(view))
    yield _Promise(what="ClusterRole coopctl-tenants-manage", lacking=managing_lacks(manage))
    yield _Promise(
        what=f"Namespace {SYSTEM_NAMESPACE}", lacking=security_lacks(named.get(("Namespace", SYSTEM_NAMESPACE)))
    )
    yield _Promise(
        what=f"NetworkPolicy {DEFAULT_DENY} of {SYSTEM_NAMESPACE}",
        lacking=deny_lacks(named.get(("NetworkPolicy", DEFAULT_DENY))),
    )
