"""Differences are named by key, place and aspect; what is the same is not told."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.migration.objects_report import Aspect, ObjectsReport, Read, as_document, differences_of
from provisioner.migration.objects_report_text import Language, as_text
from provisioner.migration.objects_values import Attributes, Content, Listed

START = datetime(2026, 12, 5, tzinfo=UTC)
ATTRIBUTES = Attributes(content_type="text/csv", metadata=(("lot", "7"),), tags=(("kind", "a"),))


def read(name: str, **attributes: object) -> Read:
    """A version whose digest begins with ``name``; ``-`` is a delete marker."""
    listed = Listed(key="k", version="any", modified=START, latest=False, marker=name == "-")
    changed = replace(ATTRIBUTES, **attributes)  # type: ignore[arg-type]
    return Read(listed=listed, content=None if name == "-" else Content(sha256=name * 64, size=5, attributes=changed))


def reads(names: str) -> list[Read]:
    return [read(name) for name in names]


def found(source: Sequence[Read], target: Sequence[Read]) -> list[tuple[int, Aspect]]:
    return [(one.place, one.aspect) for one in differences_of("k", source=source, target=target)]


def test_equal_chains_have_none() -> None:
    assert found(reads("a-b"), reads("a-b")) == []
    assert found([], []) == []


def test_each_aspect_that_differs_is_told_alone() -> None:
    one = [read("a")]
    assert found(one, [read("a", content_type="text/x")]) == [(1, Aspect.CONTENT_TYPE)]
    assert found(one, [read("a", metadata=())]) == [(1, Aspect.METADATA)]
    assert found(one, [read("a", tags=(("kind", "b"),), headers=(("CacheControl", "x"),))]) == [
        (1, Aspect.HEADERS),
        (1, Aspect.TAGS),
    ]
    assert found(one, [read("b")]) == [(1, Aspect.BYTES)]


def test_of_another_size_the_digest_is_not_told_as_well() -> None:
    [one] = [read("a")]
    assert one.content is not None
    other = replace(one, content=replace(one.content, sha256="b" * 64, size=6))
    [difference] = differences_of("k", source=[one], target=[other])
    assert (difference.aspect, difference.expected, difference.found) == (Aspect.SIZE, "5 bytes", "6 bytes")


def test_a_marker_in_place_of_an_object_is_another_kind() -> None:
    assert found(reads("a"), reads("-")) == [(1, Aspect.KIND)]


def test_what_is_missing_or_too_many_is_named_by_its_place() -> None:
    assert found(reads("abc"), reads("ac")) == [(2, Aspect.MISSING)]
    assert found(reads("ac"), reads("a-c")) == [(2, Aspect.UNEXPECTED)]
    assert found(reads("abc"), []) == [(1, Aspect.MISSING), (2, Aspect.MISSING), (3, Aspect.MISSING)]


@settings(deadline=None)
@given(source=st.text(alphabet="ab-", max_size=7), target=st.text(alphabet="ab-", max_size=7))
def test_there_are_differences_exactly_where_the_chains_differ(source: str, target: str) -> None:
    assert bool(found(reads(source), reads(target))) == (source != target)


REPORT = ObjectsReport(
    source="https://s3.platform.kr/rice",
    target="https://s3.rice.kr/rice-data",
    coopctl="1.2.3",
    begun=START,
    ended=START,
    partial=False,
    keys=2,
    versions=3,
    delete_markers=1,
    size_bytes=1234567,
    differences=differences_of("k", source=reads("ab"), target=reads("b")),
)


def test_the_document_and_the_pages_for_people_say_the_same() -> None:
    document = json.loads(json.dumps(as_document(REPORT)))
    assert (document["passed"], document["sizeBytes"], document["differences"][0]["aspect"]) == (
        False,
        1234567,
        "missing",
    )
    languages: tuple[Language, ...] = ("en", "ko")
    for language in languages:
        text = as_text(REPORT, language=language)
        for word in ("https://s3.rice.kr/rice-data", "1,234,567", "SHA-256", "1.2.3", "k"):
            assert word in text, (language, word)


def test_a_page_says_in_its_language_whether_it_passed() -> None:
    passed = replace(REPORT, differences=())
    assert "Nothing differs" in as_text(passed, language="en")
    assert "차이가 없습니다" in as_text(passed, language="ko")
    assert "1 difference" in as_text(REPORT, language="en")
    assert "차이 1건" in as_text(REPORT, language="ko")
    assert "다른 바이트" not in as_text(passed, language="ko")
