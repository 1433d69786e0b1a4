"""The provider's typed resources for Pulumi programs; their inputs are the fields of the plan's values."""

from collections.abc import Mapping
from typing import Any, assert_never, cast

import pulumi

from provisioner.plan.resources import (
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
)
from stacks.provider.configuration import Configuration, to_properties
from stacks.provider.plugin import PACKAGE, VERSION

DataStoreResource = PostgresDatabase | PostgresRole | PostgresGrants | PostgresMembers | ObjectsBucket | ObjectsIdentity


class CoopctlProvider(pulumi.ProviderResource):
    """The provider of one cooperative's data store."""

    def __init__(
        self, name: str, configuration: Configuration, *, options: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(PACKAGE, name, to_properties(configuration), _versioned(options))


class Role(pulumi.CustomResource):
    """A database role."""

    def __init__(self, key: str, wanted: PostgresRole, *, options: pulumi.ResourceOptions | None = None) -> None:
        inputs = {
            "name": wanted.name,
            "kind": wanted.kind.value,
            "login": wanted.login,
            "connectionLimit": wanted.connection_limit,
            "memberOf": sorted(wanted.member_of),
            "settings": dict(wanted.settings),
            **({"fenced": True} if wanted.fenced else {}),
            **({"rotation": wanted.rotation} if wanted.rotation else {}),
            **({"erased": True} if wanted.erased else {}),
        }
        _declare(self, "coopctl:postgres:Role", key, inputs, options, secret=("password",))

    @property
    def password(self) -> pulumi.Output[str]:
        """The generated password (secret), or null for a role that does not log in."""
        return cast("pulumi.Output[str]", pulumi.get(self, "password"))


class Database(pulumi.CustomResource):
    """A database."""

    def __init__(self, key: str, wanted: PostgresDatabase, *, options: pulumi.ResourceOptions | None = None) -> None:
        inputs = {
            "name": wanted.name,
            "owner": wanted.owner,
            "connectionLimit": wanted.connection_limit,
            "extensions": sorted(wanted.extensions),
        }
        _declare(self, "coopctl:postgres:Database", key, inputs, options)


class Grants(pulumi.CustomResource):
    """All privileges in a database."""

    def __init__(self, key: str, wanted: PostgresGrants, *, options: pulumi.ResourceOptions | None = None) -> None:
        inputs = {
            "database": wanted.database,
            "owner": wanted.owner,
            "application": wanted.application,
            "reader": wanted.reader,
            "migration": wanted.migration,
            "storageBytes": wanted.storage_bytes,
            "memberColumn": wanted.member_column,
            **({"writesStopped": True} if wanted.writes_stopped else {}),
        }
        _declare(self, "coopctl:postgres:Grants", key, inputs, options)


class Members(pulumi.CustomResource):
    """All members of a cooperative in its database."""

    def __init__(self, key: str, wanted: PostgresMembers, *, options: pulumi.ResourceOptions | None = None) -> None:
        inputs = {
            "database": wanted.database,
            "owner": wanted.owner,
            "application": wanted.application,
            "reader": wanted.reader,
            "members": sorted(wanted.members),
            "memberColumn": wanted.member_column,
            "storageBytes": wanted.storage_bytes,
            **({"writesStopped": True} if wanted.writes_stopped else {}),
        }
        _declare(self, "coopctl:postgres:Members", key, inputs, options)


class Bucket(pulumi.CustomResource):
    """A bucket."""

    def __init__(self, key: str, wanted: ObjectsBucket, *, options: pulumi.ResourceOptions | None = None) -> None:
        inputs = {
            "name": wanted.name,
            "versioning": wanted.versioning,
            "quotaBytes": wanted.quota_bytes,
            "identity": wanted.identity,
            **({"fenced": True} if wanted.fenced else {}),
        }
        _declare(self, "coopctl:objects:Bucket", key, inputs, options)


class Identity(pulumi.CustomResource):
    """An S3 identity."""

    def __init__(self, key: str, wanted: ObjectsIdentity, *, options: pulumi.ResourceOptions | None = None) -> None:
        inputs = {
            "name": wanted.name,
            "bucket": wanted.bucket,
            **({"rotation": wanted.rotation} if wanted.rotation else {}),
        }
        _declare(
            self, "coopctl:objects:Identity", key, inputs, options, public=("accessKeyId",), secret=("secretAccessKey",)
        )

    @property
    def access_key_id(self) -> pulumi.Output[str]:
        """The access key's id."""
        return cast("pulumi.Output[str]", pulumi.get(self, "accessKeyId"))

    @property
    def secret_access_key(self) -> pulumi.Output[str]:
        """The access key's secret (secret)."""
        return cast("pulumi.Output[str]", pulumi.get(self, "secretAccessKey"))


def declare(
    wanted: DataStoreResource, *, options: pulumi.ResourceOptions
) -> Role | Database | Grants | Members | Bucket | Identity:
    """Declare a resource of the plan under its key."""
    match wanted:
        case PostgresRole():
            return Role(wanted.key, wanted, options=options)
        case PostgresDatabase():
            return Database(wanted.key, wanted, options=options)
        case PostgresGrants():
            return Grants(wanted.key, wanted, options=options)
        case PostgresMembers():
            return Members(wanted.key, wanted, options=options)
        case ObjectsBucket():
            return Bucket(wanted.key, wanted, options=options)
        case ObjectsIdentity():
            return Identity(wanted.key, wanted, options=options)
        case _:
            assert_never(wanted)


def _declare(
    resource: pulumi.CustomResource,
    token: str,
    key: str,
    inputs: Mapping[str, Any],
    options: pulumi.ResourceOptions | None,
    *,
    public: tuple[str, ...] = (),
    secret: tuple[str, ...] = (),
) -> None:
    outputs = dict.fromkeys(("deviations", *public, *secret))
    hidden = pulumi.ResourceOptions(additional_secret_outputs=list(secret))
    merged = pulumi.ResourceOptions.merge(_versioned(options), hidden)
    pulumi.CustomResource.__init__(resource, token, key, {**inputs, **outputs}, merged)


def _versioned(options: pulumi.ResourceOptions | None) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(options or pulumi.ResourceOptions(), pulumi.ResourceOptions(version=VERSION))
