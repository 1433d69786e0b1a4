"""The rows of a table as counts and sums of hashes, in chunks, and the way from a differing chunk to the row.

A row's hash is made of its columns' texts, by name, with the settings pinned on which these depend. (Not of a record:
there enums are hashed by OID, which differs between servers.) A chunk holds the rows whose hash ends in certain bits:
servers which sort text differently cut alike, each row is hashed once, and one pass over the table gives all chunks. A
row that is not the same on both sides makes two chunks differ; in both it is looked for by its key. Without a key a row
is its own key, and a chunk is a multiset.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.dump_digests import PINNED
from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.migration.postgres_facts import ColumnFacts, TableFacts

ROWS_IN_CHUNK = 4096
MOST_CHUNKS = 1 << 14
SHOWN_BYTES = 2000
# Types of PostgreSQL itself: nobody but a superuser can make a CAST from one of them to text. (Not char(n), whose cast
# takes blanks away.) A value of any other type is made text in an anonymous row, for which nobody can.
PLAIN_TYPES = frozenset(
    {
        "bigint",
        "boolean",
        "bytea",
        "character varying",
        "date",
        "double precision",
        "integer",
        "jsonb",
        "numeric",
        "real",
        "smallint",
        "text",
        "timestamp with time zone",
        "timestamp without time zone",
        "uuid",
    }
)
# OFFSET 0: each row is hashed once, although the hash is used twice, and rows are not sorted by it. A sum of bigint is
# numeric, which cannot overflow (PostgreSQL manual, "Aggregate Functions"); added up as numeric it would take longer.
_CHUNKS = """
    SELECT hashed.h & {mask} AS chunk, count(*), sum(hashed.h)::text
    FROM {table}, LATERAL (SELECT {row} AS h OFFSET 0) AS hashed GROUP BY 1
"""


Rows = sql.Composed | None


@dataclass(frozen=True, kw_only=True)
class ChunkSum:
    """How many rows a chunk has, and the sum of their hashes as a decimal."""

    rows: int
    digest: str


def pin(connection: Connection) -> None:
    """Make texts of values the same on every server."""
    connection.execute(PINNED)


def chunk_count(table: TableFacts) -> int:
    """Pure: how many chunks, a power of two."""
    wanted = min(MOST_CHUNKS, max(1, table.rows // ROWS_IN_CHUNK))
    return 1 << (wanted - 1).bit_length()


def read_chunks(connection: Connection, table: TableFacts, *, rows_of: Rows = None) -> dict[int, ChunkSum]:
    """The sums of all chunks that have rows, by number; the session is pinned.

    ``rows_of`` stands for the table where not all of its rows are meant: something to select from, with its columns.
    """
    query = sql.SQL(_CHUNKS).format(**_parts(table, rows_of=rows_of))
    return {number: ChunkSum(rows=count, digest=digest) for number, count, digest in rows(connection, query)}


def read_members(
    connection: Connection, *, table: TableFacts, chunks: Iterable[int], rows_of: Rows = None
) -> dict[str, str]:
    """The rows of some chunks: by key the row's hash, or, in a table without a key, by the hash how many there are."""
    keyed = sql.SQL("SELECT {name}, {row}::text FROM {table} WHERE {chunk} = ANY (%(chunks)s::bigint[])")
    counted = sql.SQL(
        "SELECT {name}, count(*)::text FROM {table} WHERE {chunk} = ANY (%(chunks)s::bigint[]) GROUP BY 1"
    )
    query = keyed if table.key else counted
    return dict(rows(connection, query.format(**_parts(table, rows_of=rows_of)), {"chunks": list(chunks)}))


def read_texts(
    connection: Connection, table: TableFacts, names: Sequence[str], *, rows_of: Rows = None
) -> dict[str, str]:
    """Rows as text, cut to ``SHOWN_BYTES``, by what ``read_members`` calls them; reads the table once."""
    query = sql.SQL("SELECT {name}, left({text}, %(most)s) FROM {table} WHERE {name} = ANY (%(names)s)")
    parts = _parts(table, rows_of=rows_of)
    return dict(rows(connection, query.format(**parts), {"names": list(names), "most": SHOWN_BYTES}))


def read_keyed(connection: Connection, *, table: TableFacts, keys: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """The hashes of the rows with these keys (each column's value as text), found by the key's index."""
    types = {column.name: column.type for column in table.columns}
    given = sql.SQL(", ").join(sql.SQL("%({})s::text[]").format(sql.SQL(f"k{n}")) for n in range(len(table.key)))
    matches = sql.SQL(" AND ").join(_matches(name, kind=types[name], key=f"k{n}") for n, name in enumerate(table.key))
    names = sql.SQL(", ").join(sql.Identifier(f"k{n}") for n in range(len(table.key)))
    query = sql.SQL("SELECT {name}, {row}::text FROM unnest({given}) AS u ({names}) JOIN {table} t ON {matches}")
    more: dict[str, sql.Composable] = {"given": given, "names": names, "matches": matches}
    parts = _parts(table, prefix="t.") | more
    values = {f"k{n}": [key[n] for key in keys] for n in range(len(table.key))}
    return dict(rows(connection, query.format(**parts), values))


def _matches(column: str, *, kind: str, key: str) -> sql.Composed:
    """A row's column has the value whose text is ``key``.

    Types in a schema are no types of PostgreSQL's. Making one of them from text may run a CAST or a CHECK of the
    tenant's: such values are compared as text, without the index.
    """
    equal = "ROW(t.{0})::text = ROW(u.{1})::text" if "." in kind else "t.{0} = u.{1}::{2}"
    return sql.SQL(equal).format(sql.Identifier(column), sql.Identifier(key), sql.SQL(kind))


def _parts(table: TableFacts, *, prefix: str = "", rows_of: Rows = None) -> dict[str, sql.Composable]:
    text = _text([column.name for column in table.columns], prefix=prefix)
    row = _hashed(table, prefix=prefix)
    mask = sql.Literal(chunk_count(table) - 1)
    return {
        "table": rows_of or sql.SQL("ONLY {}").format(sql.Identifier(table.name.schema, table.name.name)),
        "text": text,
        "row": row,
        "name": _text(table.key, prefix=prefix) if table.key else sql.SQL("{}::text").format(row),
        "mask": mask,
        "chunk": sql.SQL("({} & {})").format(row, mask),
    }


def _hashed(table: TableFacts, *, prefix: str) -> sql.Composed:
    """The hashes of all columns, each with its place as seed: a value in another column, or NULL, gives another.

    By bytes: a column's own collation may take different texts for the same.
    """
    one = sql.SQL('coalesce(hashtextextended({} COLLATE "C", {}), {})')
    hashes = [
        one.format(_column_text(column, prefix=prefix), place, place)
        for place, column in ((sql.Literal(n), column) for n, column in enumerate(table.columns, start=1))
    ]
    return sql.SQL("({})").format(sql.SQL(" # ").join(hashes) if hashes else sql.SQL("0::bigint"))


def _column_text(column: ColumnFacts, *, prefix: str) -> sql.Composed:
    if column.type.partition("(")[0] not in PLAIN_TYPES:
        return _text([column.name], prefix=prefix)
    return sql.SQL("{}{}::text").format(sql.SQL(prefix), sql.Identifier(column.name))


def _text(columns: Iterable[str], *, prefix: str) -> sql.Composed:
    # An anonymous row: nobody can have made a CAST for it.
    named = (sql.SQL(prefix) + sql.Identifier(name) for name in columns)
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(named))
