"""What migrations have left on the platform's servers that no open migration of this estate accounts for.

A machine that is gone leaves its slots behind, and an orphaned slot keeps WAL until the disk is full, for every tenant.
Whose it is follows from its name: the mark of a cooperative. A migration that is under way on another machine, with a
journal there alone, looks the same from here; so it is shown, and removed only when somebody says so.

A fence that nobody lifted keeps a cooperative's applications out: where roles that log in may not, or the bucket's
policy has a migration's refusal, and the record beside the state knows of no move.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from provisioner.datastore.marks import from_comment
from provisioner.datastore.objects import objects_access
from provisioner.datastore.postgres import postgres_access
from provisioner.datastore.postgres_connection import rows
from provisioner.datastore.records import open_records
from provisioner.datastore.store_places import read_place
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.loading import load_migrations, load_platform
from provisioner.descriptor.migration import DataStoreMigration
from provisioner.descriptor.platform import Platform
from provisioner.migration.journal_entries import Run, RunKind
from provisioner.migration.objects_bucket import open_bucket
from provisioner.migration.objects_fence import Fencing
from provisioner.migration.postgres_cutover import forward_stream, reverse_stream
from provisioner.migration.postgres_fence import allow_logins
from provisioner.migration.postgres_following import unpublish, unsubscribe
from provisioner.migration.postgres_relay import drop_relay_role
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_rollback import Leftover, read_leftovers
from provisioner.migration.postgres_sides import Side, session, side_of_access
from provisioner.migration.postgres_snapshot import drop_slot
from provisioner.naming import CooperativeName, CooperativeUid, replication_names, slice_uid
from provisioner.operations.migration_journals import read_journal

MAINTENANCE = "postgres"
FENCED_ROLE, FENCED_BUCKET = "fenced role", "fenced bucket"
_CLOSED = """
    SELECT rolname::text, shobj_description(oid, 'pg_authid') FROM pg_roles
    WHERE rolname = ANY (%(names)s) AND NOT rolcanlogin ORDER BY 1
"""
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
    known = _known(estate, platform=platform)
    for uid, cooperative in known.cooperatives.items():
        if left := set(_fences(platform, cooperative, environment=environment)):
            found.setdefault(uid, set()).update(left)
    named = known.cooperatives | known.slices
    return tuple(
        Orphans(uid=uid, cooperative=named.get(uid), left=tuple(sorted(left, key=lambda one: (one.kind, one.name))))
        for uid, left in sorted(found.items())
        if uid not in known.open
    )


def remove_orphaned(estate: Estate, orphans: Orphans, *, environment: Mapping[str, str]) -> None:
    """Take away everything that bears the mark, and open what a fence had closed. Idempotent.

    Replica identities stay as they are, and so do rights to connect that a fence has taken: the next apply gives these.

    Raises CoopctlError if a reader keeps a slot, and what servers say.
    """
    names, access = replication_names(orphans.uid), postgres_access(load_platform(estate).postgres)
    # A role goes last, from where it has rights: elsewhere it could not be dropped.
    for database in sorted({one.database for one in orphans.left if one.database and one.kind != FENCED_ROLE}) or [
        MAINTENANCE
    ]:
        with session(side_of_access(access, database=database, environment=environment)) as connection:
            unsubscribe(connection, reverse_stream(names))
            drop_relay_role(connection, names=names)
            drop_made_roles(connection, [names.eraser_login, names.job_login])
            drop_slot(connection, names.watch_slot)
            unpublish(connection, forward_stream(names))
            allow_logins(connection, [one.name for one in orphans.left if one.kind == FENCED_ROLE])
    for one in orphans.left:
        if one.kind == FENCED_BUCKET:
            _fencing(load_platform(estate), one.name, environment=environment).lift()


def _fences(platform: Platform, cooperative: str, *, environment: Mapping[str, str]) -> Iterator[Leftover]:
    """What keeps the applications out although the data store is at home, as the record beside the state has it."""
    records = open_records(platform.state.url, credentials_file=platform.state.credentials_file)
    place = read_place(records, cooperative)
    if place is not None and (place.moved or place.moving):
        return
    names = platform.names_of(CooperativeName(cooperative))
    access = postgres_access(platform.postgres)
    with session(side_of_access(access, database=MAINTENANCE, environment=environment)) as connection:
        found = rows(connection, _CLOSED, {"names": [names.application_role, names.reader_role, names.migration_role]})
    for name, comment in found:
        mark = from_comment(comment)
        # A role without its data store may not log in either: a destroy has kept the data.
        if mark is not None and mark.cooperative == names.uid and not mark.retained:
            yield Leftover(kind=FENCED_ROLE, name=name, database=names.database)
    if _fencing(platform, names.bucket, environment=environment).stands():
        yield Leftover(kind=FENCED_BUCKET, name=names.bucket, database="")


def _fencing(platform: Platform, name: str, *, environment: Mapping[str, str]) -> Fencing:
    """The fence of a bucket, to be looked at and lifted: no application is asked whether it is let in."""
    what = "the access key of the platform's S3 administrator"
    bucket = open_bucket(name, objects_access(platform.objects), environment=environment, what=what)
    return Fencing(of=bucket, applications=(), clock=partial(datetime.now, UTC))


def _databases(platform: Platform, *, environment: Mapping[str, str]) -> Iterator[Side]:
    access = postgres_access(platform.postgres)
    first = side_of_access(access, database=MAINTENANCE, environment=environment)
    with session(first) as connection:
        names = [name for (name,) in rows(connection, _DATABASES)]
    yield from (side_of_access(access, database=name, environment=environment) for name in names)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """The marks of cooperatives that have a migration, those of their members' slices, and which of them are open."""

    cooperatives: dict[CooperativeUid, str]
    slices: dict[CooperativeUid, str]
    open: set[CooperativeUid]


def _known(estate: Estate, *, platform: Platform) -> _Known:
    known = _Known(cooperatives={}, slices={}, open=set())
    for one in load_migrations(estate, platform=platform, cooperatives=()):
        uid = platform.names_of(CooperativeName(one.cooperative)).uid
        known.cooperatives[uid] = one.cooperative
        record = read_journal(estate, platform.state, one.name)
        runs = record.runs if record is not None else ()
        if any(_holds(one, run) for run in runs):
            known.open.add(uid)
        if one.member is not None:
            own = slice_uid(uid, member=one.member)
            known.slices[own] = one.cooperative
            if any(run.open for run in runs):
                known.open.add(own)
    return known


def _holds(migration: DataStoreMigration, run: Run) -> bool:
    """Whether a run accounts for what bears the cooperative's own mark, which nothing does that copies a slice."""
    return run.open and (migration.member is None or run.kind is RunKind.ERASURE)
