"""Pure: the statement that does to a subscriber what a change did to the publisher.

Each must meet exactly one row; values are parameters, as text, and take the types of their columns.
"""

from collections.abc import Mapping

from psycopg import sql

from provisioner.migration.postgres_changes import ChangeKind, Relation, RowChange, Truncation, Values
from provisioner.migration.postgres_facts import TableFacts, TableName


def statement(
    change: RowChange | Truncation, *, facts: Mapping[TableName, TableFacts]
) -> tuple[sql.Composed, list[str | None]]:
    """Pure: what does to the subscriber what was done to the publisher, and its parameters."""
    if isinstance(change, Truncation):
        tables = sql.SQL(", ").join(sql.SQL("ONLY {}").format(_named(table)) for table in change.tables)
        return sql.SQL("TRUNCATE {}").format(tables), []
    if change.kind is ChangeKind.DELETE or change.new is None:
        where, values = _row(change.relation, change.old, facts=facts)
        return sql.SQL("DELETE FROM ONLY {} WHERE {}").format(_named(change.relation.table), where), values
    if change.kind is ChangeKind.INSERT:
        return _insertion(change.relation, change.new)
    return _update(change, facts=facts)


def _insertion(relation: Relation, values: Values) -> tuple[sql.Composed, list[str | None]]:
    columns = sql.SQL(", ").join(map(sql.Identifier, relation.columns))
    places = sql.SQL(", ").join([sql.Placeholder()] * len(values))
    text = sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})")
    return text.format(_named(relation.table), columns, places), list(values)


def _update(change: RowChange, *, facts: Mapping[TableName, TableFacts]) -> tuple[sql.Composed, list[str | None]]:
    identities = {column.name for column in facts[change.relation.table].columns if column.identity}
    new, old = change.new or (), change.old
    kept = [
        place
        for place, name in enumerate(change.relation.columns)
        # An identity that is always generated refuses an UPDATE even to what it is.
        if place not in change.unchanged and not (name in identities and (old is None or old[place] == new[place]))
    ]
    where, names = _row(change.relation, old or new, facts=facts)
    if not kept:
        return sql.SQL("SELECT FROM ONLY {} WHERE {}").format(_named(change.relation.table), where), names
    changes = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(change.relation.columns[place]), sql.Placeholder()) for place in kept
    )
    text = sql.SQL("UPDATE ONLY {} SET {} WHERE {}").format(_named(change.relation.table), changes, where)
    return text, [*(new[place] for place in kept), *names]


def _row(
    relation: Relation, values: Values | None, *, facts: Mapping[TableName, TableFacts]
) -> tuple[sql.Composed, list[str | None]]:
    """The condition that names one row: by its key, or, without one, any one row that has all of these values."""
    table = facts[relation.table]
    types = {column.name: column.type for column in table.columns}
    known = dict(zip(relation.columns, values or (), strict=True))
    names = table.key or relation.columns
    comparison = "{} = {}::{}" if table.key else "{} IS NOT DISTINCT FROM {}::{}"
    same = sql.SQL(" AND ").join(
        sql.SQL(comparison).format(sql.Identifier(name), sql.Placeholder(), sql.SQL(types[name])) for name in names
    )
    wanted = [known[name] for name in names]
    if table.key:
        return same, wanted
    one = sql.SQL("ctid = (SELECT ctid FROM ONLY {} WHERE {} LIMIT 1)")
    return one.format(_named(relation.table), same), wanted


def _named(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)
