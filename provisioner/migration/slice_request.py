"""A slice's request as a text: what charts and the list of members say, for who has neither of them."""

import json

from pydantic import TypeAdapter, ValidationError

from provisioner.errors import CoopctlError
from provisioner.migration.plain_values import plain
from provisioner.migration.slice_classifying import SliceRequest


def write_request(request: SliceRequest) -> str:
    """The request as JSON."""
    return json.dumps(plain(request), ensure_ascii=False)


def read_request(text: str) -> SliceRequest:
    """The same request again. Raises CoopctlError for a text that is none."""
    try:
        return TypeAdapter(SliceRequest).validate_json(text)
    except ValidationError as error:
        raise CoopctlError("the slice's request is damaged", why=str(error)) from error
