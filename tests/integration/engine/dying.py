"""A coopctl that is killed (SIGKILL) right before or right after it calls a function; run as a program.

Called as ``python -m tests.integration.engine.dying MODULE:NAME before|after[:NUMBER] ARGUMENT...``; with a number, at
that call of the function. What it calls there is code of coopctl, so that moments can be met in which nothing is told
and no process starts.
"""

import importlib
import itertools
import os
import signal
import sys
from functools import reduce
from typing import Any


def main(place: str, when: str, arguments: list[str]) -> None:
    """Replace the function at ``place`` by one that dies, and run coopctl."""
    module, _, path = place.partition(":")
    *parents, name = path.split(".")
    owner = reduce(getattr, parents, importlib.import_module(module))
    original = getattr(owner, name)
    side, _, number = when.partition(":")
    calls = itertools.count(1)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if next(calls) < int(number or 1):
            return original(*args, **kwargs)
        try:
            if side == "after":
                original(*args, **kwargs)
        finally:
            # After a call that is refused, too.
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)
    # Only now: what imports the function must get the one that dies.
    from cli.main import main as coopctl

    coopctl(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
