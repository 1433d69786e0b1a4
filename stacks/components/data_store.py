"""The data store: our own provider, one per stack, configured for one cooperative."""

import pulumi

from provisioner.datastore.marks import Mark
from provisioner.datastore.objects import objects_access
from provisioner.datastore.postgres import postgres_access
from provisioner.descriptor.migration import MigrationTarget
from provisioner.descriptor.platform import Platform
from provisioner.naming import CooperativeUid
from stacks.provider.configuration import Configuration
from stacks.provider.resources import CoopctlProvider

KEY = "data-store"


def data_store_provider(
    platform: Platform, *, uid: CooperativeUid, final_dump: str = "", moved_to: MigrationTarget | None = None
) -> pulumi.ProviderResource:
    """The provider for the data store of the cooperative ``uid``; credentials go to it as references.

    ``moved_to`` is where credentials are changed, too.
    """
    configuration = Configuration(
        mark=Mark(cluster=platform.cluster.id, cooperative=uid),
        postgres=postgres_access(platform.postgres),
        objects=objects_access(platform.objects),
        allowed_extensions=platform.postgres.allowed_extensions,
        final_dump=final_dump,
        moved_to=moved_to,
    )
    return CoopctlProvider(KEY, configuration)
