"""The writing client: what it prints is read again, and its longest gap is found."""

import pytest

from examples.writing_client import Told, longest_gap, print_told, read_told

TOLD = {1: Told(100.0, 15), 2: Told(100.0025, 15), 4: Told(100.5, 15), 5: Told(101.0, 18)}


def test_what_was_printed_is_read_again() -> None:
    lines = list(print_told(TOLD.items()))

    assert len(lines) == 3, "a number is left out, then the server changes"
    read = read_told(lines)
    assert list(read) == list(TOLD)
    assert [one.server for one in read.values()] == [15, 15, 15, 18]
    assert [one.moment for one in read.values()] == pytest.approx([one.moment for one in TOLD.values()], abs=1e-4)


def test_a_line_that_was_cut_off_is_left_out() -> None:
    first, second, last = print_told(TOLD.items())

    assert list(read_told([first, second, last[:-5]])) == [1, 2, 4]


def test_the_longest_gap_and_when_it_began() -> None:
    moments = [one.moment for one in TOLD.values()]

    assert longest_gap(moments) == (0.5, 100.5)
    assert longest_gap([0.0, *moments], since=100.0) == (0.5, 100.5)
    with pytest.raises(ValueError, match="empty"):
        longest_gap(moments, since=101.0)
