"""The program of the migration Job that loads prepared tables, as a module; and psycopg in the form that it uses."""

import importlib.util
import sys
from types import ModuleType
from typing import IO, Any

import psycopg

from tests.unit.plan.builders import CHARTS

PROGRAMS = CHARTS / "ledger" / "files"


def loader() -> ModuleType:
    """The module ``prepared`` of the ledger's chart."""
    file = PROGRAMS / "prepared.py"
    spec = importlib.util.spec_from_file_location("ledger_prepared", file)
    if spec is None or spec.loader is None:
        raise AssertionError(f"{file} is no module")
    module = importlib.util.module_from_spec(spec)
    # Where dataclasses look their module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class LoaderCursor:
    """A cursor of psycopg with the calls of psycopg2's that the loader makes."""

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self.cursor = cursor

    def execute(self, statements: bytes | str) -> None:
        """Run statements."""
        self.cursor.execute(statements.encode() if isinstance(statements, str) else statements)

    def fetchone(self) -> Any:
        """The next row."""
        return self.cursor.fetchone()

    def copy_expert(self, statement: str, rows: IO[bytes]) -> None:
        """Run COPY."""
        with self.cursor.copy(statement.encode()) as copy:
            copy.write(rows.read())
