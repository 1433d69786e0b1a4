"""The tenant's bucket, and the identity that reaches it and no other."""

from dataclasses import replace

from provisioner.plan.resources import ObjectsBucket, ObjectsIdentity, Resource
from provisioner.plan.store_place import StorePlace
from provisioner.plan.tenant import Tenant

BUCKET = "objects-bucket"
IDENTITY = "objects-identity"
OUTPUT_ACCESS_KEY = "access_key_id"
OUTPUT_SECRET_KEY = "secret_access_key"  # noqa: S105 - an output's name


def objects_store(tenant: Tenant, *, moved_to: StorePlace | None = None) -> tuple[Resource, ...]:
    """The bucket and its identity, in the order in which they can be made.

    To one that has ``moved_to`` another server nothing is written here, and nobody but the administrator reaches it
    once that is for good; of one that is erased here only the identity is left, which is where the key comes from.
    """
    store, rotation = tenant.cooperative.objects, moved_to.rotation if moved_to else 0
    bucket = ObjectsBucket(
        key=BUCKET,
        name=tenant.names.bucket,
        versioning=store.versioning,
        quota_bytes=store.quota_bytes,
        identity="" if rotation else tenant.names.objects_identity,
        fenced=moved_to is not None,
    )
    identity = ObjectsIdentity(
        key=IDENTITY,
        name=tenant.names.objects_identity,
        bucket=tenant.names.bucket,
        rotation=rotation,
        depends_on=(BUCKET,),
    )
    if moved_to is not None and moved_to.erased:
        return (replace(identity, depends_on=()),)
    return (bucket, identity)
