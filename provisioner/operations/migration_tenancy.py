"""The tenant as a cutover meets it: its Services and policies, its application's access key, the record of its place.

Pods know the Services alone. Leading these elsewhere is one change of an EndpointSlice each, and no pod restarts. What
pods may reach is widened before and narrowed after: a policy takes a moment to be in force, which no outage waits for.
"""

import base64
import binascii
import ipaddress
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provisioner.cluster.objects import ClusterClient, object_path, open_cluster
from provisioner.datastore.credentials import AccessKey, Secret
from provisioner.datastore.records import Records, open_records
from provisioner.datastore.store_places import StoreRecord, read_place, write_place
from provisioner.descriptor.platform import Endpoint
from provisioner.engine.settings import engine_folder
from provisioner.errors import NotFound, UsageError
from provisioner.migration.objects_bucket import Bucket, open_bucket_as
from provisioner.migration.objects_fence import Application
from provisioner.naming import MANAGED_BY, SECRET_DATA_STORE, SERVICE_OBJECTS, SERVICE_POSTGRES, TenantNames
from provisioner.operations.migration_site import MigrationSite
from provisioner.plan.endpoint_slice import leading, slice_name
from provisioner.plan.network_policy import endpoint_policy, endpoint_rule
from provisioner.plan.service import HTTP_PORTS
from provisioner.plan.store_place import StorePlace, platform_place

NETWORKING, DISCOVERY = "networking.k8s.io/v1", "discovery.k8s.io/v1"
NEXT = "-next"


@dataclass(frozen=True, kw_only=True)
class Tenancy:
    """A tenant between ``home``, the platform's servers, and ``away``, the migration's target."""

    names: TenantNames
    migration: str
    home: StorePlace
    away: StorePlace
    cluster: ClusterClient
    records: Records

    def application(self, bucket: Bucket) -> Application:
        """The application, and ``bucket`` as it sees it. Raises NotFound if its Secret is not there."""
        return Application(
            identity=self.names.objects_identity,
            bucket=open_bucket_as(bucket.name, bucket.access, key=application_key(self.names, cluster=self.cluster)),
        )

    def widen(self, to: StorePlace) -> None:
        """Let pods reach ``to``, too. Idempotent; raises NotFound if the cooperative is not applied."""
        for namespace, store, server in self._ways(to):
            found = self._policy(namespace, endpoint_policy(store))
            name = f"{endpoint_policy(store)}{NEXT}"
            path = object_path(api_version=NETWORKING, kind="NetworkPolicy", name=name, namespace=namespace)
            self.cluster.api.apply(path, _beside(found, name=name, rule=_rule(store, server)), manager=MANAGED_BY)

    def lead(self, to: StorePlace) -> None:
        """Lead both Services to ``to``. Idempotent."""
        for store, server in _servers(to):
            self.cluster.merge(
                leading(store, to=server),
                api_version=DISCOVERY,
                kind="EndpointSlice",
                name=slice_name(store),
                namespace=self.names.data_namespace,
            )

    def narrow(self, to: StorePlace) -> None:
        """Let pods reach ``to`` alone. Idempotent."""
        for namespace, store, server in self._ways(to):
            where = {"api_version": NETWORKING, "kind": "NetworkPolicy", "namespace": namespace}
            patch = {"spec": {"egress": [_rule(store, server)]}}
            self.cluster.merge(patch, name=endpoint_policy(store), **where)
            self.cluster.delete(name=f"{endpoint_policy(store)}{NEXT}", **where)

    def note(self, now: datetime, *, moved: bool, moving: bool = False, final: bool = False) -> None:
        """Record where the data store is; for good, the credentials that the move has known are to be changed."""
        place = replace(self.away, rotation=1) if final else self.away
        found = StoreRecord(migration=self.migration, place=place, moved=moved, moving=moving, final=final, since=now)
        write_place(self.records, str(self.names.cooperative), found)

    def is_moving(self) -> bool:
        """Whether the record says that the data store is between two places."""
        found = read_place(self.records, str(self.names.cooperative))
        return found is not None and found.moving

    def _ways(self, to: StorePlace) -> Iterator[tuple[str, str, Endpoint]]:
        for namespace in (self.names.apps_namespace, self.names.data_namespace):
            yield from ((namespace, store, server) for store, server in _servers(to))

    def _policy(self, namespace: str, name: str) -> Mapping[str, Any]:
        found = self.cluster.get(api_version=NETWORKING, kind="NetworkPolicy", name=name, namespace=namespace)
        if found is None:
            raise _not_applied(self.names, what=f"the policy {name} in {namespace}")
        return found


def open_tenancy(site: MigrationSite) -> Tenancy:
    """The tenant of the migration.

    Raises UsageError if the target has no address that pods can be led to, Unreachable without the cluster.
    """
    state = site.platform.state
    return Tenancy(
        names=site.tenant,
        migration=site.migration.name,
        home=platform_place(site.platform),
        away=target_place(site),
        cluster=open_cluster(site.platform),
        records=open_records(state.url, credentials_file=state.credentials_file),
    )


def application_key(names: TenantNames, *, cluster: ClusterClient) -> AccessKey:
    """The access key that the applications have. Raises NotFound if the cooperative is not applied."""
    found = cluster.get(api_version="v1", kind="Secret", name=SECRET_DATA_STORE, namespace=names.apps_namespace)
    data = (found or {}).get("data") or {}
    try:
        key, secret = (_decoded(data[name]) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise _not_applied(names, what=f"the Secret {SECRET_DATA_STORE} in {names.apps_namespace}") from error
    return AccessKey(id=key, secret=Secret(secret))


def lease_folder(site: MigrationSite) -> Path:
    """Where the lease of the cooperative's stack lies, which its apply holds, too."""
    return engine_folder(site.estate.local) / site.tenant.stack


def target_place(site: MigrationSite) -> StorePlace:
    """The target as pods reach it. Raises UsageError where that is no address."""
    target = site.migration.target
    url = urlsplit(target.objects.endpoint)
    default = Endpoint(host=url.hostname or "", port=url.port or HTTP_PORTS[url.scheme])
    return StorePlace(
        postgres=target.postgres.pods or _addressed(site.target.host, port=site.target.port, where="postgres"),
        objects=target.objects.pods or _addressed(default.host, port=default.port, where="objects"),
    )


def _addressed(host: str, *, port: int, where: str) -> Endpoint:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
        return Endpoint(host=str(ipaddress.ip_address(found)), port=port)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{host!r} has no address that pods could be led to",
            why=str(error),
            hint=f"give `spec.target.{where}.pods: {{address: ..., port: ...}}` in the document",
        ) from error


def _servers(place: StorePlace) -> tuple[tuple[str, Endpoint], ...]:
    return ((SERVICE_POSTGRES, place.postgres), (SERVICE_OBJECTS, place.objects))


def _rule(store: str, server: Endpoint) -> Mapping[str, Any]:
    return endpoint_rule(store, to=server)


def _beside(policy: Mapping[str, Any], *, name: str, rule: Mapping[str, Any]) -> dict[str, Any]:
    """The same policy under another name, with one other flow."""
    found = policy["metadata"]
    return {
        "apiVersion": NETWORKING,
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": found["namespace"], "labels": dict(found.get("labels") or {})},
        "spec": {**policy["spec"], "egress": [rule]},
    }


def _decoded(value: str) -> str:
    return base64.b64decode(value, validate=True).decode()


def _not_applied(names: TenantNames, *, what: str) -> NotFound:
    return NotFound(f"{what} is not there", hint=f"run `coopctl apply {names.cooperative}` first")
