"""Takes a member's rows out of the source's database, in one transaction that proves itself before it ends.

1. A login is made that belongs to the tables' owners and may do no more: triggers of the tenant fire as it does.
2. In one snapshot the member's own rows are picked. They must be what was handed over, by sums; else nothing is erased.
3. Rows of others that refer to them are counted. They refuse the erasure, or, where somebody asked for it, refer to
   nothing from now on.
4. All other rows of the database, whosever, are summed up, with those references taken for nothing.
5. The rows are deleted from all tables by one statement, so that the order of tables does not matter. The tenant's
   triggers fire as for an application, also those that were put off until the commit.
6. What is left is summed up again. The two sums of each table must be equal: only then it is committed.

Whatever else happens in the database meanwhile is in neither sum: the snapshot does not show it. A row that somebody
changes at the same moment ends the transaction; nothing is erased, and the same command begins anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from provisioner.datastore.credentials import Secret
from provisioner.datastore.postgres_connection import Connection, rows, scalar
from provisioner.datastore.postgres_roles import is_superuser, scram_verifier
from provisioner.errors import NotPermitted, ProblemsFound
from provisioner.migration.postgres_facts import TableName
from provisioner.migration.postgres_row_sums import pin, read_chunks
from provisioner.migration.postgres_sequences import read_views, refresh_views
from provisioner.migration.postgres_sides import Side, session
from provisioner.migration.slice_facts import ForeignKey, SliceFacts
from provisioner.migration.slice_picking import Picked, noting, pick_own, picked
from provisioner.migration.slice_planning import SlicePlan
from provisioner.migration.slice_verification import TableSum, sum_of

READ_ALL_SINCE = 140000
SHOWN = 10
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE"
# Where the database says so, else PostgreSQL's own default: what functions of the tenant's triggers are written for.
_AS_APPLICATIONS = """
    SELECT set_config('search_path', coalesce(
        (SELECT substr(setting, length('search_path=') + 1) FROM pg_db_role_setting s, unnest(s.setconfig) AS setting
         WHERE s.setrole = 0 AND starts_with(setting, 'search_path=')
           AND s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())),
        '"$user", public'), true)
"""


@dataclass(frozen=True, kw_only=True)
class CutReference:
    """Rows of others that referred to the member's rows by ``reference``, and refer to nothing now."""

    reference: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class ErasedRows:
    """What went and what stayed: the member's tables, and every table of the database without the member's rows."""

    tables: tuple[TableSum, ...]
    others: tuple[TableSum, ...]
    cut: tuple[CutReference, ...]


@dataclass(frozen=True, kw_only=True)
class Erasing:
    """What an erasure works with: ``side`` is that of the login; ``cut_references``: somebody asked for that."""

    plan: SlicePlan
    facts: SliceFacts
    side: Side
    handed_over: tuple[TableSum, ...]
    cut_references: bool


def make_eraser(connection: Connection, *, login: str, owners: Iterable[str], password: Secret) -> None:
    """Make the login in the connection's database. Idempotent.

    Raises NotPermitted before PostgreSQL 14, and where a superuser owns a table: its triggers could do anything.
    """
    if connection.info.server_version < READ_ALL_SINCE:
        raise NotPermitted("no login could read all tables before PostgreSQL 14", hint="upgrade the source's server")
    named = sorted(owners)
    superusers = rows(
        connection,
        "SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolname = ANY (%(owners)s)",
        {"owners": named},
    )
    if superusers:
        raise NotPermitted(
            f"the superuser {superusers[0][0]} owns a table of the member's rows",
            hint="ALTER TABLE ... OWNER TO the cooperative's owner role",
        )
    role, database = sql.Identifier(login), str(scalar(connection, "SELECT current_database()"))
    with connection.transaction():
        if not scalar(connection, "SELECT true FROM pg_roles WHERE rolname = %(name)s", {"name": login}):
            connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        # Policies do not hold for owners, and what nobody of the tenant owns is only read.
        bypass = sql.SQL("BYPASSRLS" if is_superuser(connection) else "")
        verifier = sql.Literal(scram_verifier(connection, login, password))
        attributes = sql.SQL("ALTER ROLE {} LOGIN INHERIT {} CONNECTION LIMIT 2 PASSWORD {}")
        connection.execute(attributes.format(role, bypass, verifier))
        groups = sql.SQL(", ").join(map(sql.Identifier, [*named, "pg_read_all_data"]))
        connection.execute(sql.SQL("GRANT {} TO {}").format(groups, role))
        connect = sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
        connection.execute(connect.format(sql.Identifier(database), role))


def owners_of(plan: SlicePlan, facts: SliceFacts) -> frozenset[str]:
    """The owners of all tables that an erasure may have to change."""
    referring = (key.child for key in _referring(plan, facts))
    return frozenset(facts.relations[one].owner for one in (*(table.name for table in plan.own), *referring))


def erase_rows(work: Erasing, *, committing: Callable[[ErasedRows], None]) -> ErasedRows:
    """Erase them; ``committing`` is told the proof before anything counts.

    Raises ProblemsFound if they are not what was handed over, if others refer to them, or if anything else would
    change; then nothing is erased. Raises what servers raise.
    """
    with session(work.side) as connection:
        pin(connection)
        found = noting(connection, work.plan)
        connection.execute(_BEGIN)
        pick_own(found)
        own = tuple(_sum(work, found.connection, one.name, rows_of=found.rows(one.name)) for one in work.plan.own)
        _require_handed_over(own, work.handed_over, name=work.plan.migration)
        referring = _count_referring(work, found)
        _require_free(referring, cut=work.cut_references, relations=work.facts)
        others = _others(work, found, severed=[key for key, count in referring.items() if count])
        with _as_applications(connection):
            for key, count in referring.items():
                if count:
                    connection.execute(_cut(work, found, key))
            _delete(found)
        _require_untouched(others, _left(work, found))
        proof = ErasedRows(
            tables=own,
            others=others,
            cut=tuple(CutReference(reference=str(key), rows=count) for key, count in referring.items() if count),
        )
        committing(proof)
        connection.execute("COMMIT")
    return proof


def clear_away(side: Side, plan: SlicePlan) -> None:
    """Let nothing of erased rows lie about: dead rows in tables, and copies in materialised views."""
    with session(side) as connection:
        for table in plan.own:
            named = sql.Identifier(table.name.schema, table.name.name)
            connection.execute(sql.SQL("VACUUM {}").format(named))
        refresh_views(connection, read_views(connection))


def rows_left(side: Side, plan: SlicePlan) -> dict[str, int]:
    """How many rows of the member are in which table, of those that have any."""
    with picked(side, plan) as found:
        counts = {str(one.name): found.count(one.name) for one in plan.own}
    return {name: count for name, count in counts.items() if count}


def _referring(plan: SlicePlan, facts: SliceFacts) -> list[ForeignKey]:
    """All foreign keys of the database by which a row may refer to one of the member's."""
    own = {one.name for one in plan.own}
    return [one for one in facts.foreign_keys if one.parent in own]


def _count_referring(work: Erasing, found: Picked) -> dict[ForeignKey, int]:
    """How many rows that are not the member's refer to the member's, by each foreign key."""
    counts = {}
    for key in _referring(work.plan, work.facts):
        query = sql.SQL("SELECT count(*) FROM {} WHERE {} AND {}").format(
            found.statements.source(key.on), _not_own(work, found, key.child), found.statements.referring(key)
        )
        counts[key] = int(scalar(found.connection, query))
    return counts


def _not_own(work: Erasing, found: Picked, table: TableName) -> sql.Composable:
    """A condition on rows ``t`` of ``table``: they are not the member's."""
    own = {one.name for one in work.plan.own}
    return sql.SQL("NOT ") + found.statements.picked(table) if table in own else sql.SQL("true")


def _require_handed_over(own: tuple[TableSum, ...], handed_over: tuple[TableSum, ...], *, name: str) -> None:
    known = {one.name: one for one in handed_over}
    changed = [one.name for one in own if known.get(one.name) != one]
    changed += sorted(known.keys() - {one.name for one in own})
    if changed:
        raise ProblemsFound(
            f"nothing is erased: the member's rows in {changed[0]} are not those that were handed over",
            why=f"{len(changed)} tables have changed since: {', '.join(changed[:SHOWN])}",
            hint=f"hand them over anew: an empty target, `coopctl migrate start {name}`, `verify`, `finalise`",
        )


def _require_free(referring: Mapping[ForeignKey, int], *, cut: bool, relations: SliceFacts) -> None:
    """Raise ProblemsFound for references that nobody wants to be cut, or that cannot be."""
    found = {key: count for key, count in referring.items() if count}
    fixed = [key for key in found if _severable(key, relations) is None]
    if found and (fixed or not cut):
        named = "; ".join(f"{count} rows by {key}" for key, count in list(found.items())[:SHOWN])
        hint = "--cut-references lets them refer to nothing"
        if fixed:
            hint = f"{fixed[0]} may not be NULL: delete those rows, or let them refer to others, in the application"
        raise ProblemsFound("nothing is erased: rows of others refer to the member's", why=named, hint=hint)


def _severable(key: ForeignKey, facts: SliceFacts) -> str | None:
    """The column that can be NULL, so that the reference is none."""
    relation = facts.relations[key.child]
    return next((one for one in reversed(key.columns) if not relation.requires(one)), None)


def _others(work: Erasing, found: Picked, *, severed: list[ForeignKey]) -> tuple[TableSum, ...]:
    """All rows that are not the member's, with the references ``severed`` taken for nothing."""
    return tuple(
        _sum(
            work,
            found.connection,
            name,
            rows_of=_masked(work, found, name, severed=[one for one in severed if one.child == name]),
        )
        for name in work.facts.relations
    )


def _masked(work: Erasing, found: Picked, table: TableName, *, severed: list[ForeignKey]) -> sql.Composed:
    cut: dict[str, list[sql.Composed]] = {}
    for key in severed:
        if (column := _severable(key, work.facts)) is not None:
            cut.setdefault(column, []).append(found.statements.referring(key))
    columns = (one.name for one in work.facts.relations[table].facts.columns)
    return sql.SQL("(SELECT {} FROM {} WHERE {}) AS other").format(
        sql.SQL(", ").join(_mask(name, cut.get(name, [])) for name in columns),
        _from(work, table),
        _not_own(work, found, table),
    )


def _mask(column: str, referring: list[sql.Composed]) -> sql.Composed:
    named = sql.Identifier(column)
    if not referring:
        return sql.SQL("t.{}").format(named)
    return sql.SQL("CASE WHEN NOT ({}) THEN t.{} END AS {}").format(sql.SQL(" OR ").join(referring), named, named)


def _left(work: Erasing, found: Picked) -> tuple[TableSum, ...]:
    """All rows that are there now."""
    return tuple(_sum(work, found.connection, name, rows_of=_whole(work, name)) for name in work.facts.relations)


def _whole(work: Erasing, table: TableName) -> sql.Composed:
    columns = sql.SQL(", ").join(_mask(one.name, []) for one in work.facts.relations[table].facts.columns)
    return sql.SQL("(SELECT {} FROM {}) AS whole").format(columns, _from(work, table))


def _from(work: Erasing, table: TableName) -> sql.Composed:
    only = sql.SQL("" if work.facts.relations[table].partitioned else "ONLY ")
    return sql.SQL("{}{} AS t").format(only, sql.Identifier(table.schema, table.name))


def _sum(work: Erasing, connection: Connection, table: TableName, *, rows_of: sql.Composed) -> TableSum:
    return sum_of(read_chunks(connection, work.facts.relations[table].facts, rows_of=rows_of), table=table)


def _cut(work: Erasing, found: Picked, key: ForeignKey) -> sql.Composed:
    column = _severable(key, work.facts)
    if column is None:
        raise AssertionError("references that cannot be cut have refused the erasure")
    return sql.SQL("UPDATE {} SET {} = NULL WHERE {} AND {}").format(
        found.statements.source(key.on),
        sql.Identifier(column),
        _not_own(work, found, key.child),
        found.statements.referring(key),
    )


@contextmanager
def _as_applications(connection: Connection) -> Iterator[None]:
    """Let triggers find what they name; those that were put off until the commit fire before the block ends."""
    connection.execute(_AS_APPLICATIONS)
    yield
    connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    connection.execute("SET LOCAL search_path = pg_catalog")


def _delete(found: Picked) -> None:
    """Delete all picked rows at once. Raises ProblemsFound if a trigger or rule keeps one."""
    tables = [one.name for one in found.plan.own]
    parts = sql.SQL(", ").join(_deletion(found, name, number=number) for number, name in enumerate(tables))
    counted = sql.SQL(", ").join(
        sql.SQL("(SELECT count(*) FROM {})").format(sql.Identifier(f"d{number}")) for number in range(len(tables))
    )
    [deleted] = rows(found.connection, sql.SQL("WITH {} SELECT {}").format(parts, counted))
    kept = [str(name) for name, count in zip(tables, deleted, strict=True) if count != found.count(name)]
    if kept:
        raise ProblemsFound(
            f"nothing is erased: rows of {kept[0]} are not deleted",
            why="a trigger or rule of the tenant's keeps them",
            hint="let it let them go, then run the same command again",
        )


def _deletion(found: Picked, table: TableName, *, number: int) -> sql.Composed:
    return sql.SQL(
        "{} AS (DELETE FROM {} USING {} AS n WHERE n.place = t.tableoid AND n.line = t.ctid RETURNING 1)"
    ).format(sql.Identifier(f"d{number}"), found.statements.source(table), found.statements.note(table))


def _require_untouched(before: tuple[TableSum, ...], after: tuple[TableSum, ...]) -> None:
    changed = list(_changed(before, after))
    if changed:
        raise ProblemsFound(
            f"nothing is erased: rows of others in {changed[0]} would be changed or deleted with the member's",
            why=f"a foreign key with ON DELETE, or a trigger, reaches {', '.join(changed[:SHOWN])}",
            hint="take that away, or let those rows refer to others, then run the same command again",
        )


def _changed(before: tuple[TableSum, ...], after: tuple[TableSum, ...]) -> Iterator[str]:
    return (one.name for one, other in zip(before, after, strict=True) if one != other)
