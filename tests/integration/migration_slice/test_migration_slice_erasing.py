"""What was handed over is erased on the platform, with a proof; all others are as they were."""

import hashlib
import json
from typing import Any

import pytest

from tests.integration.migration_slice.conftest import NAME, SliceWorld

pytestmark = [pytest.mark.servers, pytest.mark.long(seconds=60)]

ERASE = ("--yes", "--early", "--cut-references")
OWN = """
    SELECT (SELECT count(*) FROM bookings WHERE firm = 7) + (SELECT count(*) FROM firms WHERE id = 7)
         + (SELECT count(*) FROM users WHERE firm = 7) + (SELECT count(*) FROM events WHERE firm = 7)
         + (SELECT count(*) FROM "we""ird; -- table" WHERE member_id = 'm-7')
         + (SELECT count(*) FROM booking_lines WHERE booking NOT IN (SELECT id FROM bookings))
"""
# Rows of others as text; whom they refer to is left out, since references to the member are cut.
OTHERS = """
    SELECT md5(string_agg(t, '|' ORDER BY t)) FROM (
        SELECT concat_ws(',', 'b', id, firm, party, size, doc::text) FROM bookings WHERE firm <> 7
        UNION ALL SELECT concat_ws(',', 'l', l.*) FROM booking_lines l JOIN bookings b ON b.id = booking WHERE firm <> 7
        UNION ALL SELECT concat_ws(',', 'p', id, name, city, parent) FROM parties
        UNION ALL SELECT concat_ws(',', 'c', c.*) FROM cities c
        UNION ALL SELECT concat_ws(',', 'u', u.*) FROM users u WHERE firm <> 7
        UNION ALL SELECT concat_ws(',', 'e', e.*) FROM events e WHERE firm <> 7
        UNION ALL SELECT concat_ws(',', 'f', f.*) FROM firms f WHERE id <> 7) AS of (t)
"""


def handed_over(world: SliceWorld) -> None:
    for command in ("start", "finalise"):
        world.ok(command, *(("--yes",) if command == "finalise" else ()))


def proof_of(world: SliceWorld) -> dict[str, Any]:
    """The proof, from the report; its digest is right."""
    code, report = world.json("migrate", "report", NAME)
    assert code == 0
    proof, digest = report["erasure"]["proof"], report["erasure"]["digest"]
    assert digest == hashlib.sha256(json.dumps(proof, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    return dict(proof)


def test_nothing_is_erased_before_it_is_handed_over_and_before_its_time(sharing: SliceWorld) -> None:
    code, said = sharing.run("migrate", "erase", NAME, *ERASE)[::2]
    assert (code, "has not handed them over" in said) == (11, True)
    sharing.ok("start")
    assert sharing.run("migrate", "erase", NAME, *ERASE)[0] == 11
    sharing.ok("finalise", "--yes")
    code, said = sharing.run("migrate", "erase", NAME, "--yes")[::2]
    assert (code, "are kept until" in said) == (11, True)
    code, said = sharing.run("migrate", "erase", NAME, "--early")[::2]
    assert (code, "add --yes" in said) == (2, True)
    assert sharing.on_source("SELECT count(*) FROM bookings WHERE firm = 7") == [(100,)]


def test_the_member_s_rows_and_objects_go_and_all_others_are_as_they_were(sharing: SliceWorld) -> None:
    handed_over(sharing)
    others, wanted = sharing.on_source(OTHERS), sharing.on_source("SELECT count(*) FROM bookings WHERE firm <> 7")
    code, said = sharing.run("migrate", "erase", NAME, "--yes", "--early")[::2]
    assert (code, "rows of others refer to the member's" in said) == (11, True)
    assert '"public"."parties" (made_by)' in said
    assert sharing.on_source("SELECT count(*) FROM bookings WHERE firm = 7") == [(100,)]
    sharing.ok("erase", *ERASE)
    assert sharing.on_source(OWN) == [(0,)]
    assert sharing.on_source(OTHERS) == others
    assert sharing.on_source("SELECT count(*) FROM counted WHERE firm = 7") == [(0,)]
    assert sorted(sharing.bucket.bodies()) == ["logos/all.png", "scans/m-70/3.png"]
    assert sharing.leftovers() == []
    proof = proof_of(sharing)
    sums = {one["name"]: one["rows"] for one in proof["tables"]}
    assert (sums['"public"."bookings"'], sums['"public"."booking_lines"']) == (100, 300)
    assert {one["name"]: one["rows"] for one in proof["others"]}['"public"."bookings"'] == wanted[0][0]
    assert any(one["reference"].startswith('"public"."parties" (made_by)') for one in proof["cut"])
    assert (proof["objects"]["versions"], proof["otherVersions"]) == (3, 2)
    said = sharing.ok("report", "--language", "ko")
    assert "회원사" in said
    assert sharing.run("migrate", "erase", NAME, *ERASE)[0] == 6


@pytest.mark.parametrize(
    "kind",
    [
        "TRIGGER reach AFTER DELETE ON bookings FOR EACH STATEMENT",
        "CONSTRAINT TRIGGER reach AFTER DELETE ON bookings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW",
    ],
)
def test_a_deletion_that_would_reach_others_is_taken_back(sharing: SliceWorld, kind: str) -> None:
    handed_over(sharing)
    sharing.on_source(
        "CREATE FUNCTION reach() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN UPDATE bookings SET size = ''small'' WHERE firm = 8; RETURN NULL; END'"
    )
    sharing.on_source(f"CREATE {kind} EXECUTE FUNCTION reach()")
    others = sharing.on_source(OTHERS)
    code, said = sharing.run("migrate", "erase", NAME, *ERASE)[::2]
    assert (code, 'rows of others in "public"."bookings" would be changed' in said) == (11, True), said
    assert sharing.on_source(OTHERS) == others
    assert sharing.on_source("SELECT count(*) FROM bookings WHERE firm = 7") == [(100,)]
    sharing.on_source("DROP TRIGGER reach ON bookings")
    sharing.ok("erase", *ERASE)


def test_a_trigger_of_the_tenant_has_no_more_rights_than_the_tenant(sharing: SliceWorld) -> None:
    handed_over(sharing)
    sharing.on_source(
        "CREATE FUNCTION catch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN"
        " IF (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN"
        " RAISE EXCEPTION 'a superuser fired it'; END IF; RETURN NULL; END$$;"
        "CREATE TRIGGER catch AFTER DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION catch()"
    )
    sharing.ok("erase", *ERASE)


def test_rows_that_came_after_the_hand_over_refuse_the_erasure(sharing: SliceWorld) -> None:
    handed_over(sharing)
    sharing.on_source("INSERT INTO bookings (firm, party) VALUES (7, 1)")
    code, said = sharing.run("migrate", "erase", NAME, *ERASE)[::2]
    assert (code, "are not those that were handed over" in said) == (11, True)
    sharing.on_source("DELETE FROM bookings WHERE firm = 7 AND doc IS NULL; CREATE TABLE mystery (id int)")
    code, said = sharing.run("migrate", "erase", NAME, *ERASE)[::2]
    assert (code, '"public"."mystery"' in said) == (11, True)
    sharing.on_source("DROP TABLE mystery")
    sharing.bucket.put("scans/m-7/new.png", b"new")
    code, said = sharing.run("migrate", "erase", NAME, *ERASE)[::2]
    assert (code, "the objects are not erased" in said) == (11, True)
    assert "scans/m-7/new.png" in sharing.bucket.bodies()


@pytest.mark.parametrize(
    "at",
    [
        "before:provisioner.migration.slice_erasing:_delete",
        "after:provisioner.operations.slice_erasing:erase_rows",
        "after:provisioner.migration.objects_bucket:Bucket.remove",
        "before:provisioner.operations.slice_erasing:clear_away",
    ],
)
def test_an_erasure_that_is_killed_is_gone_on_with_by_the_same_command(sharing: SliceWorld, at: str) -> None:
    handed_over(sharing)
    others = sharing.on_source(OTHERS)
    assert sharing.killed("erase", *ERASE, at=at) == -9
    sharing.ok("erase", *ERASE)
    assert sharing.on_source(OWN) == [(0,)]
    assert sharing.on_source(OTHERS) == others
    assert sharing.leftovers() == []
    assert {one["name"]: one["rows"] for one in proof_of(sharing)["tables"]}['"public"."bookings"'] == 100


def test_where_each_member_has_a_schema_its_rows_go_and_the_schema_stays(apart: SliceWorld) -> None:
    handed_over(apart)
    apart.ok("erase", "--yes", "--early")
    assert apart.on_source(
        'SELECT (SELECT count(*) FROM member_m_7.lots), (SELECT count(*) FROM member_m_7."lot notes")'
    ) == [(0, 0)]
    assert apart.on_source("SELECT (SELECT count(*) FROM member_m_8.lots), (SELECT count(*) FROM cities)") == [(50, 9)]


def test_a_slice_goes_to_a_newer_server_of_the_member_s_own_whose_login_has_no_further_right(
    sharing_to_managed: SliceWorld,
) -> None:
    world = sharing_to_managed
    others = world.on_source(OTHERS)
    world.ok("start")
    assert "leak test: no row of anybody else" in world.ok("verify")
    world.ok("finalise", "--yes")
    world.ok("erase", *ERASE)
    assert world.on_source(OTHERS) == others
    assert world.on_target("SELECT count(*), min(firm), max(firm) FROM bookings") == [(100, 7, 7)]
    assert world.on_source(OWN) == [(0,)]
    assert world.json("migrate", "report", NAME)[1]["erasure"]["proof"] == proof_of(world)
