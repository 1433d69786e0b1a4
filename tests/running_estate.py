"""An estate whose embedded platform runs, and hands to use it as people do: coopctl and kubectl as processes."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import psycopg

from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles, embedded_files, read_endpoints
from provisioner.plan.manifest import Manifest
from provisioner.toolchain import Toolchain
from tests.data_stores import administrator_key

COOPCTL = Path(sys.executable).with_name("coopctl")


def processor_seconds() -> float:
    """What the processors worked for this process's children that have ended, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, kw_only=True)
class RunningEstate:
    """The estate in ``root``; ``environment`` goes over this process's own."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> EmbeddedFiles:
        """The platform's files."""
        return embedded_files(self.root)

    @property
    def endpoints(self) -> EmbeddedEndpoints:
        """The platform's ports."""
        return read_endpoints(self.files)

    @cached_property
    def kubectl_program(self) -> Path:
        """The pinned kubectl."""
        return Toolchain().ensure(["kubectl"], report=print)["kubectl"]

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run coopctl on this estate to its end, whatever that is."""
        return subprocess.run(
            [COOPCTL, *arguments, "--estate", self.root],
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def coopctl(self, *arguments: str) -> str:
        """Run coopctl, which must succeed, and give what it answers."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, f"coopctl {' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def document(self, *arguments: str) -> dict[str, Any]:
        """Run coopctl, which must succeed, and give the JSON document that it answers."""
        found: dict[str, Any] = json.loads(self.coopctl(*arguments, "--output", "json"))
        return found

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator, which must succeed; its output."""
        done = self.attempt_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr}"
        return done.stdout

    def attempt_kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator to its end, whatever that is."""
        command = [str(self.kubectl_program), "--kubeconfig", str(self.files.kubeconfig), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)

    def get(self, *arguments: str) -> Manifest:
        """Get an object or a list."""
        found: Manifest = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def apply(self, *manifests: Manifest) -> None:
        """Apply objects as the administrator."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))

    @contextmanager
    def database(self, name: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """A session of PostgreSQL's administrator."""
        with psycopg.connect(
            host="127.0.0.1",
            port=self.endpoints.postgres,
            user="postgres",
            password=self.files.postgres_password.read_text().strip(),
            dbname=name,
            sslmode="require",
            autocommit=True,
        ) as session:
            yield session

    def rows(self, query: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What the administrator reads with ``query``."""
        with self.database(database) as session:
            cursor = session.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def objects_client(self, service: str = "s3") -> Any:
        """A client of the S3 server or of its IAM API, with the administrator's keys."""
        key = administrator_key(self.files.objects_credentials)
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=f"http://127.0.0.1:{self.endpoints.objects}",
            region_name="us-east-1",
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret.reveal(),
        )
