"""Pure: what platform.yaml of the cooperative's own estate says, from the migration, the cluster and the options."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from provisioner.cluster.readiness import ClusterFacts
from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.migration import ClusterTarget
from provisioner.descriptor.platform import Platform
from provisioner.descriptor.platform_document import SslMode, is_registry
from provisioner.errors import UsageError
from provisioner.migration.postgres_sides import Side
from provisioner.naming import ClusterId, own_cluster_id
from provisioner.operations.migration_site import MigrationSite
from provisioner.plan.store_place import StorePlace

POSTGRES_PASSWORD = "secrets/postgres-password"  # noqa: S105 - a file's name
OBJECTS_CREDENTIALS = "secrets/s3-admin"
_KNOWN_MODES = frozenset(map(str, SslMode))


@dataclass(frozen=True, kw_only=True)
class OwnEstateOptions:
    """What only people know; what is empty is taken from the cluster."""

    registry: str
    ingress_class: str = ""
    ingress_namespace: str = "ingress-nginx"
    ingress_addresses: tuple[str, ...] = ()
    dns_addresses: tuple[str, ...] = ()
    storage_classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OwnPlatform:
    """All that platform.yaml says; ``place`` is where pods reach the servers, ``options`` leave nothing open."""

    name: str
    display_name: str
    cluster_id: ClusterId
    cluster: ClusterTarget
    networks: tuple[str, ...]
    postgres: Side
    sslmode: str
    postgres_ca: str
    extensions: tuple[str, ...]
    objects_url: str
    objects_iam: str
    objects_region: str
    objects_scheme: str
    objects_ca: Path | None
    bucket_prefix: str
    place: StorePlace
    options: OwnEstateOptions
    priority_classes: tuple[str, ...]
    domain_suffix: str


def decide(
    site: MigrationSite,
    cooperative: Cooperative,
    *,
    cluster: ClusterTarget,
    facts: ClusterFacts,
    encrypted: bool,
    place: StorePlace,
    options: OwnEstateOptions,
) -> OwnPlatform:
    """Decide it; ``encrypted`` says whether the target's PostgreSQL spoke TLS with us.

    Raises UsageError for an option that cannot be, or that is needed where the cluster leaves a choice.
    """
    platform, objects, side = site.platform, site.migration.target.objects, site.target
    return OwnPlatform(
        name=str(cooperative.name),
        display_name=cooperative.display_name,
        cluster_id=own_cluster_id(cooperative.name, cluster=platform.cluster.id),
        cluster=cluster,
        networks=facts.networks,
        postgres=side,
        sslmode=_sslmode(dict(side.extra), encrypted=encrypted),
        postgres_ca=dict(side.extra).get("sslrootcert", ""),
        extensions=platform.postgres.allowed_extensions,
        objects_url=objects.endpoint,
        objects_iam=objects.iam_url,
        objects_region=objects.region,
        objects_scheme=urlsplit(objects.endpoint).scheme,
        objects_ca=objects.ca_file,
        bucket_prefix=platform.objects.bucket_prefix or str(platform.cluster.id),
        place=place,
        options=_settled(options, facts=facts),
        priority_classes=facts.default_priorities,
        domain_suffix=_suffix(cooperative, platform=platform),
    )


def _settled(options: OwnEstateOptions, *, facts: ClusterFacts) -> OwnEstateOptions:
    """The options, with what the cluster offers in the place of what was not said."""
    if not is_registry(options.registry):
        raise UsageError(
            f"{options.registry!r} is not a registry", hint="such as registry.example.kr:5000/path, no scheme"
        )
    return replace(
        options,
        ingress_class=options.ingress_class or _only(facts.ingress_classes),
        storage_classes=options.storage_classes or _storage(facts),
    )


def _sslmode(parameters: dict[str, str], *, encrypted: bool) -> str:
    """The DSN's own, or, where that leaves it open, what came of it: a Platform does not leave it open."""
    given = parameters.get("sslmode", "")
    if given in _KNOWN_MODES:
        return given
    return str(SslMode.REQUIRE if encrypted else SslMode.DISABLE)


def _only(classes: Sequence[str]) -> str:
    if len(classes) != 1:
        raise UsageError(
            f"the cluster's IngressClasses are {', '.join(classes) or 'none'}",
            hint="say with --ingress-class which one leads to the solutions",
        )
    return classes[0]


def _storage(facts: ClusterFacts) -> tuple[str, ...]:
    return (facts.default_storage,) if facts.default_storage else facts.storage_classes


def _suffix(cooperative: Cooperative, *, platform: Platform) -> str:
    domain = cooperative.network.domain
    return next((one for one in platform.domain_suffixes if f".{domain}".endswith(f".{one}")), domain)
