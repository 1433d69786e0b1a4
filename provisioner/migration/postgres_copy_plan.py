"""Pure: which pieces a copy is made of, in which order, and by how many streams.

A large table is split by the pages of its heap, so that several streams share it: a scan of a range of ctid reads those
pages alone (since PostgreSQL 14; before, it would read the whole table each time, and a table is one piece).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from provisioner.migration.postgres_facts import ServerFacts, TableFacts, TableName, quoted
from provisioner.migration.postgres_preflight import Route, TableRoute

# 64 MiB of heap: a second or so of one stream, little to do again, few sessions to start.
CHUNK_PAGES = 8192
TID_RANGE_MAJOR = 14
# Streams leave most of the platform's connections to the tenants, and half of the target's to its owner.
SOURCE_SHARE, TARGET_SHARE = 4, 2


@dataclass(frozen=True, kw_only=True)
class CopyPiece:
    """Rows of a table in the pages from ``first`` to before ``end`` (None: to the last); ``bytes`` are an estimate."""

    table: TableName
    columns: tuple[str, ...]
    binary: bool
    bytes: int
    first: int = 0
    end: int | None = None

    def read_statement(self) -> str:
        """COPY from the source; without the rows of tables that inherit from it."""
        columns = ", ".join(map(quoted, self.columns))
        bounds = [f"ctid >= '({self.first},0)'"] if self.first else []
        bounds += [f"ctid < '({self.end},0)'"] if self.end is not None else []
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        return f"COPY (SELECT {columns} FROM ONLY {self.table}{where}) TO STDOUT ({self._format})"  # noqa: S608 - quoted

    def write_statement(self) -> str:
        """COPY into the target."""
        columns = f" ({', '.join(map(quoted, self.columns))})" if self.columns else ""
        return f"COPY {self.table}{columns} FROM STDIN ({self._format})"

    def clear_statement(self) -> str:
        """What makes room in the target; TRUNCATE would refuse a table that others refer to."""
        return f"DELETE FROM ONLY {self.table}"  # noqa: S608 - quoted

    @property
    def _format(self) -> str:
        return "FORMAT binary" if self.binary else "FORMAT text"


def plan_copy(
    tables: Iterable[TableFacts],
    routes: Iterable[TableRoute],
    *,
    route: Route,
    source: ServerFacts,
    chunk_pages: int = CHUNK_PAGES,
    whole: bool = False,
) -> tuple[CopyPiece, ...]:
    """The pieces of all tables that go this ``route``, the largest table first; ``whole`` does not split any."""
    wanted = {one.table: one for one in routes if one.route is route}
    chosen = [table for table in tables if table.name in wanted]
    ordered = sorted(chosen, key=lambda table: (-table.bytes, table.name))
    pages = chunk_pages if source.major >= TID_RANGE_MAJOR and not whole else None
    return tuple(piece for table in ordered for piece in _pieces(table, chunk_pages=pages))


def bounded_streams(wanted: int, *, source: ServerFacts, target: ServerFacts) -> int:
    """How many streams at once: as ``wanted``, within both servers' free connections, at least one."""
    return max(1, min(wanted, source.free_connections // SOURCE_SHARE, target.free_connections // TARGET_SHARE))


def _pieces(table: TableFacts, *, chunk_pages: int | None) -> Iterator[CopyPiece]:
    count = max(1, -(-table.pages // chunk_pages)) if chunk_pages else 1
    for number in range(count):
        last = number == count - 1
        yield CopyPiece(
            table=table.name,
            columns=table.copied_columns,
            binary=table.is_binary,
            bytes=table.bytes // count,
            first=number * (chunk_pages or 0),
            # A table may have grown since it was surveyed: the last piece has no end.
            end=None if last or chunk_pages is None else (number + 1) * chunk_pages,
        )
