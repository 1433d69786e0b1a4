"""What becomes of each table in a member's slice, and what is refused because nobody knows."""

import pytest

from provisioner.migration.slice_classifying import Treatment, classify, member_prefixes
from tests.unit.migration.slices import data_map, facts, key, named, relation, request, treatments, why

BOOKINGS = {"firms": ("id",), "bookings": ("firm",), "lines": ("booking", "firm")}


def test_tables_of_a_data_map_are_filtered_by_their_paths_and_shared_ones_are_taken_along_by_reference() -> None:
    of = facts(
        relation("firms", "id"),
        relation("bookings"),
        relation("lines", "booking"),
        relation("cities", "id"),
        keys=(key("bookings", "firm", "firms"), key("lines", "booking", "bookings")),
    )
    found = {one.name.name: one for one in classify(of, request(data_map(BOOKINGS, ("cities",))))}
    assert {name: str(one.treatment) for name, one in found.items()} == {
        "firms": "filtered",
        "bookings": "filtered",
        "lines": "filtered",
        "cities": "referenced",
    }
    assert [hop.name for hop in found["lines"].path] == ["lines_booking"]
    assert (found["lines"].owner_table, found["lines"].owner_column) == (named("bookings"), "firm")
    assert (found["firms"].owner_table, found["firms"].owner_column) == (named("firms"), "id")


def test_a_member_s_own_schema_is_taken_and_those_of_others_and_of_the_platform_are_left() -> None:
    of = facts(
        relation("member_m_7.lots"), relation("member_m_70.lots"), relation("coopctl.member_access"), relation("cities")
    )
    assert treatments(of, request(data_map({}, ("cities",)), layout="schema")) == {
        "member_m_7.lots": "taken",
        "member_m_70.lots": "left",
        "coopctl.member_access": "left",
        "public.cities": "referenced",
    }


def test_a_schema_of_an_earlier_layout_is_still_the_member_s() -> None:
    assert treatments(facts(relation("member_m_7.lots")), request()) == {"member_m_7.lots": "taken"}


def test_what_no_map_speaks_of_is_refused_in_both_layouts() -> None:
    of = facts(relation("mystery"))
    for layout in ("column", "schema"):
        assert treatments(of, request(layout=layout)) == {"public.mystery": "refused"}
        assert why(of, request(layout=layout), "mystery") == "no data map of a chosen solution speaks of it"


def test_where_members_share_tables_the_member_column_says_whose_a_row_is() -> None:
    of = facts(
        relation("sheets", "id member_id:text"),
        relation("cells", "id sheet"),
        relation("marks", "cell"),
        keys=(key("cells", "sheet", "sheets"), key("marks", "cell", "cells")),
    )
    found = {one.name.name: one for one in classify(of, request())}
    assert [hop.name for hop in found["marks"].path] == ["marks_cell", "cells_sheet"]
    assert {one.owner_column for one in found.values()} == {"member_id"}
    assert {one.treatment for one in found.values()} == {Treatment.FILTERED}
    assert set(treatments(of, request(layout="schema")).values()) == {"refused"}


def test_a_row_of_two_parents_belongs_to_nobody_before_a_data_map_says_so() -> None:
    of = facts(
        relation("sheets", "id member_id:text"),
        relation("copies", "sheet original"),
        keys=(key("copies", "sheet", "sheets"), key("copies", "original", "sheets")),
    )
    assert treatments(of, request())["public.copies"] == "refused"
    mapped = request(data_map({"copies": ("sheet", "member_id")}))
    assert treatments(of, mapped)["public.copies"] == "filtered"


def test_a_table_that_refers_to_itself_is_its_parent_s_all_the_same() -> None:
    of = facts(
        relation("sheets", "id member_id:text"),
        relation("cells", "id sheet above"),
        keys=(key("cells", "sheet", "sheets"), key("cells", "above", "cells")),
    )
    assert treatments(of, request())["public.cells"] == "filtered"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (("party", "firm"), 'party of "public"."lines" is no foreign key'),
        (("booking", "nothing"), '"public"."bookings" has no column nothing'),
        (("nothing",), '"public"."lines" has no column nothing'),
        (("twice", "firm"), 'twice of "public"."lines" is several of them'),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: tuple[str, ...], said: str) -> None:
    of = facts(
        relation("bookings"),
        relation("others"),
        relation("lines", "booking party twice"),
        keys=(
            key("lines", "booking", "bookings"),
            key("lines", "twice", "bookings"),
            key("lines", "twice", "others", name="again"),
        ),
    )
    asked = request(data_map({"lines": path, "bookings": ("firm",), "others": ("firm",)}))
    assert said in why(of, asked, "lines")


def test_maps_that_contradict_each_other_are_refused() -> None:
    of = facts(relation("bookings"))
    one = data_map({"bookings": ("firm",)})
    for other in (data_map({}, ("bookings",)), data_map({"bookings": ("id",)})):
        assert "contradict" in why(of, request(one, other), "bookings")
    assert treatments(of, request(one, one)) == {"public.bookings": "filtered"}


def test_two_tables_of_one_name_are_refused_since_the_map_means_one_of_them() -> None:
    of = facts(relation("bookings"), relation("archive.bookings"), relation("member_m_8.bookings"))
    asked = request(data_map({"bookings": ("firm",)}))
    assert treatments(of, asked) == {
        "public.bookings": "refused",
        "archive.bookings": "refused",
        "member_m_8.bookings": "left",
    }


def test_a_number_is_needed_where_tables_count_members() -> None:
    of = facts(relation("bookings"))
    asked = request(data_map({"bookings": ("firm",)}), called="m-7")
    assert "write scope.key" in why(of, asked, "bookings")
    for number in ("7", "-7"):
        assert treatments(of, request(data_map({"bookings": ("firm",)}), called=number)) == {
            "public.bookings": "filtered"
        }
    for text in ("７", "7e1", "", "-", "9" * 19, "7 "):
        assert treatments(of, request(data_map({"bookings": ("firm",)}), called=text)) == {"public.bookings": "refused"}


def test_the_platform_s_column_holds_the_member_s_id_whatever_solutions_call_it() -> None:
    asked = request(data_map({"bookings": ("firm",)}))
    assert (asked.called_in("firm"), asked.called_in("member_id")) == ("7", "m-7")


def test_a_path_over_a_cast_of_the_tenant_s_own_is_refused() -> None:
    of = facts(
        relation("bookings"), relation("lines", "booking"), keys=(key("lines", "booking", "bookings", trusted=False),)
    )
    asked = request(data_map({"bookings": ("firm",), "lines": ("booking", "firm")}))
    assert "the tenant's own" in why(of, asked, "lines")


def test_rows_on_another_server_are_refused() -> None:
    of = facts(relation("member_m_7.events", foreign=True))
    assert treatments(of, request()) == {"member_m_7.events": "refused"}


def test_hostile_names_are_classified_like_others_and_quoted_in_words() -> None:
    name = 'we"ird; DROP TABLE x; -- {} %s'
    of = facts(
        relation(name, "id member_id:text"), relation(f"{name}2", "parent"), keys=(key(f"{name}2", "parent", name),)
    )
    assert treatments(of, request()) == {f"public.{name}": "filtered", f"public.{name}2": "filtered"}
    assert why(of, request(), f"{name}2") == 'it belongs to "public"."we""ird; DROP TABLE x; -- {} %s"'


def test_prefixes_of_the_bucket_hold_the_member_s_id_and_none_lies_in_another() -> None:
    one = data_map(member_objects=("scans/{member}/", "{member}/", "a/{member}/b/"))
    assert member_prefixes(request(one)) == ("a/m-7/b/", "m-7/", "scans/m-7/")
    nested = data_map(member_objects=("scans/{member}/", "scans/{member}/deep/"))
    assert member_prefixes(request(nested)) == ("scans/m-7/",)
    assert member_prefixes(request()) == ()
