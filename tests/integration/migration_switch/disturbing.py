"""Runs coopctl and disturbs it at one call of a function: WHEN:MODULE:FUNCTION, then arguments.

``before`` and ``after`` kill it there; ``spoil`` lets it go on, once what the variable SPOILING says was done at the
target.
"""

import importlib
import os
import signal
import sys
from functools import reduce
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable


def disturb_at(when: str, module: str, function: str) -> None:
    """Replace ``function`` (also ``Class.method``) of ``module`` by one in which this process is disturbed."""
    *owners, name = function.split(".")
    owner: Any = reduce(getattr, owners, importlib.import_module(module))
    original: Callable[..., Any] = getattr(owner, name)

    def disturbed(*arguments: Any, **named: Any) -> Any:
        found = original(*arguments, **named) if when != "before" else None
        if when != "spoil":
            os.kill(os.getpid(), signal.SIGKILL)
        _spoil()
        return found

    setattr(owner, name, disturbed)


def _spoil() -> None:
    with psycopg.connect(os.environ["TARGET_DSN"], autocommit=True) as target:
        target.execute(os.environ["SPOILING"].encode())


if __name__ == "__main__":
    disturb_at(*sys.argv[1].split(":"))
    sys.argv[1:] = sys.argv[2:]
    from cli.main import main

    main()
