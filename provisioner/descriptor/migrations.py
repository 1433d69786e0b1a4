"""The estate's DataStoreMigration documents into values, with every problem.

No clock: whether a window is over is for whoever works by it. No secret is resolved: that is for who calls a server.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from provisioner.descriptor.checking import PathParts, check, diagnostic
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.fields import shown
from provisioner.descriptor.migration import (
    ClusterTarget,
    DataStoreMigration,
    MigrationTarget,
    ObjectsTarget,
    PostgresTarget,
    Window,
)
from provisioner.descriptor.migration_document import (
    ClusterTargetDocument,
    DataStoreMigrationDocument,
    DataStoreMigrationSpec,
    ObjectsTargetDocument,
    TargetDocument,
)
from provisioner.descriptor.nodes import Node, compose, location
from provisioner.descriptor.platform import Endpoint, Platform
from provisioner.descriptor.platform_document import PodEndpointDocument
from provisioner.descriptor.platform_values import path_of, secret_reference_value
from provisioner.descriptor.suggestions import did_you_mean
from provisioner.descriptor.text import read_text
from provisioner.errors import Diagnostic
from provisioner.naming import CooperativeName

Found = tuple[PathParts, str, str | None]
WINDOW_LEAST = timedelta(minutes=10)
WINDOW_MOST = timedelta(days=7)
KEEP_SOURCE_MOST = timedelta(days=366)
KEEP_DUMP_MOST = timedelta(days=3660)
_COOPERATIVE = ("spec", "cooperative")


@dataclass(frozen=True, kw_only=True)
class Described:
    """What migrations are checked against: the estate's cooperatives (None: it has problems of its own), and its
    platform (None likewise). Where nobody knows any, at the cooperative itself, ``cooperatives`` is None."""

    cooperatives: Mapping[str, Cooperative | None] | None
    platform: Platform | None


@dataclass(frozen=True, kw_only=True)
class MigrationsRead:
    """The migrations without problems, sorted by name, and the problems of the others."""

    migrations: tuple[DataStoreMigration, ...]
    problems: tuple[Diagnostic, ...]


@dataclass(frozen=True, kw_only=True)
class _Read:
    migration: DataStoreMigration | None
    cooperative: str | None
    problems: tuple[Diagnostic, ...]


def migration_files(estate: Estate) -> list[Path]:
    """The files of the DataStoreMigration documents, sorted by name."""
    return sorted(file for file in estate.migrations.glob("*.yaml") if not file.name.startswith("."))


def read_migrations(
    estate: Estate, *, described: Described, names: Collection[str] | None = None, only: str | None = None
) -> MigrationsRead:
    """Read every document, or ``only`` the one of that name.

    With ``names`` (of cooperatives) what surely concerns none of these is left out: a misspelt name may mean one.
    """
    files = [file for file in migration_files(estate) if only is None or file.stem == only]
    read = [_read(file, estate=estate, described=described) for file in files]
    if names is not None and (known := described.cooperatives) is not None:
        read = [one for one in read if one.cooperative in names or one.cooperative not in known]
    return MigrationsRead(
        migrations=tuple(one.migration for one in read if one.migration),
        problems=tuple(problem for one in read for problem in one.problems),
    )


def _read(file: Path, *, estate: Estate, described: Described) -> _Read:
    content = read_text(file)
    if content.text is None:
        return _Read(migration=None, cooperative=None, problems=content.problems)
    composed = compose(content.text, file=file)
    if composed.root is None:
        return _Read(migration=None, cooperative=None, problems=composed.problems)
    root = composed.root
    checked = check(root, model=DataStoreMigrationDocument)
    if checked.document is None:
        return _Read(migration=None, cooperative=None, problems=(*composed.problems, *checked.problems))
    spec = checked.document.spec
    found = [*_name(checked.document, file=file), *_spec_problems(spec, described=described)]
    problems = (*composed.problems, *(diagnostic(root, path, message, hint=hint) for path, message, hint in found))
    migration = None if problems else _value(checked.document, root=root, estate=estate)
    return _Read(migration=migration, cooperative=spec.cooperative, problems=problems)


def _name(document: DataStoreMigrationDocument, *, file: Path) -> Iterator[Found]:
    name = document.metadata.name
    if name != file.stem:
        yield ("metadata", "name"), f"is {name!r}, but the file is called {file.name!r}", f"rename it to {name}.yaml"


def _spec_problems(spec: DataStoreMigrationSpec, *, described: Described) -> Iterator[Found]:
    yield from _cooperative(spec, described=described)
    yield from _references(spec.target)
    yield from _slice_alone(spec)
    yield from _own_bucket(spec, platform=described.platform)
    yield from _window(spec)
    yield from _keeping(spec)


def _cooperative(spec: DataStoreMigrationSpec, *, described: Described) -> Iterator[Found]:
    if described.cooperatives is None:
        return
    if spec.cooperative not in described.cooperatives:
        known = sorted(described.cooperatives)
        hint = did_you_mean(spec.cooperative, known) or f"there are {', '.join(known) or 'none'}"
        yield _COOPERATIVE, f"{shown(spec.cooperative)} is not a cooperative of this estate", hint
        return
    cooperative, member = described.cooperatives[spec.cooperative], spec.scope.member
    if cooperative is None or member is None:
        return
    ids = [one.id for one in cooperative.members]
    if member not in ids:
        hint = did_you_mean(member, ids) or f"`coopctl member list {cooperative.name}` shows all"
        yield ("spec", "scope", "member"), f"{shown(member)} is not a member of {cooperative.name}", hint


def _references(target: TargetDocument) -> Iterator[Found]:
    dsn, credentials = target.postgres.dsn, target.objects.credentials
    for part, reference in ((("postgres", "dsn"), dsn), (("objects", "credentials"), credentials)):
        if (reference.env is None) == (reference.file is None):
            yield ("spec", "target", *part), "must have exactly one of env and file", None


def _slice_alone(spec: DataStoreMigrationSpec) -> Iterator[Found]:
    """Solutions serve all members: they do not follow one of them."""
    if spec.scope.member is not None and spec.target.cluster is not None:
        hint = "leave it out: the solutions stay with the cooperative and its other members"
        yield ("spec", "target", "cluster"), "cannot stand beside a member's slice", hint


def _own_bucket(spec: DataStoreMigrationSpec, *, platform: Platform | None) -> Iterator[Found]:
    """The bucket that it would move out of is no place to move to."""
    objects = spec.target.objects
    if platform is None or objects.endpoint != platform.objects.url:
        return
    own = platform.names_of(CooperativeName(spec.cooperative)).bucket
    if objects.bucket == own:
        message = f"{objects.bucket} is the bucket of {spec.cooperative} itself"
        yield ("spec", "target", "objects", "bucket"), message, "name the bucket to move to"


def _window(spec: DataStoreMigrationSpec) -> Iterator[Found]:
    window = spec.cutover.window
    if window is None:
        return
    length, path = window.ends - window.begins, ("spec", "cutover", "window", "to")
    if length <= timedelta(0):
        yield path, f"{window.ends.isoformat()} is not after the beginning, {window.begins.isoformat()}", None
    elif length < WINDOW_LEAST:
        yield path, "leaves less than 10 minutes for the cutover", "a cutover verifies, asks and may have to go back"
    elif length > WINDOW_MOST:
        yield path, "is more than 7 days after the beginning", "leave the window out if the switch may happen any time"


def _keeping(spec: DataStoreMigrationSpec) -> Iterator[Found]:
    if spec.keep_source > KEEP_SOURCE_MOST:
        hint = "finalise earlier: until then the platform keeps a fenced copy and its WAL for the way back"
        yield ("spec", "keepSource"), f"is more than {KEEP_SOURCE_MOST.days} days", hint
    if spec.keep_dump > KEEP_DUMP_MOST:
        yield ("spec", "keepDump"), f"is more than {KEEP_DUMP_MOST.days} days", None


def _value(document: DataStoreMigrationDocument, *, root: Node, estate: Estate) -> DataStoreMigration:
    spec, window = document.spec, document.spec.cutover.window
    return DataStoreMigration(
        name=document.metadata.name,
        cooperative=spec.cooperative,
        member=spec.scope.member,
        key=spec.scope.key or spec.scope.member or "",
        mode=spec.mode,
        target=MigrationTarget(
            postgres=PostgresTarget(
                dsn=secret_reference_value(spec.target.postgres.dsn, estate=estate),
                pods=_endpoint(spec.target.postgres.pods),
            ),
            objects=_objects(spec.target.objects, estate=estate),
            cluster=_cluster(spec.target.cluster, estate=estate) if spec.target.cluster else None,
        ),
        window=Window(begins=window.begins, ends=window.ends) if window else None,
        max_lag_bytes=spec.cutover.max_lag,
        keep_source=spec.keep_source,
        keep_dump=spec.keep_dump,
        source=location(root),
    )


def _objects(objects: ObjectsTargetDocument, *, estate: Estate) -> ObjectsTarget:
    return ObjectsTarget(
        endpoint=objects.endpoint,
        iam_url=objects.iam_url or objects.endpoint,
        bucket=objects.bucket,
        region=objects.region,
        credentials=secret_reference_value(objects.credentials, estate=estate),
        ca_file=path_of(objects.ca_file, estate=estate) if objects.ca_file else None,
        pods=_endpoint(objects.pods),
    )


def _endpoint(pods: PodEndpointDocument | None) -> Endpoint | None:
    return Endpoint(host=pods.address, port=pods.port) if pods else None


def _cluster(cluster: ClusterTargetDocument, *, estate: Estate) -> ClusterTarget:
    return ClusterTarget(kubeconfig=path_of(cluster.kubeconfig.file, estate=estate), context=cluster.context)
