"""Tables that the image holds: made when it was built, loaded here in seconds instead of being made in minutes.

The list beside them says which modules each script is for. The largest set that is wanted whole is chosen, and only if
modules that come with charts are the same, file by file. A script is SQL with rows as COPY has them: who loads it needs
no more rights than to make tables, and gets them as its own, with the default privileges of what it makes.
"""

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

FOLDER = Path("/usr/share/coopctl/prepared")
LIST = "tables.json"
FORMAT = 1
# What stands for the time of loading.
ORIGIN = b"1970-01-01 00:00:00.000001"
NOW = "SELECT to_char(LOCALTIMESTAMP, 'YYYY-MM-DD HH24:MI:SS.US')"


class Cursor(Protocol):
    """What is used of a cursor (psycopg2)."""

    def execute(self, statements: bytes | str) -> object:
        """Run statements."""

    def fetchone(self) -> tuple[object, ...] | None:
        """The next row."""

    def copy_expert(self, statement: str, rows: IO[bytes]) -> object:
        """Run COPY."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The tables of ``modules``; ``own`` has the digests of those among them that come with charts."""

    name: str
    file: Path
    modules: frozenset[str]
    own: Mapping[str, str]


def listed(folder: Path = FOLDER) -> list[Prepared]:
    """What the image holds; nothing if it was built without, or with another format of the list."""
    try:
        document = json.loads((folder / LIST).read_text())
    except FileNotFoundError:
        return []
    if document["format"] != FORMAT:
        return []
    return [
        Prepared(name=one["name"], file=folder / one["file"], modules=frozenset(one["modules"]), own=one["own"])
        for one in document["sets"]
    ]


def largest(sets: Iterable[Prepared], *, modules: Iterable[str], own: Mapping[str, str]) -> Prepared | None:
    """The largest of ``sets`` within ``modules``; ``own`` has the digests of what is mounted."""
    wanted = frozenset(modules)
    fitting = [one for one in sets if one.modules <= wanted and one.own.items() <= own.items()]
    return max(fitting, key=lambda one: (len(one.modules), one.name), default=None)


def load(one: Prepared, *, cursor: Cursor) -> None:
    """Make the tables, in the transaction of ``cursor``."""
    cursor.execute(NOW)
    row = cursor.fetchone()
    now = str(row[0]).encode() if row else ORIGIN
    with gzip.open(one.file) as script:
        for statements, rows in parts(script):
            if rows is None:
                cursor.execute(statements)
            else:
                cursor.copy_expert(statements.decode(), io.BytesIO(rows.replace(ORIGIN, now)))


def parts(script: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
    """The script's lines as statements without rows, or one COPY with its rows, in their order."""
    statements: list[bytes] = []
    rows: list[bytes] | None = None
    for line in script:
        if rows is not None and line == b"\\.\n":
            yield b"".join(statements), b"".join(rows)
            statements, rows = [], None
        elif rows is not None:
            rows.append(line)
        elif line.startswith(b"COPY ") and line.endswith(b" FROM stdin;\n"):
            if statements:
                yield b"".join(statements), None
            statements, rows = [line], []
        else:
            statements.append(line)
    if rows is not None:
        raise ValueError("the script ends within rows")
    if statements:
        yield b"".join(statements), None
