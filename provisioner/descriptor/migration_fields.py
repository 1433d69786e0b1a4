"""The fields that only a migration has: durations, moments with a time zone, amounts of WAL."""

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from provisioner.descriptor.fields import problem, shown, written

_DURATION = re.compile(r"(?P<number>[1-9][0-9]{0,4})(?P<unit>[hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(?P<zone>Z|[+-]\d\d:\d\d)?")
# As PostgreSQL writes sizes of its own (documentation, "Setting Parameters": the multiplier is 1024), or as other sizes
# of the documents.
_WAL = re.compile(r"(?P<number>[1-9][0-9]{0,8})(?P<unit>kB|MB|GB|Ki|Mi|Gi)")
_WAL_UNITS = {"kB": 2**10, "Ki": 2**10, "MB": 2**20, "Mi": 2**20, "GB": 2**30, "Gi": 2**30}


def parse_duration(text: str) -> timedelta | None:
    """``30d``, ``12h`` or ``2w`` as a duration; None for all else."""
    match = _DURATION.fullmatch(text)
    return int(match["number"]) * _UNITS[match["unit"]] if match else None


def _duration(value: object) -> timedelta:
    text = written(value)
    if (found := parse_duration(text)) is None:
        inexact = re.fullmatch(r"[0-9]+\s*(m|mo|months?|y|years?)", text)
        hint = "months and years differ in length: write days" if inexact else None
        raise problem(f"must be a duration such as 30d, 12h or 2w, not {shown(text)}", hint=hint)
    return found


def _moment(value: object) -> datetime:
    text = written(value)
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise problem(f"must be a moment such as 2026-12-05T22:00+09:00, not {shown(text)}")
    if match["zone"] is None:
        raise problem(f"{shown(text)} has no time zone", hint=f"write {text}+09:00 if the time is meant in Korea")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise problem(f"{text} is not a moment of the calendar") from error


def _wal(value: object) -> int:
    text = written(value)
    match = _WAL.fullmatch(text)
    if match is None:
        raise problem(f"must be an amount such as 1MB or 512kB, not {shown(text)}")
    return int(match["number"]) * _WAL_UNITS[match["unit"]]


def _described(title: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "title": title, "examples": [example]})


Duration = Annotated[timedelta, BeforeValidator(_duration), _described("duration", "30d")]
Moment = Annotated[datetime, BeforeValidator(_moment), _described("moment", "2026-12-05T22:00+09:00")]
WalBytes = Annotated[int, BeforeValidator(_wal), _described("amount of WAL", "1MB")]
