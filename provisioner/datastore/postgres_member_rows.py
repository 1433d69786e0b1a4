"""Which members have rows in a tenant's database: in a schema of their own, or in tables that all share."""

from collections.abc import Collection, Sequence

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.naming import member_names
from provisioner.plan.resources import PostgresMembers

# So many tables in one query.
_TABLES_AT_ONCE = 100
_IN_SCHEMAS = """
    SELECT n.nspname::text, c.relname::text, c.relkind = 'r' FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND c.relispopulated AND n.nspname = ANY (%(schemas)s) ORDER BY 1, 2
"""
# Of a type of the tenant's own the text is what PostgreSQL prints: a plain ``::text`` would call a CAST that the tenant
# may have made for it, with the administrator's rights. For PostgreSQL's types nobody else can make one.
_WITH_COLUMN = """
    SELECT n.nspname::text, c.relname::text, y.typnamespace = 'pg_catalog'::regnamespace
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_type y ON y.oid = t.atttypid
    WHERE t.attname = %(column)s AND NOT t.attisdropped AND c.relkind = 'r' AND c.relpersistence <> 't'
      AND pg_get_userbyid(c.relowner) = %(owner)s ORDER BY 1, 2
"""


def members_with_rows(connection: Connection, wanted: PostgresMembers, members: Collection[str]) -> tuple[str, ...]:
    """Those of ``members`` that have at least one row, sorted."""
    if wanted.member_column:
        return _in_shared_tables(connection, wanted, members)
    schemas = {member_names(one, database=wanted.database).schema: one for one in members}
    return tuple(sorted(schemas[one] for one in with_rows(connection, list(schemas))))


def with_rows(connection: Connection, schemas: Sequence[str], *, locked: bool = False) -> set[str]:
    """Those of ``schemas`` in which a table has a row; ``locked``: until the transaction's end nobody uses a table."""
    tables = rows(connection, _IN_SCHEMAS, {"schemas": list(schemas)})
    found: set[str] = set()
    for start in range(0, len(tables), _TABLES_AT_ONCE):
        part = tables[start : start + _TABLES_AT_ONCE]
        if locked:
            _lock(connection, [(schema, table) for schema, table, may_be_locked in part if may_be_locked])
        asked = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(
                sql.Literal(schema), sql.Identifier(schema, table)
            )
            for schema, table, _ in part
        )
        found |= {schema for (schema,) in rows(connection, asked)}
    return found


def _lock(connection: Connection, tables: Sequence[tuple[str, str]]) -> None:
    if tables:
        listed = sql.SQL(", ").join(sql.Identifier(schema, table) for schema, table in tables)
        connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(listed))


def _in_shared_tables(connection: Connection, wanted: PostgresMembers, members: Collection[str]) -> tuple[str, ...]:
    column, found = sql.Identifier(wanted.member_column), set[str]()
    tables = rows(connection, _WITH_COLUMN, {"column": wanted.member_column, "owner": wanted.owner})
    for schema, table, is_built_in in tables:
        text = sql.SQL("{}::text" if is_built_in else "format('%%s', {})").format(column)
        query = sql.SQL("SELECT DISTINCT {text} FROM {table} WHERE {text} = ANY (%(members)s)")
        asked = query.format(text=text, table=sql.Identifier(schema, table))
        found |= {member for (member,) in rows(connection, asked, {"members": list(members)})}
    return tuple(sorted(found))
