"""What the tests of data stores share: a tenant with names of its own, and how to reach the session's servers."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from botocore.config import Config

from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import ObjectsAccess
from provisioner.datastore.objects_server import ObjectsServerAdmin
from provisioner.datastore.postgres import PostgresAccess, PostgresAdmin
from provisioner.datastore.postgres_server import PostgresServerAdmin
from provisioner.datastore.s3_sessions import session_of
from provisioner.descriptor.platform import SecretReference
from provisioner.naming import ClusterId, CooperativeName, CooperativeUid, TenantNames, tenant_names
from provisioner.plan.resources import (
    ObjectsBucket,
    ObjectsIdentity,
    PostgresDatabase,
    PostgresGrants,
    PostgresMembers,
    PostgresRole,
    RoleKind,
)
from tests.conftest import Servers

CLUSTER = ClusterId("test")
ADMINISTRATOR = "postgres"
SETTINGS = {"statement_timeout": "60s", "search_path": '"$user", public'}


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A cooperative's names, and its data store as a plan would want it."""

    names: TenantNames

    @property
    def mark(self) -> Mark:
        return Mark(cluster=CLUSTER, cooperative=self.names.uid)

    def role(self, kind: RoleKind, **changes: Any) -> PostgresRole:
        by_kind = dict(zip(RoleKind, self.names.roles, strict=True))
        values: dict[str, Any] = {
            "key": f"role-{kind}",
            "name": by_kind[kind],
            "kind": kind,
            "login": kind is not RoleKind.OWNER,
            "connection_limit": 7,
            "member_of": (self.names.owner_role,) if kind is RoleKind.MIGRATION else (),
            "settings": SETTINGS if kind is RoleKind.APPLICATION else {},
        }
        return PostgresRole(**{**values, **changes})

    def database(self, **changes: Any) -> PostgresDatabase:
        values: dict[str, Any] = {
            "key": "database",
            "name": self.names.database,
            "owner": ADMINISTRATOR,
            "connection_limit": 20,
            "extensions": ("pgcrypto",),
        }
        return PostgresDatabase(**{**values, **changes})

    def grants(self, **changes: Any) -> PostgresGrants:
        values: dict[str, Any] = {
            "key": "grants",
            "database": self.names.database,
            "owner": self.names.owner_role,
            "application": self.names.application_role,
            "reader": self.names.reader_role,
            "migration": self.names.migration_role,
        }
        return PostgresGrants(**{**values, **changes})

    def members(self, *ids: str, **changes: Any) -> PostgresMembers:
        """Members by their ids, each with a schema of its own unless a ``member_column`` is among the changes."""
        values: dict[str, Any] = {
            "key": "members",
            "database": self.names.database,
            "owner": self.names.owner_role,
            "application": self.names.application_role,
            "reader": self.names.reader_role,
            "members": tuple(sorted(ids)),
        }
        return PostgresMembers(**{**values, **changes})

    def bucket(self, **changes: Any) -> ObjectsBucket:
        values: dict[str, Any] = {
            "key": "bucket",
            "name": self.names.bucket,
            "versioning": True,
            "quota_bytes": 1000,
            "identity": self.names.objects_identity,
        }
        return ObjectsBucket(**{**values, **changes})

    def identity(self) -> ObjectsIdentity:
        return ObjectsIdentity(key="identity", name=self.names.objects_identity, bucket=self.names.bucket)


def new_tenant(trade: str = "rice") -> Tenant:
    """A tenant that no other test knows."""
    name = CooperativeName(f"{trade}-{secrets.token_hex(4)}")
    return Tenant(names=tenant_names(name, cluster=CLUSTER))


def foreign_mark() -> Mark:
    """Another cooperative's mark."""
    return Mark(cluster=CLUSTER, cooperative=CooperativeUid("ffffffffffffffff"))


def postgres_access_of(servers: Servers, **changes: Any) -> PostgresAccess:
    """The administrator's way to the session's PostgreSQL, with TLS verified."""
    values: dict[str, Any] = {
        "host": servers.host,
        "port": servers.postgres_port,
        "user": servers.postgres_user,
        "password": SecretReference(file=servers.postgres_password_file),
        "sslmode": "verify-full",
        "ca_file": servers.postgres_ca,
    }
    return PostgresAccess(**{**values, **changes})


def objects_access_of(servers: Servers, **changes: Any) -> ObjectsAccess:
    """The administrator's way to the session's S3 server."""
    values: dict[str, Any] = {
        "url": servers.objects_url,
        "iam_url": servers.objects_url,
        "region": servers.objects_region,
        "credentials": SecretReference(file=servers.objects_credentials),
    }
    return ObjectsAccess(**{**values, **changes})


def postgres_of(servers: Servers) -> PostgresServerAdmin:
    """An administrator of the session's PostgreSQL."""
    return PostgresServerAdmin(postgres_access_of(servers), environment=os.environ)


def objects_of(servers: Servers) -> ObjectsServerAdmin:
    """An administrator of the session's S3 server."""
    return ObjectsServerAdmin(objects_access_of(servers), environment=os.environ)


@contextmanager
def session(
    servers: Servers, *, database: str = "postgres", user: str = "postgres", password: Secret | None = None
) -> Iterator[psycopg.Connection[Any]]:
    """A session of the administrator, or of a role with its password."""
    secret = password.reveal() if password else servers.postgres_password_file.read_text().strip()
    with psycopg.connect(
        host=servers.host,
        port=servers.postgres_port,
        user=user,
        password=secret,
        dbname=database,
        sslmode="require",
        autocommit=True,
    ) as connection:
        yield connection


def client(servers: Servers, service: str, *, key: AccessKey | None = None) -> Any:
    """A boto3 client of the administrator, or of an identity with its key."""
    if key is None:
        key = administrator_key(servers.objects_credentials)
    return session_of(key, region=servers.objects_region).client(  # type: ignore[call-overload]  # the service is a parameter here
        service, endpoint_url=servers.objects_url, config=Config(retries={"total_max_attempts": 1})
    )


def administrator_key(credentials: Path) -> AccessKey:
    """The administrator's key from its file."""
    values = dict(line.split(" = ", 1) for line in credentials.read_text().splitlines() if " = " in line)
    return AccessKey(id=values["aws_access_key_id"], secret=Secret(values["aws_secret_access_key"]))


def make_data_store(
    admin: PostgresAdmin, tenant: Tenant, *, administrator: str = ADMINISTRATOR, **grants: Any
) -> dict[RoleKind, Secret]:
    """All roles, the database and the grants of a tenant; gives the passwords."""
    passwords = {kind: Secret(f"{kind}-{secrets.token_hex(8)}") for kind in RoleKind}
    for kind in RoleKind:
        password = passwords[kind] if kind is not RoleKind.OWNER else None
        admin.ensure_role(tenant.role(kind), mark=tenant.mark, password=password)
    admin.ensure_database(tenant.database(owner=administrator), mark=tenant.mark)
    admin.ensure_grants(tenant.grants(**grants))
    return passwords
