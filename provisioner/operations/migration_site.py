"""What a command works with that moves a data store: the document, both databases, both buckets, and its own files.

References to credentials are resolved here, once a command; nothing is connected to yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.datastore.credentials import Secret, resolve_secret
from provisioner.datastore.objects import ObjectsAccess, objects_access
from provisioner.datastore.postgres import postgres_access
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_migration_alone, load_migrations, load_platform
from provisioner.descriptor.migration import DataStoreMigration, ObjectsTarget
from provisioner.descriptor.platform import ObjectsServer, Platform
from provisioner.errors import NotFound, UsageError
from provisioner.migration.journal import journal_file
from provisioner.migration.objects_bucket import Bucket, open_bucket
from provisioner.migration.postgres_sides import Side, side_from_dsn, side_of_access
from provisioner.naming import CooperativeName, ReplicationNames, TenantNames, replication_names, slice_uid

# In a pod of the platform: servers are reached where pods reach them, and called by their own names all the same.
IN_PLATFORM = "COOPCTL_IN_PLATFORM"
# In a pod's estate: the password of the login by which the target is to follow, which no pod can make.
FOLLOW_FILE = "credentials/follow"
# In a pod's estate: whose slice it copies, and what its solutions say of tables.
SLICE_FILE = "slice.json"
VERIFYING = frozenset({"verify-ca", "verify-full"})


@dataclass(frozen=True, kw_only=True)
class MigrationFiles:
    """Where a migration keeps what it must not forget, in the estate's local ``folder``."""

    folder: Path
    name: str

    @property
    def journal(self) -> Path:
        """What was done."""
        return journal_file(self.folder, self.name)

    @property
    def survey(self) -> Path:
        """What was found when the open run began."""
        return self.journal.with_name(f"{self.name}.survey.json")

    @property
    def catalogue(self) -> Path:
        """The source's schema when it was copied."""
        return self.journal.with_name(f"{self.name}.catalogue.json")

    @property
    def ledger(self) -> Path:
        """Which objects were copied."""
        return self.journal.with_name(f"{self.name}.objects")

    @property
    def work(self) -> Path:
        """A private folder for programs; it is emptied at every beginning."""
        return self.journal.with_name(f"{self.name}.work")

    @property
    def work_back(self) -> Path:
        """The same for the way back."""
        return self.journal.with_name(f"{self.name}.work-back")

    @property
    def dump_work(self) -> Path:
        """The same for a dump."""
        return self.journal.with_name(f"{self.name}.work-dump")


@dataclass(frozen=True, kw_only=True)
class TargetSite:
    """The target alone: all that the cooperative itself can look at."""

    migration: DataStoreMigration
    files: MigrationFiles
    target: Side
    target_bucket: Bucket
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MigrationSite:
    """Both sides of a migration, and the estate and platform that it is on.

    ``follow_password`` is that of the login by which the target is to follow, where it was made elsewhere: in a pod.
    """

    estate: Estate
    platform: Platform
    migration: DataStoreMigration
    files: MigrationFiles
    tenant: TenantNames
    source: Side
    target: Side
    source_bucket: Bucket
    target_bucket: Bucket
    environment: Mapping[str, str]
    follow_password: Secret | None = None

    @property
    def names(self) -> ReplicationNames:
        """What it calls the things that it makes on the servers."""
        return replication_names(self.tenant.uid)

    @property
    def job_login(self) -> str:
        """The login of a Job that works on it: a slice has its own, since each moves when it wants to."""
        uid, member = self.tenant.uid, self.migration.member
        return replication_names(uid if member is None else slice_uid(uid, member=member)).job_login

    @property
    def inside(self) -> bool:
        """Whether this process is the migration's pod in the platform."""
        return IN_PLATFORM in self.environment

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What must never be written down."""
        own = (self.source.password, self.target.password)
        return own if self.follow_password is None else (*own, self.follow_password)

    def publisher(self, password: Secret) -> Side:
        """The source as the target's server reaches it: encrypted as here, but without files of this machine."""
        extra = dict(self.source.extra)
        extra.pop("sslrootcert", None)
        if extra.get("sslmode") in VERIFYING:
            extra["sslmode"] = "require"
        own = tuple(sorted(extra.items()))
        return replace(self.source, user=self.names.login, password=password, extra=own, via=None)


def open_migration(estate: Estate, name: str, *, environment: Mapping[str, str]) -> MigrationSite:
    """The migration ``name`` with both sides.

    Raises NotFound for a name that the estate does not have and for a credential that is not where its reference points
    to, InvalidDescriptor, and UsageError for a DSN that is none.
    """
    platform = load_platform(estate)
    [migration] = load_migrations(estate, platform=platform, cooperatives=(), only=name)
    tenant = platform.names_of(CooperativeName(migration.cooperative))
    alone = _target(estate, migration, environment=environment)
    access, inside = postgres_access(platform.postgres), IN_PLATFORM in environment
    return MigrationSite(
        estate=estate,
        platform=platform,
        migration=migration,
        files=alone.files,
        tenant=tenant,
        source=replace(
            side_of_access(access, database=tenant.database, environment=environment),
            via=platform.postgres.pods if inside else None,
        ),
        target=alone.target,
        source_bucket=open_bucket(
            tenant.bucket,
            replace(objects_access(platform.objects), via=pods_url(platform.objects) if inside else None),
            environment=environment,
            what="the access key of the platform's S3 administrator",
        ),
        target_bucket=alone.target_bucket,
        environment=environment,
        follow_password=_follow_password(estate) if inside else None,
    )


def pods_url(server: ObjectsServer) -> str:
    """The S3 server's URL as pods reach it."""
    return f"{server.pods_scheme}://{server.pods.host}:{server.pods.port}"


def require_whole(site: MigrationSite, *, verb: str) -> None:
    """Raise UsageError for a member's slice, which the command ``verb`` has no use for."""
    if site.migration.member is not None:
        name = site.migration.name
        raise UsageError(
            f"{name} moves the slice of the member {site.migration.member}, which `{verb}` is not for",
            why="the cooperative's applications stay where they are, with its other members: nothing is switched",
            hint=f"`coopctl migrate start {name}` copies, `verify` compares, `finalise` hands over, `abort` goes back",
        )


def open_target(estate: Estate, name: str, *, environment: Mapping[str, str]) -> TargetSite:
    """The target of the migration ``name``; neither platform nor cooperative needs to be described here.

    Raises NotFound and InvalidDescriptor.
    """
    return _target(estate, load_migration_alone(estate, name), environment=environment)


def migration_estate(folder: Path, name: str) -> Estate:
    """``folder`` as an estate that holds nothing but the document of ``name``. Raises NotFound."""
    estate = Estate(root=folder.resolve())
    if not (estate.migrations / f"{name}.yaml").is_file():
        raise NotFound(
            f"there is no {estate.migrations.name}/{name}.yaml in {folder}",
            hint="give --estate the folder that holds migrations/",
        )
    return estate


def _follow_password(estate: Estate) -> Secret | None:
    file = estate.root / FOLLOW_FILE
    return Secret(file.read_text(encoding="utf-8")) if file.is_file() else None


def _target(estate: Estate, migration: DataStoreMigration, *, environment: Mapping[str, str]) -> TargetSite:
    objects, inside = migration.target.objects, IN_PLATFORM in environment
    dsn = resolve_secret(migration.target.postgres.dsn, environment=environment, what="the target's DSN")
    access = ObjectsAccess(
        url=objects.endpoint,
        iam_url=objects.iam_url,
        region=objects.region,
        credentials=objects.credentials,
        ca_file=objects.ca_file,
        via=_target_pods_url(objects) if inside else None,
    )
    return TargetSite(
        migration=migration,
        files=MigrationFiles(folder=estate.local, name=migration.name),
        target=replace(side_from_dsn(dsn), via=migration.target.postgres.pods if inside else None),
        target_bucket=open_bucket(
            objects.bucket, access, environment=environment, what="the access key of the target's bucket"
        ),
        environment=environment,
    )


def _target_pods_url(target: ObjectsTarget) -> str | None:
    if target.pods is None:
        return None
    return f"{target.endpoint.partition('://')[0]}://{target.pods.host}:{target.pods.port}"
