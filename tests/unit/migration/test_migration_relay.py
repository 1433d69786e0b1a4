"""The relay's pure part: transactions out of messages, and the statement that repeats a change."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.migration.postgres_changes import ChangeKind, Relation, RowChange, Truncation
from provisioner.migration.postgres_facts import ColumnFacts, TableFacts, TableName
from provisioner.migration.postgres_relay import lsn_number, lsn_text, transactions
from provisioner.migration.postgres_relay_statements import statement

LOTS = TableName(schema="public", name="표")
RELATION = Relation(table=LOTS, columns=("id", "note"))


def facts(*, key: tuple[str, ...] = ("id",), always: bool = False) -> dict[TableName, TableFacts]:
    columns = (ColumnFacts(name="id", type="bigint", identity=always), ColumnFacts(name="note", type="text"))
    return {LOTS: TableFacts(name=LOTS, pages=1, bytes=1, rows=1, columns=columns, key=key)}


def change(kind: ChangeKind, **values: object) -> RowChange:
    return RowChange(**{"kind": kind, "relation": RELATION, "old": None, "new": None} | values)  # type: ignore[arg-type]  # a test's own values


@pytest.mark.parametrize(
    ("one", "expected", "parameters"),
    [
        (
            change(ChangeKind.INSERT, new=("1", None)),
            'INSERT INTO "public"."표" ("id", "note") OVERRIDING SYSTEM VALUE VALUES (%s, %s)',
            ["1", None],
        ),
        (
            change(ChangeKind.UPDATE, new=("1", "b")),
            'UPDATE ONLY "public"."표" SET "id" = %s, "note" = %s WHERE "id" = %s::bigint',
            ["1", "b", "1"],
        ),
        (
            change(ChangeKind.UPDATE, old=("1", None), new=("2", "b")),
            'UPDATE ONLY "public"."표" SET "id" = %s, "note" = %s WHERE "id" = %s::bigint',
            ["2", "b", "1"],
        ),
        (
            change(ChangeKind.UPDATE, new=("1", None), unchanged=frozenset({1})),
            'UPDATE ONLY "public"."표" SET "id" = %s WHERE "id" = %s::bigint',
            ["1", "1"],
        ),
        (
            change(ChangeKind.DELETE, old=("1", None)),
            'DELETE FROM ONLY "public"."표" WHERE "id" = %s::bigint',
            ["1"],
        ),
        (Truncation(tables=(LOTS,)), 'TRUNCATE ONLY "public"."표"', []),
    ],
)
def test_a_change_is_repeated_on_the_row_that_its_key_names(
    one: RowChange | Truncation, expected: str, parameters: list[str | None]
) -> None:
    text, values = statement(one, facts=facts())
    assert text.as_string() == expected
    assert values == parameters


def test_an_identity_that_is_always_generated_is_left_alone_by_updates() -> None:
    text, values = statement(change(ChangeKind.UPDATE, new=("1", "b")), facts=facts(always=True))
    assert text.as_string() == 'UPDATE ONLY "public"."표" SET "note" = %s WHERE "id" = %s::bigint'
    assert values == ["b", "1"]


def test_without_a_key_one_row_of_equal_ones_is_met_and_null_is_a_value() -> None:
    text, values = statement(change(ChangeKind.DELETE, old=("1", None)), facts=facts(key=()))
    assert text.as_string() == (
        'DELETE FROM ONLY "public"."표" WHERE ctid = (SELECT ctid FROM ONLY "public"."표" '
        'WHERE "id" IS NOT DISTINCT FROM %s::bigint AND "note" IS NOT DISTINCT FROM %s::text LIMIT 1)'
    )
    assert values == ["1", None]


def _commit(end: int) -> bytes:
    return b"C" + struct.pack("!BQQQ", 0, end - 8, end, 0)


def test_transactions_end_where_their_commit_says_and_share_descriptions_of_tables() -> None:
    described = (
        b"R" + struct.pack("!I", 1) + b"public\0t\0d" + struct.pack("!H", 1) + b"\1id\0" + struct.pack("!Ii", 23, -1)
    )
    inserted = b"I" + struct.pack("!I", 1) + b"N" + struct.pack("!H", 1) + b"t" + struct.pack("!I", 1) + b"7"
    found = transactions([b"B", described, inserted, _commit(100), b"B", inserted, inserted, _commit(200)])
    assert [(one.end, len(one.changes)) for one in found] == [(100, 1), (200, 2)]


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_positions_are_written_as_postgresql_writes_them(position: int) -> None:
    assert lsn_number(lsn_text(position)) == position


def test_a_position_has_two_halves_in_hexadecimal() -> None:
    assert lsn_text(0x16_B374D848) == "16/B374D848"
