"""Pure: a run of a migration as a report for people, in English and in Korean, as text and as a page.

What it says comes from the journal alone, so that it is the same years later. Both forms show the same `Report`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType
from typing import Any, Final, Literal

from provisioner.migration.journal_entries import Phase, Run, RunEnding, RunKind, StepRecord, StepState
from provisioner.migration.redaction import Json

Language = Literal["en", "ko"]

_WORDS: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {
            "title": "Moving a data store: {name}",
            "cooperative": "Cooperative",
            "member": "Member whose slice moved",
            "what": "What was done",
            "begun": "Begun (UTC)",
            "ended": "Ended (UTC)",
            "state": "State",
            "open": "under way",
            "switched": "the applications work at the target; a way back is kept",
            "outage": "Applications waited",
            "seconds": "{count:.2f} s",
            "unknown": "not known: the process was killed in that moment",
            "dump": "Final dump",
            "kept": "Dump kept until",
            "steps": "Steps",
            "phase": "Phase",
            "step": "Step",
            "how": "How it ended",
            "took": "Took",
            "verified": "Verifications",
            "rows": "Rows: {tables:,} tables with {rows:,} rows compared ({scope}), {definitions:,} definitions",
            "objects": "Objects: {keys:,} with {versions:,} versions compared, {size:,} bytes read at each side",
            "method": "Rows are compared by counts and hashes of all columns, objects by the SHA-256 of every version.",
            "none": "Nothing differs.",
            "some": "{count:,} differences:",
            "erased": "Erased on the platform (UTC)",
            "what-was-there": "What was there",
            "held-database": "database {name} with {bytes:,} bytes, {tables:,} tables and sequences, {rows:,} rows",
            "held-bucket": "bucket {name} with {versions:,} versions ({bytes:,} bytes), {markers:,} delete markers,"
            " {uploads:,} unfinished uploads",
            "held-roles": "{count:,} roles, {identities:,} S3 identity",
            "looked-up": "Looked up afterwards",
            "nothing-left": "nothing of it is left; {databases:,} databases, {roles:,} roles, {buckets:,} buckets and"
            " {identities:,} identities of others are there as before",
            "leak-test": "Leak test: {leaks:,} rows at the target are of somebody else, or referred to by nothing",
            "held-slice": "{tables:,} tables with {rows:,} rows of the member, {versions:,} versions of objects"
            " ({bytes:,} bytes)",
            "slice-gone": "no row and no object of the member is left; {tables:,} tables with {rows:,} rows of others"
            " have the same sums as before, {versions:,} versions of others are there; {cut:,} references of others to"
            " the member were cut",
            "digest": "Digest of the proof (SHA-256)",
            "signed": "Signed off",
            "sign": "Name, date: ______________________________",
        },
        "ko": {
            "title": "데이터 저장소 이전 보고서: {name}",
            "cooperative": "협동조합",
            "member": "이전한 회원사",
            "what": "작업 종류",
            "begun": "시작(UTC)",
            "ended": "종료(UTC)",
            "state": "상태",
            "open": "진행 중",
            "switched": "응용 프로그램이 이전 대상에서 동작하며 되돌릴 수 있습니다",
            "outage": "응용 프로그램 대기 시간",
            "seconds": "{count:.2f}초",
            "unknown": "알 수 없음: 그 순간에 프로세스가 강제 종료되었습니다",
            "dump": "최종 덤프",
            "kept": "덤프 보존 기한",
            "steps": "단계",
            "phase": "국면",
            "step": "단계",
            "how": "결과",
            "took": "소요 시간",
            "verified": "검증",
            "rows": "행: 표 {tables:,}개, 행 {rows:,}개 비교({scope}), 정의 {definitions:,}개",
            "objects": "객체: {keys:,}개, 버전 {versions:,}개 비교, 양쪽에서 각각 {size:,}바이트 읽음",
            "method": "행은 개수와 모든 열의 해시로, 객체는 모든 버전의 SHA-256으로 비교했습니다.",
            "none": "차이가 없습니다.",
            "some": "차이 {count:,}건:",
            "erased": "플랫폼에서 삭제(UTC)",
            "what-was-there": "삭제 전 보유 내용",
            "held-database": "데이터베이스 {name}: {bytes:,}바이트, 표와 시퀀스 {tables:,}개, 행 {rows:,}개",
            "held-bucket": "버킷 {name}: 버전 {versions:,}개({bytes:,}바이트), 삭제 표시 {markers:,}개,"
            " 미완료 업로드 {uploads:,}개",
            "held-roles": "역할 {count:,}개, S3 사용자 {identities:,}개",
            "looked-up": "삭제 후 재확인",
            "nothing-left": "남은 것이 없으며, 다른 이용자의 데이터베이스 {databases:,}개, 역할 {roles:,}개,"
            " 버킷 {buckets:,}개, 사용자 {identities:,}개는 그대로입니다",
            "leak-test": "유출 검사: 이전 대상에서 다른 회원사의 행 또는 이 회원사가 참조하지 않는 행 {leaks:,}개",
            "held-slice": "회원사의 표 {tables:,}개, 행 {rows:,}개, 객체 버전 {versions:,}개({bytes:,}바이트)",
            "slice-gone": "회원사의 행과 객체가 남아 있지 않으며, 다른 이용자의 표 {tables:,}개, 행 {rows:,}개의 합계가"
            " 삭제 전과 같고 객체 버전 {versions:,}개가 그대로입니다. 회원사를 참조하던 다른 이용자의 참조 {cut:,}건을"
            " 끊었습니다",
            "digest": "증명 요약값(SHA-256)",
            "signed": "확인",
            "sign": "성명, 날짜: ______________________________",
        },
    }
)
_NAMES: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {
        "en": {},
        "ko": {
            RunKind.PREFLIGHT: "사전 점검",
            RunKind.REHEARSAL: "예행 연습",
            RunKind.MIGRATION: "이전",
            RunEnding.PASSED: "통과",
            RunEnding.PROBLEMS: "문제 있음",
            RunEnding.FAILED: "실패",
            RunEnding.ABORTED: "중단",
            RunEnding.ROLLED_BACK: "원래 위치로 복귀",
            RunEnding.FINALISED: "완료",
            RunEnding.ERASED: "삭제 완료",
            StepState.DONE: "완료",
            StepState.BEGUN: "시작됨",
            "rehearsal": "사용 중 비교",
            "full": "전체",
            "slice": "회원사 몫",
            "changed": "마지막 검증 이후 변경분",
        },
    }
)

_STYLE: Final = (
    "body{font-family:sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse}"
    "td,th{border:1px solid #888;padding:.2em .6em;text-align:left}"
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What both forms show: facts as label and value, the table of steps, and paragraphs."""

    language: Language
    title: str
    facts: tuple[tuple[str, str], ...]
    steps_title: str
    header: tuple[str, ...]
    steps: tuple[tuple[str, ...], ...]
    verified_title: str
    verified: tuple[str, ...]
    signed: tuple[str, str]


def report_of(run: Run, *, migration: str, cooperative: str, language: Language, erasure: Run | None = None) -> Report:
    """The report of ``run`` of ``migration``, and of the ``erasure`` of what the platform held after it."""
    words = _WORDS[language]
    return Report(
        language=language,
        title=words["title"].format(name=migration),
        facts=(*_facts(run, cooperative=cooperative, language=language), *_erased(erasure, _WORDS[language])),
        steps_title=words["steps"],
        header=(words["phase"], words["step"], words["how"], words["took"]),
        steps=tuple(_step(one, language=language) for one in run.steps),
        verified_title=words["verified"],
        verified=(words["method"], *_verified(run, language=language)),
        signed=(words["signed"], words["sign"]),
    )


def as_text(report: Report) -> str:
    """The report as lines, ending with a line break."""
    lines = [report.title, "", *(f"{label}: {value}" for label, value in report.facts), "", report.steps_title]
    lines += [f"- {' | '.join(cells)}" for cells in (report.header, *report.steps)]
    lines += ["", report.verified_title, *(f"- {one}" for one in report.verified), "", ": ".join(report.signed)]
    return "\n".join(lines) + "\n"


def as_page(report: Report) -> str:
    """The report as an HTML page that stands alone; whatever the journal holds is shown as text."""
    return "\n".join(
        (
            "<!DOCTYPE html>",
            f'<html lang="{report.language}"><head><meta charset="utf-8"><title>{escape(report.title)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(report.title)}</h1>",
            _table((), report.facts),
            f"<h2>{escape(report.steps_title)}</h2>",
            _table(report.header, report.steps),
            f"<h2>{escape(report.verified_title)}</h2>",
            f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in report.verified)}</ul>",
            f"<p>{escape(report.signed[0])}: {escape(report.signed[1])}</p>",
            "</body></html>\n",
        )
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"<tr>{''.join(f'<th>{escape(one)}</th>' for one in header)}</tr>" if header else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(one)}</td>' for one in row)}</tr>" for row in rows)
    return f"<table>{head}{body}</table>"


def _facts(run: Run, *, cooperative: str, language: Language) -> Iterator[tuple[str, str]]:
    words = _WORDS[language]
    yield words["cooperative"], cooperative
    if "member" in run.content:
        yield words["member"], str(run.content["member"])
    yield words["what"], _named(run.kind, language)
    yield words["begun"], _moment(run.begun)
    if run.ended is not None:
        yield words["ended"], _moment(run.ended)
    opened = run.step(Phase.CUTOVER, "open")
    going_on = words["switched"] if opened is not None and opened.state is StepState.DONE else words["open"]
    yield words["state"], _named(run.ending, language) if run.ending else going_on
    if opened is not None:
        seconds = opened.result.get("outageSeconds")
        known = isinstance(seconds, int | float)
        yield words["outage"], words["seconds"].format(count=seconds) if known else words["unknown"]
    for label, key in (("dump", "dump"), ("kept", "keepDumpUntil")):
        if key in run.result:
            yield words[label], str(run.result[key])


def _erased(run: Run | None, words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What the proof of an erasure says."""
    proof = run.result.get("proof") if run is not None else None
    if run is None or run.ended is None or not isinstance(proof, dict):
        return
    yield words["erased"], _moment(run.ended)
    yield from _erased_slice(proof, words) if "member" in proof else _erased_store(proof, words)
    yield words["digest"], str(run.result.get("digest"))


def _erased_slice(proof: Mapping[str, Json], words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    own, others, cut = ([_numbers(one) for one in _listed(proof.get(name))] for name in ("tables", "others", "cut"))
    objects = _numbers(proof.get("objects"))
    yield (
        words["what-was-there"],
        words["held-slice"].format(
            tables=len(own),
            rows=sum(one["rows"] for one in own),
            versions=objects.get("versions", 0),
            bytes=objects.get("size_bytes", 0),
        ),
    )
    yield (
        words["looked-up"],
        words["slice-gone"].format(
            tables=len(others),
            rows=sum(one["rows"] for one in others),
            versions=proof.get("otherVersions"),
            cut=sum(one["rows"] for one in cut),
        ),
    )


def _erased_store(proof: Mapping[str, Json], words: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    database, bucket, others = (_numbers(proof.get(name)) for name in ("database", "bucket", "others"))
    tables = [_numbers(one) for one in _listed(proof.get("tables"))]
    held = []
    if database:
        rows = sum(one["rows"] for one in tables)
        held.append(
            words["held-database"].format(
                name=database["name"], bytes=database["size_bytes"], tables=len(tables), rows=rows
            )
        )
    if bucket:
        held.append(words["held-bucket"].format(**bucket, bytes=bucket["size_bytes"]))
    roles, identities = len(_listed(proof.get("roles"))), int(proof.get("identity") is not None)
    held.append(words["held-roles"].format(count=roles, identities=identities))
    yield words["what-was-there"], "; ".join(held)
    yield words["looked-up"], words["nothing-left"].format(**others)


def _numbers(found: Json) -> dict[str, Any]:
    return dict(found) if isinstance(found, dict) else {}


def _listed(found: Json) -> list[Json]:
    return list(found) if isinstance(found, list) else []


def _step(one: StepRecord, *, language: Language) -> tuple[str, ...]:
    seconds = (one.ended - one.begun).total_seconds() if one.ended is not None else None
    took = _WORDS[language]["seconds"].format(count=seconds) if seconds is not None else ""
    return (str(one.phase), one.step, _named(one.state, language), took)


def _verified(run: Run, *, language: Language) -> Iterator[str]:
    words = _WORDS[language]
    for one in run.steps:
        for part, form in (("postgres", "rows"), ("objects", "objects")):
            found = one.result.get(part)
            if isinstance(found, dict):
                yield f"{one.phase}, {one.step}: {_counted(found, words[form], language=language)}"
                yield from _differences(found, words)
        if "leaks" in one.result:
            yield f"{one.phase}, {one.step}: {words['leak-test'].format(leaks=one.result['leaks'])}"


def _counted(found: Mapping[str, Json], form: str, *, language: Language) -> str:
    values = {**found, "scope": _named(str(found.get("scope", "")), language)}
    return form.format_map(values)


def _differences(found: Mapping[str, Json], words: Mapping[str, str]) -> Iterator[str]:
    named, count = found.get("named"), found.get("differences")
    if not count:
        yield words["none"]
        return
    yield words["some"].format(count=count)
    yield from (str(one) for one in (named if isinstance(named, list) else []))


def _named(what: str, language: Language) -> str:
    return _NAMES[language].get(what, str(what))


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
