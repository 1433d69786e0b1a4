"""Reads the tables of a database: sizes, columns, keys, and which types have an equality or a portable binary form."""

from collections import defaultdict
from typing import Final

import psycopg
from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.migration.postgres_facts import ColumnFacts, ReplicaIdentity, TableFacts, TableName

# Of a row of pg_class ``c`` and its schema ``n``: neither the server's own, nor a temporary, nor an extension's.
OWN_OBJECTS: Final = """n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_class'::regclass AND x.objid = c.oid
                    AND x.deptype = 'e')"""
# Arrays and composites carry their types' OIDs, which servers before this one insist on (PostgreSQL 14 release notes).
PORTABLE_COMPOSITES_SINCE: Final = 140000

_TABLES = f"""
    SELECT c.oid::bigint, n.nspname::text, c.relname::text, c.relreplident::text, c.relpersistence = 'u',
           c.relforcerowsecurity, pg_relation_size(c.oid) / current_setting('block_size')::int,
           pg_table_size(c.oid), greatest(c.reltuples, 0)::bigint
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND {OWN_OBJECTS} ORDER BY 2, 3
"""  # noqa: S608 - constants of this module
_COLUMNS = """
    SELECT a.attrelid::bigint, a.attname::text, a.atttypid::bigint, format_type(a.atttypid, a.atttypmod),
           a.attgenerated <> '', a.attidentity = 'a'
    FROM pg_attribute a WHERE a.attrelid = ANY (%(tables)s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum
"""
# A replica identity must be unique, not partial, not deferrable, of columns alone, all NOT NULL (PostgreSQL manual,
# ALTER TABLE). The narrowest index first.
_INDEXES = """
    SELECT i.indrelid::bigint, c.relname::text, i.indisprimary, i.indisreplident, k.names
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    CROSS JOIN LATERAL (
        SELECT array_agg(a.attname::text ORDER BY p.place) AS names, bool_and(coalesce(a.attnotnull, false)) AS known
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS p (number, place)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.number AND p.number > 0
        WHERE p.place <= i.indnkeyatts) k
    WHERE i.indrelid = ANY (%(tables)s::oid[]) AND i.indisunique AND i.indimmediate AND i.indisvalid
      AND i.indpred IS NULL AND i.indexprs IS NULL AND k.known
    ORDER BY i.indrelid, i.indnkeyatts, 2
"""
# A domain is as its base type. A type is as unportable as what it is made of.
_TYPES = """
    WITH RECURSIVE parts (root, part) AS (
        SELECT t, t FROM unnest(%(types)s::oid[]) AS t
        UNION
        SELECT p.root, n.next FROM parts p JOIN pg_type t ON t.oid = p.part CROSS JOIN LATERAL (
            SELECT nullif(t.typbasetype, 0) AS next
            UNION ALL SELECT nullif(t.typelem, 0) WHERE t.typcategory = 'A'
            UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
            UNION ALL SELECT a.atttypid FROM pg_attribute a
                      WHERE a.attrelid = t.typrelid AND t.typtype = 'c' AND a.attnum > 0 AND NOT a.attisdropped) n
        WHERE n.next IS NOT NULL)
    SELECT p.root::bigint,
           bool_or(t.typname ~ '^reg' AND t.oid < 16384) AS named,
           bool_or(t.oid >= 16384 AND (t.typcategory = 'A' OR t.typtype = 'c')) AS made
    FROM parts p JOIN pg_type t ON t.oid = p.part GROUP BY 1
"""
_BASES = """
    WITH RECURSIVE bases (root, base) AS (
        SELECT t, t FROM unnest(%(types)s::oid[]) AS t
        UNION ALL
        SELECT b.root, t.typbasetype FROM bases b JOIN pg_type t ON t.oid = b.base WHERE t.typtype = 'd')
    SELECT b.root::bigint, format_type(b.base, NULL) FROM bases b JOIN pg_type t ON t.oid = b.base
    WHERE t.typtype <> 'd'
"""


def read_tables(connection: Connection) -> tuple[TableFacts, ...]:
    """Every table that holds rows itself, by schema and name."""
    tables = rows(connection, _TABLES)
    these = {"tables": [row[0] for row in tables]}
    columns = _columns(connection, these)
    indexes = defaultdict(list)
    for table, *index in rows(connection, _INDEXES, these):
        indexes[table].append(tuple(index))
    return tuple(_table(row, columns=columns[row[0]], indexes=indexes[row[0]]) for row in tables)


def _table(
    row: tuple[object, ...], *, columns: list[ColumnFacts], indexes: list[tuple[str, bool, bool, list[str]]]
) -> TableFacts:
    _, schema, name, identity, unlogged, forced, pages, size, count = row
    primary = [names for _, is_primary, _, names in indexes if is_primary]
    chosen = [(index, names) for index, _, is_identity, names in indexes if is_identity]
    unique = [index for index, is_primary, _, _ in indexes if not is_primary]
    # What names a row in a stream of changes is what names it in a verification, too.
    first = [names for _, names in chosen] or primary or [names for *_, names in indexes]
    return TableFacts(
        name=TableName(schema=str(schema), name=str(name)),
        pages=_number(pages),
        bytes=_number(size),
        rows=_number(count),
        columns=tuple(columns),
        identity=ReplicaIdentity(str(identity)),
        identity_index=chosen[0][0] if chosen else None,
        key=tuple(first[0]) if first else (),
        has_primary_key=bool(primary),
        unique_indexes=tuple([index for index, is_primary, _, _ in indexes if is_primary] + unique),
        unlogged=bool(unlogged),
        forced_row_security=bool(forced),
    )


def _columns(connection: Connection, tables: dict[str, list[int]]) -> dict[int, list[ColumnFacts]]:
    found = rows(connection, _COLUMNS, tables)
    types = {"types": sorted({row[2] for row in found})}
    comparable = _comparable(connection, types)
    portable = _portable(connection, types)
    columns: dict[int, list[ColumnFacts]] = defaultdict(list)
    for table, name, type_id, type_name, generated, identity in found:
        columns[table].append(
            ColumnFacts(
                name=name,
                type=type_name,
                generated=generated,
                identity=identity,
                comparable=type_id in comparable,
                portable=type_id in portable,
            )
        )
    return columns


def _comparable(connection: Connection, types: dict[str, list[int]]) -> frozenset[int]:
    """Types whose values can be told equal. Asked of the server: DISTINCT needs the same operator as a stream of
    changes to a table with REPLICA IDENTITY FULL, and on no row it runs nothing."""
    answers: dict[str, bool] = {}
    found = set()
    for root, base in rows(connection, _BASES, types):
        if base not in answers:
            answers[base] = _has_equality(connection, base)
        if answers[base]:
            found.add(root)
    return frozenset(found)


def _has_equality(connection: Connection, type_name: str) -> bool:
    # format_type has quoted the name already.
    query = sql.SQL("SELECT DISTINCT NULL::{} WHERE false").format(sql.SQL(type_name))
    try:
        connection.execute(query)
    except psycopg.errors.UndefinedFunction:
        return False
    return True


def _portable(connection: Connection, types: dict[str, list[int]]) -> frozenset[int]:
    old = connection.info.server_version < PORTABLE_COMPOSITES_SINCE
    return frozenset(root for root, named, made in rows(connection, _TYPES, types) if not named and not (made and old))


def _number(value: object) -> int:
    return int(str(value))
