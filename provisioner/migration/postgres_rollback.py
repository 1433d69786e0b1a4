"""The ways back, and the end.

``abandon``, before the switch: the target stops following, and on the source slots, publication, login and changed
replica identities go; the fence is lifted if it was closed. As if nothing had been.

``return_to_source``, after it: the target is fenced, its last writes are drained to the source, what no stream carries
goes back, both are verified, and the source is opened again. The same proof is asked for as for the switch. Where
``look_back`` has compared everything before, while people worked, a slot on the target remembers what they wrote since,
and only that is compared behind the fence.

``rehearse_return`` shows meanwhile, and disturbs nobody, that the source still holds what the target holds.

``finalise``: the way back is given up; nothing of the migration stays on either server.

All of them can be cut off and repeated. ``read_leftovers`` finds what any migration has left on a server.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock

import psycopg

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.errors import Unreachable
from provisioner.migration.postgres_ahead import compare_ahead, require_same
from provisioner.migration.postgres_changes import read_touched, remember_changes
from provisioner.migration.postgres_copying import CopyWork
from provisioner.migration.postgres_cutover import Cutover, carry_rest, carry_tables
from provisioner.migration.postgres_fence import Fence, close_fence, lift_fence, plan_fence
from provisioner.migration.postgres_following import drain, restore_identities, unpublish, unsubscribe
from provisioner.migration.postgres_relay import drop_relay_role, relay_all
from provisioner.migration.postgres_report import VerificationReport, require_verified
from provisioner.migration.postgres_role_moves import drop_made_roles
from provisioner.migration.postgres_sides import Clients, session
from provisioner.migration.postgres_snapshot import drop_slot
from provisioner.migration.postgres_verification import (
    Comparison,
    at_hand,
    rehearse_verification,
    verify_changed,
    verify_everything,
)
from provisioner.naming import is_replication_name

# Of one server: what is left of migrations, and where it is. Subscriptions of all databases are seen from any.
_LEFTOVERS = """
    SELECT 'slot', slot_name::text, coalesce(database::text, '') FROM pg_replication_slots
    UNION ALL SELECT 'subscription', s.subname::text, d.datname::text FROM pg_subscription s
              JOIN pg_database d ON d.oid = s.subdbid
    UNION ALL SELECT 'publication', pubname::text, current_database()::text FROM pg_publication
    UNION ALL SELECT 'role', rolname::text, '' FROM pg_roles
    ORDER BY 1, 2
"""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something of a migration that is on a server: its kind, name and database ("" for the whole server)."""

    kind: str
    name: str
    database: str


def abandon(work: Cutover, *, fence: Fence | None) -> None:
    """Undo everything on the source; on the target what can be reached. Only before the switch. Idempotent."""
    with suppress(Unreachable), session(work.copy.target) as target:
        unsubscribe(target, work.forward)
        unpublish(target, work.reverse)
    with session(work.copy.source) as source:
        unsubscribe(source, work.reverse)
        drop_relay_role(source, names=work.names)
        drop_slot(source, work.names.watch_slot)
        unpublish(source, work.forward)
        drop_made_roles(source, [work.names.job_login])
        restore_identities(source, work.copy.routes)
        if fence is not None:
            lift_fence(source, fence)


def return_to_source(
    work: Cutover, *, fence: Fence, reverse_clients: Clients, record: Callable[[Fence], None]
) -> VerificationReport:
    """Bring everything that was written on the target to the source and open the source, as ``fence`` had closed it.

    ``reverse_clients`` are client programs with the services the other way round; ``record`` gets the target's fence
    before it is closed. Raises FenceOpen, TimedOut or VerificationFailed; then the target is open again.
    """
    rehearsed = look_back(work)
    report = prove_return(work, reverse_clients=reverse_clients, record=record, rehearsed=rehearsed)
    complete_return(work, fence=fence)
    return report


def prove_return(
    work: Cutover,
    *,
    reverse_clients: Clients,
    record: Callable[[Fence], None],
    rehearsed: bool = False,
    lap: Callable[[str], None] = lambda _: None,
) -> VerificationReport:
    """Bring everything back behind a fence of the target, and verify it: then `complete_return` may open the source.

    ``rehearsed`` says that `look_back` was right before; ``lap`` is told the name of each step that has ended. The
    target stays fenced, unless this raises.
    """
    with (
        session(work.copy.source) as source,
        session(work.copy.target) as target,
        at_hand(_reversed_comparison(work)) as everything,
    ):
        agreed = None
        if rehearsed:
            ahead = replace(everything, tables=work.streamed, catch_up=_relaying(work))
            agreed = compare_ahead(target, ahead, publication=work.names.reverse_publication).agreed
        comparison = replace(everything, agreed=agreed)
        closed = plan_fence(target, work.copy.source_facts.role_names)
        record(closed)
        try:
            close_fence(target, closed, timeout_seconds=work.fence_seconds)
            lap("fence")
            _drain_back(work, source, target)
            lap("drain")
            _carry_back(_reversed(work, clients=reverse_clients), target, source)
            lap("rest")
            verified = require_verified(_verification(work, comparison, target, rehearsed=rehearsed))
            lap("verification")
        except BaseException:
            with session(work.copy.target) as again:
                lift_fence(again, closed)
            raise
        return verified.report


def rehearse_return(work: Cutover) -> VerificationReport:
    """Compare everything that streams while people write on the target, and what they write is relayed to the source.

    Nothing is fenced. The relay's role must be there with the password of ``work``. Sequences, large objects and tables
    that no stream carries are left for the way back itself. Raises what the relay raises.
    """
    return _rehearsed(work).turned


def look_back(work: Cutover) -> bool:
    """Compare as `rehearse_return` does, and let the target remember what is written from now on. Idempotent.

    False, and nothing was compared, where all goes back behind the fence or the target's server has no slot left.
    Raises VerificationFailed, and what the relay raises; nobody was kept out.
    """
    if not work.online or work.target_as_seen is not None:
        return False
    with session(work.copy.target) as target:
        drop_slot(target, work.names.watch_slot)
        try:
            remember_changes(target, work.names.watch_slot)
        except psycopg.errors.ConfigurationLimitExceeded:
            return False
        try:
            require_same(_rehearsed(work))
        except BaseException:
            drop_slot(target, work.names.watch_slot)
            raise
    return True


def _rehearsed(work: Cutover) -> VerificationReport:
    comparison = replace(_reversed_comparison(work), tables=work.streamed, catch_up=_relaying(work))
    return rehearse_verification(comparison)


def _relaying(work: Cutover) -> Callable[[], None]:
    """Brings all back that was written so far. One reader of the slot at a time; tables are compared by several."""
    relaying = Lock()

    def catch_up() -> None:
        with relaying:
            relay_all(work.relay)

    return catch_up


def _verification(work: Cutover, comparison: Comparison, target: Connection, *, rehearsed: bool) -> VerificationReport:
    if not rehearsed:
        return verify_everything(comparison)
    names = work.names
    since = read_touched(target, slot=names.watch_slot, publication=names.reverse_publication, tables=work.streamed)
    return verify_changed(comparison, since, whole=work.fenced)


def complete_return(work: Cutover, *, fence: Fence) -> None:
    """Give up the way back and open the source, as ``fence`` had closed it. Idempotent.

    Only after `prove_return`, and while the target is fenced since.
    """
    with session(work.copy.source) as source, session(work.copy.target) as target:
        end_reverse(work, source, target)
        restore_identities(source, work.copy.routes)
        lift_fence(source, fence)


def _drain_back(work: Cutover, source: Connection, target: Connection) -> None:
    if work.online and work.target_as_seen is None:
        relay_all(work.relay)
    elif work.online:
        drain(target, source, slot=work.names.reverse_slot, timeout_seconds=work.drain_seconds)


def _carry_back(work: CopyWork, source: Connection, target: Connection) -> None:
    carry_tables(work, source, target)
    carry_rest(work, source, target)


def finalise(work: Cutover) -> None:
    """Give up the way back; the source stays fenced, and its data as it was at the last stream. Idempotent."""
    with session(work.copy.source) as source, session(work.copy.target) as target:
        end_reverse(work, source, target)
        restore_identities(target, work.copy.routes)
        restore_identities(source, work.copy.routes)


def end_reverse(work: Cutover, source: Connection, target: Connection) -> None:
    """Take the reverse stream away on both sides. Idempotent."""
    unsubscribe(source, work.reverse)
    drop_slot(target, work.names.watch_slot)
    unpublish(target, work.reverse)
    drop_relay_role(source, names=work.names)


def read_leftovers(connection: Connection) -> tuple[Leftover, ...]:
    """What migrations have on the server now, finished or not: publications in the connection's database alone."""
    return tuple(
        Leftover(kind=kind, name=name, database=database)
        for kind, name, database in rows(connection, _LEFTOVERS)
        if is_replication_name(name)
    )


def _reversed(work: Cutover, *, clients: Clients) -> CopyWork:
    facts, target = work.copy.source_facts, work.copy.target_facts
    return replace(
        work.copy,
        source=work.copy.target,
        target=work.copy.source,
        source_facts=replace(facts, server=target.server),
        target_facts=replace(target, server=facts.server),
        outbound=work.copy.administrators,
        clients=clients,
    )


def _reversed_comparison(work: Cutover) -> Comparison:
    forward = work.comparison()
    return replace(forward, source=forward.target, target=forward.source, back=True)
