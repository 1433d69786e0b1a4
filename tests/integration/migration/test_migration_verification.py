"""Verification on real servers: it is silent about a good copy and names each kind of damage."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import SchemaChanged, VerificationFailed
from provisioner.migration.postgres_ahead import FEW_ROWS, compare_ahead
from provisioner.migration.postgres_catalogue import read_catalogue, require_unchanged
from provisioner.migration.postgres_changes import forget_changes, read_touched, remember_changes
from provisioner.migration.postgres_copying import copy_database
from provisioner.migration.postgres_cutover import carry_rest, carry_tables
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.postgres_following import drop_publication, nudge
from provisioner.migration.postgres_preflight import Route
from provisioner.migration.postgres_report import Scope, VerificationReport, require_verified
from provisioner.migration.postgres_schema_digest import read_schema_digest
from provisioner.migration.postgres_sides import session
from provisioner.migration.postgres_snapshot import drop_slot, slot_snapshot
from provisioner.migration.postgres_verification import (
    Comparison,
    at_hand,
    rehearse_verification,
    verify_changed,
    verify_everything,
)
from tests.integration.migration.moving import Move, prepared_move, run
from tests.postgres_servers import PostgresServer

pytestmark = pytest.mark.servers

SMALL = """
CREATE ROLE {db}_app LOGIN;
CREATE TYPE grade AS ENUM ('low', 'high');
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE lots (id serial PRIMARY KEY, grade grade, kg int CHECK (kg > 0), note text COLLATE loose);
CREATE TABLE parts (id int PRIMARY KEY, lot int REFERENCES lots);
CREATE TABLE no_key (a int, b text);
CREATE INDEX by_grade ON lots (grade);
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER noting BEFORE INSERT ON lots FOR EACH ROW EXECUTE FUNCTION noted();
CREATE VIEW high AS SELECT id FROM lots WHERE grade = 'high';
GRANT SELECT ON lots TO {db}_app;
COMMENT ON TABLE lots IS '원료';
INSERT INTO lots (grade, kg, note) SELECT 'high', n, 'lot ' || n FROM generate_series(1, 20000) n;
INSERT INTO parts SELECT n, n FROM generate_series(1, 100) n;
INSERT INTO no_key VALUES (1, 'twice'), (1, 'twice'), (2, 'once');
SELECT lo_from_bytea(77, 'bytes');
ANALYZE;
"""


@pytest.fixture(scope="module")
def moved(
    source_postgres: PostgresServer, target_postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Move]:
    """A database that was copied while nobody wrote; its slot and publication are there."""
    side = source_postgres.new_database("small")
    run(side, SMALL.format(db=side.database))
    with prepared_move(side, target_postgres, folder=Path(tmp_path_factory.mktemp("small"))) as move:
        move.publish()
        with slot_snapshot(side, slot=move.names.slot) as snapshot:
            copy_database(move.copy_work, snapshot)
        with session(side) as source, session(move.target) as target:
            carry_tables(move.copy_work, source, target)
            carry_rest(move.copy_work, source, target)
        yield move
        with session(side) as source:
            drop_slot(source, move.names.slot)
            drop_publication(source, move.names.publication)


def _whole(move: Move) -> Comparison:
    return move.comparison(tables=move.facts.tables)


def test_a_good_copy_is_proved(moved: Move) -> None:
    report = verify_everything(_whole(moved))
    assert report.differences == ()
    assert {table.table: table.source_rows for table in report.tables} == {
        '"public"."lots"': 20000,
        '"public"."no_key"': 3,
        '"public"."parts"': 100,
    }
    lots = next(table for table in report.tables if table.table == '"public"."lots"')
    assert lots.chunks == 4, "20,000 rows in chunks of 4,096 at most, rounded down to a power of two"
    assert require_verified(report).report is report


@pytest.mark.parametrize(
    ("damage", "undo", "named"),
    [
        ("DELETE FROM parts WHERE id = 7", "INSERT INTO parts VALUES (7, 7)", '"public"."parts": row (7) is missing'),
        (
            "UPDATE lots SET note = 'lot 777 ' WHERE id = 777",
            "UPDATE lots SET note = 'lot 777' WHERE id = 777",
            '"public"."lots": row (777) is changed',
        ),
        (
            "UPDATE lots SET note = 'LOT 6' WHERE id = 6",
            "UPDATE lots SET note = 'lot 6' WHERE id = 6",
            '"public"."lots": row (6) is changed',
        ),
        (
            "UPDATE lots SET note = NULL WHERE id = 8",
            "UPDATE lots SET note = 'lot 8' WHERE id = 8",
            '"public"."lots": row (8) is changed',
        ),
        ("INSERT INTO parts VALUES (101, 1)", "DELETE FROM parts WHERE id = 101", "row (101) is foreign"),
        (
            "UPDATE lots SET grade = 'low' WHERE id = 5",
            "UPDATE lots SET grade = 'high' WHERE id = 5",
            '"public"."lots": row (5) is changed',
        ),
        (
            "DELETE FROM no_key WHERE ctid = (SELECT min(ctid) FROM no_key WHERE a = 1)",
            "INSERT INTO no_key VALUES (1, 'twice')",
            '"public"."no_key": row',
        ),
        ("SELECT setval('lots_id_seq', 19999)", "SELECT setval('lots_id_seq', 20000)", "sequence"),
        ("DROP INDEX by_grade", "CREATE INDEX by_grade ON lots (grade)", "index public.by_grade is missing"),
        (
            "ALTER TABLE lots DROP CONSTRAINT lots_kg_check, ADD CHECK (kg > 0) NOT VALID",
            "ALTER TABLE lots VALIDATE CONSTRAINT lots_kg_check",
            "constraint public.lots: lots_kg_check is another",
        ),
        (
            "ALTER TABLE lots DISABLE TRIGGER noting",
            "ALTER TABLE lots ENABLE TRIGGER noting",
            "trigger noting on public.lots is another",
        ),
        ("REVOKE SELECT ON lots FROM {db}_app", "GRANT SELECT ON lots TO {db}_app", "relation public.lots is another"),
        ("COMMENT ON TABLE lots IS NULL", "COMMENT ON TABLE lots IS '원료'", "comment table public.lots is missing"),
        (
            "CREATE OR REPLACE VIEW high AS SELECT id FROM lots WHERE grade = 'low'",
            "CREATE OR REPLACE VIEW high AS SELECT id FROM lots WHERE grade = 'high'",
            "view public.high is another",
        ),
        ("SELECT lo_put(77, 0, 'B')", "SELECT lo_put(77, 0, 'b')", "large object 77 differs"),
        ("ALTER TABLE parts ADD x int", "ALTER TABLE parts DROP x", "column public.parts.x has come"),
    ],
)
def test_each_damage_is_named(moved: Move, damage: str, undo: str, named: str) -> None:
    stem = moved.source.database
    agreed = verify_everything(_whole(moved)).agreed
    assert agreed is not None
    run(moved.target, damage.format(db=stem))
    try:
        report = verify_everything(_whole(moved))
        later = verify_everything(replace(_whole(moved), agreed=agreed))
    finally:
        run(moved.target, undo.format(db=stem))
    assert len(report.differences) == 1, report.differences
    assert named in report.differences[0]
    assert later.differences == report.differences, "a schema that agreed before is looked at again"
    with pytest.raises(VerificationFailed):
        require_verified(report)


def test_schemas_that_agreed_and_have_not_changed_are_not_read_again(moved: Move) -> None:
    before = verify_everything(_whole(moved))
    again = verify_everything(replace(_whole(moved), agreed=before.agreed))
    assert (before.schema_by_digest, again.schema_by_digest) == (False, True)
    assert again.clean
    assert again.catalogue_entries == before.catalogue_entries > 20
    assert again.agreed == before.agreed


@pytest.mark.parametrize(
    "work",
    [
        "ANALYZE",
        "TRUNCATE parts; INSERT INTO parts SELECT n, n FROM generate_series(1, 100) n",
        "SELECT nextval('lots_id_seq'); SELECT setval('lots_id_seq', 20000)",
        "BEGIN; ALTER TABLE parts ADD x int; ROLLBACK",
    ],
)
def test_work_of_applications_leaves_the_digest_of_the_schema(moved: Move, work: str) -> None:
    with session(moved.source) as source:
        before = read_schema_digest(source)
        run(moved.source, work)
        assert read_schema_digest(source) == before


def test_temporary_relations_leave_the_digest_of_the_schema(moved: Move) -> None:
    with session(moved.source) as source, session(moved.source) as application:
        before = read_schema_digest(source)
        application.execute("CREATE TEMPORARY TABLE mine (id serial PRIMARY KEY, a text DEFAULT 'x' CHECK (a <> ''))")
        application.execute("CREATE TEMPORARY VIEW his AS SELECT 1 AS one")
        assert read_schema_digest(source) == before


def test_a_refreshed_view_and_a_table_written_anew_leave_the_digest_of_the_schema(moved: Move) -> None:
    run(moved.source, "CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM lots; CREATE INDEX ON counted (count)")
    try:
        with session(moved.source) as source:
            before = read_schema_digest(source)
            run(moved.source, "REFRESH MATERIALIZED VIEW counted")
            source.execute("VACUUM FULL public.no_key")
            assert read_schema_digest(source) == before
    finally:
        run(moved.source, "DROP MATERIALIZED VIEW counted")


def test_a_rehearsal_is_no_proof(moved: Move) -> None:
    report = rehearse_verification(_whole(moved))
    assert report.clean
    with pytest.raises(VerificationFailed, match="rehearsal"):
        require_verified(report)


def test_many_differences_are_counted_and_the_first_are_named(moved: Move) -> None:
    run(moved.target, "UPDATE lots SET note = 'x' || note WHERE id > 19800")
    try:
        report = verify_everything(_whole(moved))
    finally:
        run(moved.target, "UPDATE lots SET note = substr(note, 2) WHERE id > 19800")
    lots = next(table for table in report.tables if table.differing)
    assert lots.differing == 200
    assert len(lots.differences) == 100
    assert report.differences[-1] == '"public"."lots": 100 further rows differ'


def test_what_was_written_since_is_known_by_key_and_verified_alone(moved: Move) -> None:
    names = moved.names
    tables = [
        table
        for table in moved.facts.tables
        if table.name in {route.table for route in moved.judged.routes if route.route is Route.STREAM}
    ]
    try:
        with session(moved.source) as source:
            remember_changes(source, names.watch_slot)
            remember_changes(source, names.watch_slot)
            run(moved.source, "UPDATE lots SET note = 'now' WHERE id IN (3, 4); INSERT INTO no_key VALUES (9, 'new')")
            run(moved.source, "UPDATE parts SET id = 500 WHERE id = 50")
            touched = read_touched(source, slot=names.watch_slot, publication=names.publication, tables=tables)
            assert touched.keys == {
                TableName(schema="public", name="lots"): {("3",), ("4",)},
                TableName(schema="public", name="parts"): {("50",), ("500",)},
            }
            assert touched.whole == {TableName(schema="public", name="no_key")}
            report = verify_changed(_whole(moved), touched)
            forget_changes(source, slot=names.watch_slot, until=nudge(source))
            later = read_touched(source, slot=names.watch_slot, publication=names.publication, tables=tables)
            assert not later.keys
            assert not later.whole
    finally:
        run(moved.source, "UPDATE lots SET note = 'lot ' || id WHERE id IN (3, 4); DELETE FROM no_key WHERE a = 9")
        run(moved.source, "UPDATE parts SET id = 50 WHERE id = 500")
        with session(moved.source) as source:
            drop_slot(source, names.watch_slot)
    assert report.scope is Scope.CHANGED
    assert [(table.table, table.differing, table.whole) for table in report.tables] == [
        ('"public"."lots"', 2, False),
        ('"public"."no_key"', 1, True),
        ('"public"."parts"', 2, False),
    ]


def _streamed(move: Move, catch_up: Callable[[], None]) -> Comparison:
    names = {route.table for route in move.judged.routes if route.route is Route.STREAM}
    tables = tuple(table for table in move.facts.tables if table.name in names)
    return move.comparison(tables=tables, ignored=frozenset({"database"}), catch_up=catch_up)


@contextmanager
def _remembering(move: Move) -> Iterator[None]:
    with session(move.source) as source:
        remember_changes(source, move.names.watch_slot)
        try:
            yield
        finally:
            drop_slot(source, move.names.watch_slot)


def _remembered(move: Move) -> dict[TableName, frozenset[tuple[str, ...]]]:
    names = move.names
    with session(move.source) as source:
        tables = move.facts.tables
        return dict(read_touched(source, slot=names.watch_slot, publication=names.publication, tables=tables).keys)


def test_passes_before_the_fence_leave_only_what_was_written_since_the_last_one(moved: Move) -> None:
    many = "UPDATE lots SET note = 'many' WHERE id <= 500"
    waited: list[str] = []

    def catch_up() -> None:
        if not waited:
            run(moved.target, many)
        change = f"UPDATE lots SET note = 'now' WHERE id = {9000 + len(waited)}"  # noqa: S608 - a number
        run(moved.source, change)
        run(moved.target, change)
        waited.append(change)

    try:
        with _remembering(moved), session(moved.source) as source:
            run(moved.source, many)
            passes = compare_ahead(source, _streamed(moved, catch_up), publication=moved.names.publication).passes
            left = _remembered(moved)
    finally:
        for side in (moved.source, moved.target):
            run(side, "UPDATE lots SET note = 'lot ' || id WHERE note <> 'lot ' || id")
    assert passes == (500, 1)
    assert passes[-1] <= FEW_ROWS
    assert left == {TableName(schema="public", name="lots"): {("9001",)}}


def test_a_pass_before_the_fence_names_what_differs_and_forgets_nothing(moved: Move) -> None:
    try:
        with _remembering(moved), session(moved.source) as source:
            run(moved.source, "UPDATE lots SET note = 'lost' WHERE id = 44")
            with pytest.raises(VerificationFailed) as caught:
                compare_ahead(source, _streamed(moved, lambda: None), publication=moved.names.publication)
            left = _remembered(moved)
    finally:
        run(moved.source, "UPDATE lots SET note = 'lot 44' WHERE id = 44")
    assert '"public"."lots": row (44) is changed' in str(caught.value.why)
    assert left == {TableName(schema="public", name="lots"): {("44",)}}


def test_sessions_at_hand_give_the_same_report_and_open_no_others(moved: Move) -> None:
    def compared(comparison: Comparison) -> VerificationReport:
        return replace(verify_everything(comparison), begun=0.0, seconds=0.0)

    with at_hand(_whole(moved)) as ready:
        pairs = set(ready.idle)
        unreachable = replace(ready, source=replace(ready.source, port=1), target=replace(ready.target, port=1))
        assert compared(unreachable) == compared(_whole(moved))
        assert set(ready.idle) == pairs, "given back"


@pytest.mark.parametrize(
    ("change", "undo", "named"),
    [
        ("CREATE TABLE more (id int)", "DROP TABLE more", "relation public.more has come"),
        ("ALTER TABLE parts ADD y int", "ALTER TABLE parts DROP y", "column public.parts.y has come"),
        (
            "ALTER TABLE parts ALTER lot TYPE bigint",
            "ALTER TABLE parts ALTER lot TYPE int",
            "column public.parts.lot is another",
        ),
        (
            "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
            "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "function public.noted() is another",
        ),
        (
            "ALTER TABLE parts RENAME TO pieces",
            "ALTER TABLE pieces RENAME TO parts",
            "relation public.parts is missing",
        ),
    ],
)
def test_a_change_of_the_schema_is_noticed_and_named(moved: Move, change: str, undo: str, named: str) -> None:
    with session(moved.source) as source:
        before = read_catalogue(source, names=moved.names)
        digest = read_schema_digest(source)
        run(moved.source, change)
        try:
            with pytest.raises(SchemaChanged) as caught:
                require_unchanged(source, before=before, names=moved.names)
            assert read_schema_digest(source) != digest
        finally:
            run(moved.source, undo)
        require_unchanged(source, before=before, names=moved.names)
    assert named in str(caught.value.why)
