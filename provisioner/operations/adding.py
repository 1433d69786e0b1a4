"""Takes a chart into a catalogue's folder.

1. It is staged in the catalogue's own folder, in the hidden `.adding`, bounded and without links.
2. It is judged there; one that breaks a rule goes no further.
3. Its review becomes `proposed`, whatever its author wrote: approving is for those who offer it.
4. It takes its place, and the place of another version of it; then charts.lock gets its digest.

Cut off before 4 nothing is in the catalogue but `.adding`, which the next call empties; cut off within, the same call
again puts everything in its place. Calls on the same catalogue wait for each other.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import provisioner
from provisioner.catalogue import charts_lock
from provisioner.catalogue.annotations import annotation
from provisioner.catalogue.chart_staging import stage
from provisioner.catalogue.charts_lock import LockedChart, chart_digest
from provisioner.catalogue.images.building import scratch
from provisioner.catalogue.loading import CHART_FILE, read_solution, shipped_charts
from provisioner.catalogue.offer import Review
from provisioner.catalogue.reading import place_in
from provisioner.descriptor.estate import Estate
from provisioner.errors import CoopctlError, InvalidDescriptor, NotFound, UsageError
from provisioner.operations.linting import Linted, Linter

_STAGING = ".adding"
_STATES = "|".join(Review)


@dataclass(frozen=True, kw_only=True)
class Added:
    """A chart that is in the catalogue now, proposed; ``replaced`` is the version that was there before, or None."""

    name: str
    version: str
    digest: str
    chart: Path
    replaced: str | None


def catalogue_to_change(folder: Path | None, *, estate: Estate | None = None) -> Path:
    """The folder that a chart is taken into: ``folder``, else the own one of ``estate``, else that of the checkout.

    Raises UsageError for the charts of an installed coopctl, NotFound.
    """
    if folder is None and estate is not None:
        estate.charts.mkdir(exist_ok=True)
        return estate.charts
    shipped = shipped_charts()
    if folder is None and shipped.is_relative_to(Path(provisioner.__file__).parent):
        hint = "give --estate or --catalogue DIR: an update of coopctl would take what was added to its own"
        raise UsageError("the charts of an installed coopctl are not changed", hint=hint)
    chosen = folder or shipped
    if not chosen.is_dir():
        raise NotFound(f"the catalogue's folder {chosen} does not exist", hint=f"make it first: mkdir -p '{chosen}'")
    return chosen


def add_chart(source: Path, *, catalogue: Path, linter: Linter) -> Added | Linted:
    """Take the chart at ``source`` (a folder or an archive) into the folder ``catalogue``; what was found, if refused.

    Raises UsageError for what cannot be taken in, or a version that is there already; NotFound.
    """
    with _alone(catalogue), scratch(catalogue / _STAGING) as work:
        staged = stage(source, into=work)
        linted = linter.lint(staged)
        if linted.verdict.violations:
            return _told_of(linted, source=source)
        solution = read_solution(staged)
        replaced = _version_there(catalogue / solution.name)
        if replaced == solution.version:
            message = f"the catalogue has {solution.name} {solution.version} already"
            raise UsageError(message, hint="raise the version in Chart.yaml: what is installed never changes under one")
        _propose(staged)
        digest = chart_digest(staged)
        chart = _in_place(staged, catalogue=catalogue, work=work)
        lock = charts_lock.read(catalogue)
        charts_lock.write(lock.with_chart(solution.name, LockedChart(version=solution.version, digest=digest)))
    return Added(name=solution.name, version=solution.version, digest=digest, chart=chart, replaced=replaced)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process changes ``folder``; the lock goes with the process that holds it."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _told_of(linted: Linted, *, source: Path) -> Linted:
    """What was found, in the files that the caller knows."""
    moved = tuple(
        replace(one, location=replace(one.location, file=_known(one.location.file, linted=linted, source=source)))
        for one in linted.verdict.violations
    )
    return replace(linted, chart=source, verdict=replace(linted.verdict, violations=moved))


def _known(file: Path, *, linted: Linted, source: Path) -> Path:
    return source / file.relative_to(linted.chart) if file.is_relative_to(linted.chart) else file


def _version_there(chart: Path) -> str | None:
    """The version of the chart that is there; an empty one if it cannot be read and may be replaced."""
    if not chart.exists():
        return None
    try:
        return read_solution(chart).version
    except InvalidDescriptor:
        return ""


def _propose(chart: Path) -> None:
    """Write the review back to what it is of a chart that nobody here has looked at."""
    file = chart / CHART_FILE
    path = ("annotations", annotation("review"))
    if read_solution(chart).offer.review is Review.PROPOSED:
        return
    where = place_in(file, path)
    lines = file.read_text(encoding="utf-8").split("\n")
    before, said = lines[where.line - 1][: where.column - 1], lines[where.line - 1][where.column - 1 :]
    lines[where.line - 1] = before + re.sub(rf"^([\"']?)({_STATES})\b", rf"\1{Review.PROPOSED}", said)
    file.write_text("\n".join(lines), encoding="utf-8")
    if read_solution(chart).offer.review is not Review.PROPOSED:
        hint = f"write `{annotation('review')}: {Review.PROPOSED}` in its own line"
        raise CoopctlError(f"the review in {CHART_FILE} cannot be set back", hint=hint)


def _in_place(staged: Path, *, catalogue: Path, work: Path) -> Path:
    chart = catalogue / staged.name
    if chart.exists():
        chart.rename(work / "replaced")
    staged.rename(chart)
    return chart
