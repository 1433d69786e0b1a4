"""Gets the embedded target ready for a cooperative's data store, and writes the migration that leads there.

It plays the cooperative's administrator, who has to do the same on servers of the cooperative's own
(docs/how-to/move-a-data-store.md, "Get the applications ready"). After a rollback the target keeps its copy: it is
emptied before the data store goes there again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provisioner.cluster.objects import open_cluster
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import read_place
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_estate, load_platform
from provisioner.embedded import platform
from provisioner.embedded.private_files import write_if_changed
from provisioner.embedded.process import Report
from provisioner.embedded.target import TargetServers
from provisioner.embedded.target_store import REGION, TargetStore, dsn, empty_store, make_store, objects_url
from provisioner.errors import PlanRefused, UsageError
from provisioner.naming import CooperativeName
from provisioner.operations.migration_journals import read_journal
from provisioner.operations.migration_tenancy import application_key

_WEED = "weed"
_DOCUMENT = """\
# From `coopctl dev target {cooperative}`: to the embedded platform's second PostgreSQL and S3.
apiVersion: coopctl.dev/v1
kind: DataStoreMigration
metadata: {{name: {name}}}
spec:
  cooperative: {cooperative}
  scope: all
  target:
    postgres:
      dsn: {{file: {dsn}}}
      pods: {{address: {address}, port: {postgres_port}}}
    objects:
      endpoint: {endpoint}
      bucket: {bucket}
      region: {region}
      credentials: {{file: {credentials}}}
      pods: {{address: {address}, port: {objects_port}}}
"""


@dataclass(frozen=True, kw_only=True)
class ReadyTarget:
    """What is there now; ``written`` is False where the estate had the document before, which stays as it is."""

    migration: str
    document: Path
    written: bool
    database: str
    bucket: str
    identity: str


def ready_target(
    estate: Estate, cooperative: str, *, toolchain: platform.Tools, environment: Mapping[str, str], report: Report
) -> ReadyTarget:
    """Make database, bucket and identity on the embedded target, and the document ``COOPERATIVE-target``. Idempotent.

    Raises UsageError where there is no target, NotFound for a cooperative that is not described or not applied.
    """
    servers, store = _running(estate), _store(estate, cooperative)
    weed = toolchain.ensure([_WEED], report=report)[_WEED]
    make_store(store, servers=servers, weed=weed, environment=environment)
    secret = servers.files.root / "secrets" / f"{cooperative}.dsn"
    write_if_changed(secret, dsn(store, servers=servers).reveal())
    migration = migration_name(cooperative)
    document = estate.migrations / f"{migration}.yaml"
    written = not document.exists()
    if written:
        document.parent.mkdir(exist_ok=True)
        document.write_text(
            _DOCUMENT.format(
                name=migration,
                cooperative=cooperative,
                dsn=secret.relative_to(estate.root),
                credentials=servers.files.objects_credentials.relative_to(estate.root),
                address=servers.endpoints.bridge,
                postgres_port=servers.endpoints.postgres,
                objects_port=servers.endpoints.objects,
                endpoint=objects_url(servers),
                bucket=store.bucket,
                region=REGION,
            ),
            encoding="utf-8",
        )
    return ReadyTarget(
        migration=migration,
        document=document,
        written=written,
        database=store.database,
        bucket=store.bucket,
        identity=store.identity,
    )


def empty_target(estate: Estate, cooperative: str, *, environment: Mapping[str, str]) -> None:
    """Delete what an earlier migration of ``cooperative`` has left on the embedded target. Idempotent.

    Raises PlanRefused while the data store is there or a migration is open, and what `ready_target` raises.
    """
    servers, store = _running(estate), _store(estate, cooperative)
    require_unused(estate, cooperative)
    empty_store(store, servers=servers, environment=environment)


def require_unused(estate: Estate, cooperative: str) -> None:
    """Raise PlanRefused unless the data store of ``cooperative`` is at the platform, and stays there for now."""
    state = load_platform(estate).state
    place = read_place(open_records(state.url, credentials_file=state.credentials_file), cooperative)
    if place is not None and (place.moved or place.moving):
        raise PlanRefused(
            f"the data store of {cooperative} is at the target, or on its way",
            hint=f"`coopctl migrate rollback {place.migration}` brings it home",
        )
    name = migration_name(cooperative)
    written = read_journal(estate, state, name)
    if written is not None and any(run.open for run in written.runs):
        raise PlanRefused(f"{name} is under way", hint=f"`coopctl migrate abort {name}` gives it up")


def migration_name(cooperative: str) -> str:
    """What the migration to the embedded target is called."""
    return f"{cooperative}-target"


def _store(estate: Estate, cooperative: str) -> TargetStore:
    described, _ = load_estate(estate, names=[cooperative])
    names = described.names_of(CooperativeName(cooperative))
    return TargetStore(
        database=names.database,
        bucket=names.bucket,
        identity=names.objects_identity,
        key=application_key(names, cluster=open_cluster(described)),
    )


def _running(estate: Estate) -> TargetServers:
    status = platform.status(estate)
    if status.target is None:
        raise UsageError("the embedded platform has no target", hint="run `coopctl dev up --target`")
    if not status.runs:
        raise UsageError("the embedded platform does not run", hint="run `coopctl dev up`")
    return status.target
