"""The tenant's bucket, and the identity that reaches it and no other."""

from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity, Resource
from provisioner.plan.tenant import Tenant

BUCKET = "objects-bucket"
IDENTITY = "objects-identity"
OUTPUT_ACCESS_KEY = "access_key_id"
OUTPUT_SECRET_KEY = "secret_access_key"  # noqa: S105 - an output's name


def objects_store(tenant: Tenant, *, fenced: bool = False) -> tuple[Resource, ...]:
    """The bucket and its identity, in the order in which they can be made; to a ``fenced`` one nothing is written."""
    store = tenant.cooperative.objects
    bucket = ObjectsBucket(
        key=BUCKET,
        name=tenant.names.bucket,
        versioning=store.versioning,
        quota_bytes=store.quota_bytes,
        identity=tenant.names.objects_identity,
        fenced=fenced,
    )
    identity = ObjectsIdentity(
        key=IDENTITY, name=tenant.names.objects_identity, bucket=tenant.names.bucket, depends_on=(BUCKET,)
    )
    return (bucket, identity)
