"""From the checked Platform document to the frozen Platform: the embedded platform's own values, or those named."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.descriptor.cooperative_values import contact
from provisioner.descriptor.endpoints import EmbeddedEndpoints, EmbeddedFiles, embedded_files
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import (
    Cluster,
    DnsAccess,
    Dumps,
    DumpServer,
    Endpoint,
    IngressAccess,
    ObjectsServer,
    Platform,
    PostgresServer,
    Registry,
    SecretReference,
    StateBackend,
)
from provisioner.descriptor.platform_document import (
    DnsDocument,
    DumpsDocument,
    IngressDocument,
    ObjectsServerDocument,
    PlatformDocument,
    PlatformSpec,
    PostgresServerDocument,
    SecretReferenceFields,
    SslMode,
)
from provisioner.errors import CoopctlError
from provisioner.naming import ClusterId

# contrib modules of PostgreSQL that are marked trusted (PostgreSQL documentation, appendix F): a database's
# owner may install them, and none of them reaches outside the database.
EMBEDDED_EXTENSIONS = (
    "btree_gin",
    "btree_gist",
    "citext",
    "fuzzystrmatch",
    "hstore",
    "pg_trgm",
    "pgcrypto",
    "unaccent",
    "uuid-ossp",
)
# The pods' network and the Services' network of the embedded platform.
EMBEDDED_NETWORKS = ("10.244.0.0/16", "10.96.0.0/16")
EMBEDDED_INGRESS_CLASS = "coopctl"
EMBEDDED_STORAGE_CLASS = "local"
LOOPBACK = "127.0.0.1"
_REGION = "us-east-1"
_FILE_SCHEME = "file://"


def platform_value(document: PlatformDocument, *, estate: Estate, endpoints: EmbeddedEndpoints) -> Platform:
    """The platform that ``document`` (checked) means."""
    spec = document.spec
    servers = _embedded(endpoints, embedded_files(estate.root)) if spec.embedded is not None else _named(spec, estate)
    postgres, objects, registry, ingress, dns = servers
    classes = (EMBEDDED_STORAGE_CLASS,) if spec.embedded is not None else ()
    return Platform(
        name=document.metadata.name,
        embedded=spec.embedded is not None,
        cluster=_cluster(spec, estate=estate),
        postgres=postgres,
        objects=objects,
        registry=replace(registry, mirrors=tuple(spec.registry.mirrors) if spec.registry else ()),
        state=_state(spec, estate=estate),
        domain_suffixes=tuple(spec.domain_suffixes),
        ingress=ingress,
        dns=dns,
        storage_classes=tuple(dict.fromkeys((*classes, *spec.storage_classes))),
        priority_classes=tuple(spec.priority_classes),
        help_desk=contact(spec.help_desk),
        dumps=_dumps(spec.dumps, estate=estate) if spec.dumps else None,
        source=estate.platform,
    )


def passphrase_file(spec: PlatformSpec, *, estate: Estate) -> Path:
    """The file that holds the passphrase of the state's secrets."""
    return path_of(spec.state.passphrase.file, estate=estate) if spec.state.passphrase else estate.local / "passphrase"


def path_of(text: str, *, estate: Estate) -> Path:
    """The path that ``text`` in platform.yaml means: relative to the estate; ~ is the home folder."""
    return estate.root / (Path.home() / text[2:] if text.startswith("~/") else Path(text))


Servers = tuple[PostgresServer, ObjectsServer, Registry, IngressAccess, DnsAccess]


def _embedded(endpoints: EmbeddedEndpoints, files: EmbeddedFiles) -> Servers:
    return (
        PostgresServer(
            admin=Endpoint(host=LOOPBACK, port=endpoints.postgres),
            pods=Endpoint(host=endpoints.bridge, port=endpoints.postgres),
            admin_user="postgres",
            admin_password=SecretReference(file=files.postgres_password),
            sslmode=str(SslMode.VERIFY_FULL),
            ca_file=files.postgres_ca,
            allowed_extensions=EMBEDDED_EXTENSIONS,
        ),
        ObjectsServer(
            url=f"http://{LOOPBACK}:{endpoints.objects}",
            iam_url=f"http://{LOOPBACK}:{endpoints.objects}",
            region=_REGION,
            pods=Endpoint(host=endpoints.bridge, port=endpoints.objects),
            pods_scheme="http",
            admin_credentials=SecretReference(file=files.objects_credentials),
            ca_file=None,
        ),
        Registry(address=f"{LOOPBACK}:{endpoints.registry}", allowed=(f"{LOOPBACK}:{endpoints.registry}/",)),
        IngressAccess(
            class_name=EMBEDDED_INGRESS_CLASS,
            controller_addresses=(endpoints.bridge,),
            http_port=endpoints.ingress_http,
        ),
        DnsAccess(addresses=(endpoints.bridge,)),
    )


def _named(spec: PlatformSpec, estate: Estate) -> Servers:
    # platform_rules.py has refused a document that lacks one of them.
    if not (spec.postgres and spec.objects and spec.registry and spec.registry.address and spec.ingress and spec.dns):
        raise CoopctlError(f"{estate.platform} names neither the embedded platform nor every server")
    return (
        _postgres(spec.postgres, estate=estate),
        _objects(spec.objects, estate=estate),
        _registry(spec.registry.address, allowed=spec.registry.allowed),
        _ingress(spec.ingress),
        _dns(spec.dns),
    )


def _cluster(spec: PlatformSpec, *, estate: Estate) -> Cluster:
    embedded = spec.embedded is not None
    given = path_of(spec.cluster.kubeconfig or "", estate=estate)
    return Cluster(
        id=ClusterId(spec.cluster.id),
        kubeconfig=embedded_files(estate.root).kubeconfig if embedded else given,
        context=spec.cluster.context,
        networks=(*(EMBEDDED_NETWORKS if embedded else ()), *spec.cluster.networks),
    )


def _postgres(server: PostgresServerDocument, *, estate: Estate) -> PostgresServer:
    return PostgresServer(
        admin=Endpoint(host=server.host, port=server.port),
        pods=Endpoint(host=server.pods.address, port=server.pods.port),
        admin_user=server.admin.user,
        admin_password=secret_reference_value(server.admin.password, estate=estate),
        sslmode=str(server.sslmode),
        ca_file=path_of(server.ca_file, estate=estate) if server.ca_file else None,
        allowed_extensions=tuple(server.allowed_extensions),
    )


def _objects(server: ObjectsServerDocument, *, estate: Estate) -> ObjectsServer:
    return ObjectsServer(
        url=server.url,
        iam_url=server.iam_url or server.url,
        region=server.region,
        pods=Endpoint(host=server.pods.address, port=server.pods.port),
        pods_scheme=str(server.pods.scheme),
        admin_credentials=secret_reference_value(server.admin.credentials, estate=estate),
        ca_file=path_of(server.ca_file, estate=estate) if server.ca_file else None,
        bucket_prefix=server.bucket_prefix or "",
    )


def _dumps(dumps: DumpsDocument, *, estate: Estate) -> Dumps:
    server = dumps.server
    return Dumps(
        location=dumps.location,
        recipient=dumps.recipient,
        server=DumpServer(
            url=server.url,
            region=server.region,
            credentials=secret_reference_value(server.credentials, estate=estate),
            ca_file=path_of(server.ca_file, estate=estate) if server.ca_file else None,
        )
        if server
        else None,
    )


def _registry(address: str, *, allowed: Sequence[str]) -> Registry:
    return Registry(address=address, allowed=tuple(dict.fromkeys((f"{address}/", *allowed))))


def _ingress(ingress: IngressDocument) -> IngressAccess:
    return IngressAccess(
        class_name=ingress.class_name,
        controller_addresses=tuple(ingress.controller_addresses),
        controller_namespace=ingress.controller_namespace,
        http_port=ingress.http_port,
    )


def _dns(dns: DnsDocument) -> DnsAccess:
    return DnsAccess(
        addresses=tuple(dns.addresses), namespace=dns.namespace, pod_labels=tuple(sorted(dns.pod_labels.items()))
    )


def secret_reference_value(reference: SecretReferenceFields, *, estate: Estate) -> SecretReference:
    """The reference that a document's fields mean; a file is relative to the estate."""
    return SecretReference(
        env=reference.env, file=path_of(reference.file, estate=estate) if reference.file is not None else None
    )


def _state(spec: PlatformSpec, *, estate: Estate) -> StateBackend:
    backend = spec.state.backend or f"{_FILE_SCHEME}{estate.local / 'state'}"
    if backend.startswith(_FILE_SCHEME):
        backend = f"{_FILE_SCHEME}{path_of(backend.removeprefix(_FILE_SCHEME), estate=estate)}"
    given = spec.state.credentials
    return StateBackend(
        url=backend,
        passphrase_file=passphrase_file(spec, estate=estate),
        credentials_file=path_of(given.file, estate=estate) if given else None,
    )
