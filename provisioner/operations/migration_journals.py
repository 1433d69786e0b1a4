"""Where the journal of a migration is: in the estate's folder, and where the state is a bucket, beside the state, too.

With a state in a bucket every command works on what is there: it takes the lease, brings its own files to what was done
last, on whichever machine, and uploads what it records. To read needs no lease.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from provisioner.datastore.shared_records import open_shared
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import StateBackend
from provisioner.migration import journal
from provisioner.migration.journal import Journal, JournalRecord
from provisioner.migration.objects_return import return_file
from provisioner.migration.shared_files import SharedMigration
from provisioner.migration.shared_head import Holder
from provisioner.migration.shared_lease import TERM_SECONDS
from provisioner.operations.migration_site import MigrationFiles, MigrationSite


@dataclass(frozen=True, kw_only=True)
class Held:
    """Who works on a migration: the lease was renewed ``seconds_ago``, and has ended unless ``holds``."""

    holder: Holder
    seconds_ago: float
    holds: bool


@contextmanager
def writing_journal(site: MigrationSite, *, now: Callable[[], datetime]) -> Iterator[Journal]:
    """The journal of the migration, to be written by this process alone.

    Raises MigrationLocked while another one writes it, here or on another machine, and what the state's bucket raises.
    """
    # A pod waits for the end of the lease of the one that died before it: to end and begin anew would not be sooner.
    patience = 2 * TERM_SECONDS if site.inside else 0.0
    shared = _shared(site.platform.state, files=site.files, patience_seconds=patience)
    with journal.writing(
        site.files.journal,
        migration=site.migration.name,
        clock=now,
        secrets=site.secrets,
        held=shared.held if shared is not None else journal.here_alone,
    ) as written:
        yield written


def read_journal(estate: Estate, state: StateBackend, name: str) -> JournalRecord | None:
    """The journal of the migration ``name`` as it is now, None if there is none; nobody is kept waiting.

    Raises CoopctlError if it cannot be read, and what the state's bucket raises.
    """
    files = MigrationFiles(folder=estate.local, name=name)
    shared = _shared(state, files=files)
    return shared.read() if shared is not None else journal.read(files.journal)


def read_site_journal(site: MigrationSite) -> JournalRecord | None:
    """The same for a migration that is open."""
    return read_journal(site.estate, site.platform.state, site.migration.name)


def read_holder(site: MigrationSite) -> Held | None:
    """Who works on the migration; None if nobody does, or where one machine's lock says it alone."""
    shared = _shared(site.platform.state, files=site.files)
    found = shared.head() if shared is not None else None
    if found is None or found[0].holder is None:
        return None
    head, age = found
    return Held(holder=found[0].holder, seconds_ago=age, holds=age < head.seconds)


def _shared(state: StateBackend, *, files: MigrationFiles, patience_seconds: float = 0.0) -> SharedMigration | None:
    records = open_shared(state.url, credentials_file=state.credentials_file)
    if records is None:
        return None
    return SharedMigration(
        records=records,
        name=files.name,
        journal=files.journal,
        ledger=files.ledger,
        ledger_back=return_file(files.ledger),
        others=(files.survey, files.catalogue),
        patience_seconds=patience_seconds,
    )
