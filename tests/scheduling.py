"""A pytest plugin: which tests stay together when several processes run them (pytest-xdist), and in which order.

Tests of a module share a world. Those of a whole embedded platform share the machine: it has one real node, and such
platforms begin at the same ports. They take longest and come first, then what needs a control plane, then what needs
servers: the many short ones fill up what is left.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_MACHINE = "the machine"
_OF_THE_MACHINE = (
    "tests/e2e/",
    "tests/integration/node/",
    "tests/integration/test_benchmarks.py",
    "tests/integration/test_embedded_platform.py",
    "tests/integration/test_embedded_real_platform.py",
    "tests/integration/test_missing_programs.py",
)
_SLOW_MARKS = ("cluster", "servers")


class ByWorld(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Gives a worker all tests of a world."""

    def _split_scope(self, nodeid: str) -> str:
        return _MACHINE if _is_of_the_machine(nodeid) else nodeid.partition("::")[0]


def _is_of_the_machine(nodeid: str) -> bool:
    return nodeid.startswith(_OF_THE_MACHINE)


def _turn(item: pytest.Item) -> int:
    if _is_of_the_machine(item.nodeid):
        return 0
    marks = [number for number, mark in enumerate(_SLOW_MARKS, start=1) if item.get_closest_marker(mark)]
    return marks[0] if marks else len(_SLOW_MARKS) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; within a turn the order stays."""
    items.sort(key=_turn)


def pytest_configure(config: pytest.Config) -> None:
    """Keep that order: xdist would put modules with many tests first."""
    config.option.loadscopereorder = False


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByWorld:
    """The scheduler, whatever ``--dist`` says."""
    return ByWorld(config, log)
