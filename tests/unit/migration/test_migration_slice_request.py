"""A slice's request as a text is the same request again, whatever a data map says."""

from pathlib import Path

import pytest

from provisioner.errors import CoopctlError
from provisioner.migration.slice_request import read_request, write_request
from tests.unit.migration.slices import data_map, request


def test_what_was_written_is_read_as_it_was() -> None:
    made = request(
        data_map(
            {"firms": ("id",), "lines": ("booking", "firm")},
            ("cities", "parties"),
            member_objects=("scans/{member}/",),
            shared_objects=("logos/",),
        ),
        data_map({}, ()),
        layout="column",
        called='7"; DROP TABLE lots; -- 쌀',
    )
    assert read_request(write_request(made)) == made


def test_no_path_of_the_machine_goes_along() -> None:
    made = request(data_map())
    [name] = made.maps
    assert made.maps[name].source == Path("data-map.yaml")
    assert "/" not in write_request(made)


@pytest.mark.parametrize("text", ["", "{}", '{"member": 7}', "[]"])
def test_a_text_that_is_none_is_said_to_be_damaged(text: str) -> None:
    with pytest.raises(CoopctlError, match="the slice's request is damaged"):
        read_request(text)
