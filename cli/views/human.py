"""How results look for people."""

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from cli.streams import harmless

_UNLIMITED = 10_000


class _Showing(Console):
    """A console on which text is shown and never obeyed."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does."""
        super().print(*(harmless(one) if isinstance(one, str) else one for one in objects), **options)


def stdout() -> Console:
    """The console of answers; colours only on a terminal and without NO_COLOR."""
    return _Showing(file=sys.stdout, highlight=False, soft_wrap=True, width=_width(sys.stdout))


def stderr() -> Console:
    """The console of the conversation."""
    return _Showing(file=sys.stderr, highlight=False, soft_wrap=True, width=_width(sys.stderr))


def table(*columns: str, rows: Sequence[tuple[str, ...]]) -> Table:
    """A plain table whose cells are text, never markup."""
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Nothing is cut off: a path that is shown can be copied.
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(harmless(cell)) for cell in row))
    return made


def _width(stream: TextIO) -> int | None:
    # Files and pipes have no width: a table there is as wide as its content.
    return None if stream.isatty() else _UNLIMITED
