"""How a command gets what it works on: the estate, the toolchain. Nothing here decides anything."""

import os
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.descriptor.estate import Estate, find_estate
from provisioner.errors import NotFound

if TYPE_CHECKING:
    from provisioner.catalogue import Catalogue
    from provisioner.catalogue.images.estate_images import Own
    from provisioner.catalogue.images.prepared import Preparing
    from provisioner.catalogue.rendering import RenderedManifest
    from provisioner.descriptor.cooperative import Cooperative
    from provisioner.descriptor.platform import Platform
    from provisioner.operations.linting import Linter
    from provisioner.operations.policing import Policing
    from provisioner.plan.resources import CooperativePlan, SolutionChart
    from provisioner.toolchain import Toolchain


def open_estate(estate_path: Path | None) -> Estate:
    """The estate that --estate names, else the nearest one upwards; raises NotFound."""
    return find_estate(estate_path, start=Path.cwd())


def nearest_estate(estate_path: Path | None) -> Estate | None:
    """The estate; None where none is meant and none is near."""
    try:
        return open_estate(estate_path)
    except NotFound:
        if estate_path is not None:
            raise
        return None


def open_toolchain() -> "Toolchain":
    """The pinned tools, from PATH, from the user's cache or built."""
    from provisioner.toolchain import Toolchain

    return Toolchain()


def chart_sources(folder: Path | None, *, estate: Estate | None) -> tuple[Path, ...]:
    """Where solutions are on offer: in ``folder``, else with coopctl and in the own folder of ``estate``."""
    from provisioner.catalogue import shipped_charts

    if folder is not None:
        return (folder,)
    own = (estate.charts,) if estate and estate.charts.is_dir() else ()
    return (shipped_charts(), *own)


def open_catalogue(folder: Path | None = None, *, estate: Estate | None) -> "Catalogue":
    """The solutions on offer: those of `chart_sources`."""
    from provisioner.catalogue import load_catalogue

    return load_catalogue(*chart_sources(folder, estate=estate))


def open_linter(folder: Path | None, *, estate: Estate | None) -> "Linter":
    """Judges charts today (UTC) beside those of `chart_sources`, for cooperatives like those of ``estate``."""
    from cli.views.telling import teller
    from provisioner.catalogue import images_lock
    from provisioner.catalogue.loading import read_solutions
    from provisioner.operations.example_tenants import example_tenants
    from provisioner.operations.linting import Linter, known_images

    sources = chart_sources(folder, estate=estate)
    locked = images_lock.read(estate.images_lock).images if estate else {}
    return Linter(
        solutions=read_solutions(*sources)[0],
        images=known_images(*sources) | frozenset(locked),
        tenants=example_tenants(estate),
        render=_rendering(teller(events=False)),
        today=datetime.now(UTC).date(),
    )


def open_platform(estate: Estate) -> "Platform":
    """The estate's platform alone."""
    from provisioner.descriptor.loading import load_platform

    return load_platform(estate)


def open_plan(name: str, *, estate: Estate, lock_file: Path | None) -> "CooperativePlan":
    """The plan of the cooperative ``name``, its images pinned from ``lock_file`` (by default the estate's)."""
    policing = open_tenants(estate, names=(name,))
    return open_plans(policing, estate=estate, lock_file=lock_file)(policing.cooperatives[name])


def open_plans(
    policing: "Policing", *, estate: Estate, lock_file: Path | None
) -> "Callable[[Cooperative], CooperativePlan]":
    """Plans the cooperatives of ``policing``, images pinned from ``lock_file`` (by default the estate's)."""
    from provisioner.catalogue import images_lock
    from provisioner.plan.cooperative import cooperative_plan

    catalogue, images = open_catalogue(estate=estate), images_lock.read(lock_file or estate.images_lock)
    return lambda cooperative: cooperative_plan(
        cooperative,
        platform=policing.platform,
        catalogue=catalogue,
        images=images,
        exceptions=policing.excepted(cooperative.name),
    )


def open_tenants(
    estate: Estate, *, names: Collection[str] | None, report: Callable[[str], None] = lambda _: None
) -> "Policing":
    """The estate's cooperatives (with ``names`` only these) with what they are held to; no server is needed."""
    from provisioner.descriptor.loading import load_estate

    platform, cooperatives = load_estate(estate, catalogue_names=open_catalogue(estate=estate).names, names=names)
    return open_policing(estate, platform=platform, cooperatives=cooperatives, names=names, report=report)


def used_images(estate: Estate, *, catalogue: "Catalogue") -> tuple[str, ...]:
    """The names of the images that the estate's cooperatives chose with their solutions, and of coopctl's own."""
    from provisioner.descriptor.loading import load_estate

    _, cooperatives = load_estate(estate, catalogue_names=catalogue.names)
    solutions = {choice.name for cooperative in cooperatives for choice in cooperative.solutions}
    chosen = {image for name in solutions for image in catalogue.solutions[name].images}
    return (*sorted(chosen), *(one.name for one in programs(report=lambda _: None) if is_used(one, estate=estate)))


def is_used(own: "Own", *, estate: Estate) -> bool:
    """Whether anything in the estate runs an image of coopctl's own: coopctl, a migration with a state in a bucket."""
    from provisioner.catalogue.images.coopctl_image import COOPCTL
    from provisioner.datastore.shared_records import SCHEME

    if own.name != COOPCTL:
        return True
    return any(estate.migrations.glob("*.yaml")) and open_platform(estate).state.url.startswith(SCHEME)


def open_policing(
    estate: Estate,
    *,
    platform: "Platform",
    cooperatives: "Iterable[Cooperative]",
    names: Collection[str] | None,
    report: Callable[[str], None] = lambda _: None,
) -> "Policing":
    """What ``cooperatives`` are held to today (UTC); with ``names`` only exceptions for these are read.

    ``report`` is told if the program that renders charts has to be made first.
    """
    from policies import plugin
    from provisioner.descriptor.loading import load_exceptions
    from provisioner.operations.policing import Policing
    from provisioner.rules.excepting import known_rules

    return Policing(
        platform=platform,
        cooperatives={str(cooperative.name): cooperative for cooperative in cooperatives},
        exceptions=load_exceptions(estate, rules=known_rules(), names=names),
        today=datetime.now(UTC).date(),
        render=_rendering(report),
        pack=plugin.FOLDER,
    )


def _rendering(report: Callable[[str], None]) -> "Callable[[SolutionChart], list[RenderedManifest]]":
    """Renders charts; the program for it is looked for when the first is rendered."""
    from provisioner.operations.policy_checking import charts_rendered_by

    @cache
    def helm_render() -> Path:
        return open_toolchain().ensure(["helm-render"], report=report)["helm-render"]

    def render(solution: "SolutionChart") -> "list[RenderedManifest]":
        return charts_rendered_by(helm_render())(solution)

    return render


def image_cache() -> Path:
    """Where this user's built images are kept (XDG base directory specification, XDG_CACHE_HOME)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "coopctl" / "images"


def programs(*, report: Callable[[str], None]) -> "tuple[Own, ...]":
    """What of coopctl's own becomes an image beside the catalogue's: what a proof runs in pods, and coopctl itself."""
    from provisioner.catalogue.images.coopctl_image import CoopctlImage
    from provisioner.catalogue.images.programs import Program
    from provisioner.proof.probe_image import PROBE, REPOSITORY
    from provisioner.toolchain.chain import shipped

    return (
        Program(
            name=PROBE,
            repository=REPOSITORY,
            description="What `coopctl prove` runs in pods",
            find=lambda: open_toolchain().ensure((PROBE,), report=report)[PROBE],
        ),
        CoopctlImage(requirements=shipped("requirements/runtime.txt")),
    )


def preparing(catalogue: "Catalogue") -> "Preparing":
    """Makes the tables that images of ``catalogue`` hold for its solutions' databases."""
    from provisioner.operations.preparing import TablePreparation

    return TablePreparation(catalogue=catalogue)
