"""Two tenants to attack: a control plane without a node, PostgreSQL and S3, their plans applied without Pulumi."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from provisioner.cluster.api import ApiServer
from provisioner.cluster.discovery import ApiResource, discover
from provisioner.cluster.objects import resource_path
from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.descriptor.platform import Endpoint, Platform, SecretReference
from provisioner.embedded.control_plane import CONTEXT, ControlPlanePart
from provisioner.embedded.supervisor import Supervisor
from provisioner.errors import NotPermitted
from provisioner.plan.manifest import Manifest
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import (
    CooperativePlan,
    CredentialsSecret,
    KubernetesObject,
    ObjectsBucket,
    ObjectsIdentity,
    PlatformPlan,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    Resource,
    SolutionChart,
)
from provisioner.proof.attempts import RequestAttempt
from provisioner.proof.cluster_facts import ClusterFacts, read_cluster
from provisioner.proof.proving import Means, Target, prove_without_pods, read_target, request_attempts
from provisioner.proof.running_requests import RequestRunner
from provisioner.proof.tenant import ProvenTenant, Terms, proven_tenant
from provisioner.proof.verdicts import Finding, problems, settled
from provisioner.toolchain import Toolchain
from tests.conftest import Servers, running_servers, surroundings_at
from tests.proof_mutations import CLUSTER, NEIGHBOUR, OWN, planned, proved_terms
from tests.unit.plan import builders

TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
# The API server reads policies anew once a second (policy_source.go, policyRefreshInterval), and quotas notice what is
# gone by watching it; a loaded machine is slow.
SETTLING_SECONDS = 60.0


@dataclass(kw_only=True)
class ProvedWorld:
    """The servers, and hands to apply, to weaken and to prove."""

    api: ApiServer
    platform: Platform
    resources: Mapping[tuple[str, str], ApiResource]
    keys: dict[str, AccessKey] = field(default_factory=dict)

    @property
    def platform_plan(self) -> PlatformPlan:
        """The platform's own plan."""
        return platform_plan(self.platform)

    def terms(self, name: str = OWN) -> Terms:
        """On what a cooperative is a tenant of this world."""
        return proved_terms(name, platform=self.platform)

    def plan(self, name: str = OWN) -> CooperativePlan:
        """A tenant's plan."""
        return planned(self.terms(name))

    def tenant(self, name: str = OWN) -> ProvenTenant:
        """A tenant as it is planned."""
        return proven_tenant(self.plan(name), terms=self.terms(name))

    @property
    def postgres(self) -> PostgresServerAdmin:
        """The database server's administrator."""
        return PostgresServerAdmin(postgres_access(self.platform.postgres), environment=os.environ)

    @property
    def objects(self) -> ObjectsServerAdmin:
        """The S3 server's administrator."""
        return ObjectsServerAdmin(objects_access(self.platform.objects), environment=os.environ)

    def path(self, manifest: Manifest) -> str:
        """Where an object is."""
        about = manifest["metadata"]
        return resource_path(
            api_version=manifest["apiVersion"],
            resource=self.resources[manifest["apiVersion"], manifest["kind"]].name,
            name=about["name"],
            namespace=about.get("namespace", ""),
        )

    def put(self, manifest: Manifest) -> None:
        """Bring an object to this state, as an apply would: whatever somebody else wrote into it is taken off."""
        path = self.path(manifest)
        self.api.apply(path, manifest, manager="coopctl")

    def put_back(self, manifest: Manifest) -> None:
        """Make an object anew, as planned; the quota must have noticed first that it was gone."""
        self.api.delete(self.path(manifest))
        until = time.monotonic() + SETTLING_SECONDS
        while True:
            try:
                return self.put(manifest)
            except NotPermitted:
                if time.monotonic() > until:
                    raise
            time.sleep(0.2)

    def apply_platform(self) -> None:
        """Make all that the platform's plan holds."""
        for item in self.platform_plan.resources:
            self.put(item.manifest)

    def apply(self, plan: CooperativePlan) -> None:
        """Make all that a plan holds."""
        mark = Mark(cluster=plan.cluster, cooperative=plan.uid)
        outputs: dict[str, dict[str, str]] = {}
        for item in plan.resources:
            self.make(item, mark=mark, outputs=outputs)

    def mend(self, *keys: str, name: str = OWN) -> None:
        """Make these resources of a plan again, whatever became of them."""
        plan = self.plan(name)
        mark = Mark(cluster=plan.cluster, cooperative=plan.uid)
        for item in plan.resources:
            if item.key in keys:
                self.make(item, mark=mark, outputs={})

    def make(self, item: Resource, *, mark: Mark, outputs: dict[str, dict[str, str]]) -> None:
        """Make one resource, or bring it to what it must be; what others need of it goes to ``outputs``."""
        match item:
            case KubernetesObject():
                self.put(item.manifest)
            case PostgresRole():
                outputs[item.key] = {"password": f"password of {item.name}"}
                password = Secret(outputs[item.key]["password"]) if item.login else None
                self.postgres.ensure_role(item, mark=mark, password=password)
            case PostgresDatabase():
                self.postgres.ensure_database(item, mark=mark)
            case PostgresGrants():
                self.postgres.ensure_grants(item)
            case PostgresMembers():
                self.postgres.ensure_members(item, mark=mark)
            case ObjectsBucket():
                self.objects.ensure_bucket(item, mark=mark)
            case ObjectsIdentity():
                known = self.keys.get(item.name)
                key = self.objects.ensure_identity(item, mark=mark, key=known.id if known else None) or known
                assert key is not None
                self.keys[item.name] = key
                outputs[item.key] = {"access_key_id": key.id, "secret_access_key": key.secret.reveal()}
            case CredentialsSecret():
                values = {
                    name: value if isinstance(value, str) else outputs[value.resource][value.output]
                    for name, value in item.values.items()
                }
                self.put({**item.manifest, "stringData": values})
            case SolutionChart():
                pytest.fail("there is no node for solutions")

    def guard(self, kind: str, *, name: str, namespace: str = f"{OWN}-apps") -> Manifest:
        """The guard of this kind and name that the plan has."""
        found = self.tenant().guard(kind, namespace=namespace, name=name)
        assert found is not None
        return found

    def cluster(self) -> ClusterFacts:
        """What the cluster is like now."""
        return read_cluster(self.api, platform=self.platform, plan=self.platform_plan)

    def means(self, cluster: ClusterFacts | None = None) -> Means:
        """With what is proved."""
        return Means(cluster=cluster or self.cluster(), environment=os.environ, seen=lambda _: None)

    def target(self, cluster: ClusterFacts, *, name: str = OWN) -> Target:
        """The tenant as it is now."""
        return read_target(self.plan(name), terms=self.terms(name), cluster=cluster)

    def prove(self, name: str = OWN) -> tuple[Finding, ...]:
        """A whole proof without pods."""
        cluster = self.cluster()
        return settled(prove_without_pods(self.target(cluster, name=name), means=self.means(cluster)))

    def requests(self, wanted: Callable[[RequestAttempt], bool]) -> Sequence[Finding]:
        """The findings of the attempts at the API server that are ``wanted``, and of all that these rest on."""
        cluster = self.cluster()
        attempts = request_attempts(self.target(cluster), cluster=cluster)
        chosen = [attempt for attempt in attempts if wanted(attempt)]
        needed = {control for attempt in chosen for control in attempt.about.rests_on}
        chosen += [attempt for attempt in attempts if attempt.about.id in needed]
        runner = RequestRunner(self.api, askables=cluster.askables)
        with ThreadPoolExecutor(4) as pool:
            verdicts = list(pool.map(runner.run, chosen))
        found = [Finding(about=one.about, verdict=verdict) for one, verdict in zip(chosen, verdicts, strict=True)]
        return problems(settled(found))


@pytest.fixture(scope="package")
def proved_servers(open_folder: Any) -> Iterator[Servers]:
    """Servers of the proofs' own: what other tests leave open on theirs would rightly be found."""
    with running_servers(open_folder / "proved-servers", run=open_folder / "run-proved-servers") as running:
        yield running


@pytest.fixture(scope="package")
def proved(toolchain: Toolchain, proved_servers: Servers, open_folder: Any) -> Iterator[ProvedWorld]:
    """The world, made for this folder."""
    report = logging.getLogger(__name__).info
    tools = toolchain.ensure(TOOLS, report=report)
    folder = open_folder / "proved"
    surroundings = replace(surroundings_at(folder, run=open_folder / "run-proved"), tools=tools)
    part, supervisor = ControlPlanePart(quick=True), Supervisor(folder, report=report)
    part.prepare(surroundings)
    try:
        supervisor.start([replace(spec, stop_timeout_seconds=0.5) for spec in part.specs(surroundings)])
        api = ApiServer(surroundings.files.kubeconfig, context=CONTEXT)
        resources = {(item.api_version, item.kind): item for item in discover(api) if not item.subresource}
        world = ProvedWorld(
            api=api, platform=_platform(proved_servers, surroundings.files.kubeconfig), resources=resources
        )
        world.apply_platform()
        for name in (OWN, NEIGHBOUR):
            world.apply(world.plan(name))
        yield world
    finally:
        supervisor.stop()


def _platform(servers: Servers, kubeconfig: Any) -> Platform:
    base = builders.platform()
    return replace(
        base,
        cluster=replace(base.cluster, id=CLUSTER, kubeconfig=kubeconfig, context=CONTEXT),
        postgres=replace(
            base.postgres,
            admin=Endpoint(host=servers.host, port=servers.postgres_port),
            admin_user=servers.postgres_user,
            admin_password=SecretReference(file=servers.postgres_password_file),
            sslmode="require",
            ca_file=None,
        ),
        objects=replace(
            base.objects,
            url=servers.objects_url,
            iam_url=servers.objects_url,
            region=servers.objects_region,
            admin_credentials=SecretReference(file=servers.objects_credentials),
        ),
    )
