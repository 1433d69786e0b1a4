"""Judges a chart as files, before it is rendered: what lies in its folder, its schema, its terms.

Reads files, changes none. What is wrong with a document that coopctl reads is told by whoever reads it (`loading`).
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.catalogue.annotations import annotation
from provisioner.catalogue.chart_schema import schema_faults
from provisioner.catalogue.data_map import DATA_MAP_FILE
from provisioner.catalogue.loading import CHART_FILE
from provisioner.catalogue.offer import Review
from provisioner.catalogue.reading import place_in
from provisioner.catalogue.solution import Solution
from provisioner.descriptor.text import read_text
from provisioner.errors import Location
from provisioner.rules.chart_file_rules import DATA_MAP, FILES, SCHEMA, TERMS
from provisioner.rules.rule import PlanRule

SCHEMA_FILE = "values.schema.json"
FILES_MAX = 500
BYTES_MAX = 10 * 1024 * 1024
MEBIBYTE = 1024 * 1024
# Folders of a chart that Helm gives a meaning which a solution may not use.
_FOLDERS = {"crds": "definitions hold for the whole cluster", "charts": "subcharts bring what nobody has looked at"}
# Licences that ask whoever passes the software on for its source, by how their SPDX identifiers begin.
_COPYLEFT = ("AGPL-", "GPL-", "LGPL-", "MPL-", "EUPL-", "EPL-", "CDDL-")


@dataclass(frozen=True, kw_only=True)
class FileFault:
    """What is wrong with a chart's file: the rule, the part of the file (empty: all of it), and where it stands."""

    rule: PlanRule
    path: str
    message: str
    location: Location


def folder_faults(chart: Path) -> Iterator[FileFault]:
    """What may not lie in a chart's folder, and what it lacks."""
    yield from _kinds_and_sizes(chart)
    for name, why in _FOLDERS.items():
        if (chart / name).exists():
            yield FileFault(rule=FILES, path=name, message=f"is there: {why}", location=Location(file=chart / name))
    yield from _dependencies(chart / CHART_FILE)
    if not (chart / DATA_MAP_FILE).is_file():
        yield _missing(DATA_MAP, chart, DATA_MAP_FILE)
    yield from _schema(chart)


def terms_faults(solution: Solution) -> Iterator[FileFault]:
    """The terms that an approved solution leaves open."""
    offer = solution.offer
    if offer.review is not Review.APPROVED:
        return
    given: dict[str, object] = {
        "publisher": offer.publisher,
        "licence": offer.licence,
        "support_contact": offer.support_contact,
        "price": offer.price,
    }
    is_copyleft = any(word.startswith(_COPYLEFT) for word in (offer.licence or "").split())
    # A module of the solution's own is in its chart, source and all.
    if is_copyleft and solution.own_module is None:
        given["source"] = offer.source
    file = solution.chart / CHART_FILE
    where = place_in(file, ("annotations", annotation("review")))
    for field, value in given.items():
        if value is None:
            message = f"is not stated, and the review is {offer.review}"
            yield FileFault(rule=TERMS, path=f"annotations.{annotation(field)}", message=message, location=where)


def _kinds_and_sizes(chart: Path) -> Iterator[FileFault]:
    count, size = 0, 0
    for file in _entries(chart):
        kind = file.lstat()
        if stat.S_ISREG(kind.st_mode):
            count, size = count + 1, size + kind.st_size
        elif not stat.S_ISDIR(kind.st_mode):
            what = "a link" if stat.S_ISLNK(kind.st_mode) else "neither a file nor a folder"
            yield _fault(file, chart=chart, message=f"is {what}")
    if count > FILES_MAX:
        yield _fault(chart, chart=chart, message=f"holds {count} files; {FILES_MAX} are the most")
    if size > BYTES_MAX:
        yield _fault(chart, chart=chart, message=f"is {size // MEBIBYTE} MiB; {BYTES_MAX // MEBIBYTE} MiB are the most")


def _entries(chart: Path) -> Iterator[Path]:
    """All that lies in the chart's folder; no link is followed."""
    for folder, folders, files in os.walk(chart):
        for name in sorted((*folders, *files)):
            yield Path(folder) / name


def _fault(file: Path, *, chart: Path, message: str) -> FileFault:
    path = "" if file == chart else str(file.relative_to(chart))
    return FileFault(rule=FILES, path=path, message=message, location=Location(file=file))


def _dependencies(file: Path) -> Iterator[FileFault]:
    where = place_in(file, ("dependencies",))
    if where != place_in(file, ()):
        yield FileFault(rule=FILES, path="dependencies", message="bring subcharts", location=where)


def _missing(rule: PlanRule, chart: Path, name: str) -> FileFault:
    """A file that is not there; the place is where the chart begins."""
    return FileFault(rule=rule, path=name, message="is missing", location=Location(file=chart / CHART_FILE, line=1))


def _schema(chart: Path) -> Iterator[FileFault]:
    file = chart / SCHEMA_FILE
    if not file.is_file():
        yield _missing(SCHEMA, chart, SCHEMA_FILE)
        return
    try:
        schema = _json(file)
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 0
        where = Location(file=file, line=line)
        yield FileFault(rule=SCHEMA, path="", message=f"is no JSON object: {error}", location=where)
        return
    for path, message in schema_faults(schema):
        shown = ".".join(str(part) for part in path)
        yield FileFault(rule=SCHEMA, path=shown, message=message, location=place_in(file, path))


def _json(file: Path) -> Mapping[str, Any]:
    """The object in ``file``; raises ValueError if there is none."""
    content = read_text(file)
    if content.text is None:
        raise ValueError("; ".join(problem.message for problem in content.problems))
    try:
        found = json.loads(content.text)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError("it begins with something else")  # noqa: TRY004 - of a file's content, not of an argument
    return found
