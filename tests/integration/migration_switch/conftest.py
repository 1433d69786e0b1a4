"""A cooperative that is applied (its Services, policies and Secret are in a cluster) and whose data store may switch.

Database and bucket have the same names on both sides, as the applications need it, and the application's access key
opens both buckets. The client of the tests goes where it is let in: it knows no Service.
"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.datastore.credentials import AccessKey
from provisioner.datastore.marks import to_comment
from provisioner.embedded.target_store import let_in
from provisioner.migration.objects_bucket import Bucket, open_bucket_as
from provisioner.migration.objects_listing import chains
from tests.cluster_objects import ClusterObjects, serving
from tests.conftest import Servers
from tests.data_stores import administrator_key, objects_access_of
from tests.integration.migration_commands.conftest import TABLES, World, environment_of, platform_of
from tests.integration.migration_objects.worlds import Store
from tests.postgres_servers import PostgresServer

NAME = "rice-out"
HOME, AWAY = ("10.0.5.10", 5432), ("10.0.9.10", 5433)
HOME_OBJECTS, AWAY_OBJECTS = ("10.0.5.20", 8333), ("10.0.9.20", 9000)
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
MIGRATION = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {{name: rice-out}}
spec:
  cooperative: {cooperative}
  scope: all
  mode: {mode}
  target:
    postgres: {{dsn: {{env: TARGET_DSN}}, pods: {{address: 10.0.9.10, port: 5433}}}}
    objects:
      endpoint: "{objects}"
      bucket: {bucket}
      credentials: {{env: TARGET_KEY}}
      pods: {{address: 10.0.9.20, port: 9000}}
  cutover: {cutover}
"""
DUMPS = "  dumps: {{location: dumps, recipient: {recipient}}}\n"


@dataclass(kw_only=True)
class Switching(World):
    """The world of a switch."""

    cluster: ClusterObjects
    target_objects: Servers
    target_admin: Bucket
    target_app: Bucket

    def write_migration(self, *, mode: str = "online", cutover: str = "{}") -> None:
        text = MIGRATION.format(
            cooperative=self.bucket.tenant.names.cooperative,
            objects=self.target_objects.objects_url,
            bucket=self.bucket.name,
            mode=mode,
            cutover=cutover,
        )
        file = self.root / "migrations" / f"{NAME}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def prepare(self) -> None:
        """Copy and verify everything."""
        for command in ("start", "verify"):
            code, shown, said = self.run("migrate", command, NAME)
            assert code == 0, shown + said

    def wait_for(self, condition: Callable[[], bool], *, seconds: float = 90) -> None:
        """Wait until ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it does not come to that"
            time.sleep(0.2)

    def killed(self, command: str, *, at: str, options: Sequence[str] = ()) -> tuple[int, str]:
        """Run a command that kills itself ``at`` a call (see disturbing.py); gives its exit code and what it said."""
        return self._disturbed(command, at=at, options=options)

    def spoiled(self, command: str, *, after: str, statement: str) -> tuple[int, str]:
        """Run a command, and ``statement`` at the target as soon as the function ``after`` has returned."""
        return self._disturbed(command, at=f"spoil:{after}", environment={"SPOILING": statement})

    def _disturbed(
        self, command: str, *, at: str, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
    ) -> tuple[int, str]:
        argv = [sys.executable, "-m", "tests.integration.migration_switch.disturbing", at]
        argv += ["migrate", command, NAME, "--yes", *options, "--estate", str(self.root)]
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment, **(environment or {})},
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    def led_to(self) -> dict[str, tuple[str, int]]:
        """Where each Service leads."""
        namespace = self.bucket.tenant.names.data_namespace
        root = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        found = {store: self.cluster.objects[f"{root}/{store}-coopctl"] for store in ("postgres", "objects")}
        return {store: (one["endpoints"][0]["addresses"][0], one["ports"][0]["port"]) for store, one in found.items()}

    def reachable(self) -> dict[str, list[str]]:
        """Which addresses each policy of the applications' namespace opens."""
        namespace = self.bucket.tenant.names.apps_namespace
        root = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/"
        return {
            path.removeprefix(root): [peer["ipBlock"]["cidr"] for rule in one["spec"]["egress"] for peer in rule["to"]]
            for path, one in self.cluster.objects.items()
            if path.startswith(root)
        }

    def target_bodies(self) -> dict[str, list[bytes | None]]:
        """As ``bucket.bodies()``, at the target."""
        return {
            key: [None if one.marker else self.target_admin.read(one, start=0, size=one.size) for one in chain]
            for key, chain in chains(self.target_admin)
        }

    def record(self) -> Any:
        """What is recorded of the data store's place."""
        [file] = (self.root / ".coopctl").rglob(f"data-store/{self.bucket.tenant.names.cooperative}.json")
        return json.loads(file.read_text())


def made_cluster(store: Store) -> ClusterObjects:
    """What an apply has made of the tenant, as far as a migration touches it."""
    names, objects = store.tenant.names, dict[str, dict[str, Any]]()
    for part in (names.apps_namespace, names.data_namespace):
        for name, (address, port) in {"postgres": HOME, "objects": HOME_OBJECTS}.items():
            objects[f"/apis/networking.k8s.io/v1/namespaces/{part}/networkpolicies/to-{name}"] = {
                "metadata": {"name": f"to-{name}", "namespace": part, "labels": {"coopctl.dev/part": "apps"}},
                "spec": {
                    "podSelector": {},
                    "policyTypes": ["Egress"],
                    "egress": [{"to": [{"ipBlock": {"cidr": f"{address}/32"}}], "ports": [{"port": port}]}],
                },
            }
    for name, (address, port) in {"postgres": HOME, "objects": HOME_OBJECTS}.items():
        where = f"/apis/discovery.k8s.io/v1/namespaces/{names.data_namespace}/endpointslices/{name}-coopctl"
        objects[where] = {
            "metadata": {"name": f"{name}-coopctl"},
            "endpoints": [{"addresses": [address]}],
            "ports": [{"name": name, "port": port}],
        }
    secret = {"AWS_ACCESS_KEY_ID": store.key.id, "AWS_SECRET_ACCESS_KEY": store.key.secret.reveal()}
    objects[f"/api/v1/namespaces/{names.apps_namespace}/secrets/data-store"] = {
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in secret.items()}
    }
    return ClusterObjects(objects=objects)


@pytest.fixture
def switching(
    source_postgres: PostgresServer,
    target_postgres: PostgresServer,
    source_objects: Servers,
    target_objects: Servers,
    tmp_path: Path,
) -> Iterator[Switching]:
    """A cooperative with rows and objects, applied, and a target that is ready for it."""
    with switching_between(source_postgres, target_postgres, source_objects, target_objects, root=tmp_path) as world:
        yield world


@pytest.fixture
def switching_to_newer(
    source_postgres: PostgresServer,
    newer_postgres: PostgresServer,
    source_objects: Servers,
    target_objects: Servers,
    tmp_path: Path,
) -> Iterator[Switching]:
    """The same with a target of version 18, and its client programs where commands look first."""
    with switching_between(source_postgres, newer_postgres, source_objects, target_objects, root=tmp_path) as world:
        world.environment["PATH"] = f"{newer_postgres.programs}:{os.environ['PATH']}"
        yield world


@contextmanager
def switching_between(
    source_server: PostgresServer,
    target_server: PostgresServer,
    objects_server: Servers,
    target_objects: Servers,
    *,
    root: Path,
) -> Iterator[Switching]:
    """The world of a switch between these servers, with its estate in ``root``."""
    bucket = Store(objects_server, versioning=True)
    names = bucket.tenant.names
    source_server.execute(f"CREATE DATABASE {names.database} TEMPLATE template0")
    source_server.execute(TABLES.format(db=names.database), database=names.database)
    source_server.execute(f"COMMENT ON DATABASE {names.database} IS '{to_comment(bucket.tenant.mark)}'")
    target_server.execute(f"CREATE DATABASE {names.database} TEMPLATE template0")
    target_server.execute(f"REVOKE ALL ON DATABASE {names.database} FROM PUBLIC")
    for number in range(3):
        bucket.put(f"scans/{number}", b"scan" * number, ContentType="image/png")
    there = objects_access_of(target_objects)
    admin_key = administrator_key(target_objects.objects_credentials)
    admin = open_bucket_as(bucket.name, there, key=admin_key)
    admin.s3.create_bucket(Bucket=bucket.name)
    let_in_at(target_objects, names.objects_identity, key=bucket.key, bucket=bucket.name)
    target = target_server.side(names.database)
    (root / "platform.yaml").write_text(platform_of(source_server, objects_server) + DUMPS.format(recipient=RECIPIENT))
    (root / "cooperatives").mkdir()
    (root / "cooperatives" / f"{names.cooperative}.yaml").write_text("")
    with serving(made_cluster(bucket)) as cluster:
        cluster.kubeconfig(root / "kubeconfig")
        world = Switching(
            root=root,
            source_server=source_server,
            source=source_server.side(names.database),
            target_server=target_server,
            target=target,
            bucket=bucket,
            target_bucket=bucket,
            cluster=cluster,
            target_objects=target_objects,
            target_admin=admin,
            target_app=open_bucket_as(bucket.name, there, key=bucket.key),
            environment=environment_of(source_server, target, key=admin_key),
        )
        world.write_migration()
        yield world
    bucket.retire()


def let_in_at(servers: Servers, identity: str, *, key: AccessKey, bucket: str) -> None:
    """Make an identity with a given access key, as the cooperative does on its own server."""
    weed = Path(sys.executable).parent / "weed"
    let_in(identity, key=key, bucket=bucket, master_port=servers.objects_master_port, weed=weed)
