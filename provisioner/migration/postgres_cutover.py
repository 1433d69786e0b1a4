"""The cutover: from the last write on the source to the first on the target.

1. Guard: the schema is what was copied. What was written since the rehearsal is compared while applications work
   (postgres_ahead.py). The fence is recorded, then closed (postgres_fence.py).
   A migration that works offline copies everything now, and goes on at 4.
2. Drain: a message is committed to the source's WAL behind the last client; the target must have confirmed that very
   commit. No byte of lag is tolerated.
3. What no stream carries: tables left for behind the fence, large objects, every sequence, materialised views.
4. Verification. Only its proof (a value of a type that nothing else makes) opens the next step.
5. The reverse stream is made. Only then may the target be written to: its roles may log in, in the transaction that
   also takes the migration's claim from the database.
6. The forward stream is taken away. Until the target is open it is left, so that a failure leaves the target following;
   from the fence on nothing is written that it could carry. Where the source subscribes it goes before 5: what came
   back would be carried forth again.

Anything that fails before 5 is done lifts the fence: the applications go on at the source as if nothing had been. Cut
off in between, ``recover`` looks at the target, which alone knows whether the switch has happened, and lifts the
recorded fence if it has not.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from provisioner.datastore.credentials import Secret
from provisioner.datastore.postgres_connection import Connection, scalar
from provisioner.errors import NotFound
from provisioner.migration.postgres_ahead import compare_ahead
from provisioner.migration.postgres_catalogue import Catalogue, require_unchanged
from provisioner.migration.postgres_changes import read_touched
from provisioner.migration.postgres_copying import (
    CopyWork,
    carry_large_objects,
    copy_database,
    copy_tables,
    enable_firing_triggers,
)
from provisioner.migration.postgres_facts import TableFacts
from provisioner.migration.postgres_fence import Fence, allow_logins, close_fence, lift_fence, plan_fence
from provisioner.migration.postgres_following import (
    Stream,
    drain,
    make_login,
    publish_tables,
    subscribe,
    unpublish,
    unsubscribe,
)
from provisioner.migration.postgres_preflight import Route
from provisioner.migration.postgres_relay import Relay, make_relay_role
from provisioner.migration.postgres_report import VerificationReport, Verified, require_verified
from provisioner.migration.postgres_role_moves import make_roles, read_roles, set_database_properties
from provisioner.migration.postgres_sequences import read_positions, read_views, refresh_views, set_positions
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.postgres_snapshot import begin_in, drop_slot, plain_snapshot
from provisioner.migration.postgres_survey import read_role_names
from provisioner.migration.postgres_target import claimed_by, release_target
from provisioner.migration.postgres_verification import Comparison, at_hand, verify_changed, verify_everything
from provisioner.naming import ReplicationNames

# What a fence changes in a source's catalogue.
FENCED_KINDS = frozenset({"database"})


@dataclass(frozen=True, kw_only=True)
class Cutover:
    """What a cutover needs.

    ``catalogue`` is the source's when it was copied; ``record`` is called with the fence before it is closed, and
    ``passed`` with the report of a verification that passed, before anything is switched; ``opened`` when the target is
    open, so that its clients can be led there at once.
    ``rehearsed`` says that a clean rehearsal was made since the watch slot began to remember. The way back is a
    subscription of the source if ``target_as_seen``, the target as the source's server reaches it, is given; else it is
    relayed, by a role with ``reverse_password``. Where the migration is not ``online`` there is no stream either way:
    all is copied behind the fence, and would be copied back behind another.
    """

    copy: CopyWork
    names: ReplicationNames
    catalogue: Catalogue
    record: Callable[[Fence], None]
    reverse_password: Secret
    passed: Callable[[VerificationReport], None] = lambda _: None
    opened: Callable[[], None] = lambda: None
    online: bool = True
    rehearsed: bool = False
    target_as_seen: Side | None = None
    fence_seconds: float = 30.0
    drain_seconds: float = 30.0

    @property
    def forward(self) -> Stream:
        """From the source to the target."""
        return forward_stream(self.names)

    @property
    def reverse(self) -> Stream:
        """From the target to the source."""
        return reverse_stream(self.names)

    @property
    def streamed(self) -> tuple[TableFacts, ...]:
        """The tables whose changes are streamed."""
        return self._routed(Route.STREAM)

    @property
    def fenced(self) -> tuple[TableFacts, ...]:
        """The tables that are copied behind the fence."""
        return self._routed(Route.FENCED)

    @property
    def relay(self) -> Relay:
        """The way back where the source must not subscribe."""
        return Relay(
            publisher=self.copy.target,
            subscriber=replace(self.copy.source, user=self.names.relay_login, password=self.reverse_password),
            slot=self.names.reverse_slot,
            publication=self.names.reverse_publication,
            tables=self.streamed,
        )

    def comparison(self) -> Comparison:
        """Source against target, behind the fence."""
        return Comparison(
            source=self.copy.source,
            target=self.copy.target,
            tables=self.copy.source_facts.tables,
            names=self.names,
            ignored=FENCED_KINDS,
            administrators=self.copy.administrators,
            workers=self.copy.bounded_streams,
        )

    def rehearsal(self, catch_up: Callable[[], None]) -> Comparison:
        """Source against target while changes flow: what is left for behind the fence is not there yet."""
        return replace(self.comparison(), tables=self.streamed, ignored=frozenset(), catch_up=catch_up)

    def _routed(self, route: Route) -> tuple[TableFacts, ...]:
        names = {one.table for one in self.copy.routes if one.route is route}
        return tuple(table for table in self.copy.source_facts.tables if table.name in names)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds from the fence's first statement to the end of a step."""

    step: str
    seconds: float


@final
@dataclass(frozen=True, kw_only=True)
class Switched:
    """Applications may write on the target: what was fenced on the source, what was verified, and how long it took."""

    fence: Fence
    report: VerificationReport
    timings: tuple[Timing, ...]

    @property
    def outage_seconds(self) -> float:
        """From the first statement of the fence until the target was open."""
        return self.timings[-1].seconds


@final
@dataclass(frozen=True, kw_only=True)
class WayBack:
    """How writes on the target come back: ``slot`` remembers them from now on ("" where everything is copied back)."""

    slot: str


class _Clock:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self.timings: list[Timing] = []

    def lap(self, step: str) -> None:
        self.timings.append(Timing(step=step, seconds=time.monotonic() - self._started))


def forward_stream(names: ReplicationNames) -> Stream:
    """The names of the stream from the source."""
    return Stream(publication=names.publication, slot=names.slot, subscription=names.subscription, login=names.login)


def reverse_stream(names: ReplicationNames) -> Stream:
    """The names of the stream back."""
    return Stream(
        publication=names.reverse_publication,
        slot=names.reverse_slot,
        subscription=names.reverse_subscription,
        login=names.reverse_login,
    )


def cut_over(work: Cutover) -> Switched:
    """Switch.

    Raises SchemaChanged, FenceOpen, TimedOut, VerificationFailed or CoopctlError; then the fence is lifted, and the
    streams are as far as they were: a failure of the drain or the verification leaves the forward stream running.
    """
    with (
        session(work.copy.source) as source,
        session(work.copy.target) as target,
        at_hand(work.comparison()) as everything,
    ):
        require_unchanged(source, before=work.catalogue, names=work.names)
        roles = refresh_roles(source, target)
        if work.online and work.target_as_seen is None:
            make_relay_role(source, names=work.names, tables=work.streamed, password=work.reverse_password)
        comparison = _compare_ahead(work, everything, source)
        fence = plan_fence(source, roles)
        work.record(fence)
        clock = _Clock()
        try:
            verified = _proved(work, comparison, source, target, fence=fence, clock=clock)
            back = _turn_around(work, source, target, verified=verified)
            clock.lap("turn around")
        except BaseException:
            _lift(work, fence)
            raise
        try:
            open_target(target, verified=verified, back=back, fence=fence)
        except BaseException:
            # Whether that was committed says the target alone; while it does not answer, neither side is opened.
            if not is_open(work):
                _lift(work, fence)
                raise
        clock.lap("open")
        work.opened()
        clock.lap("lead")
        end_forward(work, source, target)
        return Switched(fence=fence, report=verified.report, timings=tuple(clock.timings))


def refresh_roles(source: Connection, target: Connection) -> tuple[str, ...]:
    """Bring roles, passwords and rights that have changed since the copy to the target; gives all roles. Idempotent."""
    names = read_role_names(source)
    wanted = read_roles(source, names)
    make_roles(target, wanted, names=names)
    set_database_properties(target, wanted)
    return names


def carry_tables(work: CopyWork, source: Connection, target: Connection) -> None:
    """Tables that no stream carries, and large objects, from source to target, behind a fence. Idempotent."""
    fenced = any(route.route is Route.FENCED for route in work.routes)
    if fenced or work.source_facts.large_objects or scalar(source, _ANY_LARGE_OBJECT):
        with plain_snapshot(work.source) as snapshot, session(work.source) as reader:
            begin_in(reader, snapshot)
            copy_tables(work, snapshot, route=Route.FENCED, again=True)
            carry_large_objects(work, reader, target, snapshot=snapshot)


def carry_rest(work: CopyWork, source: Connection, target: Connection) -> None:
    """Sequences, triggers and materialised views, when all rows are there. Idempotent."""
    set_positions(target, read_positions(source))
    enable_firing_triggers(target, work.source_facts)
    refresh_views(target, read_views(source))


_ANY_LARGE_OBJECT = "SELECT EXISTS (SELECT FROM pg_largeobject_metadata)"


def open_target(target: Connection, *, verified: Verified, back: WayBack, fence: Fence) -> None:
    """Let the applications write on the target: the proof must be there, and the way ``back`` that they will need."""
    _require_remembered(target, back)
    if not verified.report.clean:
        raise AssertionError("only a clean verification is proof")
    with target.transaction():
        release_target(target)
        allow_logins(target, fence.logins)


def _require_remembered(target: Connection, back: WayBack) -> None:
    query = "SELECT true FROM pg_replication_slots WHERE slot_name = %(slot)s"
    if back.slot and not scalar(target, query, {"slot": back.slot}):
        raise NotFound(f"the slot {back.slot} of the way back is gone", hint="run the same command again")


def is_open(work: Cutover) -> bool:
    """Whether the switch has happened, seen on the target. Raises Unreachable if it does not answer."""
    with session(work.copy.target) as target:
        return claimed_by(target) is None


def recover(work: Cutover, *, fence: Fence) -> bool:
    """After a cutover that was cut off: True if the switch has happened; else the recorded fence is lifted.

    Before anything else is done, another cutover too: what a fence has taken cannot be read from the database any more.
    Raises Unreachable while the target does not answer, and then leaves both sides closed.
    """
    switched = is_open(work)
    if not switched:
        _lift(work, fence)
    return switched


def _lift(work: Cutover, fence: Fence) -> None:
    # A new session: the one that failed may be broken.
    with session(work.copy.source) as source:
        lift_fence(source, fence)


def look_ahead(work: Cutover) -> None:
    """Compare what was written since the rehearsal, before anybody is kept out of anything: `cut_over` has less to do.

    Raises SchemaChanged, VerificationFailed or TimedOut.
    """
    with session(work.copy.source) as source, at_hand(work.comparison()) as comparison:
        require_unchanged(source, before=work.catalogue, names=work.names)
        _compare_ahead(work, comparison, source)


def _compare_ahead(work: Cutover, comparison: Comparison, source: Connection) -> Comparison:
    """Gives the comparison that is left for behind the fence."""
    if not work.rehearsed:
        return comparison

    def catch_up() -> None:
        # Sessions of its own: several tables may be waited for at once.
        with session(work.copy.source) as publisher, session(work.copy.target) as subscriber:
            drain(publisher, subscriber, slot=work.names.slot, timeout_seconds=work.drain_seconds)

    ahead = replace(work.rehearsal(catch_up), idle=comparison.idle)
    return replace(comparison, agreed=compare_ahead(source, ahead, publication=work.names.publication).agreed)


def _proved(
    work: Cutover, comparison: Comparison, source: Connection, target: Connection, *, fence: Fence, clock: _Clock
) -> Verified:
    close_fence(source, fence, timeout_seconds=work.fence_seconds)
    clock.lap("fence")
    if work.online:
        drain(source, target, slot=work.names.slot, timeout_seconds=work.drain_seconds)
        clock.lap("drain")
        carry_tables(work.copy, source, target)
    else:
        with plain_snapshot(work.copy.source) as snapshot:
            copy_database(work.copy, snapshot, route=Route.FENCED)
        clock.lap("copy")
    carry_rest(work.copy, source, target)
    clock.lap("rest")
    # The catalogues are compared in it: a change of the schema up to the fence is found here.
    verified = require_verified(_verification(work, comparison, source))
    work.passed(verified.report)
    clock.lap("verification")
    return verified


def _verification(work: Cutover, comparison: Comparison, source: Connection) -> VerificationReport:
    if not work.rehearsed:
        return verify_everything(comparison)
    touched = read_touched(source, slot=work.names.watch_slot, publication=work.names.publication, tables=work.streamed)
    return verify_changed(comparison, touched, whole=work.fenced)


def _turn_around(work: Cutover, source: Connection, target: Connection, *, verified: Verified) -> WayBack:
    """Make the reverse stream, while nobody can write on either side."""
    if not verified.report.clean:
        raise AssertionError("only a clean verification is proof")
    if not work.online:
        return WayBack(slot="")
    if work.target_as_seen is not None:
        end_forward(work, source, target)
    start_reverse(work, target)
    if work.target_as_seen is not None:
        subscribe(source, work.reverse, work.target_as_seen)
    return WayBack(slot=work.names.reverse_slot)


def end_forward(work: Cutover, source: Connection, target: Connection) -> None:
    """Take the forward stream away on both sides: before anything comes back it must be gone. Idempotent."""
    unsubscribe(target, work.forward)
    drop_slot(source, work.names.watch_slot)
    unpublish(source, work.forward)


def start_reverse(work: Cutover, target: Connection) -> None:
    """Publication, login and slot of the way back on the target, before anybody writes there.

    A slot that an attempt has left remembers what the forward stream has brought since, and is made anew.
    """
    drop_slot(target, work.names.reverse_slot)
    publish_tables(target, work.reverse, [table.name for table in work.streamed])
    if work.target_as_seen is not None:
        make_login(target, work.names.reverse_login, password=work.reverse_password)
    target.execute("SELECT pg_create_logical_replication_slot(%(slot)s, 'pgoutput')", {"slot": work.names.reverse_slot})
