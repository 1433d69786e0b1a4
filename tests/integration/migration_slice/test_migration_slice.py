"""A member's slice is planned, copied and compared; what must not be in it is found; what is killed goes on."""

import pytest

from provisioner.migration.journal import journal_file, read
from provisioner.migration.journal_entries import RunEnding, RunKind
from tests.integration.migration_slice.conftest import NAME, SliceWorld

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=60)]

SHARED = ['"we""ird; -- table"', "booking_lines", "bookings", "cities", "events", "firms", "parties", "users"]
CLOSURE = """
    WITH RECURSIVE taken (id) AS (
        SELECT party FROM bookings WHERE firm = 7
        UNION SELECT p.parent FROM parties p JOIN taken t ON t.id = p.id WHERE p.parent IS NOT NULL)
    SELECT array_agg(id ORDER BY id) FROM taken
"""


def test_the_plan_lists_every_table_with_what_becomes_of_it(sharing: SliceWorld) -> None:
    code, plan = sharing.json("migrate", "plan", NAME)
    assert code == 0, plan
    assert {one["name"]: one["treatment"] for one in plan["tables"]} == {
        '"public"."we""ird; -- table"': "filtered",
        '"public"."booking_lines"': "filtered",
        '"public"."bookings"': "filtered",
        '"public"."cities"': "referenced",
        '"public"."events"': "filtered",
        '"public"."firms"': "filtered",
        '"public"."parties"': "referenced",
        '"public"."users"': "filtered",
    }
    assert plan["rows"]['"public"."bookings"'] == 100
    assert plan["objects"] == {"own": 2, "shared": 1, "others": 1, "unknown": 0}
    assert plan["prefixes"] == ["scans/m-7/"]
    assert [one["severity"] for one in plan["problems"]] == ["warning"] * 2
    sharing.on_source("CREATE TABLE mystery (id int); CREATE TABLE riddle (id int)")
    code, said = sharing.found("plan")
    assert code == 11
    assert said.count("no data map of a chosen solution speaks of it") >= 2
    code, said = sharing.found("start")
    assert code == 11
    assert '"public"."mystery"' in said
    assert sharing.tables() == []


def test_a_slice_holds_the_member_s_rows_and_what_they_refer_to_and_nothing_else(sharing: SliceWorld) -> None:
    for command in ("cutover", "rollback", "relay", "rehearse"):
        code, said = sharing.found(command)
        assert (code, "the slice of the member m-7" in said) == (2, True), said
    sharing.ok("start")
    assert sharing.tables() == SHARED
    assert sharing.on_target("SELECT DISTINCT firm FROM bookings UNION SELECT firm FROM events") == [(7,)]
    assert sharing.on_target("SELECT id FROM firms") == [(7,)]
    assert sharing.on_target('SELECT DISTINCT member_id FROM "we""ird; -- table"') == [("m-7",)]
    assert sharing.on_target("SELECT array_agg(id ORDER BY id) FROM parties") == sharing.on_source(CLOSURE)
    assert sharing.on_target("SELECT DISTINCT made_by IN (SELECT id FROM users) FROM parties WHERE made_by > 0") == [
        (True,)
    ]
    assert sharing.on_target("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(8,)]
    commented = "SELECT obj_description('bookings'::regclass), col_description('bookings'::regclass, 6)"
    assert sharing.on_target(commented) == [("예약", "what was said")]
    assert sharing.on_target("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert list(sharing.target_bucket.bodies()) == ["scans/m-7/1.png", "scans/m-7/deep/2.png"]
    assert len(sharing.target_bucket.bodies()["scans/m-7/1.png"]) == 2
    sharing.on_target(
        "INSERT INTO bookings (firm, party) SELECT 7, min(id) FROM parties; DELETE FROM bookings WHERE doc IS NULL"
    )
    said = sharing.ok("verify")
    assert "leak test: no row of anybody else" in said
    secret = sharing.target.password.reveal().encode()
    kept = [file for file in (sharing.root / ".coopctl" / "migrations").rglob("*") if file.is_file()]
    assert [file.name for file in kept if secret in file.read_bytes()] == []
    sharing.ok("abort", "--yes")
    assert sharing.tables() == []
    assert sharing.target_bucket.bodies() == {}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "INSERT INTO firms VALUES (8, 'x'); INSERT INTO bookings (firm, party) SELECT 8, min(id) FROM parties",
            '"public"."bookings": 1 rows that are not the member\'s',
        ),
        ("INSERT INTO cities VALUES (99, 'x')", '"public"."cities": 1 rows that nothing of the member refers to'),
        ('INSERT INTO "we""ird; -- table" VALUES (NULL, \'x\')', "1 rows that are not the member's"),
        ("CREATE TABLE copied AS SELECT 1", '"public"."copied": 1 rows are in a table that is not part of the slice'),
        ("UPDATE bookings SET size = 'small' WHERE id = (SELECT min(id) FROM bookings)", "is changed on the target"),
        ("DELETE FROM events WHERE what = (SELECT min(what) FROM events)", "is missing on the target"),
        ("ALTER TABLE bookings DROP CONSTRAINT bookings_party_fkey", "foreign key bookings_party_fkey is another"),
        ("SELECT setval('bookings_id_seq', 1)", "stands at 1"),
    ],
)
def test_what_must_not_be_in_the_slice_is_found_and_copied_away(sharing: SliceWorld, statement: str, said: str) -> None:
    sharing.ok("start")
    sharing.on_target(statement)
    code, shown = sharing.found("verify")
    assert code == 11
    assert said in shown
    code, shown = sharing.found("verify")
    assert code == 11
    code, refused = sharing.run("migrate", "finalise", NAME, "--yes")[::2]
    assert (code, "does not hold exactly the member's slice" in refused) == (11, True)
    sharing.ok("start")
    sharing.ok("verify")


def test_a_foreign_object_and_what_is_written_meanwhile_are_named(sharing: SliceWorld) -> None:
    sharing.ok("start")
    foreign = sharing.target_bucket.put("scans/m-8/1.png", b"foreign")
    sharing.on_source("INSERT INTO bookings (firm, party) VALUES (7, 1)")
    sharing.bucket.put("scans/m-7/new.png", b"new")
    code, shown = sharing.found("verify")
    assert code == 11
    assert '"public"."bookings": row' in shown
    assert "is missing on the target" in shown
    assert "scans/m-8/1.png (version 1): unexpected" in shown
    assert "scans/m-7/new.png (version 1): missing" in shown
    assert sharing.found("start")[0] == 3, "what somebody else has put there is not overwritten"
    sharing.target_bucket.delete("scans/m-8/1.png", VersionId=foreign)
    sharing.ok("start")
    sharing.ok("verify")


@pytest.mark.parametrize(
    "at",
    [
        "before:provisioner.migration.slice_copying:restore_before_rows",
        "after:provisioner.migration.slice_copying:_copy_table",
        "before:provisioner.migration.slice_copying:_refer",
        "before:provisioner.operations.slice_moving:copy_objects",
    ],
)
def test_a_copy_that_is_killed_is_gone_on_with_by_the_same_command(sharing: SliceWorld, at: str) -> None:
    assert sharing.killed("start", at=at) == -9
    sharing.ok("start")
    sharing.ok("verify")
    assert sharing.tables() == SHARED


def test_a_hand_over_that_is_killed_is_gone_on_with_by_the_same_command(sharing: SliceWorld) -> None:
    sharing.ok("start")
    assert sharing.killed("finalise", "--yes", at="after:provisioner.operations.slice_moving:release_target") == -9
    code, said = sharing.run("migrate", "abort", NAME, "--yes")[::2]
    assert (code, "may be the member's already" in said) == (1, True)
    sharing.ok("finalise", "--yes")
    record = read(journal_file(sharing.root / ".coopctl", NAME))
    assert record is not None
    assert [(run.kind, run.ending) for run in record.runs] == [(RunKind.MIGRATION, RunEnding.FINALISED)]
    code, said = sharing.found("start")
    assert code == 11
    assert "relations already" in said


def test_where_each_member_has_a_schema_its_own_goes_along_whole(apart: SliceWorld) -> None:
    code, plan = apart.json("migrate", "plan", NAME)
    assert code == 0, plan
    assert {one["name"]: one["treatment"] for one in plan["tables"]} == {
        '"member_m_7"."lot notes"': "taken",
        '"member_m_7"."lots"': "taken",
        '"member_m_8"."lots"': "left",
        '"public"."cities"': "referenced",
    }
    apart.ok("start")
    assert apart.on_target("SELECT nspname FROM pg_namespace WHERE nspname ~ '^member'") == [("member_m_7",)]
    assert apart.on_target("SELECT array_agg(id ORDER BY id) FROM cities") == [([1, 2, 3],)]
    assert apart.on_target("SELECT nextval('member_m_7.lots_id_seq')") == [(101,)]
    apart.ok("verify")
    apart.on_target("INSERT INTO cities VALUES (9, 'city 9')")
    code, shown = apart.found("verify")
    assert (code, "1 rows that nothing of the member refers to, for one (9)" in shown) == (11, True)


def test_a_member_s_documents_go_along_with_their_bytes_and_nobody_else_s(filing: SliceWorld) -> None:
    code, plan = filing.json("migrate", "plan", NAME)
    assert code == 0, plan
    treatments = {one["name"]: one["treatment"] for one in plan["tables"]}
    kinds = ("account", "document", "part", "session")
    assert treatments == {
        **{f'"member_m_7"."member_files_{kind}"': "taken" for kind in kinds},
        **{f'"member_m_8"."member_files_{kind}"': "left" for kind in kinds},
        **{f'"public"."member_files_{kind}"': "referenced" for kind in ("account", "session")},
        '"public"."coopctl_migrations"': "referenced",
    }
    filing.ok("start")
    filing.ok("verify")
    assert filing.on_target("SELECT name, bytes FROM member_m_7.member_files_document") == [("member_m_7.pdf", 300000)]
    query = "SELECT {} FROM member_m_7.member_files_part ORDER BY place"
    digests = query.format("place, md5(content)")
    assert filing.on_target(digests) == filing.on_source(digests)
    assert len(filing.on_target(digests)) == 2
    assert filing.on_target("SELECT nspname FROM pg_namespace WHERE nspname ~ '^member'") == [("member_m_7",)]
    assert filing.on_target("SELECT count(*) FROM public.member_files_account") == [(0,)], "the office's stays"
