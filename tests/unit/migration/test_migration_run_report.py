"""The report of a run: what it tells people in both languages and both forms, and that it shows nothing as markup."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from provisioner.migration.journal_entries import Phase, Run, RunEnding, RunKind, StepRecord, StepState
from provisioner.migration.run_report import Language, as_page, as_text, report_of

if TYPE_CHECKING:
    from provisioner.migration.redaction import Json

START = datetime(2026, 12, 5, 13, tzinfo=UTC)
ROWS = {"scope": "changed", "tables": 2, "rows": 2400, "definitions": 61, "differences": 0, "named": []}
OBJECTS = {"keys": 3, "versions": 4, "size": 12, "differences": 1, "named": ["<b>scans/1</b> (version 1): bytes"]}


def _step(phase: Phase, name: str, **result: object) -> StepRecord:
    return StepRecord(
        phase=phase,
        step=name,
        state=StepState.DONE,
        begun=START,
        ended=START + timedelta(seconds=1.5),
        result=result,  # type: ignore[arg-type]  # JSON's own types
    )


RUN = Run(
    number=2,
    kind=RunKind.MIGRATION,
    fingerprint="a" * 64,
    begun=START,
    content={},
    steps=(
        _step(Phase.CUTOVER, "verify", postgres=ROWS),
        _step(Phase.CUTOVER, "last-objects", objects=OBJECTS),
        _step(Phase.CUTOVER, "open", outageSeconds=0.412),
    ),
)


def _text(run: Run, language: Language) -> str:
    return as_text(report_of(run, migration="rice-out", cooperative="rice-processing", language=language))


def test_a_switched_migration_is_told_with_its_outage_and_what_was_compared() -> None:
    shown = _text(RUN, "en")
    assert "Moving a data store: rice-out" in shown
    assert "State: the applications work at the target; a way back is kept" in shown
    assert "Applications waited: 0.41 s" in shown
    assert "- cutover | last-objects | done | 1.50 s" in shown
    assert "cutover, verify: Rows: 2 tables with 2,400 rows compared (changed), 61 definitions" in shown
    assert "Nothing differs." in shown
    assert "1 differences:" in shown
    assert "Signed off: Name, date" in shown


def test_the_same_is_told_in_korean() -> None:
    shown = _text(RUN, "ko")
    assert "데이터 저장소 이전 보고서: rice-out" in shown
    assert "응용 프로그램 대기 시간: 0.41초" in shown
    assert "행: 표 2개, 행 2,400개 비교(마지막 검증 이후 변경분), 정의 61개" in shown
    assert "차이가 없습니다." in shown


def test_an_outage_that_a_kill_has_lost_is_not_made_up() -> None:
    lost = replace(RUN, steps=(_step(Phase.CUTOVER, "open", foundOpen=True),))
    assert "Applications waited: not known" in _text(lost, "en")


def test_a_finished_run_names_its_end_and_its_dump() -> None:
    ended = replace(
        RUN, ended=START, ending=RunEnding.FINALISED, result={"dump": "dumps/rice", "keepDumpUntil": "2027-12-05"}
    )
    shown = _text(ended, "ko")
    assert "상태: 완료" in shown
    assert "최종 덤프: dumps/rice" in shown


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_page_stands_alone_and_shows_what_it_is_given_as_text(language: Language) -> None:
    page = as_page(report_of(RUN, migration="rice-out", cooperative="<script>", language=language))
    assert page.startswith("<!DOCTYPE html>")
    assert f'<html lang="{language}">' in page
    assert "<script>" not in page
    assert "&lt;b&gt;scans/1&lt;/b&gt;" in page
    assert page.count("<table>") == page.count("</table>") == 2


@pytest.mark.parametrize(
    ("language", "there", "after"),
    [
        (
            "en",
            "database rice with 9,000 bytes, 2 tables and sequences, 2,005 rows",
            "nothing of it is left; 3 databases",
        ),
        ("ko", "데이터베이스 rice: 9,000바이트, 표와 시퀀스 2개, 행 2,005개", "남은 것이 없으며"),
    ],
)
def test_an_erasure_is_told_with_what_was_there_and_what_was_looked_up(
    language: Language, there: str, after: str
) -> None:
    proof: dict[str, Json] = {
        "database": {"name": "rice", "oid": 5, "size_bytes": 9000},
        "tables": [
            {"name": "public.lots", "rows": 2000, "digest": "1"},
            {"name": "public.notes", "rows": 5, "digest": "2"},
        ],
        "bucket": {"name": "c-rice", "versions": 4, "size_bytes": 12, "markers": 1, "uploads": 0},
        "roles": ["rice_app", "rice_owner"],
        "identity": "c-rice",
        "others": {"databases": 3, "roles": 9, "buckets": 1, "identities": 2},
    }
    erasure = Run(
        number=3,
        kind=RunKind.ERASURE,
        fingerprint="",
        begun=START,
        content={},
        ended=START + timedelta(days=30),
        ending=RunEnding.ERASED,
        result={"proof": proof, "digest": "f" * 64},
    )
    made = report_of(RUN, migration="rice-out", cooperative="rice-processing", language=language, erasure=erasure)
    for shown in (as_text(made), as_page(made)):
        assert there in shown
        assert after in shown
        assert "f" * 64 in shown


SLICE = replace(
    RUN,
    content={"mode": "slice", "member": "m-0007"},
    ending=RunEnding.FINALISED,
    ended=START,
    steps=(_step(Phase.VERIFY, "verify-slice", leaks=3, postgres={**ROWS, "scope": "slice"}),),
)
SLICE_PROOF: "Json" = {
    "member": "m-0007",
    "tables": [{"name": "a", "rows": 1000, "digest": "1"}, {"name": "b", "rows": 200, "digest": "2"}],
    "others": [{"name": "a", "rows": 4000, "digest": "3"}],
    "cut": [{"reference": "a (b) -> c", "rows": 5}],
    "objects": {"versions": 6, "size_bytes": 7000, "digest": "4"},
    "otherVersions": 8,
}


@pytest.mark.parametrize(
    ("language", "told"),
    [
        (
            "en",
            (
                "Member whose slice moved: m-0007",
                "verify, verify-slice: Leak test: 3 rows at the target",
                "2 tables with 1,200 rows of the member, 6 versions of objects (7,000 bytes)",
                "1 tables with 4,000 rows of others have the same sums as before, 8 versions of others are there; 5",
            ),
        ),
        (
            "ko",
            (
                "이전한 회원사: m-0007",
                "유출 검사: 이전 대상에서 다른 회원사의 행 또는 이 회원사가 참조하지 않는 행 3개",
                "회원사의 표 2개, 행 1,200개, 객체 버전 6개(7,000바이트)",
                "다른 이용자의 표 1개, 행 4,000개의 합계가 삭제 전과 같고 객체 버전 8개가 그대로입니다",
            ),
        ),
    ],
)
def test_a_member_s_slice_is_told_with_its_leak_test_and_what_of_others_is_as_before(
    language: Language, told: tuple[str, ...]
) -> None:
    erasure = replace(
        RUN,
        kind=RunKind.ERASURE,
        ending=RunEnding.ERASED,
        ended=START,
        result={"proof": SLICE_PROOF, "digest": "d" * 64},
    )
    shown = as_text(
        report_of(SLICE, migration="m-out", cooperative="rice-processing", language=language, erasure=erasure)
    )
    assert [one for one in (*told, "d" * 64) if one not in shown] == []
