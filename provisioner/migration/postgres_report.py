"""What a verification says: values that can be shown, kept and signed off, and the proof that opens the switch."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeVar, final

from provisioner.errors import VerificationFailed
from provisioner.migration.postgres_catalogue import CatalogueDifference
from provisioner.migration.redaction import Json

SHOWN_IN_ERROR = 10
SHOWN_IN_JOURNAL = 100
_SEAL: Final = object()


class Scope(StrEnum):
    """What was compared: everything while changes flow, everything at rest, or what was written since."""

    REHEARSAL = "rehearsal"
    FULL = "full"
    CHANGED = "changed"


@dataclass(frozen=True, kw_only=True)
class RowDifference:
    """A row that is not the same; texts are cut, None means that a side has no such row."""

    table: str
    key: str
    source: str | None
    target: str | None

    def __str__(self) -> str:
        kind = "missing" if self.target is None else "foreign" if self.source is None else "changed"
        return f"{self.table}: row {self.key} is {kind} on the target"


@dataclass(frozen=True, kw_only=True)
class TableVerification:
    """One table: how many rows and chunks were compared on each side, and what differs.

    ``moving`` counts rows that were being written while they were looked at: neither right nor wrong yet.
    ``differing`` counts all rows that differ, of which ``differences`` names the first.
    """

    table: str
    source_rows: int
    target_rows: int
    chunks: int
    whole: bool = True
    differing: int = 0
    moving: int = 0
    differences: tuple[RowDifference, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SequenceDifference:
    """A sequence whose position is not the same, as ``last_value`` and ``is_called``."""

    sequence: str
    source: str | None
    target: str | None

    def __str__(self) -> str:
        return f"sequence {self.sequence} stands at {self.target} instead of {self.source}"


Difference = TypeVar("Difference", RowDifference, CatalogueDifference, SequenceDifference)


@dataclass(frozen=True, kw_only=True)
class AgreedSchema:
    """Both sides' digests (postgres_schema_digest.py) as they were when all ``entries`` definitions were the same.

    As long as both digests are these, the schemas are the same.
    """

    source: str
    target: str
    entries: int


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """What was compared, and all differences.

    ``begun`` is in seconds since 1970 (UTC); versions are as PostgreSQL numbers them, such as 150018. ``agreed`` is for
    the next comparison, if the schemas are the same; ``schema_by_digest`` says that they were not read again, since
    neither has changed since they were.
    """

    scope: Scope
    begun: float
    seconds: float
    source_version: int
    target_version: int
    tables: tuple[TableVerification, ...]
    catalogue_entries: int
    schema_by_digest: bool = False
    agreed: AgreedSchema | None = None
    catalogue: tuple[CatalogueDifference, ...] = ()
    sequences: tuple[SequenceDifference, ...] = ()
    large_objects: tuple[int, ...] = ()

    @property
    def differences(self) -> tuple[str, ...]:
        """Every difference in words."""
        rows = [str(one) for table in self.tables for one in table.differences]
        more = [
            f"{table.table}: {table.differing - len(table.differences)} further rows differ"
            for table in self.tables
            if table.differing > len(table.differences)
        ]
        objects = [f"large object {oid} differs" for oid in self.large_objects]
        return (*rows, *more, *map(str, self.catalogue), *map(str, self.sequences), *objects)

    @property
    def clean(self) -> bool:
        """Whether both sides hold the same."""
        return not self.differences

    @property
    def turned(self) -> "VerificationReport":
        """The same, of a comparison that was made the other way round."""
        return replace(
            self,
            source_version=self.target_version,
            target_version=self.source_version,
            tables=tuple(
                replace(
                    one,
                    source_rows=one.target_rows,
                    target_rows=one.source_rows,
                    differences=tuple(map(_turned, one.differences)),
                )
                for one in self.tables
            ),
            catalogue=tuple(map(_turned, self.catalogue)),
            sequences=tuple(map(_turned, self.sequences)),
        )

    def summary(self) -> dict[str, Json]:
        """What a journal keeps of it: counts, and the first differences by the keys of rows, never their contents."""
        return {
            "scope": self.scope.value,
            "tables": len(self.tables),
            "rows": sum(one.source_rows for one in self.tables),
            "definitions": self.catalogue_entries,
            "schemaByDigest": self.schema_by_digest,
            "sourceVersion": self.source_version,
            "targetVersion": self.target_version,
            "seconds": round(self.seconds, 3),
            "differences": len(self.differences),
            "named": list(self.differences[:SHOWN_IN_JOURNAL]),
        }

    def to_json(self) -> dict[str, Any]:
        """The report as JSON's own types."""
        return asdict(self) | {"scope": self.scope.value, "clean": self.clean}


def _turned(one: Difference) -> Difference:
    return replace(one, source=one.target, target=one.source)


@final
class Verified:
    """Proof that both sides were at rest and held the same: nothing but ``require_verified`` makes one."""

    __slots__ = ("report",)

    def __init__(self, report: VerificationReport, *, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a verification is proved by require_verified alone")
        self.report = report


def require_verified(report: VerificationReport) -> Verified:
    """The proof, if the report is clean and nothing was moving. Raises VerificationFailed, naming what differs."""
    if report.scope is Scope.REHEARSAL:
        raise VerificationFailed("a rehearsal proves nothing about what was written since")
    if not report.clean:
        named = report.differences[:SHOWN_IN_ERROR]
        more = len(report.differences) - len(named)
        raise VerificationFailed(
            "the target does not hold what the source holds",
            why="; ".join(named) + (f"; and {more} more" if more else ""),
        )
    return Verified(report, seal=_SEAL)
