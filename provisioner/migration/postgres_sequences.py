"""What no stream carries but belongs to the rows: positions of sequences and contents of materialised views."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.postgres_survey_tables import OWN_OBJECTS

_SEQUENCES = f"""
    SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND {OWN_OBJECTS} ORDER BY 1, 2
"""  # noqa: S608 - a constant
# A view depends on what its rule names; views in between are followed through.
_VIEWS = f"""
    WITH RECURSIVE uses (view, used) AS (
        SELECT r.ev_class, d.refobjid FROM pg_rewrite r
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
            AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class),
    reached (view, used) AS (
        SELECT view, used FROM uses
        UNION SELECT u.view, r.used FROM uses u JOIN reached r ON r.view = u.used)
    SELECT c.oid::bigint, n.nspname::text, c.relname::text,
           ARRAY(SELECT m.oid::bigint FROM reached r JOIN pg_class m ON m.oid = r.used AND m.relkind = 'm'
                 WHERE r.view = c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'm' AND c.relispopulated AND {OWN_OBJECTS}
"""  # noqa: S608 - a constant


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where a sequence stands (PostgreSQL manual, "Sequence Manipulation Functions", setval)."""

    last_value: int
    is_called: bool


def read_positions(
    connection: Connection, *, only: Collection[TableName] | None = None
) -> Mapping[TableName, Position]:
    """Every sequence, of all kinds, by name, or ``only`` some of them."""
    found = [TableName(schema=schema, name=name) for schema, name in rows(connection, _SEQUENCES)]
    names = [one for one in found if only is None or one in only]
    if not names:
        return {}
    one = sql.SQL("(SELECT {}::int, last_value, is_called FROM {})")
    parts = [one.format(sql.Literal(n), sql.Identifier(name.schema, name.name)) for n, name in enumerate(names)]
    positions = rows(connection, sql.SQL(" UNION ALL ").join(parts))
    return {names[n]: Position(last_value=last, is_called=called) for n, last, called in positions}


def set_positions(connection: Connection, positions: Mapping[TableName, Position]) -> None:
    """Put every sequence where it belongs, in one transaction. Idempotent."""
    with connection.transaction():
        for name, position in positions.items():
            quoted = sql.Literal(str(name))
            values = (sql.Literal(position.last_value), sql.Literal(position.is_called))
            connection.execute(sql.SQL("SELECT setval({}::regclass, {}, {})").format(quoted, *values))


def read_views(connection: Connection) -> tuple[TableName, ...]:
    """The materialised views that have been filled, each after those that it is made from."""
    found = {oid: (TableName(schema=schema, name=name), used) for oid, schema, name, used in rows(connection, _VIEWS)}
    graph = {oid: [one for one in used if one in found] for oid, (_, used) in sorted(found.items())}
    return tuple(found[oid][0] for oid in TopologicalSorter(graph).static_order())


def refresh_views(connection: Connection, views: Iterable[TableName]) -> None:
    """Fill them in this order; a view's query runs as its owner (PostgreSQL manual, REFRESH MATERIALIZED VIEW)."""
    for view in views:
        connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(sql.Identifier(view.schema, view.name)))
