"""Copies a member's slice inside one snapshot.

1. The target is claimed, and emptied of what an earlier, unfinished copy left.
2. A snapshot is held on the source; the rows of the slice are picked in it.
3. Of the schemas that the slice lies in, tables, types, functions and sequences are made at the target: they belong to
   the login there, and nobody else has a right. Roles, rights, views, triggers, rules and policies are the platform's
   way of running the cooperative, and stay there. Of comments those on tables and columns go along.
4. The rows follow, then keys, checks and indexes. Tables of which no row goes along are taken away again; after that
   come the foreign keys, which the target itself checks. So no row can refer to one that was left.
5. Sequences stand where they stand at the source.

Nobody is kept out meanwhile. Cut off anywhere, the copy is done again from the beginning.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql

from provisioner.datastore.postgres_connection import Connection, rows
from provisioner.datastore.postgres_privileges import PLATFORM_SCHEMA
from provisioner.migration.postgres_facts import TableName, quoted
from provisioner.migration.postgres_schema import (
    Restoring,
    described,
    dump_schema,
    restore_after_rows,
    restore_before_rows,
)
from provisioner.migration.postgres_sequences import read_positions, set_positions
from provisioner.migration.postgres_sides import Clients, Side, session
from provisioner.migration.postgres_snapshot import HeldSnapshot, plain_snapshot
from provisioner.migration.postgres_survey_tables import OWN_OBJECTS
from provisioner.migration.postgres_target import claim_target
from provisioner.migration.slice_picking import Picked, picked
from provisioner.migration.slice_planning import SlicePlan
from provisioner.naming import MEMBER_SCHEMA_PREFIX, MIGRATION_SCHEMA, CooperativeUid

JOBS = 2
# Schemas are made before, with the extensions; foreign keys come last.
_NOT_RESTORED: Final = (
    "SCHEMA ",
    "EXTENSION ",
    "VIEW ",
    "MATERIALIZED VIEW ",
    "FOREIGN TABLE ",
    "TRIGGER ",
    "RULE ",
    "POLICY ",
    "ROW SECURITY ",
    "FK CONSTRAINT ",
    "PUBLICATION",
)
_SCHEMAS = """
    SELECT n.nspname::text FROM pg_namespace n WHERE n.nspname !~ '^pg_' AND n.nspname <> ALL (%(platform)s)
      AND (n.nspname = %(own)s OR NOT starts_with(n.nspname::text, %(members)s))
      AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_namespace'::regclass AND x.objid = n.oid
                      AND x.deptype = 'e') ORDER BY 1
"""
_EXTENSIONS = """
    SELECT e.extname::text, n.nspname::text FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname <> 'plpgsql' ORDER BY e.oid
"""
_COMMENTS = """
    SELECT n.nspname::text, c.relname::text, a.attname::text, d.description FROM pg_description d
    JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE d.classoid = 'pg_class'::regclass AND c.relkind IN ('r', 'p') ORDER BY 1, 2, 3
"""
_TABLES = f"""
    SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND {OWN_OBJECTS}
"""  # noqa: S608 - a constant


@dataclass(frozen=True, kw_only=True)
class SliceWork:
    """What a copy needs: the plan, the mark of the claim, both sides, client programs, a private folder."""

    plan: SlicePlan
    uid: CooperativeUid
    source: Side
    target: Side
    clients: Clients
    folder: Path
    say: Callable[[str], None]


def copy_slice(work: SliceWork) -> int:
    """Copy it; gives how many rows there are. Raises NotOurs if the target holds what no unfinished copy made,
    CoopctlError with a program's last words, and what servers raise."""
    with session(work.target) as target, plain_snapshot(work.source) as snapshot:
        claim_target(target, uid=work.uid)
        with picked(work.source, work.plan, snapshot=snapshot) as found:
            archive = _make_tables(work, found, target, snapshot=snapshot)
            total = _copy_tables(work, found, target)
            restore_after_rows(work.clients, archive, jobs=JOBS, restoring=RESTORING)
            _drop_left(target, work.plan)
            _refer(target, work.plan)
            _comment(found, target)
            only = set(read_positions(target))
            set_positions(target, read_positions(found.connection, only=only))
        target.execute("ANALYZE")
    return total


def restored(lines: Sequence[str]) -> Iterator[str]:
    """Pure: the entries of an archive's list that are made at the target."""
    return (line for line in lines if not described(line).startswith(_NOT_RESTORED))


RESTORING: Final = Restoring(kept=restored, options=("--no-owner", "--no-privileges"))


def planned_tables(connection: Connection) -> set[TableName]:
    """All tables of a database, without those that are partitions."""
    return {TableName(schema=schema, name=name) for schema, name in rows(connection, _TABLES)}


def _make_tables(work: SliceWork, found: Picked, target: Connection, *, snapshot: HeldSnapshot) -> Path:
    request = work.plan.request
    asked = {
        "platform": [PLATFORM_SCHEMA, MIGRATION_SCHEMA, "information_schema"],
        "own": request.schema,
        "members": MEMBER_SCHEMA_PREFIX,
    }
    schemas = [name for (name,) in rows(found.connection, _SCHEMAS, asked)]
    extensions = rows(found.connection, _EXTENSIONS)
    for name in {*schemas, *(schema for _, schema in extensions if schema != "pg_catalog")}:
        target.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    for name, schema in extensions:
        made = sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}")
        target.execute(made.format(sql.Identifier(name), sql.Identifier(schema)))
    # A comment is an entry of its own, also on what is not restored.
    further = [
        "--no-privileges",
        "--no-security-labels",
        "--no-comments",
        *(f"--schema={quoted(one)}" for one in schemas),
    ]
    archive = dump_schema(work.clients, snapshot=snapshot.name, folder=work.folder, further=further)
    restore_before_rows(work.clients, archive, restoring=RESTORING)
    return archive


def _copy_tables(work: SliceWork, found: Picked, target: Connection) -> int:
    total = 0
    for table in work.plan.kept:
        total += _copy_table(found, target, table.name)
        work.say(f"{table.name} ({table.treatment}) is copied: {total} rows so far")
    return total


def _copy_table(found: Picked, target: Connection, table: TableName) -> int:
    facts = found.plan.relations[table].facts
    columns, form = facts.copied_columns, sql.SQL("FORMAT binary" if facts.is_binary else "FORMAT text")
    read = sql.SQL("COPY ({}) TO STDOUT ({})").format(found.statements.rows(table, columns), form)
    named = sql.SQL(" ({})").format(sql.SQL(", ").join(map(sql.Identifier, columns))) if columns else sql.SQL("")
    write = sql.SQL("COPY {}{} FROM STDIN ({})").format(sql.Identifier(table.schema, table.name), named, form)
    with found.connection.cursor().copy(read) as reading, target.cursor().copy(write) as writing:
        for block in reading:
            writing.write(block)
    return found.count(table)


def _drop_left(target: Connection, plan: SlicePlan) -> None:
    """Take away tables of which no row goes along; what belongs to them, such as a sequence, goes with them."""
    with target.transaction():
        for name in sorted(planned_tables(target) - set(plan.relations)):
            target.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(name.schema, name.name)))


def _refer(target: Connection, plan: SlicePlan) -> None:
    """Make the foreign keys between what is there: the target checks every row."""
    for key in plan.constraints:
        made = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
        named = sql.Identifier(key.on.schema, key.on.name)
        target.execute(made.format(named, sql.Identifier(key.name), sql.SQL(key.definition)))


def _comment(found: Picked, target: Connection) -> None:
    """Say of tables and columns what the source says of them."""
    for schema, table, column, text in rows(found.connection, _COMMENTS):
        if TableName(schema=schema, name=table) in found.plan.relations:
            kind, name = ("TABLE", (schema, table)) if column is None else ("COLUMN", (schema, table, column))
            said = sql.SQL("COMMENT ON {} {} IS {}")
            target.execute(said.format(sql.SQL(kind), sql.Identifier(*name), sql.Literal(text)))
