"""Which cooperatives a command works on."""

import pytest

from provisioner.errors import NotFound, UsageError
from provisioner.operations.selecting import select
from tests.unit.plan import builders

COOPERATIVES = {name: builders.cooperative(name) for name in ("rice-processing", "plastics")}


def test_names_are_sorted_and_each_once() -> None:
    names = ("rice-processing", "plastics", "plastics")

    assert select(COOPERATIVES, names=names, selectors=(), everyone=False) == ("plastics", "rice-processing")


def test_selectors_narrow_each_other() -> None:
    sector = "sector=food-processing"

    assert len(select(COOPERATIVES, names=(), selectors=(sector,), everyone=False)) == 2
    assert select(COOPERATIVES, names=(), selectors=(sector, "name=plastics"), everyone=False) == ("plastics",)


def test_all_means_all() -> None:
    assert select(COOPERATIVES, names=(), selectors=(), everyone=True) == ("plastics", "rice-processing")


@pytest.mark.parametrize(
    ("names", "selectors", "everyone"),
    [((), (), False), (("plastics",), (), True), (("plastics",), ("size=small",), False), ((), ("size",), False)],
)
def test_nothing_or_two_ways_of_choosing_are_refused(
    names: tuple[str, ...], selectors: tuple[str, ...], everyone: bool
) -> None:
    with pytest.raises(UsageError):
        select(COOPERATIVES, names=names, selectors=selectors, everyone=everyone)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(NotFound) as refused:
        select(COOPERATIVES, names=("plastic",), selectors=(), everyone=False)

    assert "plastics" in str(refused.value.hint)


def test_a_selector_that_fits_nobody_is_refused() -> None:
    with pytest.raises(NotFound):
        select(COOPERATIVES, names=(), selectors=("sector=shipping",), everyone=False)
