"""The types of the documents' fields: each reads the text as written and says in plain words what is wrong.

A scalar arrives as text (``Plain`` if it stood without quotes); the field decides what it means. So a member
called ``NO`` stays a name, and ``010`` where a number is wanted is refused instead of becoming 8.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from provisioner.descriptor.suggestions import did_you_mean
from provisioner.naming import name_problem

DISPLAY_MAX = 100
TEXT_MAX = 500
BYTES_MAX = 2**60

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE, _FALSE = frozenset({"true", "True", "TRUE"}), frozenset({"false", "False", "FALSE"})
_YAML_11_BOOLEANS = frozenset({"yes", "no", "on", "off", "y", "n"})
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.0)?")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")
_QUANTITY = re.compile(r"(?P<number>[0-9]{1,15}(\.[0-9]{1,6})?)(?P<unit>Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_CPU = re.compile(r"(?P<number>[0-9]{1,9}(\.[0-9]{1,3})?)(?P<unit>m)?")
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_UNITS |= {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
# UTS 39 and UAX 9: characters that reorder or hide text, and what is not assigned to anybody.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0]"
)
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_SLUG = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")

E = TypeVar("E", bound=StrEnum)


class Plain(str):
    """A scalar that stood without quotes, or the result of a template's expression."""

    __slots__ = ()


def problem(message: str, *, hint: str | None = None) -> PydanticCustomError:
    """A problem with a field's value; checking.py makes it a Diagnostic."""
    return PydanticCustomError("coopctl", "{message}", {"message": message, "hint": hint})


def shown(value: str) -> str:
    """``value`` in quotes, cut to what fits a line."""
    return repr(str(value) if len(value) <= 60 else f"{value[:57]}...")


def written(value: object) -> str:
    """The text of a scalar, NFC; refuses lists, mappings and null."""
    if not isinstance(value, str):
        raise problem("must be text", hint="write one value here, not a list or a mapping")
    if not value or (isinstance(value, Plain) and value in _NULL):
        raise problem("is empty", hint="give a value, in quotes if the word null is meant")
    return unicodedata.normalize("NFC", value)


def _text(value: object) -> str:
    text = written(value)
    if len(text) > TEXT_MAX:
        raise problem(f"is {len(text)} characters long; {TEXT_MAX} are the most")
    return text


def display_text(value: object) -> str:
    """Text that people will read on a page: one line, nothing hidden or reordering, at most 100 characters."""
    text = written(value).strip()
    if len(text) > DISPLAY_MAX:
        raise problem(f"is {len(text)} characters long; {DISPLAY_MAX} are the most")
    if not text.isprintable() or hides_text(text):
        _refuse_hidden(text)
    if not text:
        raise problem("is blank")
    return text


def hides_text(text: str) -> bool:
    """Whether ``text`` holds a character that hides or reorders others."""
    return _HIDDEN.search(text) is not None


def _refuse_hidden(text: str) -> None:
    for character in text:
        if _HIDDEN.match(character) or unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn"}:
            hint = "remove it: it hides or reorders text, or breaks the line"
            raise problem(f"contains the character U+{ord(character):04X}, which a name must not hold", hint=hint)


def _cooperative_name(value: object) -> str:
    text = written(value)
    if (wrong := name_problem(text)) is not None:
        raise problem(f"{shown(text)} {wrong}", hint=_slug_hint(text))
    return text


def _slug_hint(text: str) -> str | None:
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return f"for example {slug!r}" if slug != text and slug and name_problem(slug) is None else None


def slug(value: object) -> str:
    """Lower-case letters, digits and hyphens, at most 40."""
    text = written(value)
    if not _SLUG.fullmatch(text):
        raise problem(f"{shown(text)} must be lower-case letters, digits and hyphens, at most 40")
    return text


def integer(*, least: int, most: int) -> Callable[[object], int]:
    """A validator of whole numbers between ``least`` and ``most``."""

    def read(value: object) -> int:
        text = written(value)
        if not isinstance(value, Plain):
            raise problem("must be a whole number, but it is quoted text", hint="remove the quotes")
        if not _INTEGER.fullmatch(text):
            raise problem(f"must be a whole number, not {shown(text)}", hint=_number_hint(text))
        number = int(text.removesuffix(".0"))
        if not least <= number <= most:
            raise problem(f"is {number}; it must be between {least} and {most}")
        return number

    return read


def _number_hint(text: str) -> str | None:
    if re.fullmatch(r"-?0o?[0-7]+", text):
        digits = text.replace("o", "").lstrip("-0") or "0"
        return f"a leading zero means octal in YAML 1.1 ({int(digits, 8)}): write it without"
    if re.fullmatch(r"[0-9]+(:[0-5]?[0-9])+", text):
        return "YAML 1.1 reads colons as base 60: write the number in digits"
    if re.fullmatch(r"[0-9][0-9_,]*", text):
        return "write the digits without separators"
    if _FLOAT.fullmatch(text):
        return "in a template's expression use // or `| int`"
    return None


def _boolean(value: object) -> bool:
    text = written(value)
    if text in _TRUE | _FALSE and isinstance(value, Plain):
        return text in _TRUE
    hint = "YAML 1.1 and 1.2 read it differently: write true or false" if text.lower() in _YAML_11_BOOLEANS else None
    raise problem(f"must be true or false, not {shown(text)}", hint=hint)


def _bytes(value: object) -> int:
    text = written(value)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise problem(f"must be a size such as 20Gi or 512Mi, not {shown(text)}", hint=_size_hint(text))
    exact = Decimal(match["number"]) * _UNITS.get(match["unit"], 1)
    if not 1 <= exact <= BYTES_MAX:
        raise problem(f"is {shown(text)}; it must be at least 1 byte and at most 1Pi times 1024")
    return int(exact)


def _size_hint(text: str) -> str | None:
    if re.fullmatch(r"[0-9.]+\s*[KMGTP]B?i?", text, re.IGNORECASE):
        return "units are Ki, Mi, Gi, Ti (or k, M, G, T for powers of 1000), without a space"
    return None


def _cpu(value: object) -> int:
    text = written(value)
    match = _CPU.fullmatch(text)
    if match is None:
        raise problem(f"must be CPUs such as 2, 0.5 or 500m, not {shown(text)}")
    millis = Decimal(match["number"]) * (1 if match["unit"] else 1000)
    if millis != int(millis) or not 1 <= millis <= 10**9:
        raise problem(f"is {shown(text)}; the least is 1m, and nothing is finer")
    return int(millis)


def _date(value: object) -> date:
    text = written(value)
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        raise problem(f"must be a date such as 2014-06-01, not {shown(text)}")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise problem(f"{text} is not a date of the calendar") from error


def domain_name(value: object) -> str:
    """A DNS name in lower case (RFC 1035, RFC 1123), without a dot at its end."""
    text = written(value)
    if not text.isascii():
        raise problem(f"{shown(text)} is not ASCII", hint="write the Punycode form (xn--...)")
    labels = text.split(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or len(labels) < 2:
        raise problem(f"{shown(text)} is not a domain such as rice.example.kr", hint=_domain_hint(text))
    if labels[-1].isdecimal():
        raise problem(f"{shown(text)} looks like an address, not a domain")
    return text


def _domain_hint(text: str) -> str | None:
    if "://" in text or "/" in text:
        return "give the domain alone, without a scheme or path"
    if text != text.lower():
        return "write it in lower case"
    return "leave out the wildcard" if "*" in text else None


def _network(value: object) -> str:
    text = written(value)
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        hint = None
        try:
            hint = f"did you mean {str(ipaddress.ip_network(text, strict=False))!r}?"
        except ValueError:
            hint = "write it as 203.0.113.0/24"
        raise problem(f"{shown(text)} is not a network", hint=hint) from error


def _address(value: object) -> str:
    text = written(value)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise problem(f"{shown(text)} is not an IP address") from error


def choice(kind: type[E]) -> Callable[[object], E]:
    """A validator of one of the values of ``kind``."""

    def read(value: object) -> E:
        text = written(value)
        try:
            return kind(text)
        except ValueError as error:
            known = [str(item) for item in kind]
            hint = did_you_mean(text, known) or f"choose one of {', '.join(known)}"
            raise problem(f"{shown(text)} is not known here", hint=hint) from error

    return read


def matching(pattern: re.Pattern[str], *, what: str, hint: str | None = None) -> Callable[[object], str]:
    """A validator of text that matches ``pattern`` as a whole; ``what`` names it in the message."""

    def read(value: object) -> str:
        text = written(value)
        if not pattern.fullmatch(text):
            raise problem(f"{shown(text)} is not {what}", hint=hint)
        return text

    return read


def free_value(value: object) -> Any:
    """A chart's value as YAML 1.2's core schema reads it; ``trap`` finds what people may mean differently."""
    if isinstance(value, dict):
        return {unicodedata.normalize("NFC", key): free_value(child) for key, child in value.items()}
    if isinstance(value, list):
        return [free_value(child) for child in value]
    if not isinstance(value, Plain):
        return unicodedata.normalize("NFC", str(value))
    return _core(str(value))


def _core(text: str) -> str | int | float | bool | None:
    if text in _NULL:
        return None
    if text in _TRUE | _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text) and not text.endswith(".0"):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return unicodedata.normalize("NFC", text)


def trap(text: str) -> str | None:
    """Why the unquoted ``text`` means different things to different readers of YAML, or None."""
    if text.lower() in _YAML_11_BOOLEANS:
        return "means true or false to some readers of YAML and text to others"
    if re.fullmatch(r"[-+]?0[0-9_]+|0[ox][0-9a-fA-F_]+", text):
        return "is octal or hexadecimal to some readers of YAML and text or decimal to others"
    if re.fullmatch(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?", text):
        return "is a number to base 60 to some readers of YAML and text to others"
    if re.fullmatch(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+|[-+]?[0-9]{19,}|[-+]?\.(inf|nan)|\+[0-9.]+", text, re.I
    ):
        return "is a number that not every reader of YAML keeps exactly"
    return None


Text = Annotated[str, BeforeValidator(_text)]
DisplayText = Annotated[str, BeforeValidator(display_text)]
Slug = Annotated[str, BeforeValidator(slug)]
CooperativeNameField = Annotated[str, BeforeValidator(_cooperative_name)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
_SIZE_SCHEMA = {"type": ["string", "integer"], "examples": ["20Gi", "512Mi"]}
Bytes = Annotated[int, BeforeValidator(_bytes), WithJsonSchema(_SIZE_SCHEMA)]
CpuMillis = Annotated[
    int, BeforeValidator(_cpu), WithJsonSchema({"type": ["string", "number"], "examples": [2, 0.5, "500m"]})
]
Count = Annotated[int, BeforeValidator(integer(least=0, most=100_000))]
PositiveCount = Annotated[int, BeforeValidator(integer(least=1, most=100_000))]
Port = Annotated[int, BeforeValidator(integer(least=1, most=65_535))]
Employees = Annotated[int, BeforeValidator(integer(least=1, most=1_000_000))]
CalendarDate = Annotated[date, BeforeValidator(_date)]
Domain = Annotated[str, BeforeValidator(domain_name)]
NetworkAddress = Annotated[str, BeforeValidator(_network)]
Address = Annotated[str, BeforeValidator(_address)]
EnvironmentName = Annotated[str, BeforeValidator(matching(_ENV, what="the name of an environment variable"))]
Email = Annotated[str, BeforeValidator(matching(_EMAIL, what="an e-mail address"))]
FreeValues = Annotated[dict[str, Any], BeforeValidator(free_value)]
