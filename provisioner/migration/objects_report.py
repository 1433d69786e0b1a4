"""Pure: what a verification of two buckets found, as a value and as JSON; objects_report_text has it for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from difflib import SequenceMatcher
from enum import StrEnum

from provisioner.migration.objects_values import Attributes, Content, Listed
from provisioner.migration.redaction import Json

SHOWN_IN_JOURNAL = 100
METHOD = (
    "Every version of every key was read at both sides, and hashed with SHA-256; compared were digest, size, type, "
    "headers, metadata, tags and the order of versions and delete markers. ETags were not compared."
)


class Aspect(StrEnum):
    """In what a version differs."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    KIND = "kind"
    SIZE = "size"
    BYTES = "bytes"
    CONTENT_TYPE = "content-type"
    HEADERS = "headers"
    METADATA = "metadata"
    TAGS = "tags"
    CHANGED = "changed-meanwhile"


@dataclass(frozen=True, kw_only=True)
class Read:
    """A version as it was read: how it is listed, and its whole; ``content`` is None for a delete marker."""

    listed: Listed
    content: Content | None


@dataclass(frozen=True, kw_only=True)
class ObjectDifference:
    """A difference in one version of ``key``; ``place`` counts its versions from 1, the oldest.

    ``expected`` is what the source has, ``found`` what the target has, as text that people can compare.
    """

    key: str
    place: int
    aspect: Aspect
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.key} (version {self.place}): {self.aspect}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True, kw_only=True)
class ObjectsReport:
    """What was compared, how, when and by which coopctl, with every difference. Sizes are bytes, read at each side."""

    source: str
    target: str
    coopctl: str
    begun: datetime
    ended: datetime
    partial: bool
    keys: int
    versions: int
    delete_markers: int
    size_bytes: int
    differences: tuple[ObjectDifference, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return not self.differences


def differences_of(key: str, *, source: Sequence[Read], target: Sequence[Read]) -> tuple[ObjectDifference, ...]:
    """Every difference between the versions of ``key``, oldest first at both sides.

    Where their numbers differ, the missing and the unexpected ones are named by what the others have in common.
    """
    if len(source) == len(target):
        return tuple(
            found
            for place, (one, other) in enumerate(zip(source, target, strict=True), start=1)
            for found in _differences(key, place, one, other)
        )
    matcher = SequenceMatcher(None, [one.content for one in source], [one.content for one in target], autojunk=False)
    found: list[ObjectDifference] = []
    for _, first, last, other_first, other_last in (code for code in matcher.get_opcodes() if code[0] != "equal"):
        found += [
            _difference(key, place + 1, Aspect.MISSING, _shown(source[place]), "nothing")
            for place in range(first, last)
        ]
        found += [
            _difference(key, place + 1, Aspect.UNEXPECTED, "nothing", _shown(target[place]))
            for place in range(other_first, other_last)
        ]
    return tuple(found)


def summary(report: ObjectsReport) -> dict[str, Json]:
    """What a journal keeps of it: counts, and the first differences."""
    return {
        "keys": report.keys,
        "versions": report.versions,
        "size": report.size_bytes,
        "differences": len(report.differences),
        "named": [str(one) for one in report.differences[:SHOWN_IN_JOURNAL]],
    }


def as_document(report: ObjectsReport) -> dict[str, Json]:
    """The report as JSON."""
    return {
        "source": report.source,
        "target": report.target,
        "coopctl": report.coopctl,
        "begun": report.begun.isoformat(),
        "ended": report.ended.isoformat(),
        "method": METHOD,
        "partial": report.partial,
        "passed": report.passed,
        "keys": report.keys,
        "versions": report.versions,
        "deleteMarkers": report.delete_markers,
        "sizeBytes": report.size_bytes,
        "differences": [{**asdict(one), "aspect": str(one.aspect)} for one in report.differences],
    }


def _differences(key: str, place: int, one: Read, other: Read) -> list[ObjectDifference]:
    if one.content is None or other.content is None:
        if one.content is other.content:
            return []
        return [_difference(key, place, Aspect.KIND, _shown(one), _shown(other))]
    expected, found = _aspects(one.content), _aspects(other.content)
    # Of other bytes the number need not be told as well.
    told = [aspect for aspect in expected if expected[aspect] != found[aspect]]
    if Aspect.SIZE in told:
        told.remove(Aspect.BYTES)
    return [_difference(key, place, aspect, expected[aspect], found[aspect]) for aspect in told]


def _aspects(content: Content) -> Mapping[Aspect, str]:
    attributes: Attributes = content.attributes
    return {
        Aspect.SIZE: f"{content.size} bytes",
        Aspect.BYTES: f"SHA-256 {content.sha256}",
        Aspect.CONTENT_TYPE: attributes.content_type or "none",
        Aspect.HEADERS: _listed(attributes.headers),
        Aspect.METADATA: _listed(attributes.metadata),
        Aspect.TAGS: _listed(attributes.tags),
    }


def _listed(pairs: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in pairs) or "none"


def _shown(read: Read) -> str:
    if read.content is None:
        return "a delete marker"
    return f"{read.content.size} bytes, SHA-256 {read.content.sha256}"


def _difference(key: str, place: int, aspect: Aspect, expected: str, found: str) -> ObjectDifference:
    return ObjectDifference(key=key, place=place, aspect=aspect, expected=expected, found=found)
