"""Taking charts in, and telling later whether they are what they were. Nothing is rendered here."""

import shutil
import tarfile
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

import provisioner
from provisioner.catalogue import charts_lock, load_catalogue
from provisioner.catalogue.charts_lock import chart_digest
from provisioner.catalogue.offer import Review
from provisioner.descriptor.estate import Estate
from provisioner.errors import CoopctlError, InvalidDescriptor, NotFound, UsageError
from provisioner.operations import adding
from provisioner.operations.adding import Added, add_chart, catalogue_to_change
from provisioner.operations.example_tenants import example_tenants
from provisioner.operations.linting import Linted, Linter
from provisioner.operations.verifying_catalogue import check_charts
from tests.bad_charts.changing import good_chart

LINTER = Linter(
    solutions={},
    images=frozenset(),
    tenants=example_tenants(None),
    render=lambda _: [],
    today=date(2026, 11, 1),
)


@dataclass(frozen=True, kw_only=True)
class World:
    """A chart from outside and an empty catalogue."""

    outside: Path
    catalogue: Path

    def add(self, source: Path | None = None) -> Added | Linted:
        """Take the chart in."""
        return add_chart(source or self.outside, catalogue=self.catalogue, linter=LINTER)

    def edit(self, old: str, new: str, *, file: str = "Chart.yaml") -> None:
        """Change a file of the chart outside."""
        text = (self.outside / file).read_text()
        assert old in text
        (self.outside / file).write_text(text.replace(old, new, 1))

    def problems(self) -> dict[str, tuple[str, ...]]:
        """What is wrong with each chart of the catalogue."""
        return {one.name: one.problems for one in check_charts(self.catalogue)}

    def names(self) -> list[str]:
        """What lies in the catalogue's folder."""
        return sorted(path.name for path in self.catalogue.iterdir())


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The portal's chart, approved by its author."""
    (tmp_path / "catalogue").mkdir()
    return World(outside=good_chart(tmp_path / "outside"), catalogue=tmp_path / "catalogue")


def added(result: Added | Linted) -> Added:
    """The chart that was taken in."""
    assert isinstance(result, Added), result
    return result


def test_a_chart_that_is_taken_in_is_proposed_whatever_its_author_wrote(world: World) -> None:
    made = added(world.add())
    assert (made.name, made.version, made.replaced) == ("portal", "1.0.0", None)
    assert load_catalogue(world.catalogue).solution("portal").offer.review is Review.PROPOSED
    assert "review: approved" in (world.outside / "Chart.yaml").read_text(), "the author's own is not touched"
    assert world.names() == ["charts.lock", "portal"]


@pytest.mark.parametrize(
    "line",
    ["coopctl.dev/review: 'approved'", 'coopctl.dev/review: "approved"', "coopctl.dev/review:   approved   # so"],
)
def test_a_review_is_set_back_in_every_spelling(world: World, line: str) -> None:
    world.edit("coopctl.dev/review: approved", line)
    added(world.add())
    assert load_catalogue(world.catalogue).solution("portal").offer.review is Review.PROPOSED


def test_a_review_that_cannot_be_set_back_keeps_the_chart_out(world: World) -> None:
    world.edit("coopctl.dev/review: approved", "coopctl.dev/review: >-\n    approved")
    with pytest.raises(CoopctlError) as refused:
        world.add()
    assert "in its own line" in (refused.value.hint or "")
    assert world.names() == []


def test_an_archive_is_taken_in_as_its_folder_is(world: World, tmp_path: Path) -> None:
    file = tmp_path / "portal-1.0.0.tgz"
    with tarfile.open(file, "w:gz") as archive:
        archive.add(world.outside, arcname="portal")
    digest = added(world.add(file)).digest
    shutil.rmtree(world.catalogue / "portal")
    (world.catalogue / charts_lock.FILE).unlink()
    assert added(world.add()).digest == digest


def test_a_chart_that_breaks_a_rule_stays_outside_and_is_told_by_its_own_files(world: World) -> None:
    world.edit("coopctl.dev/price: free\n", "coopctl.dev/pirce: free\n")
    found = world.add()
    assert isinstance(found, Linted)
    (violation,) = found.verdict.violations
    assert violation.location.file == world.outside / "Chart.yaml"
    assert violation.location.line > 0
    assert world.names() == []


def test_the_same_version_is_refused_also_if_it_says_something_else(world: World) -> None:
    added(world.add())
    world.edit("notice", "notes", file="values.yaml")
    before = chart_digest(world.catalogue / "portal")
    with pytest.raises(UsageError) as refused:
        world.add()
    assert "raise the version" in (refused.value.hint or "")
    assert chart_digest(world.catalogue / "portal") == before


def test_another_version_takes_the_place_of_the_one_before(world: World) -> None:
    added(world.add())
    world.edit("version: 1.0.0", "version: 1.1.0")
    (world.outside / "files" / "portal.css").unlink()
    made = added(world.add())
    assert (made.version, made.replaced) == ("1.1.0", "1.0.0")
    assert not (world.catalogue / "portal" / "files" / "portal.css").exists()
    assert charts_lock.read(world.catalogue).charts["portal"].version == "1.1.0"
    assert world.problems() == {"portal": ()}


def test_what_a_call_that_was_cut_off_left_is_removed(world: World) -> None:
    (world.catalogue / ".adding" / "portal").mkdir(parents=True)
    (world.catalogue / ".adding" / "portal" / "half").touch()
    added(world.add())
    assert world.names() == ["charts.lock", "portal"]
    assert not (world.catalogue / "portal" / "half").exists()


@pytest.mark.parametrize("step", ["_propose", "chart_digest", "_in_place"])
def test_a_call_that_is_cut_off_is_finished_by_the_same_call(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(adding, step, die)
        with pytest.raises(KeyboardInterrupt):
            world.add()
    assert world.problems() == {}
    added(world.add())
    assert world.problems() == {"portal": ()}


def test_a_chart_that_lost_its_place_in_the_lock_is_taken_in_by_another_version(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    added(world.add())
    world.edit("version: 1.0.0", "version: 1.1.0")

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(charts_lock, "write", die)
        with pytest.raises(KeyboardInterrupt):
            world.add()
    assert world.problems() == {"portal": ("is version 1.1.0, and 1.0.0 was taken in",)}


def test_a_changed_chart_is_told_and_an_approval_is_no_change(world: World) -> None:
    added(world.add())
    file = world.catalogue / "portal" / "Chart.yaml"
    file.write_text(file.read_text().replace("review: proposed", "review: approved"))
    assert world.problems() == {"portal": ()}
    template = world.catalogue / "portal" / "templates" / "service.yaml"
    template.write_text(template.read_text() + "# more\n")
    (problem,) = world.problems()["portal"]
    assert "was changed since it was taken in" in problem


def test_an_approval_is_no_change_however_it_is_written(world: World) -> None:
    text = (world.outside / "Chart.yaml").read_text()
    line = "  coopctl.dev/review: approved\n"
    digests = set()
    for written in (line, "", "  'coopctl.dev/review': \"proposed\"\n", line.replace("approved", "withdrawn # old")):
        (world.outside / "Chart.yaml").write_text(text.replace(line, written))
        digests.add(chart_digest(world.outside))
    assert len(digests) == 1
    (world.outside / "Chart.yaml").write_text("annotations: {coopctl.dev/review: approved, a: b}")
    before = chart_digest(world.outside)
    (world.outside / "Chart.yaml").write_text("annotations: {coopctl.dev/review: proposed, a: b}")
    assert chart_digest(world.outside) == before
    (world.outside / "Chart.yaml").write_text("annotations: {coopctl.dev/review: proposed, a: c}")
    assert chart_digest(world.outside) != before


@pytest.mark.parametrize("change", ["a further file", "a link", "another name"])
def test_every_change_of_the_files_is_a_change(world: World, change: str) -> None:
    added(world.add())
    chart = world.catalogue / "portal"
    if change == "a further file":
        (chart / "templates" / "more.yaml").touch()
    elif change == "a link":
        (chart / "README.md").symlink_to("values.yaml")
    else:
        (chart / "values.yaml").rename(chart / "value.yaml")
    assert "was changed" in world.problems()["portal"][0]


def test_a_chart_that_is_gone_is_told_and_one_that_nobody_took_in_is_not_compared(world: World) -> None:
    added(world.add())
    (world.catalogue / "portal").rename(world.catalogue / "door")
    found = {one.name: one for one in check_charts(world.catalogue)}
    assert found["portal"].problems == ("is not there",)
    assert (found["door"].locked, found["door"].problems) == (None, ())


@pytest.mark.parametrize("name", ["../evil", "Portal", "a/b", "x\ny"])
def test_a_lock_with_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    added(world.add())
    lock = charts_lock.read(world.catalogue)
    charts_lock.write(lock.with_chart(name, lock.charts["portal"]))
    with pytest.raises(InvalidDescriptor) as refused:
        charts_lock.read(world.catalogue)
    assert any("is no chart's name" in one.message for one in refused.value.diagnostics)


def test_a_lock_that_was_written_is_read_again(world: World) -> None:
    added(world.add())
    lock = charts_lock.read(world.catalogue)
    more = lock.with_chart("tea", replace(lock.charts["portal"], version="2.0.0"))
    charts_lock.write(more)
    assert charts_lock.read(world.catalogue) == more


def test_a_catalogue_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as refused:
        catalogue_to_change(tmp_path / "none")
    assert "mkdir -p" in (refused.value.hint or "")


def test_an_estate_takes_charts_into_a_folder_of_its_own(tmp_path: Path) -> None:
    estate = Estate(root=tmp_path)
    assert catalogue_to_change(None, estate=estate) == tmp_path / "charts"
    assert (tmp_path / "charts").is_dir()
    assert catalogue_to_change(tmp_path, estate=estate) == tmp_path


def test_the_charts_of_an_installed_coopctl_are_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Path(provisioner.__file__).parent / "assets" / "charts"
    monkeypatch.setattr(adding, "shipped_charts", lambda: installed)
    with pytest.raises(UsageError) as refused:
        catalogue_to_change(None)
    assert "--catalogue DIR" in (refused.value.hint or "")
