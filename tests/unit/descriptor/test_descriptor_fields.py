"""What a field's text means: YAML 1.1's traps, quantities, names that people read."""

import contextlib
import unicodedata
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from provisioner.descriptor.fields import (
    Boolean,
    Bytes,
    CalendarDate,
    CpuMillis,
    DisplayText,
    Domain,
    NetworkAddress,
    Plain,
    Port,
    Text,
    free_value,
    trap,
)


def _refusal(kind: Any, value: object) -> tuple[str, str | None]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    context = caught.value.errors()[0]["ctx"]
    return str(context["message"]), context["hint"]


@pytest.mark.parametrize("written", ["NO", "no", "on", "010", "12:30", "1e3", "0x10", "2014-06-01", "1_000", ".5"])
def test_text_stays_what_was_written(written: str) -> None:
    assert TypeAdapter(Text).validate_python(Plain(written)) == written


@pytest.mark.parametrize("written", ["", "~", "null"])
def test_nothing_is_not_text(written: str) -> None:
    assert _refusal(Text, Plain(written))[0] == "is empty"


def test_the_word_null_in_quotes_is_text() -> None:
    assert TypeAdapter(Text).validate_python("null") == "null"


@pytest.mark.parametrize(
    ("kind", "written", "said", "hint"),
    [
        (Port, Plain("010"), "must be a whole number, not '010'", "a leading zero means octal in YAML 1.1 (8)"),
        (Port, Plain("12:30"), "must be a whole number, not '12:30'", "base 60"),
        (Port, Plain("1_000"), "must be a whole number, not '1_000'", "without separators"),
        (Port, "443", "must be a whole number, but it is quoted text", "remove the quotes"),
        (Port, Plain("70000"), "is 70000; it must be between 1 and 65535", None),
        (Port, Plain("9" * 5000), "must be a whole number", None),
        (Port, ["443"], "must be text", "one value"),
        (Boolean, Plain("yes"), "must be true or false, not 'yes'", "YAML 1.1 and 1.2 read it differently"),
        (Bytes, Plain("20 GB"), "must be a size such as 20Gi", "without a space"),
        (Bytes, Plain("0"), "at least 1 byte", None),
        (Bytes, Plain("99999999Pi"), "at most", None),
        (CpuMillis, Plain("0.0001"), "must be CPUs such as", None),
        (CpuMillis, Plain("0.5m"), "the least is 1m", None),
        (CalendarDate, Plain("2014-02-30"), "2014-02-30 is not a date of the calendar", None),
        (CalendarDate, Plain("1.6.2014"), "must be a date such as 2014-06-01", None),
        (Domain, Plain("쌀.example.kr"), "is not ASCII", "Punycode"),
        (Domain, Plain("https://rice.example.kr/"), "is not a domain", "without a scheme"),
        (Domain, Plain("10.0.0.1"), "looks like an address", None),
        (NetworkAddress, Plain("203.0.113.7/24"), "is not a network", "did you mean '203.0.113.0/24'?"),
        (DisplayText, "쌀\u202e조합", "contains the character U+202E", "hides or reorders"),
        (DisplayText, "쌀\u200b조합", "contains the character U+200B", "hides or reorders"),
        (DisplayText, "쌀\n조합", "contains the character U+000A", "breaks the line"),
        (DisplayText, "  ", "is blank", None),
        (DisplayText, "쌀" * 101, "is 101 characters long; 100 are the most", None),
    ],
)
def test_a_wrong_value_is_explained(kind: Any, written: object, said: str, hint: str | None) -> None:
    message, remedy = _refusal(kind, written)
    assert said in message
    assert (hint or "") in (remedy or "")


@pytest.mark.parametrize(
    ("kind", "written", "meant"),
    [
        (Bytes, "20Gi", 20 * 2**30),
        (Bytes, "1.5Gi", 3 * 2**29),
        (Bytes, "500M", 500_000_000),
        (Bytes, "1024", 1024),
        (CpuMillis, "500m", 500),
        (CpuMillis, "2", 2000),
        (CpuMillis, "0.25", 250),
        (Boolean, "true", True),
        (Port, "443", 443),
    ],
)
def test_quantities_are_read_in_whole_units(kind: Any, written: str, meant: object) -> None:
    assert TypeAdapter(kind).validate_python(Plain(written)) == meant


def test_hangul_is_composed() -> None:
    decomposed = unicodedata.normalize("NFD", "한국쌀가공식품협회")
    assert TypeAdapter(DisplayText).validate_python(decomposed) == "한국쌀가공식품협회"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("3", 3), ("1.5", 1.5), ("~", None), ("text", "text"), ("no", "no")],
)
def test_free_values_follow_the_core_schema(written: str, meant: object) -> None:
    assert free_value({"a": [Plain(written)]}) == {"a": [meant]}
    assert free_value(written) == written


@pytest.mark.parametrize("written", ["no", "Yes", "on", "010", "0o10", "0x1F", "12:30", "1e5", ".inf", "+1", "9" * 19])
def test_a_free_value_that_readers_of_yaml_disagree_about_is_a_trap(written: str) -> None:
    assert trap(written) is not None


@pytest.mark.parametrize("written", ["north", "10", "-3", "1.5", "v1.2", "a:b", "10.0.0.1"])
def test_a_clear_free_value_is_no_trap(written: str) -> None:
    assert trap(written) is None


def test_no_reader_of_a_field_raises_anything_but_a_problem() -> None:
    odd: list[object] = [None, 3, 1.5, [], {}, b"x", "\x00", "x" * 10_000, Plain("-"), Plain("∞"), Plain("١٢")]
    kinds: list[Any] = [Boolean, Bytes, CalendarDate, CpuMillis, DisplayText, Domain, NetworkAddress, Port, Text]
    for kind in kinds:
        for value in odd:
            with contextlib.suppress(ValidationError):
                TypeAdapter(kind).validate_python(value)
