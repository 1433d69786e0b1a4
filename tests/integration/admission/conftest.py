"""A control plane that holds tenants to the rules: the platform's objects and two tenants, applied without Pulumi.

One for all tests of this folder. Almost all requests are dry runs: they pass every admission plugin and store nothing.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.cluster.api import Answer, ApiServer, Identity
from provisioner.cluster.discovery import ApiResource, discover
from provisioner.cluster.objects import resource_path
from provisioner.descriptor.cooperative import Cooperative
from provisioner.embedded.control_plane import API_SERVER, ControlPlanePart
from provisioner.embedded.process import ProcessSpec
from provisioner.embedded.supervisor import Supervisor
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.manifest import Manifest
from provisioner.plan.platform import platform_plan
from provisioner.plan.resources import KubernetesObject, StackPlan
from provisioner.toolchain import Toolchain
from tests.conftest import surroundings_at
from tests.unit.plan import builders
from tests.unit.rules import accepted

TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
OTHER_TENANT = "plastics"
MANAGER = "coopctl"
# The API server reads policies anew once a second (policy_source.go, policyRefreshInterval).
POLICIES_SECONDS = 20.0
CONTROLLERS_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class GuardedCluster:
    """The API server as its administrator and as a tenant's operator, and the processes behind it."""

    admin: ApiServer
    resources: Mapping[tuple[str, str], ApiResource]
    supervisor: Supervisor
    specs: tuple[ProcessSpec, ...]

    @property
    def operator(self) -> ApiServer:
        """The API server as an operator of the tenant."""
        return self.admin.acting_as(Identity(user=accepted.OPERATOR))

    def account(self, name: str, *, namespace: str = accepted.NAMESPACE) -> ApiServer:
        """The API server as a ServiceAccount."""
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return self.admin.acting_as(Identity(user=f"system:serviceaccount:{namespace}:{name}", groups=groups))

    def path(self, manifest: Manifest, *, named: bool = True) -> str:
        """The path of the object, or of its collection."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        resource = self.resources[version.rpartition("/")[0], kind]
        about = manifest["metadata"]
        return resource_path(
            api_version=version,
            resource=resource.name,
            name=about["name"] if named else "",
            namespace=about.get("namespace", ""),
        )

    def try_create(self, manifest: Manifest, *, by: ApiServer) -> Answer:
        """Ask for the object to be made, without making it."""
        return by.attempt("POST", self.path(manifest, named=False) + "?dryRun=All", body=manifest)

    def make(self, manifest: Manifest, *, by: ApiServer | None = None) -> Manifest:
        """Make the object, or bring it to this state."""
        return (by or self.admin).apply(self.path(manifest), manifest, manager=MANAGER)

    def try_merge(self, manifest: Manifest, change: Manifest, *, by: ApiServer) -> Answer:
        """Ask for a change of the object, without making it."""
        content_type = "application/merge-patch+json"
        return by.attempt("PATCH", self.path(manifest) + "?dryRun=All", body=change, content_type=content_type)

    def get(self, manifest: Manifest) -> Manifest | None:
        """The object as it is."""
        answer = self.admin.attempt("GET", self.path(manifest))
        return answer.content if answer.ok else None

    def remove(self, manifest: Manifest) -> None:
        """Delete the object."""
        self.admin.delete(self.path(manifest))

    def apply(self, plan: StackPlan) -> None:
        """Apply the Kubernetes objects of a plan, each after what it depends on."""
        done: set[str] = set()
        waiting = [resource for resource in plan.resources if isinstance(resource, KubernetesObject)]
        while waiting:
            ready = [resource for resource in waiting if done.issuperset(resource.depends_on)]
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda resource: self.make(resource.manifest), ready))
            done.update(resource.key for resource in ready)
            waiting = [resource for resource in waiting if resource.key not in done]

    def restart(self, *names: str) -> None:
        """Stop the processes and start those that answer requests; gives back as soon as they say that they are ready.

        The API server is stopped with its store only if it is named, as after a crash of the store alone.
        """
        self.supervisor.stop(keep=[spec.name for spec in self.specs if spec.name not in names])
        self.supervisor.start([spec for spec in self.specs if spec.name in {"etcd", API_SERVER}])

    def restart_controllers(self) -> None:
        """Stop and start what is a client of the API server; it may not have outlived a restart of that."""
        self.supervisor.stop(keep=["etcd", API_SERVER])
        self.supervisor.start(self.specs)


def until(condition: Callable[[], Any], *, seconds: float, what: str) -> Any:
    """Wait until ``condition`` gives something true, and give it back."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return found


def cooperative(name: str) -> Cooperative:
    """Another tenant, with a domain and an operator of its own."""
    made = replace(accepted.cooperative(), name=builders.cooperative(name).name, operators=(), solutions=())
    return replace(made, network=replace(made.network, domain=f"{name}.example.kr"))


def tenant_plan(of: Cooperative) -> StackPlan:
    """A tenant's plan."""
    return cooperative_plan(
        of, platform=builders.platform(), catalogue=builders.catalogue(), images=builders.fake_lock()
    )


# Cluster-wide objects that a violation names: they exist, and are not on the platform's lists.
UNLISTED: tuple[Manifest, ...] = (
    {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "unlisted"},
        "handler": "unlisted",
    },
    {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "local"},
        "provisioner": "example.kr/none",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    },
)


@pytest.fixture(scope="package")
def guarded(toolchain: Toolchain, open_folder: Path) -> Iterator[GuardedCluster]:
    """The control plane with the platform's objects and two tenants, in force."""
    report = logging.getLogger(__name__).info
    folder = open_folder / "guarded"
    tools = toolchain.ensure(TOOLS, report=report)
    surroundings = replace(surroundings_at(folder, run=open_folder / "run-guarded"), tools=tools)
    part, supervisor = ControlPlanePart(quick=True), Supervisor(folder, report=report)
    part.prepare(surroundings)
    specs = tuple(replace(_open_to_privileged(spec), stop_timeout_seconds=0.5) for spec in part.specs(surroundings))
    try:
        supervisor.start(specs)
        admin = ApiServer(surroundings.files.kubeconfig)
        found = {(one.group, one.kind): one for one in discover(admin) if not one.subresource}
        cluster = GuardedCluster(admin=admin, resources=found, supervisor=supervisor, specs=specs)
        _fill(cluster)
        yield cluster
    finally:
        supervisor.stop()


def _open_to_privileged(spec: ProcessSpec) -> ProcessSpec:
    """The embedded API server takes no privileged container from anybody; here Pod Security alone is to refuse it."""
    return replace(spec, argv=(*spec.argv, "--allow-privileged=true")) if spec.name == API_SERVER else spec


def _fill(cluster: GuardedCluster) -> None:
    for manifest in UNLISTED:
        cluster.make(manifest)
    cluster.apply(platform_plan(builders.platform()))
    for one in (accepted.cooperative(), cooperative(OTHER_TENANT)):
        cluster.apply(tenant_plan(one))
    in_force(cluster)


def in_force(cluster: GuardedCluster) -> None:
    """Wait until the API server has read every policy."""
    bad = accepted.secret() | {"type": "bootstrap.kubernetes.io/token"}
    until(lambda: not cluster.try_create(bad, by=cluster.admin).ok, seconds=POLICIES_SECONDS, what="policies in force")
    # They are read all at once, but the last one was made after the first one was read.
    time.sleep(1.2)


def shown(answer: Answer) -> str:
    """An answer in a test's report."""
    return f"{answer.status}: {answer.message or json.dumps(answer.content)[:300]}"
