"""Where the record beside the state says that the data store of a migration is."""

from provisioner.datastore.records import Records, open_records
from provisioner.datastore.store_places import StoreRecord, read_place
from provisioner.errors import NotFound
from provisioner.operations.migration_site import MigrationSite


def records_of(site: MigrationSite) -> Records:
    """The records beside the state."""
    state = site.platform.state
    return open_records(state.url, credentials_file=state.credentials_file)


def place_of(site: MigrationSite) -> StoreRecord:
    """The record. Raises NotFound if the data store never moved."""
    found = read_place(records_of(site), str(site.tenant.cooperative))
    if found is None:
        raise NotFound(
            f"the data store of {site.tenant.cooperative} has not moved",
            hint=f"`coopctl migrate start {site.migration.name}` begins to move it",
        )
    return found


def moved_for_good(site: MigrationSite) -> bool:
    """Whether this migration has moved it, and the way back was given up. Raises NotFound if it never moved."""
    found = place_of(site)
    return found.moved and found.final and found.migration == site.migration.name
