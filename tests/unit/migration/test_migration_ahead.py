"""When passes before the fence are enough."""

import pytest

from provisioner.migration.postgres_ahead import FEW_ROWS, is_enough


@pytest.mark.parametrize(
    ("passes", "enough"),
    [
        ([400_000], False),
        ([400_000, 20_000], False),
        ([400_000, 20_000, 11_000], True),
        ([400_000, 20_000, 900, FEW_ROWS], True),
        ([0], True),
        ([50_000, 50_000], True),
    ],
)
def test_passes_end_with_few_rows_or_when_they_do_not_become_clearly_fewer(passes: list[int], enough: bool) -> None:
    assert is_enough(passes) is enough
