"""An estate with one cooperative whose data store may move: two PostgreSQL servers, an S3 server with two buckets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from provisioner.datastore.credentials import AccessKey
from provisioner.embedded.objects import ObjectsPart
from provisioner.migration.postgres_rollback import read_leftovers
from provisioner.migration.postgres_sides import Side, session
from provisioner.naming import replication_names
from tests.conftest import Servers, running_servers
from tests.data_stores import administrator_key
from tests.integration.conftest import Between
from tests.integration.migration_objects.worlds import Store
from tests.postgres_servers import PostgresServer, running_postgres

COOPCTL = (sys.executable, "-c", "from cli.main import main; main()")
NAME = "rice-out"
PLATFORM = """\
apiVersion: coopctl.dev/v1
kind: Platform
metadata: {{name: test}}
spec:
  cluster: {{id: test, kubeconfig: kubeconfig, networks: [10.0.0.0/8]}}
  postgres:
    host: 127.0.0.1
    port: {port}
    pods: {{address: 10.0.5.10, port: 5432}}
    admin: {{user: postgres, password: {{env: SOURCE_PASSWORD}}}}
    sslmode: disable
  objects:
    url: {objects}
    pods: {{address: 10.0.5.20, port: 8333, scheme: http}}
    admin: {{credentials: {{file: {credentials}}}}}
  registry: {{address: registry.example.kr}}
  ingress: {{className: nginx, controllerNamespace: ingress-nginx}}
  dns: {{namespace: kube-system, podLabels: {{k8s-app: kube-dns}}}}
  storageClasses: [standard]
  domainSuffixes: [example.kr]
"""
MIGRATION = """\
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {{name: rice-out}}
spec:
  cooperative: {cooperative}
  scope: all
  target:
    postgres: {{dsn: {{env: TARGET_DSN}}}}
    objects: {{endpoint: "{objects}", bucket: {bucket}, credentials: {{env: TARGET_KEY}}}}
"""
TABLES = """
CREATE ROLE {db}_owner; CREATE ROLE {db}_app LOGIN PASSWORD 'app-secret';
GRANT CONNECT ON DATABASE {db} TO {db}_app; GRANT CREATE, USAGE ON SCHEMA public TO {db}_owner;
SET SESSION AUTHORIZATION {db}_owner;
CREATE TABLE lots (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code text NOT NULL);
CREATE TABLE notes (text text);
INSERT INTO lots (code) SELECT 'L-' || n FROM generate_series(1, 2000) n;
INSERT INTO notes VALUES ('하나'), ('하나'), (NULL);
GRANT SELECT, INSERT ON lots, notes TO {db}_app;
"""


@dataclass(kw_only=True)
class World:
    """An estate on disk, its servers, and how coopctl is run on it."""

    root: Path
    source_server: PostgresServer
    source: Side
    target: Side
    target_server: PostgresServer
    bucket: Store
    target_bucket: Store
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start coopctl; it is asked nothing."""
        return subprocess.Popen(
            [*COOPCTL, *arguments, "--estate", str(self.root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.programs(),
        )

    def programs(self) -> dict[str, str]:
        """The whole environment of a coopctl on it: this process' own finds programs."""
        return {**os.environ, **self.environment}

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """The exit code, and all that it said."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    def json(self, *arguments: str) -> tuple[int, Any]:
        """The exit code and the answer as JSON."""
        code, out, err = self.run(*arguments, "--output", "json")
        document = json.loads(out)
        assert document["kind"] != "Error", err
        return code, document

    def on_source(self, statement: str) -> list[Any]:
        return self.source_server.execute(statement, database=self.source.database)

    def on_target(self, statement: str) -> list[Any]:
        return self.target_server.execute(statement, database=self.target.database)

    def leftovers(self) -> list[str]:
        """What the migration has on either server."""
        own = replication_names(self.bucket.tenant.names.uid).slot
        found = []
        for side in (self.source, self.target):
            with session(side) as connection:
                found += [f"{one.kind} {one.name}" for one in read_leftovers(connection) if one.name.startswith(own)]
        return found


AWorld = TypeVar("AWorld", bound=World)


@pytest.fixture(scope="session")
def between(open_folder: Path) -> Iterator[Between]:
    """Servers of their own: these tests look at all that a server has, and take away what is nobody's."""
    folder = open_folder / "commands"
    with (
        running_postgres(folder / "source") as source,
        running_postgres(folder / "target") as target,
        running_servers(folder / "objects", run=open_folder / "run-commands", parts=(ObjectsPart(),)) as objects,
    ):
        yield Between(source=source, target=target, objects=objects)


def platform_of(postgres: PostgresServer, objects: Servers) -> str:
    """The descriptor of a platform with these servers."""
    return PLATFORM.format(port=postgres.port, objects=objects.objects_url, credentials=objects.objects_credentials)


def environment_of(source: PostgresServer, target: Side, *, key: AccessKey) -> dict[str, str]:
    """The credentials that the documents of these tests refer to."""
    password = target.password.reveal()
    return {
        "SOURCE_PASSWORD": source.password.reveal(),
        "TARGET_DSN": f"postgresql://{target.user}:{password}@127.0.0.1:{target.port}/{target.database}?sslmode=disable",
        "TARGET_KEY": f"{key.id}:{key.secret.reveal()}",
    }


@contextmanager
def world_between(
    made: type[AWorld],
    between: Between,
    *,
    root: Path,
    tables: str,
    objects: Iterable[tuple[str, bytes]],
    documents: Mapping[str, str],
) -> Iterator[AWorld]:
    """A cooperative with ``tables`` and ``objects``, an empty target, and an estate in ``root`` with ``documents``.

    Names and texts of the documents are formatted with the ``cooperative``, the ``objects`` server's address and the
    target's ``bucket``.
    """
    bucket, target_bucket = Store(between.objects, versioning=True), Store(between.objects, versioning=False)
    database, cooperative = bucket.tenant.names.database, bucket.tenant.names.cooperative
    between.source.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    between.source.execute(tables.format(db=database), database=database)
    for name, body in objects:
        bucket.put(name, body, ContentType="image/png")
    target = between.target.new_database("moved")
    (root / "platform.yaml").write_text(platform_of(between.source, between.objects))
    values = {"cooperative": cooperative, "objects": between.objects.objects_url, "bucket": target_bucket.name}
    for name, text in documents.items():
        file = root / name.format(**values)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.format(**values))
    yield made(
        root=root,
        source_server=between.source,
        source=between.source.side(database),
        target_server=between.target,
        target=target,
        bucket=bucket,
        target_bucket=target_bucket,
        environment=environment_of(between.source, target, key=administrator_key(between.objects.objects_credentials)),
    )
    bucket.retire()
    target_bucket.retire()


@pytest.fixture
def moving(between: Between, tmp_path: Path) -> Iterator[World]:
    """A cooperative with rows and objects, and an empty target."""
    with world_between(
        World,
        between,
        root=tmp_path,
        tables=TABLES,
        objects=[(f"scans/{number}", b"scan" * number) for number in range(3)],
        documents={f"migrations/{NAME}.yaml": MIGRATION, "cooperatives/{cooperative}.yaml": ""},
    ) as world:
        yield world
