"""The solution `tea` of an estate's own catalogue: its migration is a Job without program, which tests play.

There is no node: a pod of the Job waits until a test says how it ended. What the Job would do in the database, the test
does as the role that owns the tables.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from pyrage import x25519

from provisioner.datastore.marks import Mark
from provisioner.datastore.postgres_copies import changed_name, copy_name
from provisioner.naming import ClusterId, CooperativeName, cooperative_uid
from tests.integration.engine.conftest import CliEstate

if TYPE_CHECKING:
    import subprocess

CHART = """\
apiVersion: v2
name: tea
version: {version}
type: application
annotations:
  coopctl.dev/category: basic
  coopctl.dev/display-name-ko: 차
  coopctl.dev/display-name-en: Tea
  coopctl.dev/images: tryton
  coopctl.dev/review: approved
"""
JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: tea-migration-{{ .Chart.Version | replace "." "-" }}
  namespace: {{ .Values.coopctl.migration.namespace }}
  labels:
    {{- toYaml .Values.coopctl.migration.labels | nindent 4 }}
  annotations:
    {{- toYaml .Values.coopctl.annotations | nindent 4 }}
spec:
  backoffLimit: 0
  template:
    metadata:
      labels: {app.kubernetes.io/name: tea-migration, app.kubernetes.io/instance: tea}
    spec:
      automountServiceAccountToken: false
      containers:
        - name: migrate
          image: {{ .Values.images.tryton | quote }}
          imagePullPolicy: Always
          resources:
            requests: {cpu: 50m, memory: 64Mi, ephemeral-storage: 16Mi}
            limits: {cpu: 100m, memory: 64Mi, ephemeral-storage: 16Mi}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
            readOnlyRootFilesystem: true
      enableServiceLinks: false
      priorityClassName: {{ .Values.coopctl.migration.priorityClass }}
      restartPolicy: Never
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile: {type: RuntimeDefault}
"""
TIMEOUT_SECONDS = 300.0
POLL_SECONDS = 0.2


@dataclass(kw_only=True)
class TeaEstate:
    """A cooperative that drinks tea, in an estate with a place for dumps."""

    estate: CliEstate
    name: str

    @property
    def database(self) -> str:
        """The cooperative's database."""
        return self.name.replace("-", "_")

    def write(self) -> None:
        """Write the documents; the cooperative chooses tea."""
        recipient = x25519.Identity.generate().to_public()
        extra = f"  dumps: {{location: dumps, recipient: {recipient}}}\n"
        self.estate.write(self.name, platform_extra=extra, solutions=["tea"])

    def offer(self, version: str) -> None:
        """The catalogue has this version."""
        templates = self.estate.root / "charts" / "tea" / "templates"
        templates.mkdir(parents=True, exist_ok=True)
        (templates.parent / "Chart.yaml").write_text(CHART.format(version=version))
        (templates / "job.yaml").write_text(JOB)

    def start(self, *options: str, **how: Any) -> "subprocess.Popen[str]":
        """Start applying it."""
        arguments = ("apply", self.name, "--yes", "--timeout", "300", *options)
        return self.estate.start(*arguments, **how)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """As the administrator, in the cooperative's database."""
        return self.estate.maker.sql(query, database=self.database)

    def as_owner(self, *statements: str) -> None:
        """What a migration does."""
        self.sql("; ".join((f"SET ROLE {self.database}_owner", *statements)))

    def pour(self, number: int) -> None:
        """The solution writes a row. Raises psycopg.Error if it may not."""
        maker = self.estate.maker
        user, password = maker.secret_values(f"{self.name}-apps", "data-store", "PGUSER", "PGPASSWORD")
        servers = maker.world.servers
        with psycopg.connect(
            host=servers.host,
            port=servers.postgres_port,
            user=user,
            password=password,
            dbname=self.database,
            autocommit=True,
        ) as connection:
            connection.execute("INSERT INTO cups VALUES (%s)", [number])

    def cups(self) -> list[Any]:
        """The rows that the solution wrote."""
        return [number for (number,) in self.sql("SELECT number FROM cups ORDER BY 1")]

    def columns(self) -> list[Any]:
        """The columns of all tables of the tenant."""
        query = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'"
        return sorted(name for (name,) in self.sql(query))

    def databases(self) -> dict[str, int]:
        """The tenant's database and what an upgrade keeps beside it, each with its number on the server."""
        cluster = ClusterId(self.estate.maker.cluster_id)
        mark = Mark(cluster=cluster, cooperative=cooperative_uid(CooperativeName(self.name), cluster=cluster))
        found = dict(self.estate.maker.sql("SELECT datname, oid FROM pg_database"))
        return {name: found[name] for name in (self.database, copy_name(mark), changed_name(mark)) if name in found}

    def jobs(self) -> list[str]:
        """The migration Jobs that there are."""
        found = self.estate.maker.world.kubectl("-n", f"{self.name}-data", "get", "jobs", "-o", "name")
        return [name.removeprefix("job.batch/") for name in found.split()]

    def wait_for_pod(self, version: str, *, among: Callable[[], bool] = lambda: True) -> str:
        """The name of the waiting pod of a version's migration, once there is one; empty when ``among`` ends."""
        job, until = f"tea-migration-{version.replace('.', '-')}", time.monotonic() + TIMEOUT_SECONDS
        while among():
            assert time.monotonic() < until, f"{job} never had a pod"
            chosen = f"batch.kubernetes.io/job-name={job}"
            about = ("get", "pods", "-l", chosen, "-o", "json", "--ignore-not-found")
            text = self.estate.maker.world.kubectl("-n", f"{self.name}-data", *about)
            for pod in json.loads(text or '{"items": []}')["items"]:
                if pod["status"].get("phase") == "Pending" and "deletionTimestamp" not in pod["metadata"]:
                    return str(pod["metadata"]["name"])
            time.sleep(POLL_SECONDS)
        return ""

    def end_pod(self, pod: str, phase: str) -> None:
        """The migration's pod comes to its end: Succeeded or Failed."""
        patch = json.dumps({"status": {"phase": phase}})
        about = ("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", patch)
        self.estate.maker.world.kubectl("-n", f"{self.name}-data", *about)

    @contextmanager
    def succeeding(self, version: str) -> Iterator[None]:
        """While the block runs, migrations of this version succeed as soon as they have a pod."""
        ended = threading.Event()

        def play() -> None:
            while pod := self.wait_for_pod(version, among=lambda: not ended.is_set()):
                self.end_pod(pod, "Succeeded")

        player = threading.Thread(target=play)
        player.start()
        try:
            yield
        finally:
            ended.set()
            player.join()

    def brew(self, version: str) -> None:
        """Version ``version`` is applied for the first time, with a table and a row of the solution's."""
        self.write()
        self.offer(version)
        with self.succeeding(version):
            self.estate.done("apply", self.name, "--yes", "--timeout", "300")
        self.as_owner("CREATE TABLE cups (number int)")
        self.pour(1)
