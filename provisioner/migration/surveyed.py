"""What a survey found on all four servers, as one value, judged, and kept in a file while a migration goes on.

The file is needed for the way back: once tables have another replica identity no survey tells any more which one they
had. It holds names and numbers of the schema, no row and no credential.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from provisioner.errors import CoopctlError, Severity
from provisioner.migration.objects_survey import BucketFacts, ObjectsFinding, fact_findings
from provisioner.migration.plain_values import plain
from provisioner.migration.postgres_catalogue import Catalogue
from provisioner.migration.postgres_facts import SourceFacts, TargetFacts
from provisioner.migration.postgres_preflight import Mode, Preflight, preflight
from provisioner.migration.postgres_preflight_checks import Problem

PRIVATE_FILE = 0o600
Kept = TypeVar("Kept")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Both databases, where they are (host and port), both buckets, and why the target cannot connect to the source.

    ``unreachable`` is None where it can, or need not.
    """

    source_at: str
    target_at: str
    source: SourceFacts
    target: TargetFacts
    source_bucket: BucketFacts
    target_bucket: BucketFacts
    unreachable: str | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was decided for PostgreSQL, and every problem of the data store, errors first."""

    postgres: Preflight
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What refuses the migration."""
        return tuple(one for one in self.problems if one.severity is Severity.ERROR)


def judge(survey: Survey, *, wanted: Mode, further: tuple[Problem, ...] = ()) -> Judged:
    """Pure: decide, with all problems; ``further`` are those that were found by trying."""
    postgres = preflight(survey.source, survey.target, wanted=wanted, unreachable=survey.unreachable)
    objects = map(as_problem, fact_findings(survey.source_bucket, survey.target_bucket))
    return Judged(postgres=postgres, problems=errors_first((*postgres.problems, *objects, *further)))


def as_problem(finding: ObjectsFinding) -> Problem:
    """Pure: what was found at a bucket, as what is found at a database."""
    return Problem(severity=finding.severity, what=finding.what, consequence=finding.consequence, remedy=finding.remedy)


def errors_first(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Pure: errors before warnings, each as they came."""
    return tuple(sorted(problems, key=lambda one: one.severity is not Severity.ERROR))


def write_survey(file: Path, survey: Survey) -> None:
    """Keep ``survey`` in ``file``, whole or not at all."""
    _replace(file, json.dumps(plain(survey), ensure_ascii=False).encode())


def read_survey(file: Path) -> Survey:
    """The survey in ``file``. Raises CoopctlError if it is gone or damaged."""
    return _read(file, TypeAdapter(Survey))


def write_catalogue(file: Path, catalogue: Catalogue) -> None:
    """Keep a catalogue in ``file``, whole or not at all."""
    entries = [(kind, name, text) for (kind, name), text in sorted(catalogue.entries.items())]
    _replace(file, _ENTRIES.dump_json(entries))


def read_kept_catalogue(file: Path) -> Catalogue:
    """The catalogue in ``file``. Raises CoopctlError if it is gone or damaged."""
    return Catalogue(entries={(kind, name): text for kind, name, text in _read(file, _ENTRIES)})


_ENTRIES = TypeAdapter(list[tuple[str, str, str]])


def _replace(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    begun = file.with_name(f"{file.name}.new")
    begun.touch(mode=PRIVATE_FILE)
    with begun.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    begun.replace(file)


def _read(file: Path, adapter: TypeAdapter[Kept]) -> Kept:
    try:
        return adapter.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise CoopctlError(
            f"{file}, which the open migration needs, cannot be read",
            why=error.strerror if isinstance(error, OSError) else "it is damaged",
            hint="bring it back from a copy",
        ) from error
