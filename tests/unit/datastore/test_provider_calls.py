"""The provider as Pulumi calls it, over stores in memory: what each call gives, and what a preview leaves alone."""

from dataclasses import replace
from typing import Any

import pytest
from pulumi.runtime import rpc

from provisioner.datastore.credentials import AccessKey, Secret, generate_password
from provisioner.datastore.postgres_privileges import ObjectKind, SqlObject
from provisioner.errors import NotFound, NotOurs, PolicyViolated, ProblemsFound, UsageError
from stacks.provider.configuration import from_properties, to_properties
from stacks.provider.kinds import DUMPED_DEVIATION
from stacks.provider.objects_kinds import HERE_DEVIATION
from stacks.provider.postgres_kinds import ERASED_DEVIATION
from stacks.provider.properties import Plain, Unknown, plain_properties, wrapped_properties
from tests.data_stores import foreign_mark
from tests.unit.datastore.provider_world import (
    ALL,
    APPLICATION,
    BUCKET,
    CONFIGURATION,
    DATABASE,
    GRANTS,
    IDENTITY,
    MEMBERS,
    NAMES,
    OWNER,
    TENANT,
    World,
    filled_world,
)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def filled() -> World:
    """With all resources that others depend on."""
    return filled_world()


@pytest.mark.parametrize(("token", "inputs"), ALL.items())
def test_what_was_created_reads_back_without_a_difference(filled: World, token: str, inputs: dict[str, Plain]) -> None:
    state = filled.create(token, inputs)
    answer = filled.read(token, state)
    assert answer.resource_id == "it"
    assert answer.properties == state
    found = filled.diff(token, state, inputs)
    assert (found.changes, found.diffs) == (False, [])


@pytest.mark.parametrize(("token", "inputs"), ALL.items())
def test_what_is_gone_reads_as_gone(filled: World, token: str, inputs: dict[str, Plain]) -> None:
    state = wrapped_properties(inputs) if token != "coopctl:postgres:Grants" else wrapped_properties(GRANTS)
    filled.delete("coopctl:postgres:Database", wrapped_properties(DATABASE))
    assert filled.read(token, state).resource_id is None


@pytest.mark.parametrize(("token", "inputs"), ALL.items())
def test_a_preview_touches_nothing_and_says_what_is_unknown(world: World, token: str, inputs: dict[str, Plain]) -> None:
    state = world.create(token, inputs, preview=True)
    assert not world.postgres.roles
    assert not world.postgres.databases
    assert not world.objects.buckets
    assert not world.objects.identities
    unknown = {name for name, value in state.items() if value.value == rpc.UNKNOWN}
    assert unknown == {
        "coopctl:postgres:Role": {"password"},
        "coopctl:objects:Identity": {"accessKeyId", "secretAccessKey"},
    }.get(token, set())


def test_password_and_secret_key_are_secret_and_nothing_else_is(world: World) -> None:
    role = world.create("coopctl:postgres:Role", APPLICATION)
    identity = world.create("coopctl:objects:Identity", IDENTITY)
    secret = {name for state in (role, identity) for name, value in state.items() if value.is_secret}
    assert secret == {"password", "secretAccessKey"}


def test_a_role_that_does_not_log_in_has_no_password(world: World) -> None:
    assert world.create("coopctl:postgres:Role", OWNER)["password"].value is None


def test_creating_again_after_a_kill_gives_a_password_that_works(world: World) -> None:
    world.create("coopctl:postgres:Role", APPLICATION)
    again = plain_properties(world.create("coopctl:postgres:Role", APPLICATION))
    assert world.postgres.passwords[NAMES.application_role] == Secret(str(again["password"]))


def test_creating_again_after_a_kill_leaves_one_key_and_it_is_known(world: World) -> None:
    world.create("coopctl:objects:Identity", IDENTITY)
    again = plain_properties(world.create("coopctl:objects:Identity", IDENTITY))
    assert list(world.objects.keys[NAMES.objects_identity]) == [again["accessKeyId"]]


def test_a_password_that_was_changed_by_hand_is_seen_and_set_back(world: World) -> None:
    state = world.create("coopctl:postgres:Role", APPLICATION)
    world.postgres.passwords[NAMES.application_role] = Secret("another")
    drifted = world.read("coopctl:postgres:Role", state).properties
    assert world.diff("coopctl:postgres:Role", drifted, APPLICATION).diffs == ["deviations"]
    mended = world.update("coopctl:postgres:Role", drifted, APPLICATION)
    assert mended == plain_properties(state)
    assert world.postgres.passwords[NAMES.application_role] == Secret(str(mended["password"]))


@pytest.mark.parametrize(
    ("token", "inputs", "change"),
    [
        ("coopctl:postgres:Role", APPLICATION, {"connectionLimit": 9}),
        ("coopctl:postgres:Role", APPLICATION, {"settings": {"work_mem": "16MB"}}),
        ("coopctl:postgres:Database", DATABASE, {"connectionLimit": 9}),
        ("coopctl:postgres:Database", DATABASE, {"owner": "another_owner"}),
        ("coopctl:postgres:Grants", GRANTS, {"storageBytes": 10**9}),
        ("coopctl:postgres:Grants", GRANTS | {"writesStopped": True}, {"writesStopped": False}),
        ("coopctl:postgres:Members", MEMBERS | {"writesStopped": True}, {"writesStopped": False}),
        ("coopctl:postgres:Members", MEMBERS, {"members": ["m-1", "m-2", "m-3"]}),
        ("coopctl:postgres:Members", MEMBERS, {"members": ["m-2"]}),
        ("coopctl:postgres:Members", MEMBERS, {"memberColumn": "member_id"}),
        ("coopctl:objects:Bucket", BUCKET, {"quotaBytes": 2000, "versioning": False}),
        ("coopctl:objects:Identity", IDENTITY, {"bucket": "another"}),
    ],
)
def test_exactly_the_changed_fields_differ_and_are_changed_in_place(
    filled: World, token: str, inputs: dict[str, Plain], change: dict[str, Plain]
) -> None:
    state = filled.create(token, inputs)
    wanted = inputs | change
    found = filled.diff(token, state, wanted)
    assert (set(found.diffs), found.replaces) == (set(change), [])
    previewed = filled.update(token, state, wanted, preview=True)
    assert {name: previewed[name] for name in change} == change
    assert filled.refreshed(token, state)[next(iter(change))] == inputs[next(iter(change))], "a preview changes nothing"
    updated = filled.update(token, state, wanted)
    assert {name: updated[name] for name in change} == change
    assert filled.diff(token, wrapped_properties(updated), wanted).changes is False


def test_the_order_of_names_and_empty_values_make_no_difference(world: World) -> None:
    for role in ("a_role", "b_role"):
        world.create("coopctl:postgres:Role", {"name": role, "kind": "owner", "login": False, "connectionLimit": 0})
    inputs = APPLICATION | {"memberOf": ["b_role", "a_role"], "settings": {}}
    state = world.create("coopctl:postgres:Role", inputs)
    without = {name: value for name, value in inputs.items() if name != "settings"}
    assert world.diff("coopctl:postgres:Role", state, without | {"memberOf": ["a_role", "b_role"]}).changes is False


@pytest.mark.parametrize(
    ("token", "inputs"), [("coopctl:postgres:Database", DATABASE), ("coopctl:objects:Bucket", BUCKET)]
)
def test_a_database_or_bucket_is_never_renamed_or_replaced(world: World, token: str, inputs: dict[str, Plain]) -> None:
    state = world.create(token, inputs)
    with pytest.raises(PolicyViolated, match="name cannot change"):
        world.diff(token, state, inputs | {"name": "another"})


@pytest.mark.parametrize(
    ("token", "inputs", "field"),
    [
        ("coopctl:postgres:Role", APPLICATION, "name"),
        ("coopctl:postgres:Grants", GRANTS, "database"),
        ("coopctl:postgres:Members", MEMBERS, "database"),
        ("coopctl:objects:Identity", IDENTITY, "name"),
    ],
)
def test_what_holds_no_data_may_be_replaced(filled: World, token: str, inputs: dict[str, Plain], field: str) -> None:
    state = filled.create(token, inputs)
    assert filled.diff(token, state, inputs | {field: "another"}).replaces == [field]


def test_an_unknown_input_is_a_change_and_no_problem(world: World) -> None:
    state = world.create("coopctl:objects:Identity", IDENTITY)
    unknown = IDENTITY | {"bucket": rpc.UNKNOWN}
    assert world.problems("coopctl:objects:Identity", unknown) == []
    assert world.diff("coopctl:objects:Identity", state, unknown).diffs == ["bucket"]


@pytest.mark.parametrize(
    ("token", "inputs", "wrong"),
    [
        ("coopctl:postgres:Role", APPLICATION | {"kind": "king"}, ["kind"]),
        ("coopctl:postgres:Role", APPLICATION | {"name": ""}, ["name"]),
        ("coopctl:postgres:Database", DATABASE | {"extensions": ["pgcrypto", "plpython3u"]}, ["extensions"]),
        ("coopctl:postgres:Grants", {"database": "rice"}, ["owner", "application", "reader", "migration"]),
        ("coopctl:postgres:Members", {"database": "rice"}, ["owner", "application", "reader"]),
        ("coopctl:postgres:Members", MEMBERS | {"members": ['m-1"; DROP ROLE x; --']}, ["members"]),
        ("coopctl:postgres:Members", MEMBERS | {"members": [7]}, ["members"]),
        ("coopctl:postgres:Members", MEMBERS | {"members": "m-1"}, ["members"]),
        ("coopctl:objects:Bucket", {"name": 7}, ["name"]),
        ("coopctl:objects:Identity", {}, ["name", "bucket"]),
    ],
)
def test_values_that_cannot_be_are_refused_by_field(
    world: World, token: str, inputs: dict[str, Plain], wrong: list[str]
) -> None:
    assert world.problems(token, inputs) == wrong


def test_a_deviation_is_a_difference_that_an_update_takes_away(filled: World) -> None:
    state = filled.create("coopctl:objects:Bucket", BUCKET)
    filled.objects.open_buckets.add(NAMES.bucket)
    drifted = filled.read("coopctl:objects:Bucket", state).properties
    assert plain_properties(drifted)["deviations"] == ["the bucket policy is missing"]
    found = filled.diff("coopctl:objects:Bucket", drifted, BUCKET)
    assert (found.diffs, found.detailed_diff["deviations"].input_diff) == (["deviations"], False)
    assert filled.update("coopctl:objects:Bucket", drifted, BUCKET)["deviations"] == []


def test_another_s_mark_is_seen_and_nothing_is_changed(filled: World) -> None:
    state = filled.create("coopctl:objects:Bucket", BUCKET)
    filled.objects.buckets[NAMES.bucket] = replace(filled.objects.buckets[NAMES.bucket], mark=foreign_mark())
    assert filled.refreshed("coopctl:objects:Bucket", state)["deviations"] != []
    with pytest.raises(NotOurs):
        filled.update("coopctl:objects:Bucket", state, BUCKET | {"quotaBytes": 1})


def test_deleting_keeps_data_unless_the_provider_may_delete_them(filled: World) -> None:
    database = filled.create("coopctl:postgres:Database", DATABASE)
    bucket = filled.create("coopctl:objects:Bucket", BUCKET)
    table = SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner=NAMES.owner_role)
    filled.postgres.tables[NAMES.database][table] = 1
    filled.objects.contents[NAMES.bucket]["page"] = 1
    filled.delete("coopctl:postgres:Database", database)
    filled.delete("coopctl:objects:Bucket", bucket)
    assert set(filled.postgres.databases) | set(filled.objects.buckets) == {NAMES.database, NAMES.bucket}
    filled.create("coopctl:postgres:Database", DATABASE)
    assert filled.postgres.databases[NAMES.database].mark == TENANT.mark, "adopted again"

    deleting = filled.configured(final_dump="rice-1")
    for token, state in (("coopctl:postgres:Database", database), ("coopctl:objects:Bucket", bucket)):
        with pytest.raises(ProblemsFound, match="opened again since the final dump rice-1"):
            filled.delete(token, state, provider=deleting)
    assert filled.postgres.databases
    assert filled.objects.buckets

    closed = replace(TENANT.mark, dump="rice-1")
    filled.postgres.databases[NAMES.database] = replace(filled.postgres.databases[NAMES.database], mark=closed)
    filled.objects.buckets[NAMES.bucket] = replace(filled.objects.buckets[NAMES.bucket], mark=closed)
    filled.delete("coopctl:postgres:Database", database, provider=deleting)
    filled.delete("coopctl:objects:Bucket", bucket, provider=deleting)
    assert not filled.postgres.databases
    assert not filled.objects.buckets


@pytest.mark.parametrize(
    ("token", "inputs"), [("coopctl:postgres:Database", DATABASE), ("coopctl:objects:Bucket", BUCKET)]
)
def test_what_a_cut_off_destroy_closed_deviates_until_it_is_opened_again(
    filled: World, token: str, inputs: dict[str, Plain]
) -> None:
    filled.create("coopctl:objects:Bucket", BUCKET)
    state = filled.create(token, inputs)
    closed = replace(TENANT.mark, dump="rice-1")
    filled.postgres.databases[NAMES.database] = replace(filled.postgres.databases[NAMES.database], mark=closed)
    filled.objects.buckets[NAMES.bucket] = replace(filled.objects.buckets[NAMES.bucket], mark=closed)
    assert filled.refreshed(token, state)["deviations"] == [DUMPED_DEVIATION]
    assert filled.update(token, state, inputs)["deviations"] == []


@pytest.mark.parametrize(("token", "inputs"), ALL.items())
def test_deleting_twice_is_harmless(filled: World, token: str, inputs: dict[str, Plain]) -> None:
    state = filled.create(token, inputs)
    for _ in range(2):
        filled.delete(token, state)


def test_an_import_is_refused_with_what_to_do(world: World) -> None:
    with pytest.raises(UsageError, match="cannot be imported") as caught:
        world.read("coopctl:postgres:Role", {})
    assert "coopctl apply" in str(caught.value.hint)


def test_a_resource_that_there_is_not_is_named(world: World) -> None:
    with pytest.raises(UsageError, match="coopctl:postgres:Table"):
        world.create("coopctl:postgres:Table", {})


def test_the_configuration_comes_back_and_holds_references_only() -> None:
    properties = to_properties(CONFIGURATION)
    assert from_properties(properties) == CONFIGURATION
    assert (properties["postgresPasswordEnv"], properties["objectsCredentialsEnv"]) == ("PW", "KEY")
    assert set(map(type, properties.values())) == {str}


@pytest.mark.parametrize("change", [{"postgresPort": "five"}, {"cluster": None}, {"finalDump": None}])
def test_a_configuration_that_is_incomplete_is_refused(change: dict[str, Any]) -> None:
    properties = {name: value for name, value in (to_properties(CONFIGURATION) | change).items() if value is not None}
    with pytest.raises(UsageError, match="configuration is incomplete"):
        from_properties(properties)


def test_an_extension_that_the_platform_does_not_allow_deviates_and_is_dropped(filled: World) -> None:
    state = filled.create("coopctl:postgres:Database", DATABASE)
    found = filled.postgres.databases[NAMES.database]
    filled.postgres.databases[NAMES.database] = replace(found, extensions=("hstore", "pgcrypto"))
    assert filled.refreshed("coopctl:postgres:Database", state)["deviations"] == ["not wanted: the extension hstore"]
    assert filled.update("coopctl:postgres:Database", state, DATABASE)["deviations"] == []
    assert filled.postgres.databases[NAMES.database].extensions == ("pgcrypto",)


class _Elsewhere:
    """The servers that the data store has moved to, in memory."""

    def __init__(self, world: World, *, gives_keys: bool = True) -> None:
        self.passwords: dict[str, Secret] = {}
        self.keys: list[AccessKey] = []
        self.gives_keys = gives_keys
        stores = world.open
        world.open = lambda configuration: replace(stores(configuration), elsewhere=self)  # type: ignore[method-assign]
        world.provider = world.configured()

    def set_password(self, role: str, password: Secret) -> None:
        self.passwords[role] = password

    def replace_key(self, identity: str, *, known: str | None) -> AccessKey | None:
        assert identity == NAMES.objects_identity
        assert known == (self.keys[-1].id if self.keys else known)
        if self.gives_keys:
            self.keys.append(AccessKey(id=f"KEY{len(self.keys)}", secret=generate_password()))
        return self.keys[-1] if self.keys else None


FENCED = {**APPLICATION, "fenced": True}


def test_another_rotation_is_a_new_password_on_both_sides_and_the_next_apply_keeps_it(world: World) -> None:
    away = _Elsewhere(world)
    before = world.create("coopctl:postgres:Role", FENCED)
    assert away.passwords == {}
    wanted: dict[str, Plain] = {**FENCED, "rotation": 1}
    assert world.diff("coopctl:postgres:Role", before, wanted).diffs == ["rotation"]
    previewed = world.update("coopctl:postgres:Role", before, wanted, preview=True)
    assert isinstance(previewed["password"], Unknown), "who reads the plan sees that the Secret changes"
    after = world.update("coopctl:postgres:Role", before, wanted)
    assert after["password"] != plain_properties(before)["password"]
    assert away.passwords[NAMES.application_role].reveal() == after["password"]
    state = wrapped_properties(after)
    assert world.diff("coopctl:postgres:Role", state, wanted).diffs == []
    assert world.refreshed("coopctl:postgres:Role", state) == after
    assert (
        world.update("coopctl:postgres:Role", state, {**wanted, "connectionLimit": 7})["password"] == after["password"]
    )


def test_a_role_whose_store_was_erased_here_keeps_its_password_for_there(world: World) -> None:
    away = _Elsewhere(world)
    rotated = world.update(
        "coopctl:postgres:Role", world.create("coopctl:postgres:Role", FENCED), {**FENCED, "rotation": 1}
    )
    wanted: dict[str, Plain] = {**FENCED, "rotation": 1, "erased": True}
    after = world.update("coopctl:postgres:Role", wrapped_properties(rotated), wanted)
    assert (after["password"], away.passwords[NAMES.application_role].reveal()) == (rotated["password"],) * 2
    assert NAMES.application_role not in world.postgres.roles
    state = wrapped_properties(after)
    assert world.diff("coopctl:postgres:Role", state, wanted).diffs == []
    assert world.refreshed("coopctl:postgres:Role", state) == after
    world.create("coopctl:postgres:Role", APPLICATION)
    assert world.refreshed("coopctl:postgres:Role", state)["deviations"] == [ERASED_DEVIATION]


@pytest.mark.parametrize("gives_keys", [True, False])
def test_an_identity_whose_bucket_has_moved_for_good_is_here_no_more(world: World, *, gives_keys: bool) -> None:
    before = world.create("coopctl:objects:Identity", IDENTITY)
    away = _Elsewhere(world, gives_keys=gives_keys)
    wanted: dict[str, Plain] = {**IDENTITY, "rotation": 1}
    after = world.update("coopctl:objects:Identity", before, wanted)
    expected = away.keys[-1].id if gives_keys else plain_properties(before)["accessKeyId"]
    assert after["accessKeyId"] == expected
    assert not world.objects.identities
    state = wrapped_properties(after)
    assert world.diff("coopctl:objects:Identity", state, wanted).diffs == []
    assert world.refreshed("coopctl:objects:Identity", state) == after
    assert world.update("coopctl:objects:Identity", state, wanted) == after
    world.create("coopctl:objects:Identity", IDENTITY)
    assert world.refreshed("coopctl:objects:Identity", state)["deviations"] == [HERE_DEVIATION]


def test_credentials_that_nobody_can_reach_are_not_changed(world: World) -> None:
    before = world.create("coopctl:postgres:Role", FENCED)
    with pytest.raises(NotFound, match="cannot be changed where its data store lives"):
        world.update("coopctl:postgres:Role", before, {**FENCED, "rotation": 1})
