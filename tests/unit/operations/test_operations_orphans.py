"""Stacks without a descriptor: what they were, and who could be one of them under another name."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from provisioner.descriptor.cooperative import Cooperative
from provisioner.descriptor.estate import Estate
from provisioner.engine.state import Checkpoint, parse_checkpoint
from provisioner.errors import NotFound, UsageError
from provisioner.operations.orphans import Orphan, find_orphans
from provisioner.operations.ownership import doubt, require_no_rename
from provisioner.operations.selecting import choose
from provisioner.operations.site import Site
from stacks.programs import StackPrograms
from tests.unit.plan import builders

if TYPE_CHECKING:
    from provisioner.engine.engine import Engine

NAMESPACE = "kubernetes:core/v1:Namespace"


@dataclass(frozen=True, kw_only=True)
class FakeEngine:
    """An engine of which only the states are asked, and where records would be: no data store ever moved."""

    states: Mapping[str, Checkpoint] = field(default_factory=dict)
    settings: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(backend_url="file:///nowhere", credentials_file=None)
    )

    def stacks(self) -> tuple[str, ...]:
        """The names of all stacks."""
        return tuple(sorted(self.states))

    def checkpoint(self, stack: str) -> Checkpoint | None:
        """The state of a stack."""
        return self.states.get(stack)


def namespace(stack: str, *, display_name: str, domain: str) -> dict[str, Any]:
    """A namespace as the state holds it."""
    annotations = {"coopctl.dev/display-name": display_name, "coopctl.dev/domain": domain}
    inputs = {"kind": "Namespace", "metadata": {"name": f"{stack}-apps", "annotations": annotations}}
    return {"urn": f"urn:pulumi:{stack}::coopctl::{NAMESPACE}::apps-namespace", "type": NAMESPACE, "inputs": inputs}


def role(stack: str) -> dict[str, Any]:
    """A database role as the state holds it."""
    kind = "coopctl:postgres:Role"
    return {"urn": f"urn:pulumi:{stack}::coopctl::{kind}::postgres-role-owner", "type": kind, "inputs": {}}


def applied(stack: str, *, display_name: str = "옛 조합", domain: str = "old.example.kr") -> Checkpoint:
    """The state of a stack that is there."""
    return parse_checkpoint({"resources": [namespace(stack, display_name=display_name, domain=domain), role(stack)]})


def begun(stack: str) -> Checkpoint:
    """The state of a stack that was killed while it made its first namespace."""
    made = namespace(stack, display_name="옛 조합", domain="old.example.kr")
    return parse_checkpoint({"resources": [], "pending_operations": [{"resource": made, "type": "creating"}]})


def site(*cooperatives: Cooperative, **states: Checkpoint) -> Site:
    """An estate with these cooperatives, and these stacks in the state (`_` stands for `-`)."""
    platform = builders.platform()
    return Site(
        estate=Estate(root=builders.ROOT / "nowhere"),
        platform=platform,
        cooperatives={str(item.name): item for item in cooperatives},
        described=frozenset(str(item.name) for item in cooperatives),
        plan_cooperative=lambda cooperative: (_ for _ in ()).throw(AssertionError(cooperative)),
        plan_platform=lambda: (_ for _ in ()).throw(AssertionError("platform")),
        policing=builders.policing(*cooperatives, platform=platform),
        programs=StackPrograms(),
        engine=cast("Engine", FakeEngine(states={name.replace("_", "-"): found for name, found in states.items()})),
        plugins=(),
    )


def cooperative(name: str, *, display_name: str = "새 조합", domain: str = "new.example.kr") -> Cooperative:
    """A cooperative that may or may not be an old one."""
    made = builders.cooperative(name, display_name=display_name)
    return replace(made, network=replace(made.network, domain=domain))


def test_an_orphan_is_known_by_what_its_namespaces_say() -> None:
    found = find_orphans(site(cooperative("new"), platform=applied("platform"), new=applied("new"), old=applied("old")))

    assert found == (Orphan(stack="old", display_name="옛 조합", domain="old.example.kr", resources=2),)
    assert "`coopctl destroy old`" in found[0].remedy
    assert "cooperatives/old.yaml" in found[0].remedy


def test_an_orphan_that_was_killed_in_its_first_apply_is_known_too() -> None:
    (orphan,) = find_orphans(site(old=begun("old")))

    assert (orphan.display_name, orphan.domain, orphan.resources) == ("옛 조합", "old.example.kr", 1)


def test_an_orphan_without_a_namespace_is_listed_with_what_is_known() -> None:
    state = parse_checkpoint({"resources": [role("old")]})

    assert find_orphans(site(old=state)) == (Orphan(stack="old", display_name="", domain="", resources=1),)


def test_a_stack_that_holds_nothing_any_more_is_no_orphan() -> None:
    assert find_orphans(site(old=parse_checkpoint({}))) == ()


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (cooperative("new", domain="old.example.kr"), "new has the domain old.example.kr of old"),
        (cooperative("new", display_name="옛 조합"), "new is called 옛 조합 like old"),
    ],
    ids=["domain", "display name"],
)
@pytest.mark.parametrize("state", [applied("old"), begun("old")], ids=["applied", "killed in its first apply"])
def test_a_renamed_cooperative_is_refused_with_the_remedy(new: Cooperative, reason: str, state: Checkpoint) -> None:
    with pytest.raises(UsageError) as refused:
        require_no_rename(site(new, old=state), ("new",))

    assert refused.value.message.startswith(reason)
    assert "'old'" in str(refused.value.hint)
    assert "coopctl destroy old" in str(refused.value.hint)


def test_a_cooperative_that_is_there_may_be_called_as_an_orphan_was() -> None:
    found = site(cooperative("new", display_name="옛 조합"), new=applied("new"), old=applied("old"))

    require_no_rename(found, ("new",))
    assert doubt(found, ("new",)) is None


@pytest.mark.parametrize("state", [None, parse_checkpoint({})], ids=["no stack", "an empty stack"])
def test_name_and_domain_both_changed_leave_a_doubt_that_people_settle(state: Checkpoint | None) -> None:
    states = {"old": applied("old")} | ({"new": state} if state else {})

    question = doubt(site(cooperative("new"), **states), ("new",))

    assert question is not None
    assert question.startswith("new has no stack yet, and old is applied without a descriptor")


def test_there_is_no_doubt_without_orphans_or_without_anything_new() -> None:
    assert doubt(site(cooperative("new")), ("new",)) is None
    assert doubt(site(cooperative("new"), new=applied("new"), old=applied("old")), ("new",)) is None


def test_all_means_orphans_too_and_names_do_not() -> None:
    found = site(cooperative("new"), old=applied("old"))

    assert [orphan.stack for orphan in choose(found, names=(), selectors=(), everyone=True).orphans] == ["old"]
    assert choose(found, names=("new",), selectors=(), everyone=False).orphans == ()


def test_an_estate_of_orphans_alone_has_something_to_show_for_all() -> None:
    assert choose(site(old=applied("old")), names=(), selectors=(), everyone=True).names == ()
    with pytest.raises(NotFound):
        choose(site(), names=(), selectors=(), everyone=True)
