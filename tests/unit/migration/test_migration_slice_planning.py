"""Which references a slice follows, which it cuts, what its fingerprint depends on, and what stands in its way."""

from dataclasses import replace

import pytest

from provisioner.errors import Severity
from provisioner.migration.postgres_preflight_checks import Problem
from provisioner.migration.slice_classifying import SliceRequest
from provisioner.migration.slice_copying import restored
from provisioner.migration.slice_facts import SliceFacts
from provisioner.migration.slice_judging import SliceSurvey, slice_problems
from provisioner.migration.slice_objects import ObjectShares, Share, Sharing
from provisioner.migration.slice_picking import SliceCounts
from provisioner.migration.slice_planning import as_slice_document
from provisioner.migration.slice_rows import SliceStatements
from tests.unit.migration.slices import data_map, facts, key, named, planned, relation, request
from tests.unit.migration.test_migration_preflight import source, target

MAP = data_map(
    {"firms": ("id",), "users": ("firm",), "bookings": ("firm",), "lines": ("booking", "firm")}, ("cities", "parties")
)


def trade(*, made_by: str = "made_by") -> SliceFacts:
    """Firms book with parties, which all firms share; users of a firm make both."""
    return facts(
        relation("firms", "id"),
        relation("users"),
        relation("cities", "id"),
        relation("parties", "id city parent made_by"),
        relation("bookings", f"id firm party {made_by}"),
        relation("lines", "booking"),
        keys=(
            key("users", "firm", "firms"),
            key("parties", "city", "cities"),
            key("parties", "parent", "parties"),
            key("parties", "made_by", "users"),
            key("bookings", "firm", "firms"),
            key("bookings", "party", "parties"),
            key("bookings", "made_by", "users"),
            key("lines", "booking", "bookings"),
        ),
    )


def test_references_to_shared_rows_are_followed_and_those_to_members_rows_are_cut_where_they_may_lead_out() -> None:
    plan = planned(trade(), request(MAP))
    assert {one.name for one in plan.followed} == {"parties_city", "parties_parent", "bookings_party"}
    assert {(one.key.name, one.column) for one in plan.cuts} == {
        ("parties_made_by", "made_by"),
        ("bookings_made_by", "made_by"),
    }
    assert {one.name for one in plan.constraints} == {one.name for one in trade().foreign_keys}


def test_a_reference_that_may_not_be_null_has_no_column_to_cut() -> None:
    plan = planned(trade(made_by="made_by!"), request(MAP))
    assert {one.key.name: one.column for one in plan.cuts}["bookings_made_by"] is None


def test_references_to_what_is_left_are_always_cut_and_their_constraint_is_not_made() -> None:
    of = facts(
        relation("member_m_7.lots", "id twin"),
        relation("member_m_8.lots", "id"),
        keys=(key("member_m_7.lots", "twin", "member_m_8.lots"),),
    )
    plan = planned(of, request(layout="schema"))
    assert [(one.column, one.always) for one in plan.cuts] == [("twin", True)]
    assert plan.constraints == ()
    [read] = [SliceStatements(plan).rows(named("member_m_7.lots"), ("id", "twin")).as_string()]
    assert 'CASE WHEN (false) THEN t."twin" END AS "twin"' in read


def test_of_several_columns_the_last_that_may_be_null_is_cut_and_never_the_owner_s() -> None:
    of = facts(
        relation("users"),
        relation("bookings", "id firm maker"),
        keys=(key("bookings", "firm maker", "users"), key("bookings", "maker firm", "users", name="turned")),
    )
    plan = planned(of, request(data_map({"users": ("firm",), "bookings": ("firm",)})))
    assert {one.column for one in plan.cuts} == {"maker"}


def test_the_fingerprint_changes_with_decisions_alone() -> None:
    plan = planned(trade(), request(MAP))
    assert planned(trade(), request(MAP)).fingerprint == plan.fingerprint
    others = [
        planned(trade(), request(MAP, called="8")),
        planned(trade(), request(MAP, member="m-8")),
        planned(trade(made_by="made_by!"), request(MAP)),
        planned(facts(*trade().relations.values(), relation("member_m_7.more")), request(MAP)),
        planned(facts(*trade().relations.values(), relation("member_m_8.more")), request(MAP)),
        replace(plan, sides=replace(plan.sides, target="elsewhere")),
        replace(plan, prefixes=("scans/m-7/",)),
    ]
    fingerprints = [one.fingerprint for one in others]
    assert plan.fingerprint not in fingerprints
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_plan_as_json_lists_every_table_with_its_treatment() -> None:
    of = facts(*trade().relations.values(), relation("member_m_8.lots"), relation("mystery"), keys=trade().foreign_keys)
    document = as_slice_document(planned(of, request(MAP)))
    tables = document["tables"]
    assert isinstance(tables, list)
    found = {str(one["name"]): (one["treatment"], one["path"]) for one in tables if isinstance(one, dict)}
    assert found['"public"."lines"'] == ("filtered", ["booking", "firm"])
    assert found['"public"."parties"'] == ("referenced", [])
    assert found['"member_m_8"."lots"'] == ("left", [])
    assert found['"public"."mystery"'] == ("refused", [])


def shares(**keys: int) -> ObjectShares:
    counted = dict.fromkeys(Share, 0) | {Share(name): count for name, count in keys.items()}
    return ObjectShares(keys=counted, size_bytes=0, unknown="strange/1" if keys.get("unknown") else None)


def judged(
    of: SliceFacts, asked: SliceRequest, *, severed: int = 0, rows: int = 5, objects: ObjectShares | None = None
) -> dict[str, Problem]:
    """The problems by what they are."""
    plan = planned(of, asked)
    counts = SliceCounts(
        rows=dict.fromkeys((one.name for one in plan.kept), rows), severed=dict.fromkeys(plan.cuts, severed)
    )
    survey = SliceSurvey(
        source=source(), target=target(), shares=objects or shares(own=1), counts=counts, claimed=False
    )
    return {one.what: one for one in slice_problems(plan, survey)}


def test_a_slice_that_is_clear_has_no_problem() -> None:
    assert judged(trade(), request(MAP)) == {}


def test_each_table_that_nobody_can_classify_is_a_problem_of_its_own() -> None:
    of = facts(*trade().relations.values(), relation("mystery"), relation("riddle"), keys=trade().foreign_keys)
    found = judged(of, request(MAP))
    assert [one.severity for one in found.values()] == [Severity.ERROR] * 2
    assert any('"public"."mystery"' in what for what in found)
    assert all("data map" in one.remedy for one in found.values())


def test_a_cut_reference_is_told_and_one_that_cannot_be_cut_refuses() -> None:
    found = judged(trade(made_by="made_by!"), request(MAP), severed=3)
    assert {what.rpartition("member's: ")[2]: one.severity for what, one in found.items()} == {
        '"public"."bookings" (made_by) -> "public"."users"': Severity.ERROR,
        '"public"."parties" (made_by) -> "public"."users"': Severity.WARNING,
    }


def test_a_member_whom_no_table_knows_is_a_problem() -> None:
    [(what, one)] = judged(trade(), request(MAP), rows=0).items()
    assert "no table has a row of the member m-7, which tables should call '7'" in what
    assert "scope.key" in one.remedy


def test_objects_that_no_map_knows_refuse_and_shared_ones_are_told() -> None:
    found = judged(trade(), request(MAP), objects=shares(own=1, unknown=2, shared=3, others=4))
    assert {what.split()[0]: one.severity for what, one in found.items()} == {
        "nobody": Severity.ERROR,
        "3": Severity.WARNING,
    }
    assert any("'strange/1'" in what for what in found)


def test_a_foreign_key_that_runs_code_of_the_tenant_refuses() -> None:
    others = [one for one in trade().foreign_keys if one.name != "parties_city"]
    of = facts(*trade().relations.values(), keys=(*others, key("parties", "city", "cities", trusted=False)))
    [what] = judged(of, request(MAP))
    assert "compares by a cast or operator of the tenant's own" in what


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("scans/m-7/1", Share.OWN),
        ("scans/m-70/1", Share.OTHERS),
        ("scans/m-7", Share.UNKNOWN),
        ("xscans/m-7/1", Share.UNKNOWN),
        ("a.b/m-8/c", Share.OTHERS),
        ("aXb/m-8/c", Share.UNKNOWN),
        ("logos/m-7/1", Share.SHARED),
    ],
)
def test_a_key_belongs_to_whom_the_data_maps_say(name: str, share: Share) -> None:
    maps = data_map(member_objects=("scans/{member}/", "a.b/{member}/"), shared_objects=("logos/",))
    assert Sharing(request(maps)).of(name) is share


def test_nothing_is_restored_that_is_the_platform_s_way_of_running_the_cooperative() -> None:
    lines = [
        "; Archive created\n",
        "6; 2615 2200 SCHEMA - public rice_owner\n",
        "215; 1259 16385 TABLE public TRIGGER rice_owner\n",
        "216; 1259 16390 VIEW public all_bookings rice_owner\n",
        "217; 1259 16391 MATERIALIZED VIEW public counted rice_owner\n",
        "218; 2620 16392 TRIGGER public bookings noted rice_owner\n",
        "219; 3256 16393 POLICY public bookings coopctl_member rice_owner\n",
        "220; 0 16394 ROW SECURITY public bookings rice_owner\n",
        "221; 2606 16395 FK CONSTRAINT public bookings bookings_firm rice_owner\n",
        "222; 2606 16396 CONSTRAINT public bookings bookings_pkey rice_owner\n",
        "223; 1259 16397 SEQUENCE public VIEW rice_owner\n",
    ]
    assert [line.split(";")[0] for line in restored(lines)] == ["", "215", "222", "223"]


def test_every_name_is_quoted_in_every_statement() -> None:
    name, column = 'we"ird {}; -- %s', 'co"l {} %s'
    of = facts(relation(name, "id member_id:text"), relation("x", "id"))
    odd = replace(of.relations[named(name)].facts.columns[0], name=column)
    table = replace(of.relations[named(name)], facts=replace(of.relations[named(name)].facts, columns=(odd,)))
    plan = planned(facts(table), request())
    statements = SliceStatements(plan)
    [own] = plan.own
    for made in (statements.first_pick(own), statements.rows(own.name, (column,)), statements.strangers(own)):
        text = made.as_string()
        assert '"public"."we""ird {}; -- %s"' in text
        assert text.count('"') % 2 == 0
    assert '"co""l {} %s"' in statements.rows(own.name, (column,)).as_string()


def test_a_hostile_key_is_a_literal() -> None:
    of = facts(relation("bookings", "id firm:text"))
    plan = planned(of, request(data_map({"bookings": ("firm",)}), called="x' OR true; --"))
    [own] = plan.own
    assert "'x'' OR true; --'" in SliceStatements(plan).first_pick(own).as_string()
