"""A saved plan is applied only if nothing that it was made from has changed since."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from provisioner.catalogue import images_lock, load_catalogue
from provisioner.descriptor.endpoints import EmbeddedEndpoints
from provisioner.descriptor.loading import load_estate
from provisioner.engine.changes import Changes, ResourceChange, field_changes
from provisioner.engine.events import Operation
from provisioner.engine.fleet import Outcome
from provisioner.engine.state import Checkpoint
from provisioner.errors import ProblemsFound
from provisioner.operations import saved_plan, site
from provisioner.operations.planning import FleetPlan
from provisioner.operations.saved_plan import load_plan, require_same, save_plan
from provisioner.operations.site import Site
from provisioner.plan.cooperative import cooperative_plan
from provisioner.plan.platform import platform_plan
from stacks.programs import StackPrograms
from tests.unit.descriptor import worlds
from tests.unit.plan import builders

if TYPE_CHECKING:
    from provisioner.engine.engine import Engine

LONG = "x" * 500


@dataclass(frozen=True, kw_only=True)
class FakeEngine:
    """An engine of which only the state is asked."""

    digest: str = "the state that was planned on"

    def checkpoint(self, stack: str) -> Checkpoint:
        """The state of any stack."""
        del stack
        return replace(EMPTY, digest=self.digest)


EMPTY = Checkpoint(digest="", salt=None, pending=(), resources=(), outputs={})


@dataclass(kw_only=True)
class Surroundings:
    """All that a plan of the cooperative `rice` is made from: an estate and charts on disk, the state, the world."""

    estate: worlds.World
    charts: Path
    state: str = "as planned"
    value: str = f"{LONG}a"

    def site(self) -> Site:
        """The site as a new coopctl would find it."""
        catalogue = load_catalogue(self.charts)
        estate = self.estate.estate
        platform, cooperatives = load_estate(
            estate, catalogue_names=catalogue.names, endpoints=EmbeddedEndpoints(), names=("rice",)
        )
        images = images_lock.read(estate.images_lock)
        return Site(
            estate=estate,
            platform=platform,
            cooperatives={str(item.name): item for item in cooperatives},
            described=frozenset({"rice"}),
            plan_cooperative=partial(cooperative_plan, platform=platform, catalogue=catalogue, images=images),
            plan_platform=partial(platform_plan, platform),
            programs=StackPrograms(),
            engine=cast("Engine", FakeEngine(digest=self.state)),
            plugins=(),
            policing=builders.policing(*cooperatives, platform=platform),
        )

    def plan(self) -> FleetPlan:
        """What would change: one field of one resource, as the world is."""
        fields = field_changes(["spec.text"], before={"spec": {"text": self.value}}, after={"spec": {"text": "new"}})
        change = ResourceChange(resource="r", type="t", operation=Operation.UPDATE, fields=fields)
        found = Changes(stack="rice", resources=(change,), same=1)
        return FleetPlan(targets=(self.site().target("rice"),), outcomes=(Outcome(stack="rice", value=found),))

    def edit(self, file: Path, old: str, new: str) -> None:
        """Change a file, which must hold ``old``."""
        text = file.read_text()
        assert old in text, file
        file.write_text(text.replace(old, new))


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    """An estate with a template of its own, built images, and a copy of the shipped charts."""
    made = worlds.world(tmp_path / "estate")
    shutil.copytree(builders.ROOT / "tenant_templates" / "manufacturing", made.estate.templates / "manufacturing")
    images_lock.write(replace(builders.fake_lock(), source=made.estate.images_lock))
    shutil.copytree(builders.CHARTS, tmp_path / "charts")
    return Surroundings(estate=made, charts=tmp_path / "charts")


def chart(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    around.edit(around.charts / "portal" / "values.yaml", "\n", "\n# another comment\n")


def template(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = around.estate.estate.templates / "manufacturing" / "template.yaml"
    around.edit(file, "versioning: true", "versioning: false")


def descriptor(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    around.edit(around.estate.estate.cooperatives / "rice.yaml", "employees: 8", "employees: 8000")


def images(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    around.edit(around.estate.estate.images_lock, builders.FAKE_DIGEST, "sha256:" + "0" * 64)


def platform(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    around.edit(around.estate.estate.platform, "embedded: {}", "embedded: {}\n  helpDesk: {name: 도움창구, phone: '1'}")


def coopctl(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (saved_plan, site):
        monkeypatch.setattr(module, "version", lambda _: "9.9.9")


def state(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    around.state = "applied by somebody else"


def world(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    around.value = f"{LONG}b"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (chart, "rice: its descriptor, template, charts, images or platform changed"),
        (template, "rice: its descriptor, template, charts, images or platform changed"),
        (descriptor, "rice: its descriptor, template, charts, images or platform changed"),
        (images, "rice: its descriptor, template, charts, images or platform changed"),
        (platform, "rice: its descriptor, template, charts, images or platform changed"),
        (coopctl, "it was made by coopctl 0.1.0, and this is 9.9.9"),
        (state, "rice: it was applied since"),
        # Two values that differ only after what is shown of them.
        (world, "rice: the world changed"),
    ],
)
def test_a_saved_plan_is_refused_after_any_change(
    around: Surroundings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Surroundings, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    file = tmp_path / "plan.json"
    save_plan(file, around.plan(), site=around.site())
    require_same(load_plan(file), around.plan(), site=around.site())

    change(around, monkeypatch)

    with pytest.raises(ProblemsFound) as refused:
        require_same(load_plan(file), around.plan(), site=around.site())
    assert reason in str(refused.value.why)


def test_a_saved_plan_is_refused_for_more_or_fewer_cooperatives(around: Surroundings, tmp_path: Path) -> None:
    file, full = tmp_path / "plan.json", around.plan()
    nothing = FleetPlan(targets=(), outcomes=())

    save_plan(file, full, site=around.site())
    with pytest.raises(ProblemsFound) as fewer:
        require_same(load_plan(file), nothing, site=around.site())
    save_plan(file, nothing, site=around.site())
    with pytest.raises(ProblemsFound) as more:
        require_same(load_plan(file), full, site=around.site())

    assert fewer.value.why == "rice can no longer be planned"
    assert more.value.why == "rice would be applied too"
