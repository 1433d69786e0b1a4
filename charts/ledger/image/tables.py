"""Makes the tables of modules in an empty database when the image is built; Tryton's own programs do it.

What differs from run to run is taken out, so that the same packages always give the same tables: times become ORIGIN,
which whoever loads the tables puts right, and nobody has a password. Files are listed in the order of their names: the
number of a module's row must not follow from how a file system keeps them.
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

unsorted_names = os.listdir


def sorted_names(*arguments: Any) -> list[Any]:
    """The names of os.listdir, sorted."""
    return sorted(unsorted_names(*arguments))


def make(modules: list[str]) -> None:
    """Run trytond-admin in this process; it wants a password for the first user, who loses it again."""
    program = Path(sys.prefix) / "bin" / "trytond-admin"
    with tempfile.TemporaryDirectory() as folder:
        configuration, password = Path(folder) / "trytond.conf", Path(folder) / "password"
        configuration.write_text("[database]\nuri = postgresql://\n")
        password.write_text("lost again\n")
        os.environ["TRYTONPASSFILE"] = str(password)
        wanted = ["--activate-dependencies", "--email", "", "-u", *modules]
        sys.argv = [str(program), "-c", str(configuration), "-d", os.environ["PGDATABASE"], *wanted]
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
