"""Members that leave and have data: apply refuses until it is told, and only what left is looked at."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from provisioner.datastore.postgres_memory import MemoryPostgres
from provisioner.datastore.postgres_privileges import ObjectKind, SqlObject
from provisioner.descriptor.cooperative import Cooperative, Member, MemberLayout
from provisioner.descriptor.estate import Estate
from provisioner.descriptor.platform import Dumps
from provisioner.engine.state import Checkpoint, parse_checkpoint
from provisioner.errors import PolicyViolated, Unreachable, UsageError
from provisioner.operations import leaving
from provisioner.operations.leaving import Leaving, LeavingData, find_leaving, require_told
from provisioner.operations.site import Site, Target
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.postgres import members_of
from provisioner.plan.resources import CooperativePlan, PlatformPlan, PostgresMembers
from provisioner.plan.tenant import tenant_of
from stacks.programs import StackPrograms
from tests.data_stores import CLUSTER, Tenant, make_data_store
from tests.unit.plan import builders

if TYPE_CHECKING:
    from provisioner.engine.engine import Engine

PLATFORM = replace(builders.platform(), cluster=replace(builders.platform().cluster, id=CLUSTER))
KIND = "coopctl:postgres:Members"


@dataclass(kw_only=True)
class FakeEngine:
    """An engine of which only the state is asked."""

    state: Checkpoint | None = None

    def checkpoint(self, stack: str) -> Checkpoint | None:
        """The state of the stack."""
        return self.state if stack == "rice" else None


@dataclass(kw_only=True)
class World:
    """A cooperative whose members were applied, on a server in memory that answers."""

    layout: MemberLayout = MemberLayout.SCHEMA
    admin: MemoryPostgres = field(default_factory=MemoryPostgres)
    engine: FakeEngine = field(default_factory=FakeEngine)
    asked: int = 0
    dumps: Dumps | None = None

    def cooperative(self, *ids: str) -> Cooperative:
        """The cooperative with these members."""
        made = builders.cooperative("rice", solutions=())
        store = replace(made.postgres, member_layout=self.layout)
        return replace(made, members=tuple(Member(id=one, name=one, employees=1) for one in ids), postgres=store)

    def wanted(self, *ids: str) -> PostgresMembers:
        """What the plan wants for these members."""
        return members_of(tenant_of(self.cooperative(*ids), cluster=CLUSTER))

    def apply(self, *ids: str) -> None:
        """What an apply leaves behind: members in the database, and in the state."""
        wanted = self.wanted(*ids)
        self.admin.ensure_members(wanted, mark=self.tenant.mark)
        inputs = {"members": list(wanted.members), "memberColumn": wanted.member_column}
        urn = f"urn:pulumi:rice::coopctl::{KIND}::postgres-members"
        resource: dict[str, Any] = {"urn": urn, "type": KIND, "inputs": inputs}
        self.engine.state = parse_checkpoint({"resources": [resource]})

    @property
    def tenant(self) -> Tenant:
        """The cooperative's names."""
        return Tenant(names=tenant_of(self.cooperative(), cluster=CLUSTER).names)

    def fill(self, *ids: str) -> None:
        """Rows in the schemas of members."""
        names = self.tenant.names
        for one in ids:
            schema = f"member_{one.replace('-', '_')}"
            table = SqlObject(kind=ObjectKind.TABLE, path=(schema, "files"), owner=names.owner_role)
            self.admin.tables[names.database][table] = 3

    def found(self, *ids: str, data: LeavingData | None = None) -> tuple[Leaving, ...]:
        """Who leaves if the list has these members now."""
        target = Target(name="rice", plan=self._plan(*ids), program=lambda: None, fingerprint="")
        return find_leaving(self.site(), [target], data=data, environment={})

    def site(self) -> Site:
        """The estate."""
        platform = replace(PLATFORM, dumps=self.dumps)
        return Site(
            estate=Estate(root=builders.ROOT / "nowhere"),
            platform=platform,
            cooperatives={},
            described=frozenset(),
            plan_cooperative=lambda _: self._plan(),
            plan_platform=lambda: PlatformPlan(cluster=platform.cluster.id, resources=()),
            policing=builders.policing(platform=platform),
            programs=StackPrograms(),
            engine=cast("Engine", self.engine),
            plugins=(),
        )

    def _plan(self, *ids: str) -> CooperativePlan:
        return cooperative_plan(
            self.cooperative(*ids),
            platform=PLATFORM,
            catalogue=builders.catalogue(),
            images=builders.fake_lock(),
        )


@pytest.fixture(params=[MemberLayout.SCHEMA])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three members that were applied; the server counts how often it is asked whether it answers."""
    made = World(layout=request.param)
    make_data_store(made.admin, made.tenant, member_column=made.wanted().member_column)

    def answer(*_: object, **__: object) -> None:
        made.asked += 1

    monkeypatch.setattr(leaving, "open_postgres", lambda *_, **__: made.admin)
    monkeypatch.setattr(leaving, "require_answer", answer)
    made.apply("m-1", "m-2", "m-3")
    return made


shared_tables = pytest.mark.parametrize("world", [MemberLayout.COLUMN], indirect=True)


def test_where_nobody_leaves_the_database_is_not_asked(world: World) -> None:
    assert world.found("m-1", "m-2", "m-3", "m-4") == ()
    assert world.asked == 0


def test_who_has_no_rows_may_leave(world: World) -> None:
    assert world.found("m-1") == ()
    assert world.asked == 1


def test_who_leaves_with_data_is_named_and_nothing_is_begun(world: World) -> None:
    world.fill("m-1", "m-2")
    found = world.found("m-1")
    assert [str(one) for one in found] == ["rice: m-2"]
    with pytest.raises(PolicyViolated) as caught:
        require_told(world.site(), found, data=None)
    assert caught.value.why == "rice: m-2"
    assert "--leaving-data keep" in str(caught.value.hint)
    require_told(world.site(), found, data=LeavingData.KEEP)


def test_of_many_the_first_are_named(world: World) -> None:
    many = [f"n-{number}" for number in range(12)]
    world.apply(*many)
    world.fill(*many)
    (found,) = world.found()
    assert str(found) == "rice: n-0, n-1, n-10, n-11, n-2, n-3, n-4, n-5, n-6, n-7 and 2 more"


def test_deleting_needs_a_place_for_the_dump(world: World) -> None:
    world.fill("m-2")
    found = world.found("m-1", data=LeavingData.DELETE)
    with pytest.raises(UsageError, match="the platform names no place for it"):
        require_told(world.site(), found, data=LeavingData.DELETE)
    world.dumps = Dumps(location="dumps", recipient="age1")
    require_told(world.site(), found, data=LeavingData.DELETE)


def test_deleting_also_means_who_left_before(world: World) -> None:
    world.fill("m-1", "m-2", "m-3")
    world.apply("m-1", "m-3")
    assert world.found("m-1", "m-3") == ()
    (found,) = world.found("m-1", data=LeavingData.DELETE)
    assert found.members == ("m-2", "m-3")
    (taken_up_again,) = world.found("m-1", "m-2", data=LeavingData.DELETE)
    assert taken_up_again.members == ("m-3",)


def test_a_layout_without_schemas_takes_them_from_everybody(world: World) -> None:
    world.fill("m-2")
    world.layout = MemberLayout.COLUMN
    assert [one.members for one in world.found("m-1", "m-2", "m-3")] == [("m-2",)]


@shared_tables
def test_shared_tables_with_data_do_not_become_schemas(world: World) -> None:
    world.layout = MemberLayout.SCHEMA
    assert world.found("m-1", "m-2", "m-3") == ()
    table = SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner=world.tenant.names.owner_role)
    world.admin.tables[world.tenant.names.database][table] = 1
    with pytest.raises(PolicyViolated, match="the memberLayout of rice cannot become schema: its database has data"):
        world.found("m-1", "m-2", "m-3")
    world.layout = MemberLayout.COLUMN
    assert world.found("m-1", "m-2", "m-3") == ()


@shared_tables
def test_rows_in_shared_tables_hold_a_member_back_and_are_never_deleted(world: World) -> None:
    table = SqlObject(kind=ObjectKind.TABLE, path=("public", "lots"), owner=world.tenant.names.owner_role)
    world.admin.members[world.tenant.names.database].rows[table] = ["m-2", "m-9"]
    world.dumps = Dumps(location="dumps", recipient="age1")
    found = world.found("m-1", data=LeavingData.DELETE)
    assert [one.members for one in found] == [("m-2",)]
    with pytest.raises(UsageError, match="share tables are not deleted: rice: m-2"):
        require_told(world.site(), found, data=LeavingData.DELETE)
    require_told(world.site(), found, data=LeavingData.KEEP)


def test_the_platform_has_no_members_and_a_first_apply_parts_with_nobody(world: World) -> None:
    platform = PlatformPlan(cluster=CLUSTER, resources=())
    target = Target(name="platform", plan=platform, program=lambda: None, fingerprint="")
    assert find_leaving(world.site(), [target], data=None, environment={}) == ()
    world.engine.state = None
    assert world.found("m-1") == ()


def test_a_server_that_does_not_answer_is_named_before_anything_is_begun(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Unreachable("PostgreSQL does not answer")

    monkeypatch.setattr(leaving, "require_answer", refuse)
    with pytest.raises(Unreachable):
        world.found("m-1")
