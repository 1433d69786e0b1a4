"""Makes the tables of modules when the image is built; Tryton's own programs do it.

The database is empty, or has the tables of other modules already.

What differs from run to run is taken out, so that the same packages always give the same tables: times become ORIGIN,
which whoever loads the tables puts right, and nobody has a password. Files are listed in the order of their names: the
number of a module's row must not follow from how a file system keeps them.

Half of the time would go by with Tryton reading in information_schema, after every column and key that it makes, what
its table looks like now: views over the whole catalogue. It is told the same by the catalogue itself.
"""

import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

# A time that nothing else has.
ORIGIN = "1970-01-01 00:00:00.000001"
# When a row was made and changed; and in ir_cache, when a cache was emptied last.
STAMPS = ("create_date", "timestamp", "write_date")
STAMPED = """
    SELECT c.table_name, c.column_name FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.column_name = ANY (%s)
    ORDER BY c.table_name, c.column_name
"""

# Name, type, whether it must have a value, length, default: as information_schema.columns tells them.
COLUMNS = """
    SELECT a.attname, t.typname, a.attnotnull,
           CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END,
           pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
# Name and kind of each constraint; of foreign keys the columns, and what happens when the row is deleted.
CONSTRAINTS = """
    SELECT c.conname, c.contype,
           CASE c.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                              WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END,
           ARRAY(SELECT a.attname::text FROM pg_attribute a
                 WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey))
    FROM pg_constraint c WHERE c.conrelid = %s::regclass AND c.contype IN ('c', 'f', 'p', 'u', 'x')
    ORDER BY c.conname
"""
INDEXES = "SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid WHERE indrelid = %s::regclass ORDER BY 1"

unsorted_names = os.listdir


def sorted_names(*arguments: Any) -> list[Any]:
    """The names of os.listdir, sorted."""
    return sorted(unsorted_names(*arguments))


def read_definitions(
    table: Any, *, columns: bool | None = None, constraints: bool | None = None, indexes: bool | None = None
) -> None:
    """What TableHandler._update_definitions reads of ``table``: what is named, or all of it if nothing is."""
    from trytond.transaction import Transaction

    everything = not (columns or constraints or indexes)
    cursor = Transaction().connection.cursor()
    path = [sql.Identifier(table.table_schema, table.table_name).as_string(cursor)]
    if columns or everything:
        cursor.execute(COLUMNS, path)
        fields = ("typname", "notnull", "size", "default")
        table._columns = {name: dict(zip(fields, about, strict=True)) for name, *about in cursor}
    if constraints or everything:
        cursor.execute(CONSTRAINTS, path)
        found = cursor.fetchall()
        table._constraints = [name for name, *_ in found]
        table._fk_deltypes = {one: rule for _, kind, rule, keys in found if kind == "f" for one in keys}
    if indexes or everything:
        cursor.execute(INDEXES, path)
        table._indexes = [name for (name,) in cursor]


def make(modules: list[str]) -> None:
    """Run trytond-admin in this process; it wants a password for the first user, who loses it again."""
    # Read when Tryton is imported; libpq knows the rest.
    os.environ["TRYTOND_DATABASE_URI"] = "postgresql://"
    from trytond.backend.postgresql.table import TableHandler

    TableHandler._update_definitions = read_definitions
    program = Path(sys.prefix) / "bin" / "trytond-admin"
    with tempfile.NamedTemporaryFile("w") as password:
        password.write("lost again\n")
        password.flush()
        os.environ["TRYTONPASSFILE"] = password.name
        wanted = ["--activate-dependencies", "--email", "", "-u", *modules]
        sys.argv = [str(program), "-d", os.environ["PGDATABASE"], *wanted]
        runpy.run_path(str(program), run_name="__main__")


def take_out_differences() -> None:
    """Give every row the same times, and no user a password."""
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE res_user SET password_hash = NULL")
        cursor.execute(STAMPED, [list(STAMPS)])
        for table, column in cursor.fetchall():
            names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
            change = sql.SQL("UPDATE {table} SET {column} = %s WHERE {column} IS NOT NULL")
            cursor.execute(change.format(**names), [ORIGIN])


if __name__ == "__main__":
    os.listdir = sorted_names
    make(sys.argv[1:])
    take_out_differences()
