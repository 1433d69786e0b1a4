"""The provider's kind Members, over stores in memory: one resource for all, and no row is ever deleted."""

from dataclasses import replace

import pytest

from provisioner import naming
from provisioner.datastore.postgres_privileges import ObjectKind, SqlObject
from stacks.provider.properties import Plain, plain_properties, wrapped_properties
from tests.unit.datastore.provider_world import MEMBERS, NAMES, TENANT, World, filled_world


@pytest.fixture
def filled() -> World:
    return filled_world()


def test_a_member_that_is_gone_from_the_server_is_a_difference_that_an_update_takes_away(filled: World) -> None:
    state = filled.create("coopctl:postgres:Members", MEMBERS)
    del filled.postgres.members[NAMES.database].schemas["member_m_1"]
    drifted = filled.read("coopctl:postgres:Members", state).properties
    assert plain_properties(drifted)["members"] == ["m-2"]
    assert filled.diff("coopctl:postgres:Members", drifted, MEMBERS).diffs == ["members"]
    assert filled.update("coopctl:postgres:Members", drifted, MEMBERS)["members"] == ["m-1", "m-2"]


def test_a_member_that_leaves_keeps_its_rows_and_so_do_all_when_the_cooperative_goes(filled: World) -> None:
    state = filled.create("coopctl:postgres:Members", MEMBERS)
    for schema in ("member_m_1", "member_m_2"):
        table = SqlObject(kind=ObjectKind.TABLE, path=(schema, "files"), owner=NAMES.owner_role)
        filled.postgres.tables[NAMES.database][table] = 1
    left = wrapped_properties(filled.update("coopctl:postgres:Members", state, MEMBERS | {"members": ["m-2"]}))
    schemas = filled.postgres.members[NAMES.database].schemas
    retained = replace(TENANT.mark, retained=True)
    assert {name: one.mark for name, one in schemas.items()} == {"member_m_1": retained, "member_m_2": TENANT.mark}
    filled.delete("coopctl:postgres:Members", left)
    assert {one.mark for one in schemas.values()} == {retained}


def test_two_members_whose_roles_would_have_one_name_are_refused(
    filled: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "_MEMBER_DIGEST", 0)
    clash: list[Plain] = ["a" * 40, "b" * 40]
    inputs = MEMBERS | {"database": "c" * 40, "members": clash}
    assert filled.problems("coopctl:postgres:Members", inputs) == ["members"]
