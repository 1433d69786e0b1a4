"""What migrations have left on the platform's PostgreSQL server that no open migration of this estate accounts for.

A machine that is gone leaves its slots behind, and an orphaned slot keeps WAL until the disk is full, for every tenant.
Whose it is follows from its name: the mark of a cooperative. A migration that is under way on another machine, with a
journal there, looks the same from here; so it is shown, and removed only when somebody says so.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_connection import rows
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_migrations, load_platform
from provisioner.descriptor.platform import Platform
from provisioner.migration import journal
from provisioner.migration.postgres_cutover import forward_stream, reverse_stream
from provisioner.migration.postgres_following import unpublish, unsubscribe
from provisioner.migration.postgres_relay import drop_relay_role
from provisioner.migration.postgres_rollback import Leftover, read_leftovers
from provisioner.migration.postgres_sides import Side, session, side_of_access
from provisioner.migration.postgres_snapshot import drop_slot
from provisioner.naming import CooperativeName, CooperativeUid, replication_names, tenant_names

MAINTENANCE = "postgres"
_DATABASES = "SELECT datname::text FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
_UID = re.compile(r"coopctl_move_([0-9a-f]{16})")


@dataclass(frozen=True, kw_only=True)
class Orphans:
    """What a migration of the cooperative with this mark has left; ``cooperative`` is None where nobody knows it."""

    uid: CooperativeUid
    cooperative: str | None
    left: tuple[Leftover, ...]


def find_orphaned(estate: Estate, *, environment: Mapping[str, str]) -> tuple[Orphans, ...]:
    """All of them, by mark. Raises InvalidDescriptor, NotFound without credentials, Unreachable."""
    platform = load_platform(estate)
    found: dict[CooperativeUid, set[Leftover]] = {}
    for side in _databases(platform, environment=environment):
        with session(side) as connection:
            for one in read_leftovers(connection):
                if (match := _UID.match(one.name)) is not None:
                    found.setdefault(CooperativeUid(match[1]), set()).add(one)
    known, open_ones = _known(estate, platform=platform)
    return tuple(
        Orphans(uid=uid, cooperative=known.get(uid), left=tuple(sorted(left, key=lambda one: (one.kind, one.name))))
        for uid, left in sorted(found.items())
        if uid not in open_ones
    )


def remove_orphaned(estate: Estate, orphans: Orphans, *, environment: Mapping[str, str]) -> None:
    """Take away everything that bears the mark; replica identities stay as they are. Idempotent.

    Raises CoopctlError if a reader keeps a slot, and what servers say.
    """
    names, access = replication_names(orphans.uid), postgres_access(load_platform(estate).postgres)
    # A role goes last, from where it has rights: elsewhere it could not be dropped.
    for database in sorted({one.database for one in orphans.left if one.database}) or [MAINTENANCE]:
        with session(side_of_access(access, database=database, environment=environment)) as connection:
            unsubscribe(connection, reverse_stream(names))
            drop_relay_role(connection, names=names)
            drop_slot(connection, names.watch_slot)
            unpublish(connection, forward_stream(names))


def _databases(platform: Platform, *, environment: Mapping[str, str]) -> Iterator[Side]:
    access = postgres_access(platform.postgres)
    first = side_of_access(access, database=MAINTENANCE, environment=environment)
    with session(first) as connection:
        names = [name for (name,) in rows(connection, _DATABASES)]
    yield from (side_of_access(access, database=name, environment=environment) for name in names)


def _known(estate: Estate, *, platform: Platform) -> tuple[dict[CooperativeUid, str], frozenset[CooperativeUid]]:
    """The marks of cooperatives that have a migration, and of those of which one is open."""
    known: dict[CooperativeUid, str] = {}
    open_ones: set[CooperativeUid] = set()
    for one in load_migrations(estate, platform=platform, cooperatives=()):
        uid = tenant_names(CooperativeName(one.cooperative), cluster=platform.cluster.id).uid
        known[uid] = one.cooperative
        record = journal.read(journal.journal_file(estate.local, one.name))
        if record is not None and any(run.open for run in record.runs):
            open_ones.add(uid)
    return known, frozenset(open_ones)
