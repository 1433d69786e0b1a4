"""The plan of one cooperative: everything it gets, each thing after all that it needs.

The order is: namespaces; their bounds (quota, limits, policies, roles), before anything can run in them; the
database and the bucket; the Services that lead there; the credentials; the solutions.
"""

from collections.abc import Sequence
from dataclasses import replace

from provisioner.catalogue import Catalogue
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.platform import Platform
from provisioner.naming import SERVICE_OBJECTS, SERVICE_POSTGRES
from provisioner.plan import network_policy
from provisioner.plan.endpoint_slice import endpoint_slice
from provisioner.plan.integration import Placed, connections, placed_by_facts, placed_solutions, servers
from provisioner.plan.limit_range import limit_range
from provisioner.plan.manifest import Manifest
from provisioner.plan.metadata import guard, within
from provisioner.plan.namespace import namespace
from provisioner.plan.objects import objects_store
from provisioner.plan.postgres import MEMBERS, postgres_store
from provisioner.plan.resource_quota import resource_quota, solutions_quota
from provisioner.plan.resources import CooperativePlan, KubernetesObject, Resource, SolutionChart
from provisioner.plan.role import operators_role
from provisioner.plan.role_binding import operators_binding
from provisioner.plan.secret import connections_secrets, data_store_secret, job_secrets
from provisioner.plan.service import StoreService, objects_service, postgres_service, service
from provisioner.plan.service_account import default_service_account
from provisioner.plan.solution_chart import solution_charts
from provisioner.plan.solution_choice import FACTS
from provisioner.plan.store_place import StorePlace, seen_from_pods
from provisioner.plan.tenant import Tenant, TenantNamespace, tenant_of
from provisioner.plan.tenant_facts import tenant_facts
from provisioner.rules.facts import Facts


def cooperative_plan(
    cooperative: Cooperative,
    *,
    platform: Platform,
    catalogue: Catalogue,
    images: ImagesLock,
    exceptions: Sequence[str] = (),
    moved_to: StorePlace | None = None,
) -> CooperativePlan:
    """Decide everything that ``cooperative`` gets on ``platform``; ``exceptions`` are rules that do not hold for it.

    Where its data store has moved (``moved_to``), Services and policies lead there, and the one on the platform stays
    fenced until it is erased. Raises InvalidDescriptor if its solutions cannot be installed, NotFound if an image has
    no digest, UsageError if the platform gives names where policies need addresses, PolicyViolated for a flow that is
    never allowed.
    """
    platform = seen_from_pods(platform, moved_to=moved_to)
    tenant = tenant_of(cooperative, cluster=platform.cluster.id, buckets=platform.objects.bucket_prefix)
    facts = tenant_facts(tenant, platform=platform, exceptions=exceptions)
    placed = placed_solutions(cooperative, catalogue=catalogue)
    guards = _guards(tenant, platform=platform, facts=facts, placed=placed)
    secrets = (data_store_secret(tenant, platform=platform), *connections_secrets(tenant, placed=placed))
    before_solutions = (*(resource.key for resource in guards), MEMBERS, *(secret.key for secret in secrets))
    resources: tuple[Resource, ...] = (
        *guards,
        *postgres_store(tenant, platform=platform, moved_to=moved_to),
        *objects_store(tenant, moved_to=moved_to),
        *secrets,
        *job_secrets(tenant, platform=platform),
        *solution_charts(
            tenant,
            platform=platform,
            catalogue=catalogue,
            images=images,
            rotation=moved_to.rotation if moved_to else 0,
            depends_on=before_solutions,
        ),
    )
    return CooperativePlan(
        cooperative=cooperative.name,
        uid=tenant.names.uid,
        cluster=platform.cluster.id,
        domain=cooperative.network.domain,
        resources=_without_gone(resources),
        moved_to=moved_to,
    )


def with_charts(plan: CooperativePlan, charts: Sequence[SolutionChart], *, tenant: Tenant) -> CooperativePlan:
    """``plan`` with ``charts`` in place of its own: solutions of an earlier state, with all that connects them.

    What connects those of the plan itself stays beside it: the descriptor still asks for it.
    """
    told = [placed_by_facts(one.solution, facts=one.values[FACTS]) for one in charts]
    placed = [one for one in told if one is not None]
    others = [resource for resource in plan.resources if not isinstance(resource, SolutionChart)]
    connecting: list[Resource] = [
        *_solutions_policies(tenant, placed=placed),
        *connections_secrets(tenant, placed=placed),
    ]
    found = {resource.key: resource for resource in (*others, *connecting)}
    known = {*found, *(chart.key for chart in charts)}
    # What a chart waited for and the descriptor no longer has, such as a way out, is there no more.
    there = [replace(one, depends_on=tuple(key for key in one.depends_on if key in known)) for one in charts]
    return replace(plan, resources=(*found.values(), *there))


def _without_gone(resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
    """The same, with nothing that waits for a part of a data store which is erased."""
    keys = {resource.key for resource in resources}
    return tuple(
        resource
        if keys.issuperset(resource.depends_on)
        else replace(resource, depends_on=tuple(key for key in resource.depends_on if key in keys))
        for resource in resources
    )


def _guards(
    tenant: Tenant, *, platform: Platform, facts: Facts, placed: Sequence[Placed]
) -> tuple[KubernetesObject, ...]:
    apps, data = tenant.apps, tenant.data
    in_apps = [
        *_bounds(apps, policies=_apps_policies(tenant, platform=platform)),
        *_solutions_policies(tenant, placed=placed),
    ]
    in_data = [
        *_bounds(data, policies=_data_policies(tenant, platform=platform)),
        *_store_service(data, of=postgres_service(platform)),
        *_store_service(data, of=objects_service(platform)),
    ]
    return (
        guard(namespace(apps, facts=facts), key=apps.key),
        guard(namespace(data, facts=facts), key=data.key),
        *in_apps,
        *_quotas(apps, after=in_apps),
        *in_data,
        *_quotas(data, after=in_data),
    )


def _bounds(of: TenantNamespace, *, policies: list[Manifest]) -> list[KubernetesObject]:
    """What bounds one namespace but its quota; the policies come first, and of them the one that denies everything."""
    role = within(of, operators_role(of))
    binding = within(of, operators_binding(of), depends_on=(role.key,))
    others = (limit_range(of), default_service_account(of))
    return [*(within(of, manifest) for manifest in (*policies, *others)), role, binding]


def _quotas(of: TenantNamespace, *, after: list[KubernetesObject]) -> tuple[KubernetesObject, KubernetesObject]:
    """The quotas, the complete one after all other guards: they count against it.

    The API server charges a quota before it stores an object. If coopctl is killed in between, the charge stays until
    Kubernetes counts again (five minutes), and a guard of which there may be exactly one could not be made until then.
    """
    solutions = within(of, solutions_quota(of))
    needed = tuple(guard.key for guard in (*after, solutions))
    return solutions, within(of, resource_quota(of), depends_on=needed)


def _apps_policies(tenant: Tenant, *, platform: Platform) -> list[Manifest]:
    apps = tenant.apps
    return [
        *_store_policies(apps, platform=platform),
        network_policy.own_applications(apps),
        network_policy.to_data(apps, data=tenant.data),
        network_policy.ingress_controller(apps, access=platform.ingress),
        *network_policy.listed_egress(apps, egress=tenant.cooperative.network.egress, closed=platform.cluster.networks),
    ]


def _solutions_policies(tenant: Tenant, *, placed: Sequence[Placed]) -> list[KubernetesObject]:
    """What lets each solution talk to itself, and to those that it integrates with."""
    apps = tenant.apps
    policies = [
        *(network_policy.within_solution(apps, solution=name) for name in servers(placed)),
        *(network_policy.integration(apps, of=connection) for connection in connections(placed)),
    ]
    return [within(apps, policy) for policy in policies]


def _data_policies(tenant: Tenant, *, platform: Platform) -> list[Manifest]:
    return [
        *_store_policies(tenant.data, platform=platform),
        network_policy.same_namespace(tenant.data),
        network_policy.from_apps(tenant.data, apps=tenant.apps),
    ]


def _store_policies(of: TenantNamespace, *, platform: Platform) -> list[Manifest]:
    """What both namespaces may: names, and the tenant's own database and bucket."""
    return [
        network_policy.default_deny(of),
        network_policy.dns(of, access=platform.dns),
        network_policy.endpoint(of, name=SERVICE_POSTGRES, to=platform.postgres.pods),
        network_policy.endpoint(of, name=SERVICE_OBJECTS, to=platform.objects.pods),
    ]


def _store_service(data: TenantNamespace, *, of: StoreService) -> tuple[KubernetesObject, KubernetesObject]:
    made = within(data, service(data, of=of))
    return made, within(data, endpoint_slice(data, of=of), depends_on=(made.key,))
