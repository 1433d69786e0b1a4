"""The Platform document as people write it: either ``embedded: {}`` or every server of its own."""

import re
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from provisioner.descriptor.cooperative_document import ContactDocument
from provisioner.descriptor.document import Document
from provisioner.descriptor.fields import (
    Address,
    CooperativeNameField,
    Domain,
    EnvironmentName,
    NetworkAddress,
    Port,
    Slug,
    Text,
    choice,
    matching,
    problem,
    shown,
)
from provisioner.naming import NAME_PATTERN, cluster_id_problem

_HOST = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45}")
_PORT = r"(:([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]))?"
_URL = re.compile(r"https?://([A-Za-z0-9.\-]{1,253}|\[[0-9a-fA-F:]{2,45}\])" + _PORT + "/?")
_REGISTRY = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]{0,252})?" + _PORT + r"(/[a-z0-9]+([._/-][a-z0-9]+)*)?")
_ALLOWED = re.compile(_REGISTRY.pattern + "/")
_BACKEND = re.compile(r"(file|s3)://\S.*")
_DUMPS = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/\S*)?|file:///.*|(?![A-Za-z][A-Za-z0-9+.-]*:)(?!.*://).+")
_RECIPIENT = re.compile(r"age1[02-9ac-hj-np-z]{58}")


class SslMode(StrEnum):
    """How the PostgreSQL server's certificate is checked (libpq, "SSL Support")."""

    DISABLE = "disable"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


class Scheme(StrEnum):
    """How pods speak to the S3 server."""

    HTTP = "http"
    HTTPS = "https"


def _cluster_id(value: object) -> str:
    text = matching(NAME_PATTERN, what="an id of lower-case letters, digits and hyphens that begins with a letter")(
        value
    )
    if (wrong := cluster_id_problem(text)) is not None:
        raise problem(wrong)
    return text


def secret_reference(value: object) -> object:
    """Refuses text where a reference to a secret is wanted: it may be the secret."""
    if isinstance(value, str):
        raise problem(
            "must say where the secret is, not the secret itself",
            hint="write {env: NAME} or {file: PATH}; a real secret that stood here must be changed",
        )
    return value


def _url(value: object) -> str:
    if isinstance(value, str) and "@" in value:
        raise problem("holds credentials", hint="leave them out; the field for credentials says where they are")
    what = "a URL such as https://s3.example.kr"
    text = matching(_URL, what=what)(value).removesuffix("/")
    try:
        urlsplit(text)
    except ValueError as error:
        # What stands in brackets looks like an IPv6 address, and is none.
        raise problem(f"{shown(text)} is not {what}", hint=str(error)) from error
    return text


ServerUrl = Annotated[str, BeforeValidator(_url)]
Host = Annotated[str, BeforeValidator(matching(_HOST, what="a host name or address"))]


class SecretReferenceFields(Document):
    """Where a secret's value is found: exactly one of the two."""

    env: EnvironmentName | None = Field(default=None, description="An environment variable.")
    file: Text | None = Field(default=None, description="A file, relative to the estate.")


Reference = Annotated[SecretReferenceFields, BeforeValidator(secret_reference)]


class ClusterDocument(Document):
    """The Kubernetes cluster."""

    id: Annotated[str, BeforeValidator(_cluster_id)] = Field(
        description="Stable for the cluster's life, at most 16 characters: marks what belongs to this platform."
    )
    kubeconfig: Text | None = Field(
        default=None, description="A kubeconfig file, relative to the estate; ~ is the home folder."
    )
    context: Text | None = Field(default=None, description="A context of it; without it the current one.")
    networks: list[NetworkAddress] = Field(
        default=[], description="Networks of pods, Services and nodes: no cooperative's egress may reach them."
    )


class EmbeddedDocument(Document):
    """The embedded platform (`coopctl dev up`); it chooses everything itself."""


class PodEndpointDocument(Document):
    """A server as pods reach it."""

    address: Address = Field(description="An IP address: network policies know no names.")
    port: Port


class ObjectsPodEndpointDocument(PodEndpointDocument):
    """The S3 server as pods reach it."""

    scheme: Annotated[Scheme, BeforeValidator(choice(Scheme))] = Field(
        default=Scheme.HTTPS, description="http or https."
    )


class PostgresAdminDocument(Document):
    """The role with which databases and roles are made."""

    user: Text = Field(default="postgres", description="Its name.")
    password: Reference = Field(description="Where its password is.")


class PostgresServerDocument(Document):
    """The shared PostgreSQL server (13 or later)."""

    host: Host = Field(description="Host as coopctl reaches it.")
    port: Port = Field(default=5432, description="Port as coopctl reaches it.")
    pods: PodEndpointDocument = Field(description="The same server as pods reach it.")
    admin: PostgresAdminDocument = Field(description="The administrator.")
    sslmode: Annotated[SslMode, BeforeValidator(choice(SslMode))] = Field(
        default=SslMode.VERIFY_FULL, description="How its certificate is checked."
    )
    ca_file: Text | None = Field(default=None, description="The certificate authority's file, relative to the estate.")
    allowed_extensions: list[Text] = Field(default=[], description="Extensions that descriptors may ask for.")


class ObjectsAdminDocument(Document):
    """The identity with which buckets and identities are made."""

    credentials: Reference = Field(description="Where its AWS shared credentials file is.")


class ObjectsServerDocument(Document):
    """The S3 server with an IAM API."""

    url: ServerUrl = Field(description="S3 as coopctl reaches it.")
    iam_url: ServerUrl | None = Field(default=None, description="IAM; without it the same as url.")
    region: Text = Field(default="us-east-1", description="The region that requests are signed for.")
    pods: ObjectsPodEndpointDocument = Field(description="The same server as pods reach it.")
    admin: ObjectsAdminDocument = Field(description="The administrator.")
    ca_file: Text | None = Field(default=None, description="The certificate authority's file, relative to the estate.")
    bucket_prefix: Annotated[str, BeforeValidator(_cluster_id)] | None = Field(
        default=None,
        description="What buckets' names begin with; without it the cluster's id. Buckets that came from another"
        " platform keep its id.",
    )


_RegistryField = Annotated[
    str, BeforeValidator(matching(_REGISTRY, what="a registry such as registry.example.kr:5000"))
]


def is_registry(text: str) -> bool:
    """Whether ``text`` names a registry: host, port and path, no scheme."""
    return _REGISTRY.fullmatch(text) is not None


class RegistryDocument(Document):
    """Where images come from. Beside `embedded`, which brings a registry, it lists mirrors alone."""

    address: _RegistryField | None = Field(default=None, description="Our registry: host, port and path, no scheme.")
    allowed: list[
        Annotated[str, BeforeValidator(matching(_ALLOWED, what="a registry prefix", hint="it ends with a slash"))]
    ] = Field(default=[], description="Further prefixes that images may come from, each ending with a slash.")
    mirrors: list[_RegistryField] = Field(
        default=[], description="Registries that `coopctl catalogue mirror` copies the locked images to."
    )


class IngressDocument(Document):
    """How people reach the tenants' pages: the controller's addresses, or its namespace."""

    class_name: Slug = Field(description="The IngressClass.")
    controller_addresses: list[Address] = Field(default=[], description="From where it reaches pods.")
    controller_namespace: Slug | None = Field(default=None, description="The namespace of its pods.")
    http_port: Port = Field(default=80, description="The port on which people reach it.")


class DnsDocument(Document):
    """How pods reach cluster DNS: addresses, or pods of a namespace."""

    addresses: list[Address] = Field(default=[], description="Its addresses.")
    namespace: Slug | None = Field(default=None, description="The namespace of its pods.")
    pod_labels: dict[str, Text] = Field(default={}, description="The labels of its pods.")


class PassphraseDocument(Document):
    """The passphrase's file."""

    file: Text = Field(description="A file of mode 0600, relative to the estate.")


class StateCredentialsDocument(Document):
    """The credentials of an s3:// state."""

    file: Text = Field(
        description="An AWS shared credentials file of mode 0600 (profile default), like the passphrase."
    )


class StateDocument(Document):
    """Where Pulumi's state is kept and what encrypts the secrets in it."""

    backend: (
        Annotated[
            str, BeforeValidator(matching(_BACKEND, what="a state backend", hint="write file://PATH or s3://BUCKET"))
        ]
        | None
    ) = Field(default=None, description="file://PATH or s3://BUCKET; without it .coopctl/state of the estate.")
    passphrase: Annotated[PassphraseDocument, BeforeValidator(secret_reference)] | None = Field(
        default=None, description="The passphrase; without it .coopctl/passphrase of the estate."
    )
    credentials: Annotated[StateCredentialsDocument, BeforeValidator(secret_reference)] | None = Field(
        default=None,
        description="Who reads and writes an s3:// state; without it the AWS environment says so (profile, role).",
    )


class DumpServerDocument(Document):
    """An S3 server for final dumps."""

    url: ServerUrl = Field(description="S3 as coopctl reaches it.")
    region: Text = Field(default="us-east-1", description="The region that requests are signed for.")
    credentials: Reference = Field(
        description="Where an AWS shared credentials file is; its key may list, read, write and delete in the bucket."
    )
    ca_file: Text | None = Field(default=None, description="The certificate authority's file, relative to the estate.")


class DumpsDocument(Document):
    """Where final dumps go; what deletes data refuses without it."""

    location: Annotated[
        Text, AfterValidator(matching(_DUMPS, what="a place for dumps", hint="name a folder, or s3://BUCKET/PREFIX"))
    ] = Field(description="A folder (relative to the estate) or s3://BUCKET/PREFIX.")
    server: DumpServerDocument | None = Field(
        default=None, description="The S3 server of an s3:// location; without it the platform's own, as administrator."
    )
    recipient: Annotated[
        str, BeforeValidator(matching(_RECIPIENT, what="an age public key", hint="it begins with age1"))
    ] = Field(description="The age public key that dumps are encrypted to.")


class PlatformSpec(Document):
    """Its servers and rules."""

    cluster: ClusterDocument = Field(description="The Kubernetes cluster.")
    embedded: EmbeddedDocument | None = Field(
        default=None, description="{}: use the embedded platform of this machine."
    )
    postgres: PostgresServerDocument | None = Field(default=None, description="The shared PostgreSQL server.")
    objects: ObjectsServerDocument | None = Field(default=None, description="The S3 server.")
    registry: RegistryDocument | None = Field(default=None, description="Where images come from.")
    ingress: IngressDocument | None = Field(default=None, description="How people reach the tenants' pages.")
    dns: DnsDocument | None = Field(default=None, description="How pods reach cluster DNS.")
    storage_classes: list[Slug] = Field(default=[], description="StorageClasses that tenants may use.")
    priority_classes: list[Slug] = Field(default=[], description="Further PriorityClasses that tenants may use.")
    domain_suffixes: list[Domain] = Field(min_length=1, description="Domains below which tenants' domains lie.")
    help_desk: ContactDocument = Field(default=ContactDocument.model_construct(), description="Whom cooperatives call.")
    state: StateDocument = Field(default=StateDocument.model_construct(), description="Where Pulumi's state is.")
    dumps: DumpsDocument | None = Field(default=None, description="Where final dumps go.")


class PlatformMetadata(Document):
    """What the platform is called."""

    name: CooperativeNameField = Field(description="The platform's name: a DNS label.")


class PlatformDocument(Document):
    """The platform of an estate."""

    api_version: Literal["coopctl.dev/v1"] = Field(description="Always coopctl.dev/v1.")
    kind: Literal["Platform"] = Field(description="Always Platform.")
    metadata: PlatformMetadata = Field(description="What it is called.")
    spec: PlatformSpec = Field(description="Its servers and rules.")
