"""Secrets (core/v1): the connection details of the data store and of other solutions, for solutions and for jobs.

The keys are the variables that libpq and the AWS SDKs read by themselves, so that ``envFrom`` is all a chart needs
(PostgreSQL documentation, "Environment Variables"; AWS SDKs reference, "Environment variables"). ``POSTGRES_URI``
holds no password: libpq takes it from PGPASSWORD. Values are references; a plan never holds a credential.

Where other solutions are is told to those that integrate with them by variables, too, in a Secret for each server.

The application's lies where the solutions run. The reader's and the migration role's lie in the data namespace, for the
platform's own jobs there: operators may read no Secret and make no pod in it, so that nothing of the tenant's can mount
them.
"""

from collections.abc import Mapping, Sequence

from provisioner.descriptor.platform import Platform
from provisioner.naming import (
    SECRET_DATA_STORE,
    SECRET_DATA_STORE_MIGRATION,
    SECRET_DATA_STORE_READER,
    connections_secret,
)
from provisioner.plan.integration import Placed, connection_details, servers
from provisioner.plan.metadata import metadata
from provisioner.plan.objects import IDENTITY, OUTPUT_ACCESS_KEY, OUTPUT_SECRET_KEY
from provisioner.plan.postgres import DATABASE, GRANTS, OUTPUT_PASSWORD, role_key, role_names
from provisioner.plan.resources import CredentialsSecret, OutputReference, RoleKind
from provisioner.plan.service import objects_service, postgres_service
from provisioner.plan.tenant import Tenant, TenantNamespace

JOB_SECRETS = {RoleKind.READER: SECRET_DATA_STORE_READER, RoleKind.MIGRATION: SECRET_DATA_STORE_MIGRATION}

# Solutions reach the server under its Service's name, which no certificate of the server bears: they encrypt and do
# not compare names. Who may answer there is decided by the EndpointSlice, a guard.
POD_SSLMODES = {"verify-ca": "require", "verify-full": "require"}


def data_store_secret(tenant: Tenant, *, platform: Platform) -> CredentialsSecret:
    """The application's way into its database and its bucket."""
    postgres = _postgres_values(tenant, kind=RoleKind.APPLICATION, platform=platform)
    return _secret(
        tenant.apps,
        name=SECRET_DATA_STORE,
        values=postgres | _objects_values(tenant, platform=platform),
        depends_on=(role_key(RoleKind.APPLICATION), DATABASE, GRANTS, IDENTITY),
    )


def job_secrets(tenant: Tenant, *, platform: Platform) -> tuple[CredentialsSecret, ...]:
    """The reader's and the migration role's ways into the database."""
    return tuple(
        _secret(
            tenant.data,
            name=name,
            values=_postgres_values(tenant, kind=kind, platform=platform),
            depends_on=(role_key(kind), DATABASE, GRANTS),
        )
        for kind, name in JOB_SECRETS.items()
    )


def connections_secrets(tenant: Tenant, *, placed: Sequence[Placed]) -> tuple[CredentialsSecret, ...]:
    """For each server that integrates with others: where those are."""
    told = {server: connection_details(server, placed=placed, tenant=tenant) for server in servers(placed)}
    return tuple(
        _secret(tenant.apps, name=connections_secret(server), values=values, depends_on=())
        for server, values in told.items()
        if values
    )


def _secret(
    namespace: TenantNamespace,
    *,
    name: str,
    values: Mapping[str, str | OutputReference],
    depends_on: tuple[str, ...],
) -> CredentialsSecret:
    return CredentialsSecret(
        key=f"{namespace.part}-secret-{name}",
        manifest={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata(namespace, name=name),
            "type": "Opaque",
        },
        values=values,
        depends_on=(namespace.key, *depends_on),
    )


def _postgres_values(tenant: Tenant, *, kind: RoleKind, platform: Platform) -> dict[str, str | OutputReference]:
    service = postgres_service(platform)
    host, names = service.host(tenant.data), tenant.names
    role = role_names(names)[kind]
    sslmode = POD_SSLMODES.get(platform.postgres.sslmode, platform.postgres.sslmode)
    address = f"{role}@{host}:{service.port}/{names.database}"
    return {
        "PGHOST": host,
        "PGPORT": str(service.port),
        "PGDATABASE": names.database,
        "PGUSER": role,
        "PGPASSWORD": OutputReference(resource=role_key(kind), output=OUTPUT_PASSWORD),
        "PGSSLMODE": sslmode,
        "POSTGRES_URI": f"postgresql://{address}?sslmode={sslmode}",
    }


def _objects_values(tenant: Tenant, *, platform: Platform) -> dict[str, str | OutputReference]:
    host = objects_service(platform).host(tenant.data)
    return {
        "AWS_ENDPOINT_URL_S3": f"{platform.objects.pods_scheme}://{host}",
        "AWS_REGION": platform.objects.region,
        "AWS_ACCESS_KEY_ID": OutputReference(resource=IDENTITY, output=OUTPUT_ACCESS_KEY),
        "AWS_SECRET_ACCESS_KEY": OutputReference(resource=IDENTITY, output=OUTPUT_SECRET_KEY),
        "S3_BUCKET": tenant.names.bucket,
        # Buckets have no names of their own below the Service's.
        "S3_ADDRESSING_STYLE": "path",
    }
