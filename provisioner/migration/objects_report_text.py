"""Pure: a verification of two buckets as text for people, in English and in Korean."""

from collections.abc import Mapping
from datetime import UTC
from types import MappingProxyType
from typing import Final, Literal

from provisioner.migration.objects_report import Aspect, ObjectDifference, ObjectsReport

Language = Literal["en", "ko"]

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {
            "title": "Verification of the object store",
            "from": "From",
            "to": "To",
            "when": "When (UTC)",
            "by": "By",
            "compared": "Compared",
            "counts": "{keys:,} objects with {versions:,} versions and {markers:,} delete markers, {size:,} bytes",
            "some": " (some objects only, as asked for)",
            "how": "How",
            "method": (
                "every version was read at both sides and hashed with SHA-256; compared were digest, size, type,"
                " headers, metadata, tags and the order of versions. ETags were not compared."
            ),
            "passed": "Nothing differs.",
            "one": "1 difference:",
            "many": "{count:,} differences:",
            "version": "version {place}",
            "expected": "expected {expected}, found {found}",
        },
        "ko": {
            "title": "객체 저장소 검증 보고서",
            "from": "원본",
            "to": "대상",
            "when": "시각(UTC)",
            "by": "도구",
            "compared": "비교 범위",
            "counts": "객체 {keys:,}개, 버전 {versions:,}개, 삭제 표시 {markers:,}개, {size:,}바이트",
            "some": " (요청한 일부 객체만)",
            "how": "방법",
            "method": (
                "양쪽에서 모든 버전을 끝까지 읽어 SHA-256으로 해시하고, 해시·크기·형식·헤더·메타데이터·태그와 버전"
                " 순서를 비교했습니다. ETag는 비교하지 않았습니다."
            ),
            "passed": "차이가 없습니다.",
            "one": "차이 1건:",
            "many": "차이 {count:,}건:",
            "version": "버전 {place}",
            "expected": "원본 {expected}, 대상 {found}",
        },
    }
)
_ASPECTS: Final[Mapping[Language, Mapping[Aspect, str]]] = MappingProxyType(
    {
        "en": {aspect: str(aspect).replace("-", " ") for aspect in Aspect},
        "ko": {
            Aspect.MISSING: "대상에 없음",
            Aspect.UNEXPECTED: "원본에 없음",
            Aspect.KIND: "종류가 다름",
            Aspect.SIZE: "크기가 다름",
            Aspect.BYTES: "다른 바이트",
            Aspect.CONTENT_TYPE: "형식이 다름",
            Aspect.HEADERS: "헤더가 다름",
            Aspect.METADATA: "메타데이터가 다름",
            Aspect.TAGS: "태그가 다름",
            Aspect.CHANGED: "검증 중에 바뀜",
        },
    }
)


def as_text(report: ObjectsReport, *, language: Language) -> str:
    """The report as lines that a person reads, ending with a line break."""
    words = _WORDS[language]
    counts = words["counts"].format(
        keys=report.keys, versions=report.versions, markers=report.delete_markers, size=report.size_bytes
    )
    moments = [f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" for moment in (report.begun, report.ended)]
    lines = [
        words["title"],
        "",
        f"{words['from']}: {report.source}",
        f"{words['to']}: {report.target}",
        f"{words['when']}: {moments[0]} - {moments[1]}",
        f"{words['by']}: coopctl {report.coopctl}",
        f"{words['compared']}: {counts}{words['some'] if report.partial else ''}",
        f"{words['how']}: {words['method']}",
        "",
        _verdict(report, words),
        *(_line(one, words, aspects=_ASPECTS[language]) for one in report.differences),
    ]
    return "\n".join(lines) + "\n"


def _verdict(report: ObjectsReport, words: Mapping[str, str]) -> str:
    count = len(report.differences)
    return words["passed"] if not count else words["one"] if count == 1 else words["many"].format(count=count)


def _line(one: ObjectDifference, words: Mapping[str, str], *, aspects: Mapping[Aspect, str]) -> str:
    place = f" ({words['version'].format(place=one.place)})" if one.place else ""
    told = words["expected"].format(expected=one.expected, found=one.found)
    return f"- {one.key!r}{place}: {aspects[one.aspect]}; {told}"
