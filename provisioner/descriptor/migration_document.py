"""The DataStoreMigration document as people write it; secrets are references, never values."""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from provisioner.descriptor.document import API_VERSION, Document
from provisioner.descriptor.fields import CooperativeNameField, Slug, Text, choice, matching, problem
from provisioner.descriptor.migration import MigrationMode
from provisioner.descriptor.migration_fields import Duration, Moment, WalBytes
from provisioner.descriptor.platform_document import PodEndpointDocument, Reference, ServerUrl, secret_reference

_EVERYTHING = "all"
# Amazon S3 user guide, "General purpose bucket naming rules".
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class ScopeDocument(Document):
    """What moves: one member's slice, or all."""

    member: Slug | None = Field(default=None, description="The id of the one member whose data moves.")
    key: Text | None = Field(
        default=None, description="What the solutions' tables call the member, where that is not its id."
    )


def _scope(value: object) -> object:
    if value == _EVERYTHING:
        return ScopeDocument()
    if isinstance(value, str) or value == {} or (isinstance(value, dict) and set(value) == {"key"}):
        raise problem("must be all, or {member: ID}")
    return value


_SCOPE_SCHEMA = {
    "title": "`all` or mapping",
    "oneOf": [
        {"const": _EVERYTHING},
        {
            "type": "object",
            "properties": {"member": {"type": "string"}, "key": {"type": "string"}},
            "required": ["member"],
            "additionalProperties": False,
        },
    ],
}
Scope = Annotated[ScopeDocument, BeforeValidator(_scope), WithJsonSchema(_SCOPE_SCHEMA)]


class PostgresTargetDocument(Document):
    """The database to move to."""

    dsn: Reference = Field(description="Where its connection string is (libpq, with the password).")
    pods: PodEndpointDocument | None = Field(
        default=None, description="The same server as pods reach it; without it as the connection string names it."
    )


class ObjectsTargetDocument(Document):
    """The bucket to move to."""

    endpoint: ServerUrl = Field(description="The S3 server's URL, as coopctl reaches it.")
    iam_url: ServerUrl | None = Field(
        default=None,
        description="IAM, for the applications' new access key at the end; without it the same as endpoint.",
    )
    bucket: Annotated[str, BeforeValidator(matching(_BUCKET, what="a bucket's name"))] = Field(
        description="An empty bucket."
    )
    region: Text = Field(default="us-east-1", description="The region that requests are signed for.")
    credentials: Reference = Field(description="Where the access key is.")
    ca_file: Text | None = Field(default=None, description="The certificate authority's file, relative to the estate.")
    pods: PodEndpointDocument | None = Field(
        default=None, description="The same server as pods reach it; without it as the URL names it."
    )


class KubeconfigDocument(Document):
    """Where a kubeconfig is."""

    file: Text = Field(description="A kubeconfig file, relative to the estate; ~ is the home folder.")


class ClusterTargetDocument(Document):
    """The cluster that the solutions move to."""

    kubeconfig: Annotated[KubeconfigDocument, BeforeValidator(secret_reference)] = Field(description="Its kubeconfig.")
    context: Text | None = Field(default=None, description="A context of it; without it the current one.")


class TargetDocument(Document):
    """Where the data store moves to."""

    postgres: PostgresTargetDocument = Field(description="The database, of the same or a newer major version.")
    objects: ObjectsTargetDocument = Field(description="The bucket.")
    cluster: ClusterTargetDocument | None = Field(
        default=None, description="The cluster for the solutions; without it they stay, and reach the data store there."
    )


class WindowDocument(Document):
    """When the cutover may happen."""

    begins: Moment = Field(alias="from", description="Its beginning, with a time zone.")
    ends: Moment = Field(alias="to", description="Its end, with a time zone.")


class CutoverDocument(Document):
    """When, and from how far behind, the switch may happen."""

    window: WindowDocument | None = Field(default=None, description="Without it at any time.")
    max_lag: WalBytes = Field(
        default=2**20,
        json_schema_extra={"default": "1MB"},
        description="The most WAL not yet applied with which a cutover begins.",
    )


class DataStoreMigrationSpec(Document):
    """What moves, where to, when, and what is kept."""

    cooperative: CooperativeNameField = Field(description="Whose data store moves.")
    scope: Scope = Field(description="`all`, or one member's slice.")
    mode: Annotated[MigrationMode, BeforeValidator(choice(MigrationMode))] = Field(
        default=MigrationMode.ONLINE, description="`offline` stops the applications, copies, verifies and switches."
    )
    target: TargetDocument = Field(description="Where to.")
    cutover: CutoverDocument = Field(
        default=CutoverDocument.model_construct(window=None, max_lag=2**20), description="When the switch may happen."
    )
    keep_source: Duration = Field(
        default=timedelta(days=30),
        json_schema_extra={"default": "30d"},
        description="How long from the switch on the source and the way back are kept.",
    )
    keep_dump: Duration = Field(
        default=timedelta(days=365),
        json_schema_extra={"default": "365d"},
        description="How long the final dump is kept.",
    )


class DataStoreMigrationMetadata(Document):
    """What the migration is called."""

    name: Slug = Field(description="Equals the file's name.")


class DataStoreMigrationDocument(Document):
    """A data store, or one member's slice of it, moves to infrastructure that is not the platform's."""

    api_version: Literal["coopctl.dev/v1"] = Field(description=f"Always {API_VERSION}.")
    kind: Literal["DataStoreMigration"] = Field(description="Always DataStoreMigration.")
    metadata: DataStoreMigrationMetadata = Field(description="What it is called.")
    spec: DataStoreMigrationSpec = Field(description="What moves, where to, when, and what is kept.")
