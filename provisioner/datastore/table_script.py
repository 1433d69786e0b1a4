"""A script that makes tables with their rows: written from a database, to be loaded into others by their own roles.

The same tables always give the same bytes: rows are in the order of their keys, and nothing tells when, where or by
which release of pg_dump it was written. It holds what a role may do that makes tables of its own, nothing else: no
owner, no right, no setting of the session, no command of psql. Rows are those of COPY in its text form; keys and
indexes come after them, which are cheaper to make once than to keep (PostgreSQL manual, "Populating a Database").
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from provisioner.errors import CoopctlError

SCHEMA = "public"
# What pg_dump writes about the session, and psql's own commands since the releases of August 2025.
_NOT_TABLES = re.compile(r"SET |SELECT pg_catalog\.set_config\(|\\(un)?restrict ")
_TABLES = re.compile(
    r"(CREATE (TABLE|SEQUENCE|INDEX|UNIQUE INDEX)|ALTER (TABLE|SEQUENCE)|COMMENT ON (TABLE|COLUMN|INDEX|CONSTRAINT)) "
)
_OWNER = re.compile(r"\bOWNER TO\b")
# A line within a statement that whoever loads the script would take for the beginning of rows.
_ROWS = re.compile(r"^COPY .* FROM stdin;$", re.MULTILINE)
_SESSION: LiteralString = "SET datestyle = 'ISO, MDY'; SET timezone = 'UTC'; SET bytea_output = 'hex'"
_WITH_ROWS = """
    SELECT c.relname,
           (SELECT array_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
           (SELECT array_agg(a.attname ORDER BY k.place) FROM pg_index i
            CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (number, place)
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
            WHERE i.indrelid = c.oid AND i.indisprimary)
    FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = %s::regnamespace ORDER BY c.relname COLLATE "C"
"""
_SEQUENCES = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = %s::regnamespace ORDER BY 1"
_POSITION = "SELECT format('SELECT pg_catalog.setval(%L, %s, %L::boolean);', {name}, last_value, is_called) FROM {path}"


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """A database on this machine, reached by the socket in the folder ``host``, and the pg_dump for its server."""

    host: Path
    user: str
    database: str
    pg_dump: Path


def write_script(source: TableSource) -> bytes:
    """The script of all tables in the schema public, in UTF-8.

    Raises CoopctlError if pg_dump fails, or if something is there that a script of tables cannot hold.
    """
    parts = [*_definitions(source, section="pre-data")]
    with psycopg.connect(
        host=str(source.host), user=source.user, dbname=source.database, autocommit=True
    ) as connection:
        connection.execute(_SESSION)
        parts += [*_rows(connection), *_positions(connection)]
    parts += _definitions(source, section="post-data")
    return "".join(parts).encode()


def table_statements(dump: str) -> Iterator[str]:
    """The statements of pg_dump's plain text that make tables; raises CoopctlError for one that does something else."""
    for statement in _statements(dump):
        if _NOT_TABLES.match(statement):
            continue
        if not _TABLES.match(statement) or _OWNER.search(statement) or _ROWS.search(statement):
            first = statement.splitlines()[0]
            why = f"a script of tables cannot hold this: {first}"
            raise CoopctlError("the tables cannot be prepared", why=why)
        yield statement


def _statements(dump: str) -> Iterator[str]:
    """Statements with their line ends; a semicolon ends one unless a literal of several lines is open."""
    statement = ""
    for line in dump.splitlines(keepends=True):
        if not statement and (not line.strip() or line.startswith("--")):
            continue
        statement += line
        ended = line.rstrip().endswith(";") and statement.count("'") % 2 == 0
        if ended or statement.startswith("\\"):
            yield statement
            statement = ""
    if statement:
        yield statement


def _definitions(source: TableSource, *, section: str) -> Iterator[str]:
    options = ("--no-owner", "--no-privileges", f"--section={section}", "--encoding=UTF8")
    where = (f"--host={source.host}", f"--username={source.user}", source.database)
    command = [str(source.pg_dump), *options, *where]
    done = subprocess.run(command, capture_output=True, env={"LC_ALL": "C.UTF-8"}, check=False)
    if done.returncode:
        raise CoopctlError("pg_dump failed", why=done.stderr.decode(errors="replace").strip())
    return table_statements(done.stdout.decode())


def _rows(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for table, columns, key in connection.execute(_WITH_ROWS, [SCHEMA]).fetchall():
        path, listed = sql.Identifier(SCHEMA, table), _listed(columns)
        order = _listed(key) if key else sql.SQL('({}::text) COLLATE "C"').format(sql.Identifier(table))
        query = sql.SQL("COPY (SELECT {} FROM ONLY {} ORDER BY {}) TO STDOUT").format(listed, path, order)
        with connection.cursor().copy(query) as copy:
            rows = b"".join(bytes(block) for block in copy).decode()
        if rows:
            head = sql.SQL("COPY {} ({}) FROM stdin;\n").format(path, listed).as_string(connection)
            yield f"{head}{rows}\\.\n"


def _positions(connection: psycopg.Connection[Any]) -> Iterator[str]:
    for (name,) in connection.execute(_SEQUENCES, [SCHEMA]).fetchall():
        path = sql.Identifier(SCHEMA, name)
        asked = sql.SQL(_POSITION).format(name=sql.Literal(path.as_string(connection)), path=path)
        row = connection.execute(asked).fetchone()
        yield f"{row[0] if row else ''}\n"


def _listed(columns: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
