"""A slice's request as a text: what charts and the list of members say, for who has neither of them."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from provisioner.errors import CoopctlError
from provisioner.migration.slice_classifying import SliceRequest


def write_request(request: SliceRequest) -> str:
    """The request as JSON."""
    return json.dumps(request, default=_plain, ensure_ascii=False)


def read_request(text: str) -> SliceRequest:
    """The same request again. Raises CoopctlError for a text that is none."""
    try:
        return TypeAdapter(SliceRequest).validate_json(text)
    except ValidationError as error:
        raise CoopctlError("the slice's request is damaged", why=str(error)) from error


def _plain(value: object) -> dict[str, Any] | list[Any] | str:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value.name)
    raise TypeError(f"a request holds no {type(value).__name__}")
