"""An estate with one cooperative whose data store may move: two PostgreSQL servers, an S3 server with two buckets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provisioner.embedded.objects import ObjectsPart
from provisioner.migration.postgres_rollback import read_leftovers
from provisioner.migration.postgres_sides import Side, session
from provisioner.naming import replication_names
from tests.conftest import Servers, running_servers
from tests.data_stores import administrator_key
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
            env={**os.environ, **self.environment},
        )

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


@pytest.fixture(scope="session")
def source_server(open_folder: Path) -> Iterator[PostgresServer]:
    """The platform's server."""
    with running_postgres(open_folder / "commands-source") as server:
        yield server


@pytest.fixture(scope="session")
def target_server(open_folder: Path) -> Iterator[PostgresServer]:
    """The cooperative's own server."""
    with running_postgres(open_folder / "commands-target") as server:
        yield server


@pytest.fixture(scope="session")
def objects_server(open_folder: Path) -> Iterator[Servers]:
    """An S3 server for both buckets."""
    folder = open_folder / "commands-objects"
    with running_servers(folder, run=open_folder / "commands-run", parts=(ObjectsPart(),)) as running:
        yield running


@pytest.fixture
def moving(
    source_server: PostgresServer, target_server: PostgresServer, objects_server: Servers, tmp_path: Path
) -> Iterator[World]:
    """A cooperative with rows and objects, and an empty target."""
    bucket, target_bucket = Store(objects_server, versioning=True), Store(objects_server, versioning=False)
    database, cooperative = bucket.tenant.names.database, bucket.tenant.names.cooperative
    source_server.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    source_server.execute(TABLES.format(db=database), database=database)
    for number in range(3):
        bucket.put(f"scans/{number}", b"scan" * number, ContentType="image/png")
    target = target_server.new_database("moved")
    secret, key = target.password.reveal(), administrator_key(objects_server.objects_credentials)
    texts = {
        "platform.yaml": PLATFORM.format(
            port=source_server.port,
            objects=objects_server.objects_url,
            credentials=objects_server.objects_credentials,
        ),
        f"migrations/{NAME}.yaml": MIGRATION.format(
            cooperative=cooperative, objects=objects_server.objects_url, bucket=target_bucket.name
        ),
        f"cooperatives/{cooperative}.yaml": "",
    }
    for path, text in texts.items():
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    yield World(
        root=tmp_path,
        source_server=source_server,
        source=source_server.side(database),
        target_server=target_server,
        target=target,
        bucket=bucket,
        target_bucket=target_bucket,
        environment={
            "SOURCE_PASSWORD": source_server.password.reveal(),
            "TARGET_DSN": f"postgresql://postgres:{secret}@127.0.0.1:{target.port}/{target.database}?sslmode=disable",
            "TARGET_KEY": f"{key.id}:{key.secret.reveal()}",
        },
    )
    bucket.retire()
    target_bucket.retire()
