"""A pytest plugin: with --time-budget=SECONDS, tests that cannot begin in time are left out, by name.

0 means no budget. A test's expected duration comes from its ``long(seconds=...)`` mark; one that is
expected to end after the budget is not begun.
"""

import time

import pytest

LEFT_OUT = "left out: the time budget is used up"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --time-budget."""
    parser.addoption("--time-budget", type=float, default=0, help="seconds for the whole run, 0 for no limit")


class TimeBudget:
    """Skips what does not fit; with several processes (pytest-xdist) in each of them, from its own start on."""

    def __init__(self, seconds: float) -> None:
        self.ends = time.monotonic() + seconds

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave ``item`` out if it would end after the budget."""
        mark = item.get_closest_marker("long")
        expected = float(mark.kwargs.get("seconds", 60)) if mark else 60.0
        if time.monotonic() + expected > self.ends:
            pytest.skip(LEFT_OUT)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say by name what was left out."""
        skipped = terminalreporter.stats.get("skipped", [])
        names = [report.nodeid for report in skipped if LEFT_OUT in str(report.longrepr)]
        if names:
            terminalreporter.section(LEFT_OUT)
            for name in names:
                terminalreporter.line(name)


def pytest_configure(config: pytest.Config) -> None:
    """Keep the budget if one is given."""
    seconds = config.getoption("--time-budget")
    if seconds:
        config.pluginmanager.register(TimeBudget(seconds))
