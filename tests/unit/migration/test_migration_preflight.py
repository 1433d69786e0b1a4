"""What a preflight decides for tables, and what it says of servers."""

from dataclasses import replace
from typing import Any

import pytest

from provisioner.errors import Severity
from provisioner.migration.postgres_facts import (
    ColumnFacts,
    ForeignTransaction,
    LocaleFacts,
    ReplicaIdentity,
    ServerFacts,
    SourceFacts,
    TableFacts,
    TableName,
    TargetFacts,
)
from provisioner.migration.postgres_preflight import Mode, Preflight, Route, preflight, route_of

SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "max_slot_wal_keep_size": "4GB",
}
SERVER = ServerFacts(
    version=150018,
    superuser=True,
    replication=True,
    settings=SETTINGS,
    free_slots=10,
    free_senders=10,
    creates_subscriptions=True,
    roles=frozenset({"postgres"}),
)
LOCALE = LocaleFacts(encoding="UTF8", collate="C.UTF-8", ctype="C.UTF-8", provider="c")
PLAIN = (ColumnFacts(name="a", type="integer"), ColumnFacts(name="b", type="text"))
JSON = (ColumnFacts(name="a", type="integer"), ColumnFacts(name="doc", type="json", comparable=False))


def table(**changes: Any) -> TableFacts:
    values: dict[str, Any] = {
        "name": TableName(schema="public", name="lots"),
        "pages": 10,
        "bytes": 80_000_000,
        "rows": 100,
        "columns": PLAIN,
    }
    return TableFacts(**{**values, **changes})


def source(*tables: TableFacts, **changes: Any) -> SourceFacts:
    values: dict[str, Any] = {
        "server": SERVER,
        "database": "rice",
        "locale": LOCALE,
        "bytes": 100,
        "tables": tables,
        "extensions": {"hstore": "1.8"},
    }
    return SourceFacts(**{**values, **changes})


def target(**changes: Any) -> TargetFacts:
    values: dict[str, Any] = {
        "server": SERVER,
        "database": "rice",
        "locale": LOCALE,
        "available_extensions": {"hstore": "1.8"},
        "creates_roles": True,
        "owns_database": True,
    }
    return TargetFacts(**{**values, **changes})


def said(found: Preflight, severity: Severity) -> list[str]:
    return [problem.what for problem in found.problems if problem.severity is severity]


@pytest.mark.parametrize(
    ("facts", "route", "identity", "index"),
    [
        (table(has_primary_key=True, key=("a",), unique_indexes=("pk",)), Route.STREAM, ReplicaIdentity.DEFAULT, None),
        (table(unique_indexes=("only",)), Route.STREAM, ReplicaIdentity.INDEX, "only"),
        (table(), Route.STREAM, ReplicaIdentity.FULL, None),
        (table(columns=JSON), Route.FENCED, ReplicaIdentity.DEFAULT, None),
        (table(columns=()), Route.FENCED, ReplicaIdentity.DEFAULT, None),
        (table(has_primary_key=True, unlogged=True), Route.FENCED, ReplicaIdentity.DEFAULT, None),
        (
            table(identity=ReplicaIdentity.NOTHING, has_primary_key=True, unique_indexes=("pk",)),
            Route.STREAM,
            ReplicaIdentity.INDEX,
            "pk",
        ),
        (table(identity=ReplicaIdentity.FULL, columns=JSON), Route.FENCED, ReplicaIdentity.FULL, None),
        (table(identity=ReplicaIdentity.FULL), Route.STREAM, ReplicaIdentity.FULL, None),
        (
            table(identity=ReplicaIdentity.INDEX, identity_index="chosen", unique_indexes=("chosen",)),
            Route.STREAM,
            ReplicaIdentity.INDEX,
            "chosen",
        ),
        # The chosen index was dropped: PostgreSQL then treats the table as if it had said NOTHING.
        (table(identity=ReplicaIdentity.INDEX), Route.STREAM, ReplicaIdentity.FULL, None),
    ],
)
def test_each_table_gets_the_narrowest_identity_that_can_work(
    facts: TableFacts, route: Route, identity: ReplicaIdentity, index: str | None
) -> None:
    decided = route_of(facts, mode=Mode.ONLINE)
    assert (decided.route, decided.identity, decided.index) == (route, identity, index)


def test_only_what_differs_from_now_is_altered() -> None:
    assert not route_of(table(has_primary_key=True), mode=Mode.ONLINE).changes_identity
    assert not route_of(table(identity=ReplicaIdentity.FULL), mode=Mode.ONLINE).changes_identity
    assert route_of(table(), mode=Mode.ONLINE).changes_identity
    assert not route_of(table(columns=JSON), mode=Mode.ONLINE).changes_identity


def test_a_quiet_world_has_no_problem() -> None:
    found = preflight(source(table(has_primary_key=True)), target())
    assert found.problems == ()
    assert not found.refused
    assert found.mode is Mode.ONLINE
    assert found.outage_seconds == 0.5


def test_a_table_behind_the_fence_makes_the_outage_longer_by_its_copy() -> None:
    # 80 MB at 40 MB a second are two seconds.
    assert preflight(source(table(columns=JSON)), target()).outage_seconds == 2.5


def test_all_errors_are_told_at_once_and_first() -> None:
    found = preflight(
        source(table(has_primary_key=True), subscriptions=("from_elsewhere",), event_triggers=("watch",)),
        target(
            server=replace(SERVER, version=140010),
            locale=replace(LOCALE, encoding="SQL_ASCII"),
            available_extensions={},
            relations=3,
        ),
    )
    assert found.refused
    assert len(said(found, Severity.ERROR)) == 5
    assert [problem.severity for problem in found.problems] == [Severity.ERROR] * 5 + [Severity.WARNING]


def test_every_problem_has_a_consequence_and_a_remedy() -> None:
    poor = replace(SERVER, superuser=False, replication=False, settings={}, free_slots=0, free_senders=0)
    found = preflight(
        source(
            table(forced_row_security=True),
            server=poor,
            large_objects=3,
            foreign_tables=(TableName(schema="public", name="far"),),
            role_names=("rice_owner",),
            transactions=(ForeignTransaction(database="o", user="u", age_seconds=1, prepared="it's"),),
        ),
        target(creates_roles=False, owns_database=False),
    )
    assert found.refused
    assert all(problem.consequence and problem.remedy for problem in found.problems)


NO_SUPERUSER = {
    "superuser": False,
    "reads_verifiers": True,
    "lets_keep_triggers": True,
    "bypasses_row_security": True,
}


@pytest.mark.parametrize(
    ("server", "remedy"),
    [
        ({"settings": SETTINGS | {"wal_level": "replica"}}, "wal_level = 'logical'"),
        ({"free_slots": 1}, "max_replication_slots = 11"),
        ({"free_senders": 0}, "max_wal_senders = 12"),
        ({**NO_SUPERUSER, "replication": False}, "REPLICATION"),
        ({**NO_SUPERUSER, "replication": True}, "before version 16"),
    ],
)
def test_where_following_is_impossible_the_migration_is_offline_and_says_so(
    server: dict[str, Any], remedy: str
) -> None:
    found = preflight(source(table(), server=replace(SERVER, **server)), target())
    assert found.mode is Mode.OFFLINE
    assert not found.refused
    assert [problem for problem in found.problems if remedy in problem.remedy and "offline" in problem.consequence]
    assert {route.route for route in found.routes} == {Route.FENCED}


MANAGED = replace(
    SERVER,
    version=180000,
    superuser=False,
    bypasses_row_security=True,
    reads_large_objects=True,
    keeps_triggers=True,
    lets_keep_triggers=True,
    reads_verifiers=True,
)


def test_a_target_whose_login_is_no_superuser_is_no_problem_with_these_rights() -> None:
    roles = frozenset({"postgres", "rice_owner"})
    found = preflight(
        source(table(forced_row_security=True, unlogged=True), large_objects=1, role_names=("rice_owner",)),
        target(server=replace(MANAGED, roles=roles), administered=frozenset({"rice_owner"})),
    )
    assert not found.refused, found.problems
    assert found.mode is Mode.ONLINE


@pytest.mark.parametrize(
    ("server", "target_facts", "source_facts", "remedy"),
    [
        ({"bypasses_row_security": False}, {}, {}, "BYPASSRLS"),
        ({"reads_large_objects": False}, {}, {}, "pg_read_all_data"),
        ({"keeps_triggers": False}, {}, {}, "SET ON PARAMETER session_replication_role"),
        ({"roles": frozenset({"rice_owner"})}, {}, {}, 'GRANT "rice_owner" TO'),
        ({}, {"refused_extensions": frozenset({"postgis"})}, {}, "drop the extension"),
        ({}, {"refused_settings": frozenset({"temp_file_limit"})}, {}, "SET ON PARAMETER temp_file_limit"),
        ({}, {}, {"superuser_made": ("event trigger noted",)}, "let the login of the DSN be a superuser"),
    ],
)
def test_what_such_a_login_may_not_do_is_an_error_before_anything_begins(
    server: dict[str, Any], target_facts: dict[str, Any], source_facts: dict[str, Any], remedy: str
) -> None:
    found = preflight(
        source(
            table(forced_row_security=True, unlogged=True), large_objects=1, role_names=("rice_owner",), **source_facts
        ),
        target(server=replace(MANAGED, **server), **target_facts),
    )
    [error] = [one for one in found.problems if one.severity is Severity.ERROR]
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("server", "facts", "remedy"),
    [
        ({"reads_verifiers": False}, {}, "pg_read_all_data"),
        ({"lets_keep_triggers": False}, {}, "WITH GRANT OPTION"),
        ({"bypasses_row_security": False}, {}, "BYPASSRLS"),
        ({}, {"unjoined_owners": ("rice_owner",)}, 'GRANT "rice_owner" TO'),
    ],
)
def test_what_the_platform_s_administrator_lacks_where_it_is_no_superuser_is_an_error(
    server: dict[str, Any], facts: dict[str, Any], remedy: str
) -> None:
    found = preflight(source(table(), server=replace(MANAGED, **server), **facts), target(server=MANAGED))
    [error] = [one for one in found.problems if one.severity is Severity.ERROR]
    assert remedy in error.remedy


def test_a_target_whose_login_may_not_replicate_makes_it_offline() -> None:
    found = preflight(source(table()), target(server=replace(MANAGED, replication=False, keeps_triggers=False)))
    assert (found.mode, found.refused) == (Mode.OFFLINE, False)


def test_a_target_that_cannot_connect_back_makes_it_offline() -> None:
    found = preflight(source(table()), target(), unreachable="connection refused")
    assert found.mode is Mode.OFFLINE


def test_transactions_that_a_slot_would_wait_for_are_named_with_who_they_are() -> None:
    transactions = (
        ForeignTransaction(database="plastics", user="plastics_app", age_seconds=75.4, pid=4711),
        ForeignTransaction(database="lp_gas", user="lp_gas_app", age_seconds=5, pid=4712),
        ForeignTransaction(database="lp_gas", user="lp_gas_app", age_seconds=3, prepared="o'clock"),
    )
    found = preflight(source(transactions=transactions), target())
    assert said(found, Severity.WARNING) == [
        "a transaction of plastics_app in the database plastics, 75 s old, is open (pid 4711)"
    ]
    assert said(found, Severity.ERROR) == [
        "the transaction o'clock of lp_gas_app in the database lp_gas, 3 s old, is prepared"
    ]
    assert "COMMIT PREPARED 'o''clock'" in found.problems[0].remedy


def test_an_unlimited_slot_is_warned_of_only_where_one_is_made() -> None:
    endless = replace(SERVER, settings=SETTINGS | {"max_slot_wal_keep_size": "-1"})
    online = preflight(source(server=endless), target())
    offline = preflight(source(server=endless), target(), wanted=Mode.OFFLINE)
    assert len(online.problems) == 1
    assert offline.problems == ()


@pytest.mark.parametrize(("offered", "refused"), [("1.10", False), ("1.8", False), ("1.7", True)])
def test_an_extension_must_not_be_older_on_the_target(offered: str, refused: bool) -> None:
    assert preflight(source(), target(available_extensions={"hstore": offered})).refused is refused
