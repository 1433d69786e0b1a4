"""What all documents share: strictness, spelling, the envelope's metadata."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

API_VERSION = "coopctl.dev/v1"


class Document(BaseModel):
    """A strict part of a document: camelCase in text, unknown fields refused, never changed after reading."""

    # Only the whole documents are validated: building each part's own validator as well would cost 100 ms.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel, defer_build=True)


def optional_in_text(schema: dict[str, Any]) -> None:
    """Nothing is required in the JSON Schema: what a descriptor leaves out comes from its size and template."""
    schema.pop("required", None)


class Settings(BaseModel):
    """A part of a document whose every field has a value after merging, so that text may leave any of them out."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        json_schema_extra=optional_in_text,
        defer_build=True,
    )
