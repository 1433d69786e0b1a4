"""The credentials that a tenant has: read from the Secrets that deliver them, as its solutions do."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from provisioner.cluster.api import ApiServer
from provisioner.cluster.objects import object_path
from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.errors import NotFound
from provisioner.plan.resources import CredentialsSecret, RoleKind
from provisioner.proof.tenant import ProvenTenant

# The variables of libpq and of the AWS SDKs: what provisioner.plan.secret writes.
_USER, _PASSWORD = "PGUSER", "PGPASSWORD"
_KEY_ID, _KEY_SECRET = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """Passwords of database roles, the bucket identity's key, and the Secrets of the plan that are not there."""

    passwords: Mapping[RoleKind, Secret] = field(default_factory=lambda: MappingProxyType({}))
    key: AccessKey | None = None
    missing: tuple[str, ...] = ()


def read_delivered(tenant: ProvenTenant, *, api: ApiServer) -> Delivered:
    """What the tenant's Secrets deliver. Raises NotPermitted or Unreachable."""
    kinds = {name: kind for kind, name in zip(RoleKind, tenant.names.roles, strict=True)}
    passwords: dict[RoleKind, Secret] = {}
    key, missing = None, []
    for item in tenant.plan.resources:
        if not isinstance(item, CredentialsSecret):
            continue
        about = item.manifest["metadata"]
        values = _values(api, name=about["name"], namespace=about["namespace"])
        if values is None:
            missing.append(f"{about['namespace']}/{about['name']}")
            continue
        if values.get(_USER) in kinds and _PASSWORD in values:
            passwords[kinds[values[_USER]]] = Secret(values[_PASSWORD])
        if _KEY_ID in values and _KEY_SECRET in values:
            key = AccessKey(id=values[_KEY_ID], secret=Secret(values[_KEY_SECRET]))
    return Delivered(passwords=MappingProxyType(passwords), key=key, missing=tuple(missing))


def _values(api: ApiServer, *, name: str, namespace: str) -> Mapping[str, str] | None:
    try:
        found: Mapping[str, Any] = api.get(object_path(api_version="v1", kind="Secret", name=name, namespace=namespace))
    except NotFound:
        return None
    return {key: base64.b64decode(value).decode() for key, value in (found.get("data") or {}).items()}
