"""A small world to apply cooperatives to: a control plane without a node, PostgreSQL, S3, and an estate's folder."""

import base64
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from policies import plugin as policy_pack
from provisioner.catalogue import images_lock
from provisioner.cluster.objects import ClusterClient, open_cluster
from provisioner.datastore.objects import objects_access
from provisioner.datastore.objects_clients import ABSENT, open_clients, unless
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import moved_to
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Endpoint, Platform, SecretReference, StateBackend
from provisioner.embedded.control_plane import CONTEXT, ControlPlanePart
from provisioner.embedded.node.simulated import SimulatedNode
from provisioner.embedded.process import ProcessSpec, Surroundings
from provisioner.embedded.supervisor import Supervisor
from provisioner.engine.changes import Changes
from provisioner.engine.engine import Engine
from provisioner.engine.home import assemble_home, kubernetes_plugin
from provisioner.engine.interruption import Interruption
from provisioner.engine.settings import EngineSettings
from provisioner.naming import ClusterId
from provisioner.operations.applying import ApplyOptions, apply_fleet
from provisioner.operations.planning import targets_of
from provisioner.operations.site import Site
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from provisioner.toolchain import Toolchain
from stacks.programs import StackPrograms
from stacks.provider import plugin
from tests.conftest import Servers, surroundings_at
from tests.unit.plan import builders

if TYPE_CHECKING:
    from provisioner.engine.events import Event

PASSPHRASE = "test passphrase"
TOOLS = (
    "pulumi",
    "pulumi-resource-kubernetes",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
)


@dataclass(frozen=True, kw_only=True)
class World:
    """Servers that run, and the tools; every test makes an estate of its own in it."""

    tools: Mapping[str, Path]
    servers: Servers
    home: Path
    surroundings: Surroundings
    supervisor: Supervisor
    processes: tuple[ProcessSpec, ...]

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.surroundings.files.kubeconfig

    @property
    def folders(self) -> tuple[Path, Path]:
        """The folders of the control plane and of PostgreSQL and S3: certificates, credentials, logs."""
        return self.surroundings.files.root, self.servers.postgres_password_file.parents[1]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        command = [str(self.tools["kubectl"]), "--kubeconfig", str(self.kubeconfig), *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def tools(toolchain: Toolchain) -> Mapping[str, Path]:
    """The pinned tools, built if they are not in the cache yet."""
    return toolchain.ensure(TOOLS, report=logging.getLogger(__name__).info)


@pytest.fixture(scope="package")
def world(tools: Mapping[str, Path], servers: Servers, open_folder: Path) -> Iterator[World]:
    """A control plane beside the session's PostgreSQL and S3."""
    folder = open_folder / "cluster"
    surroundings = replace(surroundings_at(folder, run=open_folder / "run-cluster"), tools=tools)
    part = ControlPlanePart(quick=True)
    supervisor = Supervisor(folder, report=logging.getLogger(__name__).info)
    part.prepare(surroundings)
    processes = tuple(replace(spec, stop_timeout_seconds=0.5) for spec in part.specs(surroundings))
    try:
        supervisor.start(processes)
        script = plugin.executable(Path(sys.executable), paths=(Path.cwd(),))
        plugins: dict[str, Path | str] = {
            kubernetes_plugin(): tools["pulumi-resource-kubernetes"],
            f"resource-coopctl-v{plugin.VERSION}": script,
            policy_pack.PLUGIN: policy_pack.executable(Path(sys.executable), paths=(Path.cwd(),)),
        }
        home = assemble_home(open_folder / "cache", plugins=plugins)
        yield World(
            tools=tools,
            servers=servers,
            home=home,
            surroundings=surroundings,
            supervisor=supervisor,
            processes=processes,
        )
    finally:
        supervisor.stop()


@pytest.fixture(scope="module")
def simulated_node(world: World, toolchain: Toolchain) -> Iterator[None]:
    """A node for this module that says that pods run, so that waiting for them has an end."""
    node = SimulatedNode()
    made = toolchain.ensure(node.tools, report=logging.getLogger(__name__).info)
    surroundings = replace(world.surroundings, tools={**world.tools, **made})
    node.prepare(surroundings)
    try:
        world.supervisor.start([*world.processes, *node.specs(surroundings)])
        node.complete(surroundings)
        yield
    finally:
        world.supervisor.stop(keep=[spec.name for spec in world.processes])
        world.kubectl("delete", "nodes", "--all")


@dataclass(kw_only=True)
class SiteMaker:
    """Makes sites of one estate: a new one is what a new coopctl process would work with."""

    world: World
    estate: Estate
    cluster_id: str

    def site(self, *cooperatives: Cooperative, interruption: Interruption | None = None) -> Site:
        """The site with these cooperatives."""
        platform = self.platform()
        policing = builders.policing(*cooperatives, platform=platform)
        records = open_records(platform.state.url)
        return Site(
            estate=self.estate,
            platform=platform,
            cooperatives={str(item.name): item for item in cooperatives},
            described=frozenset(str(item.name) for item in cooperatives),
            plan_cooperative=lambda item: cooperative_plan(
                item,
                platform=platform,
                catalogue=builders.catalogue(),
                images=builders.fake_lock(),
                moved_to=moved_to(records, item.name),
            ),
            plan_platform=lambda: platform_plan(platform),
            programs=StackPrograms(),
            engine=Engine(
                settings=self.settings(),
                interruption=interruption or Interruption(),
                policies=policing.policy_pack,
            ),
            plugins=("test",),
            policing=policing,
        )

    def settings(self) -> EngineSettings:
        """The engine's settings."""
        return EngineSettings(
            pulumi=self.world.tools["pulumi"],
            home=self.world.home,
            work=self.estate.local / "engine",
            backend_url=self.platform().state.url,
            passphrase_file=self.platform().state.passphrase_file,
        )

    def platform(self) -> Platform:
        """The Platform: the world's servers."""
        servers, base = self.world.servers, builders.platform()
        root = self.estate.root
        return replace(
            base,
            cluster=replace(
                base.cluster, id=ClusterId(self.cluster_id), kubeconfig=self.world.kubeconfig, context=CONTEXT
            ),
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
            state=StateBackend(url=f"file://{root / '.coopctl' / 'state'}", passphrase_file=root / "passphrase"),
            source=root / "platform.yaml",
        )

    def cluster(self) -> ClusterClient:
        """A reader of the cluster."""
        return open_cluster(self.platform())

    def sql(self, query: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What the administrator reads with ``query``."""
        servers = self.world.servers
        with psycopg.connect(
            host=servers.host,
            port=servers.postgres_port,
            user=servers.postgres_user,
            password=servers.postgres_password_file.read_text().strip(),
            dbname=database,
            autocommit=True,
        ) as connection:
            cursor = connection.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def foreign_database(self, name: str) -> Iterator[None]:
        """A database that somebody else made, for a while: it is open to everybody, which proofs of others notice."""
        self.sql(f"CREATE DATABASE {name}")
        try:
            yield
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def buckets(self) -> set[str]:
        """The names of all buckets."""
        clients = open_clients(objects_access(self.platform().objects), environment=os.environ)
        return {bucket["Name"] for bucket in clients.s3.list_buckets()["Buckets"]}

    def put_object(self, bucket: str, *, key: str, content: bytes) -> None:
        """Put an object into a bucket, as the administrator."""
        clients = open_clients(objects_access(self.platform().objects), environment=os.environ)
        clients.s3.put_object(Bucket=bucket, Key=key, Body=content)

    def secret_values(self, namespace: str, name: str, *keys: str) -> list[str]:
        """Values of a Kubernetes Secret."""
        found = self.cluster().get(api_version="v1", kind="Secret", name=name, namespace=namespace)
        assert found is not None
        return [base64.b64decode(found["data"][key]).decode() for key in keys]

    def admin_secrets(self) -> list[str]:
        """The administrators' secrets of PostgreSQL and S3."""
        text = self.world.servers.objects_credentials.read_text()
        keys = re.findall(r"aws_secret_access_key\s*=\s*(\S+)", text)
        return [self.world.servers.postgres_password_file.read_text().strip(), *keys]


def new_maker(world: World, folder: Path, *, nodeid: str, name: str = "estate {} 한글") -> SiteMaker:
    """A new estate below ``folder`` for the tests of ``nodeid``; ``name`` is its folder's, {} its number."""
    number = abs(hash(nodeid)) % 10**8
    root = folder / name.format(number)
    root.mkdir(parents=True)
    (root / "passphrase").write_text(PASSPHRASE)
    (root / "passphrase").chmod(0o600)
    return SiteMaker(world=world, estate=Estate(root=root), cluster_id=f"t{number}")


@pytest.fixture
def maker(world: World, open_folder: Path, request: pytest.FixtureRequest) -> SiteMaker:
    """An estate of this test's own, at a path with a space and Hangul."""
    return new_maker(world, open_folder, nodeid=request.node.nodeid)


@pytest.fixture(scope="module")
def walked(world: World, open_folder: Path, request: pytest.FixtureRequest) -> "CliEstate":
    """One estate for all steps of a module's walks, its platform applied: each step has a cooperative of its own."""
    estate = CliEstate(maker=new_maker(world, open_folder, nodeid=request.node.nodeid))
    estate.write()
    estate.done("platform", "apply", "--yes")
    return estate


def tenant(name: str, **changes: Any) -> Cooperative:
    """A cooperative without solutions (there is no node), with a domain and a display name of its own."""
    made = builders.cooperative(name, solutions=(), **{"display_name": f"{name} 조합", **changes})
    return replace(made, network=replace(made.network, domain=f"{name}.example.kr"))


def apply(site: Site, *names: str, wait_seconds: float = 60) -> dict[str, Changes]:
    """Apply and give the changes by stack; a failure is raised."""
    events: list[Event] = []
    options = ApplyOptions(wait_seconds=wait_seconds)
    outcomes = apply_fleet(site, targets_of(site, names), options=options, report=events.append)
    for outcome in outcomes:
        if outcome.failure is not None:
            raise outcome.failure
    return {outcome.stack: outcome.value for outcome in outcomes if outcome.value is not None}


PLATFORM = """
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {{name: test}}
spec:
  cluster: {{id: {cluster}, kubeconfig: {kubeconfig}, context: {context}}}
  postgres:
    host: {servers.host}
    port: {servers.postgres_port}
    pods: {{address: 10.244.0.1, port: 15432}}
    admin: {{user: {servers.postgres_user}, password: {{file: {servers.postgres_password_file}}}}}
    sslmode: require
  objects:
    url: {servers.objects_url}
    pods: {{address: 10.244.0.1, port: 18333, scheme: http}}
    admin: {{credentials: {{file: {servers.objects_credentials}}}}}
  registry: {{address: "registry.example.kr:5000"}}
  ingress: {{className: nginx, controllerAddresses: [10.244.0.1]}}
  dns: {{addresses: [10.244.0.1]}}
  storageClasses: [local]
  domainSuffixes: [example.kr]
  state: {{passphrase: {{file: passphrase}}}}
"""
MEMBER = "m001"
COOPERATIVE = """
apiVersion: coopctl.dev/v1
kind: Cooperative
metadata: {{name: {name}, displayName: 시험조합}}
spec:
  sector: testing
  template: services
  size: {size}
  support: {{start: 2014-03-01, end: 2017-02-28, afterwards: leave}}
  members: [{{id: {member}, name: 회원사 001, employees: 9}}]
  access: {{operators: [{{user: somebody}}]}}
  network: {{domain: {name}.example.kr}}
  solutions: [{solutions}]
"""


COOPCTL = (sys.executable, "-c", "from cli.main import main; main()")


@dataclass(kw_only=True)
class CliEstate:
    """An estate on disk, and coopctl called on it as people do: as a process; ``variables`` are set for it."""

    maker: SiteMaker
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The estate's folder."""
        return self.maker.estate.root

    def write(self, *names: str, size: str = "small", platform_extra: str = "", solutions: Sequence[str] = ()) -> None:
        """Write the Platform document and a cooperative's for each name; digests of images are made up."""
        world = self.maker.world
        text = PLATFORM.format(
            cluster=self.maker.cluster_id, kubeconfig=world.kubeconfig, context=CONTEXT, servers=world.servers
        )
        (self.root / "platform.yaml").write_text(text + platform_extra)
        folder = self.root / "cooperatives"
        folder.mkdir(exist_ok=True)
        chosen = ", ".join(f"{{name: {solution}}}" for solution in solutions)
        for name in names:
            (folder / f"{name}.yaml").write_text(
                COOPERATIVE.format(name=name, size=size, solutions=chosen, member=MEMBER)
            )
        images_lock.write(replace(builders.fake_lock(), source=self.root / "images.lock"))

    def forget(self, name: str) -> None:
        """Take away all that makes the next step of a walk slower: descriptor, state, namespaces, database, bucket."""
        maker, identifier = self.maker, name.replace("-", "_")
        maker.world.kubectl("delete", "namespace", f"{name}-apps", f"{name}-data", "--ignore-not-found", "--wait=false")
        maker.sql(f'DROP DATABASE IF EXISTS "{identifier}" WITH (FORCE)')
        clients = open_clients(objects_access(maker.platform().objects), environment=os.environ)
        unless(ABSENT, clients.s3.delete_bucket, Bucket=f"{maker.cluster_id}-{name}")
        for path in (self.root / ".coopctl" / "state" / ".pulumi" / "stacks").rglob(f"{name}.json*"):
            path.unlink()
        (self.root / "cooperatives" / f"{name}.yaml").unlink()

    def start(self, *arguments: str, program: Sequence[str] = COOPCTL) -> subprocess.Popen[str]:
        """Start coopctl (or what ``program`` makes of it) in a session of its own, so that signals can be sent."""
        return subprocess.Popen(
            self.command(arguments, program=program),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
            start_new_session=True,
            encoding="utf-8",
        )

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run coopctl to its end."""
        return subprocess.run(
            self.command(arguments),
            input=stdin or "",
            capture_output=True,
            env=self.environment(),
            encoding="utf-8",
            check=False,
        )

    def done(self, *arguments: str) -> str:
        """Run coopctl, which must succeed, and give what it answers."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def command(self, arguments: Sequence[str], *, program: Sequence[str] = COOPCTL) -> list[str]:
        """The command line of coopctl for this estate."""
        # Applying is tested here; proofs have tests of their own.
        unproved = ["--no-prove"] if "apply" in arguments and "platform" not in arguments else []
        return [*program, *arguments, *unproved, "--estate", str(self.root)]

    def environment(self) -> dict[str, str]:
        """The environment that coopctl is called with."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COOPCTL_")}
        return {**inherited, **self.variables}


@pytest.fixture
def cli_estate(maker: SiteMaker) -> CliEstate:
    """An estate on disk for this test."""
    return CliEstate(maker=maker)
