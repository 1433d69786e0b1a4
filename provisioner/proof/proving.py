"""Proves one tenant without pods: plans all attempts from what is read, makes them, and gives the findings.

The API server, the database and the object store are attacked at the same time. Each attempt is made once, and leaves
nothing behind: cut off anywhere, there is nothing to take away.
"""

from collections.abc import Callable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from provisioner.cluster.solution_labels import REMEDY, read_mislabelled
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import objects_access
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.plan.resources import CooperativePlan, PostgresGrants, RoleKind
from provisioner.proof.attempts import About, Area, Guard, RequestAttempt
from provisioner.proof.cluster_facts import ClusterFacts
from provisioner.proof.delivered import Delivered, read_delivered
from provisioner.proof.planning_amounts import amount_attempts
from provisioner.proof.planning_bucket import OBJECTS, bucket_attempts
from provisioner.proof.planning_database import POSTGRES, DatabaseFacts, database_attempts
from provisioner.proof.planning_flows import flow_attempts
from provisioner.proof.planning_guards import guard_attempts
from provisioner.proof.planning_objects import object_attempts
from provisioner.proof.planning_rights import rights_attempts
from provisioner.proof.promised_rights import promised
from provisioner.proof.promises import promise_looks
from provisioner.proof.rights import planned_rights
from provisioner.proof.running_bucket import BucketRunner
from provisioner.proof.running_database import DatabaseRunner, standing
from provisioner.proof.running_flows import FlowRunner
from provisioner.proof.running_requests import RequestRunner
from provisioner.proof.tenant import Neighbour, ProvenTenant, Terms, neighbours, proven_tenant
from provisioner.proof.verdicts import Finding, Verdict, allowed, not_attempted, refused

# The API server takes some milliseconds for each, most of them waiting.
_REQUESTS_AT_A_TIME = 4
_STORES = 2
ELSEWHERE = "the data store has moved to servers that are not the platform's"
Seen = Callable[[Finding], None]
"""Is told of every finding as soon as it is there, by several threads. What it raises ends the proof."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A tenant to prove, with its neighbours and its credentials."""

    tenant: ProvenTenant
    neighbours: tuple[Neighbour, ...]
    delivered: Delivered

    @property
    def mark(self) -> Mark:
        """Whose the parts of the data store are."""
        return Mark(cluster=self.tenant.plan.cluster, cooperative=self.tenant.plan.uid)


@dataclass(frozen=True, kw_only=True)
class Means:
    """With what tenants are proved: what the cluster is like, where administrators' credentials are, who is told."""

    cluster: ClusterFacts
    environment: Mapping[str, str]
    seen: Seen

    def found(self, about: About, verdict: Verdict) -> Finding:
        """A finding, of which is told."""
        finding = Finding(about=about, verdict=verdict)
        self.seen(finding)
        return finding


def read_target(plan: CooperativePlan, *, terms: Terms, cluster: ClusterFacts) -> Target:
    """The tenant of ``plan``, made on ``terms``, as the cluster has it. Raises NotPermitted or Unreachable."""
    tenant = proven_tenant(plan, terms=terms)
    return Target(
        tenant=tenant,
        neighbours=neighbours(cluster.namespaces, of=tenant),
        delivered=read_delivered(tenant, api=cluster.api),
    )


def prove_without_pods(target: Target, *, means: Means) -> tuple[Finding, ...]:
    """Make all attempts that need no pod, in a fixed order.

    Raises Unreachable or NotPermitted where coopctl's own calls fail, NotFound if the database is not there.
    """
    runner = RequestRunner(means.cluster.api, askables=means.cluster.askables)

    def make(attempt: RequestAttempt) -> Finding:
        return means.found(attempt.about, runner.run(attempt))

    with ThreadPoolExecutor(max_workers=_REQUESTS_AT_A_TIME + _STORES, thread_name_prefix="proof") as pool:
        database = pool.submit(prove_database, target, means=means)
        bucket = pool.submit(prove_bucket, target, means=means)
        requests = list(pool.map(make, request_attempts(target, cluster=means.cluster)))
        return (
            *prove_plan(target, means=means),
            *requests,
            prove_labels(target, means=means),
            *prove_flows(target, means=means),
            *database.result(),
            *bucket.result(),
        )


def prove_plan(target: Target, *, means: Means) -> list[Finding]:
    """Hold the plan itself to what the tenant is promised."""
    looks = promise_looks(target.tenant, platform=means.cluster.plan)
    return [
        means.found(
            look.about, refused(look.about, by=None, said=look.lacking) if look.lacking else allowed(look.about)
        )
        for look in looks
    ]


def request_attempts(target: Target, *, cluster: ClusterFacts) -> tuple[RequestAttempt, ...]:
    """All attempts at the API server."""
    tenant, others = target.tenant, target.neighbours
    roles = [item.manifest for item in cluster.plan.resources if item.manifest["kind"] == "ClusterRole"]
    guards = [*(item.manifest for item in tenant.guards.values()), *roles]
    rights = frozenset(
        right
        for operator in tenant.operators[:1]
        for right in promised(
            planned_rights(operator.identity, namespace=tenant.apps, guards=guards, of=cluster.askables),
            tenant=tenant,
            namespace=tenant.apps,
        )
    )
    return (
        *rights_attempts(
            tenant,
            namespaces=cluster.namespace_names,
            neighbours=others,
            askables=cluster.askables,
            rules_are_complete=cluster.rules_are_complete,
            cluster_roles=roles,
        ),
        *object_attempts(tenant, rights=rights, neighbours=others),
        *(attempt for namespace in tenant.namespaces for attempt in amount_attempts(tenant, namespace=namespace)),
        *guard_attempts(tenant, platform=cluster.plan, resources=cluster.resources, rights=rights),
    )


def prove_labels(target: Target, *, means: Means) -> Finding:
    """Look for pods, and what makes pods, with a solution's label that is not theirs: flows are judged by it."""
    about = About(
        id="flows/solution-labels",
        area=Area.FLOWS,
        who="coopctl",
        what="finds each solution's label on that solution's own pods alone",
    )
    tenant = target.tenant
    found = read_mislabelled(means.cluster.api, namespaces=tenant.namespaces, cooperative=tenant.names.cooperative)
    if not found:
        return means.found(about, allowed(about))
    return means.found(about, refused(about, by=None, said=f"{'; '.join(map(str, found))}; {REMEDY}"))


def prove_flows(target: Target, *, means: Means) -> list[Finding]:
    """Judge the flows of the tenant's namespaces by the policies in force."""
    cluster, runner = means.cluster, FlowRunner(means.cluster.network)
    attempts = flow_attempts(
        target.tenant, network=cluster.network, neighbours=target.neighbours, servers=cluster.servers
    )
    return [means.found(attempt.about, runner.run(attempt)) for attempt in attempts]


def prove_database(target: Target, *, means: Means) -> list[Finding]:
    """Make all attempts on the database. Raises Unreachable, NotPermitted, or NotFound if it is not there.

    Where the data store has moved away, the platform's database is closed to all of its roles: nothing is attempted.
    """
    if _has_moved(target):
        return _not_delivered(target, means=means, reason=ELSEWHERE, delivered=frozenset())
    tenant, delivered, platform = target.tenant, target.delivered, means.cluster.platform
    access = postgres_access(platform.postgres)
    facts = DatabaseFacts(
        logins=tuple(kind for kind in RoleKind if kind in delivered.passwords),
        allowed_extensions=platform.postgres.allowed_extensions,
        writes_stopped=_is_past_storage(target, admin=PostgresServerAdmin(access, environment=means.environment)),
    )
    others = standing(target.neighbours, access=access, environment=means.environment)
    attempts = database_attempts(tenant, facts=facts, neighbours=others)
    with DatabaseRunner(
        access,
        names=tenant.names,
        mark=target.mark,
        passwords=delivered.passwords,
        environment=means.environment,
    ) as runner:
        made = [means.found(attempt.about, runner.run(attempt)) for attempt in attempts]
    lacking = "no Secret delivers its password to the tenant"
    return [*_not_delivered(target, means=means, reason=lacking, delivered=target.delivered.passwords.keys()), *made]


def _has_moved(target: Target) -> bool:
    return target.tenant.terms.moved


def _is_past_storage(target: Target, *, admin: PostgresServerAdmin) -> bool:
    grants = next(item for item in target.tenant.plan.resources if isinstance(item, PostgresGrants))
    usage = admin.read_usage(grants.database)
    return bool(usage and grants.storage_bytes and usage.size_bytes > grants.storage_bytes)


def _not_delivered(target: Target, *, means: Means, reason: str, delivered: Set[RoleKind]) -> list[Finding]:
    """The roles that nobody can log in as, for a ``reason``: all but those ``delivered``."""
    names = dict(zip(RoleKind, target.tenant.names.roles, strict=True))
    return [
        means.found(
            _about(f"database/{kind}", Area.DATABASE, who=f"database role {names[kind]}", guard=POSTGRES),
            not_attempted(reason),
        )
        for kind in RoleKind
        if kind is not RoleKind.OWNER and kind not in delivered
    ]


def prove_bucket(target: Target, *, means: Means) -> list[Finding]:
    """Make all attempts on the bucket. Raises Unreachable or NotPermitted."""
    access, key = objects_access(means.cluster.platform.objects), target.delivered.key
    about = _about("bucket/identity", Area.BUCKET, who="bucket identity", guard=None)
    if _has_moved(target):
        return [means.found(about, not_attempted(ELSEWHERE))]
    if key is None:
        missing = ", ".join(target.delivered.missing)
        return [means.found(about, refused(about, by=OBJECTS, said=f"its key is not there: {missing} is missing"))]
    runner = BucketRunner(access, key=key, mark=target.mark, environment=means.environment)
    buckets = [target.tenant.names.bucket, *(other.names.bucket for other in target.neighbours[:2])]
    objects = runner.some_objects(buckets)
    attempts = bucket_attempts(target.tenant, neighbours=target.neighbours, objects=objects)
    return [means.found(attempt.about, runner.run(attempt)) for attempt in attempts]


def _about(name: str, area: Area, *, who: str, guard: Guard | None) -> About:
    return About(id=name, area=area, who=who, what="logs in", guard=guard)
