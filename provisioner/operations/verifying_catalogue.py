"""Whether what an estate counts on is still what it was: the images in the platform's registry, and the charts.

Images are fetched by the digests of images.lock and hashed; charts are compared with the catalogue's charts.lock, which
knows those that `coopctl catalogue add` took in. Nothing is changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from provisioner.catalogue import charts_lock
from provisioner.catalogue.charts_lock import LockedChart, chart_digest
from provisioner.catalogue.images.building import Report
from provisioner.catalogue.images.verifying import ImageCheck, verify_image
from provisioner.catalogue.images_lock import ImagesLock
from provisioner.catalogue.loading import CHART_FILE, read_solution
from provisioner.errors import InvalidDescriptor, NotFound


@dataclass(frozen=True, kw_only=True)
class ChartCheck:
    """A chart; ``locked`` is None where nobody recorded what it was, as of those that come with coopctl."""

    name: str
    locked: LockedChart | None
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CatalogueCheck:
    """All images of the lock and all charts of the catalogue."""

    images: tuple[ImageCheck, ...]
    charts: tuple[ChartCheck, ...]

    @property
    def is_well(self) -> bool:
        """Whether everything is what it was."""
        return not any([*(one.problems for one in self.images), *(one.problems for one in self.charts)])


def verify_catalogue(catalogue: Sequence[Path], *, lock: ImagesLock, registry: str, report: Report) -> CatalogueCheck:
    """Look at every image of ``lock`` in ``registry`` and at every chart of the folders ``catalogue``.

    Raises NotFound for a missing folder or skopeo, InvalidDescriptor for a bad lock, Unreachable, NotPermitted.
    """
    for folder in catalogue:
        if not folder.is_dir():
            raise NotFound(f"the catalogue's folder {folder} does not exist")
    images = []
    for name, image in lock.images.items():
        report(f"verifying {image.repository} in {registry}")
        images.append(verify_image(name, image=image, registry=registry))
    charts = tuple(check for folder in catalogue for check in check_charts(folder))
    return CatalogueCheck(images=tuple(images), charts=charts)


def check_charts(catalogue: Path) -> Iterator[ChartCheck]:
    """Every chart of the folder ``catalogue``, and every one that was taken in and is not there."""
    locked = charts_lock.read(catalogue).charts
    there = {file.parent.name for file in catalogue.glob(f"*/{CHART_FILE}")}
    for name in sorted(there | set(locked)):
        known = locked.get(name)
        problems = () if known is None else tuple(_problems(catalogue / name, locked=known))
        yield ChartCheck(name=name, locked=known, problems=problems)


def _problems(chart: Path, *, locked: LockedChart) -> Iterator[str]:
    if not (chart / CHART_FILE).is_file():
        yield "is not there"
        return
    version = _version(chart)
    if version != locked.version:
        yield f"is version {version}, and {locked.version} was taken in"
    elif (digest := chart_digest(chart)) != locked.digest:
        yield f"was changed since it was taken in: {digest}, not {locked.digest}"


def _version(chart: Path) -> str:
    try:
        return read_solution(chart).version
    except InvalidDescriptor:
        return "that cannot be read"
