"""The pure parts of moving a database: pieces and their order, progress, messages of a stream, reports and proofs."""

import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.datastore.credentials import Secret
from provisioner.errors import UsageError, VerificationFailed
from provisioner.migration.postgres_catalogue import Catalogue, CatalogueDifference, compare
from provisioner.migration.postgres_changes import RowChange, Truncation, decoded, touched
from provisioner.migration.postgres_copy_plan import CopyPiece, bounded_streams, plan_copy
from provisioner.migration.postgres_copy_progress import Meter, share
from provisioner.migration.postgres_facts import (
    ColumnFacts,
    ReplicaIdentity,
    ServerFacts,
    TableFacts,
    TableName,
    quoted,
)
from provisioner.migration.postgres_large_objects import LargeObjectDigests
from provisioner.migration.postgres_preflight import Route, TableRoute
from provisioner.migration.postgres_report import (
    RowDifference,
    Scope,
    TableVerification,
    VerificationReport,
    Verified,
    require_verified,
)
from provisioner.migration.postgres_row_sums import chunk_count
from provisioner.migration.postgres_schema import kept_entries
from provisioner.migration.postgres_sides import side_from_dsn
from provisioner.naming import CooperativeUid, is_replication_name, replication_names

NAMES = replication_names(CooperativeUid("0123456789abcdef"))
SERVER = ServerFacts(version=150018, superuser=True, replication=True, free_connections=100)


def table(name: str, *, pages: int, size: int | None = None) -> TableFacts:
    return TableFacts(
        name=TableName(schema="public", name=name),
        pages=pages,
        bytes=pages * 8192 if size is None else size,
        rows=pages * 100,
        columns=(ColumnFacts(name="id", type="integer"), ColumnFacts(name="made", type="integer", generated=True)),
        key=("id",),
    )


def route(one: TableFacts, *, way: Route = Route.STREAM) -> TableRoute:
    return TableRoute(
        table=one.name, route=way, identity=ReplicaIdentity.DEFAULT, was=ReplicaIdentity.DEFAULT, binary=True
    )


def plan(
    *tables: TableFacts, server: ServerFacts = SERVER, chunk_pages: int = 10, whole: bool = False
) -> list[CopyPiece]:
    return list(
        plan_copy(
            tables,
            [route(one) for one in tables],
            route=Route.STREAM,
            source=server,
            chunk_pages=chunk_pages,
            whole=whole,
        )
    )


def test_the_largest_table_comes_first_and_is_split_by_pages() -> None:
    pieces = plan(table("small", pages=3), table("large", pages=25))
    assert [(piece.table.name, piece.first, piece.end) for piece in pieces] == [
        ("large", 0, 10),
        ("large", 10, 20),
        ("large", 20, None),
        ("small", 0, None),
    ]


@given(pages=st.integers(min_value=0, max_value=500), chunk=st.integers(min_value=1, max_value=60))
def test_every_page_is_in_exactly_one_piece_and_the_last_is_open(pages: int, chunk: int) -> None:
    pieces = plan(table("t", pages=pages), chunk_pages=chunk)
    assert pieces[0].first == 0
    assert [piece.end for piece in pieces[:-1]] == [piece.first for piece in pieces[1:]]
    assert pieces[-1].end is None


def test_servers_without_scans_of_ctid_ranges_copy_a_table_whole() -> None:
    assert len(plan(table("t", pages=100), server=replace(SERVER, version=130020))) == 1
    assert len(plan(table("t", pages=100), whole=True)) == 1


def test_tables_of_another_route_are_left_out() -> None:
    one, other = table("one", pages=1), table("other", pages=1)
    routes = [route(one), route(other, way=Route.FENCED)]
    pieces = plan_copy([one, other], routes, route=Route.FENCED, source=SERVER)
    assert [piece.table.name for piece in pieces] == ["other"]


def test_statements_name_columns_that_are_stored_and_quote_everything() -> None:
    odd = replace(table("x", pages=30), name=TableName(schema='s"q', name="표 1"))
    middle = plan(odd)[1]
    assert middle.read_statement() == (
        """COPY (SELECT "id" FROM ONLY "s""q"."표 1" WHERE ctid >= '(10,0)' AND ctid < '(20,0)') """
        "TO STDOUT (FORMAT binary)"
    )
    assert middle.write_statement() == 'COPY "s""q"."표 1" ("id") FROM STDIN (FORMAT binary)'


@pytest.mark.parametrize(
    ("wanted", "source_free", "target_free", "expected"),
    [(4, 100, 100, 4), (8, 20, 100, 5), (8, 100, 6, 3), (8, 0, 0, 1)],
)
def test_streams_leave_connections_to_others(wanted: int, source_free: int, target_free: int, expected: int) -> None:
    source, target = replace(SERVER, free_connections=source_free), replace(SERVER, free_connections=target_free)
    assert bounded_streams(wanted, source=source, target=target) == expected


def test_progress_tells_bytes_rate_and_time_left_for_each_table_and_in_all() -> None:
    pieces = plan(table("t", pages=20), table("u", pages=5))
    meter = Meter(pieces, started=0.0)
    meter.begins(pieces[0], label="a", now=0.0)
    meter.begins(pieces[2], label="b", now=1.0)
    meter.saw([("a", 81920 // 2), ("unknown", 5)])
    half = meter.progress(now=2.0)
    assert half.tables[pieces[0].table].done_bytes == 40960
    assert half.total.total_bytes == 25 * 8192
    assert half.total.rate == 20480
    assert half.total.eta_seconds == (25 * 8192 - 40960) / 20480
    meter.ends("a")
    assert meter.progress(now=2.0).tables[pieces[0].table].done_bytes == 81920


def test_a_stream_that_waits_says_why_and_counts_nothing_of_its_piece() -> None:
    pieces = plan(table("t", pages=5))
    meter = Meter(pieces, started=0.0)
    meter.begins(pieces[0], label="a", now=0.0)
    meter.saw([("a", 1000)])
    meter.waits("a", why="no space left on device")
    now = meter.progress(now=1.0)
    assert now.waiting == "no space left on device"
    assert now.total.done_bytes == 0
    assert now.total.eta_seconds is None


def test_a_share_that_is_done_has_no_time_left() -> None:
    assert share(10, 10, seconds=2.0).eta_seconds == 0.0
    assert share(0, 10, seconds=0.0).eta_seconds is None


def test_our_own_publications_are_left_out_of_a_restore() -> None:
    lines = [
        "; an archive's comment\n",
        "3401; 6104 16450 PUBLICATION - of_the_application postgres\n",
        f"3402; 6104 16451 PUBLICATION - {NAMES.publication} postgres\n",
        f"3403; 6106 16452 PUBLICATION TABLE public {NAMES.publication} lots postgres\n",
        f"215; 1259 16390 TABLE public {NAMES.publication} postgres\n",
    ]
    assert list(kept_entries(lines)) == [lines[0], lines[1], lines[4]]


@pytest.mark.parametrize(
    "name",
    sorted({*NAMES.publications, *NAMES.roles, NAMES.slot, NAMES.watch_slot, NAMES.subscription, NAMES.reverse_slot}),
)
def test_names_of_a_migration_are_known_and_fit_every_limit(name: str) -> None:
    assert is_replication_name(name)
    assert len(name) <= 63
    assert name.replace("_", "a").isalnum()


def _string(text: str) -> bytes:
    return text.encode() + b"\0"


def _tuple(*values: str | None) -> bytes:
    parts = [
        b"n" if value is None else b"t" + struct.pack("!I", len(value.encode())) + value.encode() for value in values
    ]
    return struct.pack("!H", len(values)) + b"".join(parts)


def _relation(number: int, *columns: str) -> bytes:
    described = b"".join(b"\1" + _string(name) + struct.pack("!Ii", 23, -1) for name in columns)
    return (
        b"R"
        + struct.pack("!I", number)
        + _string("public")
        + _string("t")
        + b"d"
        + struct.pack("!H", len(columns))
        + described
    )


LOTS = replace(table("t", pages=1), key=("id",))


def test_keys_before_and_after_a_change_are_touched() -> None:
    number = struct.pack("!I", 9)
    messages = [
        b"B" + b"\0" * 20,
        _relation(9, "id", "note"),
        b"I" + number + b"N" + _tuple("1", "쌀"),
        b"U" + number + b"K" + _tuple("2", None) + b"N" + _tuple("3", "x"),
        b"D" + number + b"K" + _tuple("4", None),
        b"C" + b"\0" * 25,
    ]
    found = touched(decoded(messages), tables=[LOTS])
    assert found.keys == {LOTS.name: {("1",), ("2",), ("3",), ("4",)}}
    assert not found.whole


def test_a_truncated_table_and_one_without_a_key_are_looked_at_as_a_whole() -> None:
    number = struct.pack("!I", 9)
    truncated = [_relation(9, "id"), b"T" + struct.pack("!IB", 1, 0) + number]
    assert list(decoded(truncated)) == [Truncation(tables=(LOTS.name,))]
    assert touched(decoded(truncated), tables=[LOTS]).whole == {LOTS.name}
    unkeyed = [_relation(9, "id"), b"I" + number + b"N" + _tuple("1")]
    assert touched(decoded(unkeyed), tables=[replace(LOTS, key=())]).whole == {LOTS.name}


def test_a_large_value_that_was_not_sent_is_no_null() -> None:
    message = b"U" + struct.pack("!I", 9) + b"N" + struct.pack("!H", 2) + b"t" + struct.pack("!I", 1) + b"7" + b"u"
    (change,) = decoded([_relation(9, "id", "body"), message])
    assert isinstance(change, RowChange)
    assert change.new == ("7", None)
    assert change.unchanged == {1}


def report(**changes: object) -> VerificationReport:
    clean = VerificationReport(
        scope=Scope.FULL,
        begun=0.0,
        seconds=1.0,
        source_version=150018,
        target_version=180003,
        tables=(TableVerification(table="t", source_rows=1, target_rows=1, chunks=1),),
        catalogue_entries=5,
    )
    return replace(clean, **changes)  # type: ignore[arg-type]  # a test's own fields


def test_a_clean_report_is_proof_and_nothing_else_makes_one() -> None:
    assert isinstance(require_verified(report()), Verified)
    with pytest.raises(TypeError):
        Verified(report(), seal=object())


def test_any_difference_refuses_the_proof_and_is_named() -> None:
    row = RowDifference(table="t", key="(1)", source="(1,a)", target=None)
    damaged = TableVerification(table="t", source_rows=1, target_rows=0, chunks=1, differing=3, differences=(row,))
    with pytest.raises(VerificationFailed) as caught:
        require_verified(report(tables=(damaged,)))
    assert caught.value.why == "t: row (1) is missing on the target; t: 2 further rows differ"
    with pytest.raises(VerificationFailed):
        require_verified(report(large_objects=(7,)))


def test_a_report_is_json() -> None:
    text = json.dumps(
        report(catalogue=(CatalogueDifference(kind="index", name="i", source="x", target=None),)).to_json()
    )
    assert json.loads(text)["clean"] is False


def test_catalogues_differ_by_what_is_missing_come_or_another() -> None:
    one = Catalogue(entries={("index", "a"): "1", ("index", "b"): "1", ("extension", "hstore"): "1.8; public"})
    other = Catalogue(entries={("index", "b"): "2", ("view", "c"): "", ("extension", "hstore"): "1.10; public"})
    assert [str(found) for found in compare(one, other)] == [
        "index a is missing",
        "index b is another",
        "view c has come",
    ]
    assert [found.kind for found in compare(other, one)] == ["extension", "index", "index", "view"]


def test_a_fingerprint_ignores_what_a_fence_changes() -> None:
    one = Catalogue(entries={("index", "a"): "1", ("database", "the database"): "app=CONNECT"})
    fenced = Catalogue(entries={("index", "a"): "1", ("database", "the database"): ""})
    assert one.fingerprint == fenced.fingerprint
    assert one.fingerprint != Catalogue(entries={("index", "a"): "2"}).fingerprint


@pytest.mark.parametrize(("pages", "chunks"), [(0, 1), (1, 1), (82, 2), (10**7, 1 << 14)])
def test_chunks_are_a_power_of_two_and_bounded(pages: int, chunks: int) -> None:
    assert chunk_count(table("t", pages=pages)) == chunks


def test_large_objects_differ_by_their_digest_or_their_absence() -> None:
    one = LargeObjectDigests(by_oid=((1, "a"), (2, "b"), (3, "c")))
    other = LargeObjectDigests(by_oid=((1, "a"), (2, "x"), (4, "d")))
    assert one.differing(other) == (2, 3, 4)


def test_a_dsn_is_parsed_and_never_shown() -> None:
    side = side_from_dsn(Secret("postgresql://mover:s3cret@db.rice.example/rice?sslmode=verify-full"))
    assert (side.host, side.port, side.user, side.database) == ("db.rice.example", 5432, "mover", "rice")
    assert dict(side.extra) == {"sslmode": "verify-full"}
    assert "s3cret" not in repr(side)
    assert "password" not in side.parameters


@pytest.mark.parametrize("dsn", ["no dsn at s3cret", "postgresql://u:s3cret@/x", "host=h password=s3cret"])
def test_a_dsn_that_cannot_be_used_is_refused_without_showing_it(dsn: str) -> None:
    with pytest.raises(UsageError) as caught:
        side_from_dsn(Secret(dsn))
    assert "s3cret" not in str(caught.value)


@given(st.text(min_size=1).filter(lambda text: "\0" not in text))
def test_a_quoted_identifier_can_be_read_back(name: str) -> None:
    assert quoted(name)[1:-1].replace('""', '"') == name
