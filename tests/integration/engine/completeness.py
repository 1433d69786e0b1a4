"""Whether a cooperative is there once and works, or is gone without a trace, whatever happened on the way."""

import boto3
import psycopg

from provisioner.naming import ClusterId, CooperativeName, TenantNames, member_names, tenant_names
from tests.integration.engine.conftest import MEMBER, CliEstate, SiteMaker
from tests.integration.engine.snapshots import Names, access_keys, names_in_use

_DELIVERED = ("PGUSER", "PGPASSWORD", "PGDATABASE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def names_of(maker: SiteMaker, name: str) -> TenantNames:
    """The names of the cooperative ``name``."""
    return tenant_names(CooperativeName(name), cluster=ClusterId(maker.cluster_id))


def require_complete(estate: CliEstate, name: str, *, before: Names) -> None:
    """The cooperative adds exactly its own names to those of ``before``, its credentials work, nothing is to do."""
    maker, names = estate.maker, names_of(estate.maker, name)
    assert "no changes" in estate.done("plan", name, "--refresh")
    assert names_in_use(maker) - before == Names(
        databases=frozenset({names.database}),
        roles=frozenset({*names.roles, member_names(MEMBER, database=names.database).role}),
        buckets=frozenset({names.bucket}),
        identities=frozenset({names.objects_identity}),
        namespaces=frozenset({names.apps_namespace, names.data_namespace}),
    )
    _require_working_credentials(maker, names)


def require_gone(estate: CliEstate, name: str, *, before: Names) -> None:
    """Of the cooperative, which held no data, nothing is left: no name, no stack."""
    assert names_in_use(estate.maker) - before == Names()
    assert name not in estate.maker.site().engine.stacks()


def _require_working_credentials(maker: SiteMaker, names: TenantNames) -> None:
    """What the Secret delivers opens database and bucket, and the identity has no other key."""
    user, password, database, key, secret = maker.secret_values(names.apps_namespace, "data-store", *_DELIVERED)
    servers = maker.world.servers
    with psycopg.connect(
        host=servers.host, port=servers.postgres_port, user=user, password=password, dbname=database
    ) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (names.application_role,)
    assert access_keys(maker, names.objects_identity) == [key]
    s3 = boto3.client(
        "s3",
        endpoint_url=servers.objects_url,
        region_name=servers.objects_region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
    )
    s3.put_object(Bucket=names.bucket, Key="proof", Body=b"written")
    found = s3.list_object_versions(Bucket=names.bucket)["Versions"]
    s3.delete_object(Bucket=names.bucket, Key="proof", VersionId=found[0]["VersionId"])
