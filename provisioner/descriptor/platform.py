"""What a platform means: its cluster, servers, registry, state and rules, with references to credentials.

A reference (environment variable or file) is resolved only where a server is called; the value is never
kept here.
"""

from dataclasses import dataclass
from pathlib import Path

from provisioner.descriptor.cooperative import Contact
from provisioner.naming import ClusterId, CooperativeName, TenantNames, tenant_names


@dataclass(frozen=True, kw_only=True)
class SecretReference:
    """Where a secret's value is found: exactly one of an environment variable and a file (absolute path)."""

    env: str | None = None
    file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A TCP endpoint: an address or host name, and a port."""

    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The Kubernetes cluster. ``kubeconfig`` is a path (its contents never enter the state); ``networks`` are
    those of pods, Services and nodes, as far as they are known."""

    id: ClusterId
    kubeconfig: Path
    context: str | None
    networks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """The shared PostgreSQL server: as coopctl reaches it (``admin``) and as pods do (``pods``, an IP address)."""

    admin: Endpoint
    pods: Endpoint
    admin_user: str
    admin_password: SecretReference
    sslmode: str
    ca_file: Path | None
    allowed_extensions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ObjectsServer:
    """The S3 server with an IAM API: as coopctl reaches it (``url``, ``iam_url``) and as pods do (``pods``).

    ``bucket_prefix`` is what names of buckets begin with; empty for the cluster's id.
    """

    url: str
    iam_url: str
    region: str
    pods: Endpoint
    pods_scheme: str
    admin_credentials: SecretReference
    ca_file: Path | None
    bucket_prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Where images come from: our own registry, and every prefix that is allowed (with its trailing slash).

    ``mirrors`` are further registries that hold the same images; nothing runs from there.
    """

    address: str
    allowed: tuple[str, ...]
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DnsAccess:
    """How pods reach cluster DNS: addresses, or pods selected by label in a namespace; port 53 both protocols."""

    addresses: tuple[str, ...] = ()
    namespace: str | None = None
    pod_labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class IngressAccess:
    """The ingress class, how its controller reaches pods, and where people reach the controller."""

    class_name: str
    controller_addresses: tuple[str, ...] = ()
    controller_namespace: str | None = None
    http_port: int = 80


@dataclass(frozen=True, kw_only=True)
class StateBackend:
    """Pulumi's state: ``url`` is file://... or s3://...; secrets are encrypted with the passphrase file.

    ``credentials_file`` is an AWS shared credentials file for an s3:// state; None: the AWS environment's.
    """

    url: str
    passphrase_file: Path
    credentials_file: Path | None = None


@dataclass(frozen=True, kw_only=True)
class DumpServer:
    """An S3 server for final dumps, with credentials of its own."""

    url: str
    region: str
    credentials: SecretReference
    ca_file: Path | None


@dataclass(frozen=True, kw_only=True)
class Dumps:
    """Where final dumps go, encrypted to ``recipient`` (an age public key).

    Without a ``server``, an s3:// location is at the platform's own.
    """

    location: str
    recipient: str
    server: DumpServer | None = None


@dataclass(frozen=True, kw_only=True)
class Platform:
    """The platform of an estate."""

    name: str
    embedded: bool
    cluster: Cluster
    postgres: PostgresServer
    objects: ObjectsServer
    registry: Registry
    state: StateBackend
    domain_suffixes: tuple[str, ...]
    ingress: IngressAccess
    dns: DnsAccess
    storage_classes: tuple[str, ...]
    priority_classes: tuple[str, ...]
    help_desk: Contact
    dumps: Dumps | None
    source: Path

    def names_of(self, cooperative: CooperativeName) -> TenantNames:
        """Every derived name of ``cooperative`` here."""
        return tenant_names(cooperative, cluster=self.cluster.id, buckets=self.objects.bucket_prefix)

    @property
    def remedy(self) -> str:
        """What to do if the platform's servers do not answer."""
        if self.embedded:
            return "run `coopctl dev up`"
        return f"check the endpoints in {self.source} and your network; `coopctl doctor` looks at both"
